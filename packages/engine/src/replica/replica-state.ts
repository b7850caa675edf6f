/**
 * `longhorn-state.json`: what our engine keeps in a replica's folder beyond upstream's files. Epoch and membership record
 * decide after a crash which replica has the newest data, so each change is on stable storage before it counts.
 *
 * The record, and what we know about the head's content, belong to the `volume.meta` that we wrote last (inode and change
 * time). Upstream's engine replaces that file whenever it opens the replica; both then count as absent. Our own replacement goes
 *
 *     volume.meta.tmp written ─ state: pending {inode, digest} ─ rename ─ state: {inode, change time}
 *
 * so that a crash in the middle leaves a state that still matches what is there: either the old file, or the pending one.
 * The first step may be taken long before the others (`prepareVolumeMeta`), and the second with whatever else is saved meanwhile.
 */
import { createHash } from 'node:crypto';
import { errnoCode, placeFile, replaceFile, type Folder } from '../io/disk.ts';
import { MEMBERSHIP_BASES_MAX, MEMBERSHIP_DEPTH_MAX, META_FILE_BYTES_MAX } from '../limits.ts';
import { MalformedFileError, VOLUME_META } from './metadata.ts';

export const STATE_FILE = 'longhorn-state.json';
const VOLUME_META_TEMPORARY = `${VOLUME_META}.tmp`;

export interface MembershipRecord {
  readonly epoch: number;
  readonly count: number;
  readonly members: readonly string[];
  readonly size: number;
  readonly chain: readonly string[];
  readonly bases: readonly MembershipRecord[];
  readonly decided: boolean;
}

interface PendingVolumeMeta {
  readonly inode: string;
  readonly sha256: string;
}

interface StateContent {
  readonly epoch: number;
  readonly engineName: string;
  readonly bootId: string;
  readonly membership: MembershipRecord | null;
  readonly volumeMeta: { readonly inode: string; readonly changeTime: string } | null;
  readonly pendingVolumeMeta: PendingVolumeMeta | null;
  /** files that an operation in progress has decided to delete; see `discard` */
  readonly discard: readonly string[];
  /** see `hasWrittenZeros`; belongs to `volume.meta` as the record does */
  readonly writtenZeros: boolean;
}

/** In the place of a boot id; no host has this one. */
export const SYNC_FAILED = 'sync-failed';

const EMPTY: StateContent = {
  epoch: 0,
  engineName: '',
  bootId: '',
  membership: null,
  volumeMeta: null,
  pendingVolumeMeta: null,
  discard: [],
  writtenZeros: false,
};

type Fields = Readonly<Record<string, unknown>>;

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

class Decoder {
  private readonly file: string;

  constructor(file: string) {
    this.file = file;
  }

  refuse(problem: string): never {
    throw new MalformedFileError(
      this.file,
      problem,
      'nothing was changed: this replica cannot tell which engine it belongs to; remove it so that it is rebuilt, or, if it is the last one, delete this file and start it as one taken over from upstream',
    );
  }

  number(fields: Fields, key: string): number {
    const value = fields[key];
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) this.refuse(`${key} is not a number`);
    return value;
  }

  text(fields: Fields, key: string): string {
    const value = fields[key];
    if (typeof value !== 'string') this.refuse(`${key} is not a string`);
    return value;
  }

  texts(fields: Fields, key: string): string[] {
    const value = fields[key];
    if (!Array.isArray(value)) this.refuse(`${key} is not a list`);
    return value.map((entry) =>
      typeof entry === 'string' ? entry : this.refuse(`${key} has something else than text`),
    );
  }

  pair(fields: Fields, key: string, second: string): { inode: string; second: string } | null {
    const value = fields[key];
    if (value === null || value === undefined) return null;
    if (!isFields(value)) this.refuse(`${key} is not an object`);
    return { inode: this.text(value, 'inode'), second: this.text(value, second) };
  }

  record(value: unknown, depth: number): MembershipRecord {
    if (!isFields(value)) this.refuse('membership is not an object');
    const bases = value['bases'];
    if (!Array.isArray(bases) || bases.length > MEMBERSHIP_BASES_MAX) this.refuse('bases is not a short list');
    if (depth > MEMBERSHIP_DEPTH_MAX) this.refuse('bases are nested too deeply');
    return {
      epoch: this.number(value, 'epoch'),
      count: this.number(value, 'count'),
      members: this.texts(value, 'members'),
      size: this.number(value, 'size'),
      chain: this.texts(value, 'chain'),
      bases: bases.map((base) => this.record(base, depth + 1)),
      decided: value['decided'] === true,
    };
  }
}

function decode(file: string, content: Buffer): StateContent {
  const decoder: Decoder = new Decoder(file);
  let value: unknown;
  try {
    value = JSON.parse(content.toString('utf8'));
  } catch (error) {
    decoder.refuse(`is not JSON (${error instanceof Error ? error.message : String(error)})`);
  }
  if (!isFields(value)) decoder.refuse('is not a JSON object');
  const known = decoder.pair(value, 'volumeMeta', 'changeTime');
  const pending = decoder.pair(value, 'pendingVolumeMeta', 'sha256');
  const membership = value['membership'] ?? null;
  return {
    epoch: decoder.number(value, 'epoch'),
    engineName: decoder.text(value, 'engineName'),
    bootId: decoder.text(value, 'bootId'),
    membership: membership === null ? null : decoder.record(membership, 0),
    volumeMeta: known && { inode: known.inode, changeTime: known.second },
    pendingVolumeMeta: pending && { inode: pending.inode, sha256: pending.second },
    discard: decoder.texts(value, 'discard'),
    writtenZeros: value['writtenZeros'] === true,
  };
}

function digestOf(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}

async function belongsToVolumeMeta(folder: Folder, content: StateContent): Promise<boolean> {
  const found = await folder.stat(VOLUME_META);
  if (found === null) return false;
  const { volumeMeta, pendingVolumeMeta } = content;
  if (volumeMeta?.inode === found.inode && volumeMeta.changeTime === found.changedNs.toString()) return true;
  if (pendingVolumeMeta?.inode !== found.inode) return false;
  const text = await folder.readSmall(VOLUME_META, META_FILE_BYTES_MAX);
  return text !== null && digestOf(text) === pendingVolumeMeta.sha256;
}

function isSamePending(one: PendingVolumeMeta | null, other: PendingVolumeMeta | null): boolean {
  return one?.inode === other?.inode && one?.sha256 === other?.sha256;
}

/** The state of one folder; callers run one change at a time. */
export class ReplicaState {
  private readonly folder: Folder;
  private content: StateContent;
  /** what `volume.meta.tmp` holds on stable storage, to be put in place later */
  private prepared: PendingVolumeMeta | null = null;

  private constructor(folder: Folder, content: StateContent) {
    this.folder = folder;
    this.content = content;
  }

  static async load(folder: Folder): Promise<ReplicaState> {
    const text = await folder.readSmall(STATE_FILE, META_FILE_BYTES_MAX);
    if (text === null) return new ReplicaState(folder, EMPTY);
    const content = decode(`${folder.path}/${STATE_FILE}`, text);
    const hasNothingToLose = content.membership === null && !content.writtenZeros;
    if (hasNothingToLose || (await belongsToVolumeMeta(folder, content))) return new ReplicaState(folder, content);
    return new ReplicaState(folder, { ...content, membership: null, writtenZeros: false });
  }

  get epoch(): number {
    return this.content.epoch;
  }

  get engineName(): string {
    return this.content.engineName;
  }

  get membership(): MembershipRecord | null {
    return this.content.membership;
  }

  /** Boot id of the host when the record was stored (without a record: when the replica was opened last). */
  get bootId(): string {
    return this.content.bootId;
  }

  /** Only our replica has written the head, which has no unwritten extent but for writes that were lost. */
  get hasWrittenZeros(): boolean {
    return this.content.writtenZeros;
  }

  get discarded(): readonly string[] {
    return this.content.discard;
  }

  private async save(change: Partial<StateContent>): Promise<void> {
    const next = { ...this.content, ...change };
    await replaceFile(this.folder, STATE_FILE, `${JSON.stringify(next)}\n`);
    this.content = next;
  }

  /**
   * Notes an open: the epoch never falls. The boot id of a replica that has a record stays that of its record: an open alone does not
   * bring back what a restart of the host has lost, and the replica must go on saying so until a record counts on it anew.
   */
  async noteOpen(epoch: number, engineName: string, currentBootId: string): Promise<void> {
    const { content } = this;
    const bootId = content.membership === null ? currentBootId : content.bootId;
    if (content.epoch === epoch && content.engineName === engineName && content.bootId === bootId) return;
    await this.save({ epoch: Math.max(epoch, content.epoch), engineName, bootId, ...(await this.identity()) });
  }

  /** A new record, under which the replica's present content counts. */
  async setMembership(membership: MembershipRecord, bootId: string): Promise<void> {
    await this.save({ membership, bootId, ...(await this.identity()) });
  }

  /**
   * A sync failed: a kernel reports that once and takes the pages for clean, so another process that opens the files sees nothing
   * of it. Like a host that started anew, until a record counts on the replica again.
   */
  async noteSyncFailure(): Promise<void> {
    if (this.content.membership !== null) await this.save({ bootId: SYNC_FAILED, ...(await this.identity()) });
  }

  /** The stored record without its bases. */
  async commitMembership(): Promise<void> {
    const { membership } = this.content;
    if (membership === null || membership.bases.length === 0) return;
    await this.save({ membership: { ...membership, bases: [] }, ...(await this.identity()) });
  }

  /** The head was put in order, on stable storage: from now on `hasWrittenZeros`. */
  async noteWrittenZeros(): Promise<void> {
    if (!this.content.writtenZeros) await this.save({ writtenZeros: true, ...(await this.identity()) });
  }

  private async identity(): Promise<Partial<StateContent>> {
    const found = await this.folder.stat(VOLUME_META);
    if (found === null) return {};
    return {
      volumeMeta: { inode: found.inode, changeTime: found.changedNs.toString() },
      pendingVolumeMeta: this.prepared,
    };
  }

  /** Files that will be deleted next: should a crash come first, the next open deletes them if nothing refers to them. */
  async discard(files: readonly string[]): Promise<void> {
    if (files.length === 0 && this.content.discard.length === 0) return;
    await this.save({ discard: files });
  }

  /**
   * Writes what `volume.meta` will be replaced with next, so that less is left to do then. Whatever is saved meanwhile names it
   * as pending; another replacement makes it void.
   */
  async prepareVolumeMeta(text: string): Promise<void> {
    this.prepared = null;
    this.prepared = await this.writeTemporary(text);
  }

  /** What was prepared is not used. */
  dropPreparedMeta(): void {
    this.prepared = null;
  }

  /** Replaces `volume.meta`; the record goes on to belong to it. */
  async replaceVolumeMeta(text: string): Promise<void> {
    const { prepared } = this;
    this.prepared = null;
    if (this.content.membership === null && !this.content.writtenZeros) {
      await replaceFile(this.folder, VOLUME_META, text);
      return;
    }
    const isPrepared = prepared?.sha256 === digestOf(Buffer.from(text, 'utf8'));
    const pendingVolumeMeta = isPrepared ? prepared : await this.writeTemporary(text);
    const isNamed = isPrepared && isSamePending(this.content.pendingVolumeMeta, pendingVolumeMeta);
    if (!isNamed) {
      // The one that is there may be of an attempt that failed after the rename: it goes on to count, should the next rename be lost.
      await this.save({ ...(await this.identity()), pendingVolumeMeta });
    }
    await this.folder.rename(VOLUME_META_TEMPORARY, VOLUME_META);
    await this.folder.sync();
    // The pending form says the same. Of what was prepared the next save makes the final one: a record follows at once.
    if (isPrepared) return;
    const next = { ...this.content, ...(await this.identity()) };
    await placeFile(this.folder, STATE_FILE, `${JSON.stringify(next)}\n`);
    this.content = next;
  }

  private async writeTemporary(text: string): Promise<PendingVolumeMeta> {
    const bytes = Buffer.from(text, 'utf8');
    await this.folder.writeSmall(VOLUME_META_TEMPORARY, bytes);
    const written = await this.folder.stat(VOLUME_META_TEMPORARY);
    if (written === null) throw new Error(`${this.folder.path}/${VOLUME_META_TEMPORARY} vanished`);
    return { inode: written.inode, sha256: digestOf(bytes) };
  }

  /** The folder is emptied: the record goes, the epoch stays, so that an engine of the past cannot come back. */
  async forgetVolume(): Promise<void> {
    const { membership, discard, writtenZeros } = this.content;
    if (membership === null && discard.length === 0 && !writtenZeros) return;
    await this.save({
      membership: null,
      volumeMeta: null,
      pendingVolumeMeta: null,
      discard: [],
      writtenZeros: false,
    });
  }
}

/** Whether a failed call means that the file system is full. */
export function isNoSpace(error: unknown): boolean {
  const code = errnoCode(error);
  return code === 'ENOSPC' || code === 'EDQUOT';
}
