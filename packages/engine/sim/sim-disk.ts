/**
 * A folder on a simulated disk.
 *
 * Faults: a power cut keeps of each 512 byte sector that was not synced the old or the new content, by chance, and of the
 * changes of names since the folder was last synced a prefix. A block that was written where there was nothing is still
 * nothing, has its content, or has a place without content: an unwritten extent, which counts as allocated and reads as
 * zeros. Of what was freed or zeroed without a sync a prefix has happened, over all files: these are changes of the file system's
 * own records, which its journal keeps in order; any sync takes all before it along. A killed process loses
 * nothing: the page cache stays. A full disk refuses writes. A failing disk answers reads, writes or syncs with EIO now and then;
 * as with Linux, what a failed sync should have written counts as clean afterwards, is still in the page cache, and no later sync
 * writes it; what was freed or zeroed is not among that, and stays in its order. What does not happen: synced bytes do not change, and a sync that has answered has synced.
 */
import { errorText } from '@longhorn/shared-types/grpc/rpc-error';
import {
  DiskError,
  NOT_CACHED,
  type DataFile,
  type FileStat,
  type Folder,
  type FolderLock,
  type LockKind,
} from '../src/io/disk.ts';
import type { Random } from '../src/membership/random.ts';
import type { FaultCount } from './fault-count.ts';
import type { ProcessClock } from './sim-time.ts';

const BLOCK = 4096;
const SECTOR = 512;
const SYNC_MS_MAX = 8;

interface Inode {
  readonly number: number;
  live: Buffer;
  synced: Buffer;
  /** allocated blocks, of what is live and of what is synced */
  blocks: Set<number>;
  syncedBlocks: Set<number>;
  /** of the allocated blocks those without content, live and synced */
  unwritten: Set<number>;
  syncedUnwritten: Set<number>;
  /** blocks changed since the last sync */
  dirty: Set<number>;
  /** of these the ones that were freed or zeroed: when it happened last, and what was left */
  dropped: Map<number, { at: number; leaves: 'hole' | 'unwritten' }>;
  links: number;
  modified: number;
  changed: number;
}

export type Failing = 'nothing' | 'reads' | 'writes' | 'syncs' | 'all';

/** The disk of one node; survives its processes. */
export class SimDisk {
  readonly faults: FaultCount;
  private readonly random: Random;
  private readonly folders = new Map<string, DiskFolder>();
  isFull = false;
  /** what it answers with EIO, now and then */
  failing: Failing = 'nothing';
  /** a build whose fdatasync of data does nothing: the canary that checks must find */
  ignoresSync = false;
  /** a build that takes unwritten extents of a head for data: a canary, too */
  hidesUnwritten = false;
  /** a build that answers some writes without writing: a canary */
  losesWrites = false;
  private ticks = 1;
  private inodes = 1;
  /** when the journal was written last */
  private committedAt = 1;

  constructor(random: Random, faults: FaultCount) {
    this.random = random;
    this.faults = faults;
  }

  folder(path: string): DiskFolder {
    let folder = this.folders.get(path);
    if (!folder) {
      folder = new DiskFolder(this);
      this.folders.set(path, folder);
    }
    return folder;
  }

  removeFolder(path: string): void {
    this.folders.delete(path);
  }

  /** What was not synced is lost, sector by sector. */
  cutPower(): void {
    const happenedUntil = this.committedAt + this.random.below(this.ticks - this.committedAt + 1);
    for (const folder of this.folders.values()) folder.cutPower(this.random, happenedUntil);
    this.isFull = false;
  }

  /** Throws EIO if this operation is among those that fail, by chance. */
  assertWorks(operation: 'read' | 'write' | 'sync', name: string): void {
    const isAffected = this.failing === 'all' || this.failing === `${operation}s`;
    if (!isAffected || !this.random.chance(0.5)) return;
    this.faults.diskErrors++;
    throw new DiskError(operation, name, 'EIO', 'input/output error');
  }

  loses(): boolean {
    return this.losesWrites && this.random.chance(0.01);
  }

  assertRoom(operation: string, name: string): void {
    if (!this.isFull) return;
    this.faults.diskErrors++;
    throw new DiskError(operation, name, 'ENOSPC', 'no space left on device');
  }

  /** A sync of anything: the file system's own records are on the disk. */
  commit(): void {
    this.committedAt = this.tick();
  }

  tick(): number {
    return this.ticks++;
  }

  newInode(sizeBytes: number): Inode {
    const at = this.tick();
    return {
      number: this.inodes++,
      live: Buffer.alloc(sizeBytes),
      synced: Buffer.alloc(sizeBytes),
      blocks: new Set(),
      syncedBlocks: new Set(),
      unwritten: new Set(),
      syncedUnwritten: new Set(),
      dirty: new Set(),
      dropped: new Map(),
      links: 0,
      modified: at,
      changed: at,
    };
  }
}

/** Names of one folder: live, and as they are on the disk. */
export class DiskFolder {
  readonly disk: SimDisk;
  /** the process that has it open, dead or alive */
  lockedBy: ProcessClock | null = null;
  names = new Map<string, Inode>();
  private syncedNames = new Map<string, Inode>();
  private changes: ((names: Map<string, Inode>) => void)[] = [];

  constructor(disk: SimDisk) {
    this.disk = disk;
  }

  change(apply: (names: Map<string, Inode>) => void): void {
    apply(this.names);
    this.changes.push(apply);
  }

  sync(): void {
    this.disk.commit();
    this.syncedNames = new Map(this.names);
    this.changes = [];
  }

  cutPower(random: Random, happenedUntil: number): void {
    const kept = random.below(this.changes.length + 1);
    for (const apply of this.changes.slice(0, kept)) apply(this.syncedNames);
    this.changes = [];
    this.names = new Map(this.syncedNames);
    for (const inode of new Set(this.names.values())) {
      this.disk.faults.lostBlocks += inode.dirty.size;
      lose(inode, random, happenedUntil);
    }
  }

  /** A copy for another node, as a file transfer makes it. */
  bytesOf(name: string): { content: Buffer; blocks: Set<number> } | null {
    const inode = this.names.get(name);
    return inode ? { content: Buffer.from(inode.live), blocks: new Set(inode.blocks) } : null;
  }

  /** One bit of what a file holds becomes another. */
  rot(name: string, random: Random): void {
    const inode = this.names.get(name);
    if (!inode || inode.blocks.size === 0) return;
    const at = random.pick([...inode.blocks]) * BLOCK + random.below(BLOCK);
    for (const content of [inode.live, inode.synced]) {
      if (at < content.length) content[at] = (content[at] ?? 0) ^ 1;
    }
  }

  /** Puts a transferred file in place; nothing of it is synced. */
  receive(name: string, content: Buffer, blocks: ReadonlySet<number>): void {
    const inode = this.disk.newInode(0);
    inode.live = Buffer.from(content);
    inode.blocks = new Set(blocks);
    inode.dirty = new Set(blocks);
    this.change((names) => names.set(name, inode));
  }
}

function lose(inode: Inode, random: Random, happenedUntil: number): void {
  // A file that grew or shrank without a sync has its old or its new length.
  const isResized = inode.live.length !== inode.synced.length;
  const keepsSize = isResized && random.chance(0.5);
  const size = keepsSize ? inode.live.length : inode.synced.length;
  const content = Buffer.alloc(size);
  inode.synced.copy(content, 0, 0, Math.min(size, inode.synced.length));
  const left = { content, blocks: new Set(inode.syncedBlocks), unwritten: new Set(inode.syncedUnwritten) };
  for (const block of new Set([...inode.dirty, ...inode.dropped.keys()])) {
    loseBlock(inode, block, left, random, happenedUntil);
  }
  inode.live = Buffer.from(content);
  inode.synced = content;
  inode.blocks = left.blocks;
  inode.syncedBlocks = new Set(left.blocks);
  inode.unwritten = left.unwritten;
  inode.syncedUnwritten = new Set(left.unwritten);
  inode.dirty = new Set();
  inode.dropped = new Map();
}

interface Left {
  readonly content: Buffer;
  readonly blocks: Set<number>;
  readonly unwritten: Set<number>;
}

function loseBlock(inode: Inode, block: number, left: Left, random: Random, happenedUntil: number): void {
  const { content, blocks, unwritten } = left;
  const [start, end] = [block * BLOCK, Math.min((block + 1) * BLOCK, content.length, inode.live.length)];
  const dropped = inode.dropped.get(block);
  if (dropped) {
    // What was not dropped in the end was not written after that either.
    if (dropped.at > happenedUntil) return;
    content.fill(0, start, end);
    blocks.delete(block);
    unwritten.delete(block);
    if (dropped.leaves === 'unwritten') setUnwritten(left, block);
  }
  // A failed sync has taken its content for clean; that it was dropped is a record of the file system's.
  if (!inode.dirty.has(block)) return;
  if (!inode.blocks.has(block) || inode.unwritten.has(block)) return;
  if (blocks.has(block) && !unwritten.has(block)) {
    for (let at = start; at < end; at += SECTOR) {
      if (random.chance(0.5)) inode.live.copy(content, at, at, Math.min(at + SECTOR, end));
    }
    return;
  }
  const fate = random.next();
  if (fate < 0.4) {
    inode.live.copy(content, start, start, end);
    blocks.add(block);
    unwritten.delete(block);
  } else if (fate < 0.7) setUnwritten(left, block);
}

function setUnwritten({ blocks, unwritten }: Left, block: number): void {
  blocks.add(block);
  unwritten.add(block);
}

/** The folder as one process sees it: slow calls take virtual time, and none returns after its death. */
export class SimFolder implements Folder {
  readonly path: string;
  onSyncFailure: (reason: string) => void = () => undefined;
  private readonly on: DiskFolder;
  private readonly clock: ProcessClock;
  private readonly random: Random;

  constructor(path: string, on: DiskFolder, clock: ProcessClock, random: Random) {
    this.path = path;
    this.on = on;
    this.clock = clock;
    this.random = random;
  }

  private async wait(): Promise<void> {
    if (this.random.chance(0.2)) await this.clock.pause(this.random.below(SYNC_MS_MAX));
  }

  async list(): Promise<string[]> {
    await this.wait();
    return [...this.on.names.keys()];
  }

  async stat(name: string): Promise<FileStat | null> {
    await this.wait();
    const inode = this.on.names.get(name);
    return inode ? statOf(inode) : null;
  }

  async readSmall(name: string, bytesMax: number): Promise<Buffer | null> {
    await this.wait();
    const inode = this.on.names.get(name);
    if (!inode) return null;
    this.on.disk.assertWorks('read', name);
    if (inode.live.length > bytesMax) throw new DiskError('read', name, 'EFBIG', 'file too large');
    return Buffer.from(inode.live);
  }

  async writeSmall(name: string, content: Buffer): Promise<void> {
    await this.wait();
    this.on.disk.assertRoom('write', name);
    this.on.disk.assertWorks('write', name);
    const existing = this.on.names.get(name);
    const inode = existing ?? this.on.disk.newInode(0);
    if (!existing) this.on.change((names) => names.set(name, inode));
    inode.live = Buffer.from(content);
    const blocks = Array.from({ length: Math.ceil(content.length / BLOCK) }, (_, block) => block);
    inode.blocks = new Set(blocks);
    for (const block of blocks) inode.dirty.add(block);
    touch(inode, this.on.disk);
    await this.wait();
    this.syncInode(name, inode);
  }

  async create(name: string, sizeBytes: number): Promise<DataFile> {
    await this.wait();
    this.on.disk.assertRoom('create', name);
    const inode = this.on.disk.newInode(sizeBytes);
    this.on.change((names) => names.set(name, inode));
    return this.openInode(name, inode);
  }

  async open(name: string): Promise<DataFile> {
    await this.wait();
    const inode = this.on.names.get(name);
    if (!inode) throw new DiskError('open', `${this.path}/${name}`, 'ENOENT', 'no such file or directory');
    return this.openInode(name, inode);
  }

  async rename(from: string, to: string): Promise<void> {
    await this.wait();
    const inode = this.on.names.get(from);
    if (!inode) throw new DiskError('rename', from, 'ENOENT', 'no such file or directory');
    touch(inode, this.on.disk);
    this.on.change((names) => {
      names.delete(from);
      names.set(to, inode);
    });
  }

  async link(from: string, to: string): Promise<void> {
    await this.wait();
    const inode = this.on.names.get(from);
    if (!inode) throw new DiskError('link', from, 'ENOENT', 'no such file or directory');
    if (this.on.names.has(to)) throw new DiskError('link', to, 'EEXIST', 'file exists');
    touch(inode, this.on.disk);
    this.on.change((names) => names.set(to, inode));
  }

  async remove(name: string): Promise<boolean> {
    await this.wait();
    if (!this.on.names.has(name)) return false;
    this.on.change((names) => names.delete(name));
    return true;
  }

  async sync(): Promise<void> {
    await this.wait();
    this.on.disk.assertWorks('sync', this.path);
    this.on.sync();
  }

  lock(_kind: LockKind, holder: string): Promise<FolderLock | { heldBy: string }> {
    const { on, clock } = this;
    const other = on.lockedBy;
    if (other !== null && other !== clock && other.isAlive) return Promise.resolve({ heldBy: holder });
    on.lockedBy = clock;
    const release = async (): Promise<void> => {
      await Promise.resolve();
      if (on.lockedBy === clock) on.lockedBy = null;
    };
    return Promise.resolve({ release });
  }

  private syncInode(name: string, inode: Inode): void {
    if (this.on.disk.ignoresSync && name.endsWith('.img')) return;
    try {
      this.on.disk.assertWorks('sync', name);
    } catch (error) {
      inode.dirty = new Set();
      throw error;
    }
    this.on.disk.commit();
    syncInode(inode);
  }

  private openInode(name: string, inode: Inode): SimFile {
    const sync = async (): Promise<void> => {
      await this.clock.pause(1 + this.random.below(SYNC_MS_MAX));
      try {
        this.syncInode(name, inode);
      } catch (error) {
        this.onSyncFailure(errorText(error));
        throw error;
      }
    };
    return new SimFile(name, inode, this.on.disk, sync);
  }
}

function touch(inode: Inode, disk: SimDisk): void {
  inode.changed = disk.tick();
  inode.modified = inode.changed;
}

function syncInode(inode: Inode): void {
  const { live, synced, dirty } = inode;
  if (live.length !== synced.length) {
    inode.synced = Buffer.alloc(live.length);
    synced.copy(inode.synced, 0, 0, Math.min(live.length, synced.length));
  }
  for (const [block, { leaves }] of inode.dropped) {
    if (dirty.has(block)) continue;
    inode.synced.fill(0, Math.min(block * BLOCK, live.length), Math.min((block + 1) * BLOCK, live.length));
    setMember(inode.syncedBlocks, block, leaves === 'unwritten');
    setMember(inode.syncedUnwritten, block, leaves === 'unwritten');
  }
  for (const block of dirty) {
    live.copy(inode.synced, block * BLOCK, block * BLOCK, Math.min((block + 1) * BLOCK, live.length));
    setMember(inode.syncedBlocks, block, inode.blocks.has(block));
    setMember(inode.syncedUnwritten, block, inode.unwritten.has(block));
  }
  inode.dirty = new Set();
  inode.dropped = new Map();
}

/**
 * Blocks that count as clean are read from the disk again: for those of a failed sync that is what was there before. What was freed or
 * zeroed is in the file system's own records, not in the cache: it stays so, and goes to the disk with them.
 */
function dropCache(inode: Inode): void {
  const { live, synced, blocks, unwritten, dirty, dropped } = inode;
  for (let block = 0; block * BLOCK < live.length; block++) {
    if (dirty.has(block)) continue;
    const [start, end] = [block * BLOCK, Math.min((block + 1) * BLOCK, live.length)];
    live.fill(0, start, end);
    const drop = dropped.get(block);
    if (drop) {
      setMember(blocks, block, drop.leaves === 'unwritten');
      setMember(unwritten, block, drop.leaves === 'unwritten');
      continue;
    }
    if (start < synced.length) synced.copy(live, start, start, Math.min(end, synced.length));
    setMember(blocks, block, inode.syncedBlocks.has(block));
    setMember(unwritten, block, inode.syncedUnwritten.has(block));
  }
}

function setMember(set: Set<number>, member: number, isIn: boolean): void {
  if (isIn) set.add(member);
  else set.delete(member);
}

function statOf(inode: Inode): FileStat {
  return {
    sizeBytes: inode.live.length,
    allocatedBytes: inode.blocks.size * BLOCK,
    inode: String(inode.number),
    linkCount: inode.links,
    modifiedNs: BigInt(inode.modified),
    changedNs: BigInt(inode.changed),
  };
}

/** Runs of blocks that touch [from, to), as pairs of bytes. */
function rangesOf(set: ReadonlySet<number>, from: number, to: number, into: Float64Array): number {
  let pairs = 0;
  const blocks = [...set].toSorted((left, right) => left - right);
  for (let index = 0; index < blocks.length && pairs * 2 < into.length;) {
    const first = blocks[index] ?? 0;
    let end = first + 1;
    index++;
    while (index < blocks.length && blocks[index] === end) {
      end++;
      index++;
    }
    if (end * BLOCK <= from || first * BLOCK >= to) continue;
    into[pairs * 2] = Math.max(first * BLOCK, from);
    into[pairs * 2 + 1] = end * BLOCK;
    pairs++;
  }
  return pairs;
}

class SimFile implements DataFile {
  readonly name: string;
  bytesWritten = 0;
  private readonly inode: Inode;
  private readonly disk: SimDisk;
  private readonly syncNow: () => Promise<void>;

  constructor(name: string, inode: Inode, disk: SimDisk, syncNow: () => Promise<void>) {
    this.name = name;
    this.inode = inode;
    this.disk = disk;
    this.syncNow = syncNow;
  }

  /** What a failing disk might not give is taken for not cached. */
  readCached(into: Buffer, at: number, length: number, offset: number): number {
    const { failing } = this.disk;
    if (failing === 'reads' || failing === 'all') return NOT_CACHED;
    return this.copyOut(into, at, length, offset);
  }

  readSync(into: Buffer, at: number, length: number, offset: number): number {
    this.disk.assertWorks('read', this.name);
    return this.copyOut(into, at, length, offset);
  }

  async read(into: Buffer, at: number, length: number, offset: number): Promise<number> {
    this.disk.assertWorks('read', this.name);
    return Promise.resolve(this.copyOut(into, at, length, offset));
  }

  private copyOut(into: Buffer, at: number, length: number, offset: number): number {
    const end = Math.min(offset + length, this.inode.live.length);
    return end <= offset ? 0 : this.inode.live.copy(into, at, offset, end);
  }

  write(from: Buffer, at: number, length: number, offset: number): void {
    this.bytesWritten = 0;
    this.disk.assertRoom('write', this.name);
    this.disk.assertWorks('write', this.name);
    this.bytesWritten = length;
    if (this.disk.loses()) return;
    this.grow(offset + length);
    from.copy(this.inode.live, offset, at, at + length);
    this.mark(offset, length);
  }

  writeJoined(pieces: readonly Buffer[], length: number, offset: number): void {
    this.write(Buffer.concat(pieces, length), 0, length, offset);
  }

  writeLater(from: Buffer, at: number, length: number, offset: number): Promise<void> {
    return Promise.resolve().then(() => this.write(from, at, length, offset));
  }

  punch(offset: number, length: number): void {
    const end = Math.min(offset + length, this.inode.live.length);
    if (end <= offset) return;
    this.inode.live.fill(0, offset, end);
    this.mark(offset, end - offset);
    this.drop(offset, end, 'hole');
  }

  zero(offset: number, length: number): void {
    this.inode.live.fill(0, offset, offset + length);
    this.mark(offset, length);
    this.drop(offset, offset + length, 'unwritten');
  }

  private drop(offset: number, end: number, leaves: 'hole' | 'unwritten'): void {
    const { blocks, unwritten, dropped } = this.inode;
    const at = this.disk.tick();
    for (let block = Math.ceil(offset / BLOCK); (block + 1) * BLOCK <= end; block++) {
      dropped.set(block, { at, leaves });
      if (leaves === 'unwritten') unwritten.add(block);
      else {
        blocks.delete(block);
        unwritten.delete(block);
      }
    }
  }

  extents(from: number, to: number, into: Float64Array): number {
    return rangesOf(this.inode.blocks, from, to, into);
  }

  unwritten(from: number, to: number, into: Float64Array): number {
    return this.disk.hidesUnwritten ? 0 : rangesOf(this.inode.unwritten, from, to, into);
  }

  statNow(): FileStat {
    return statOf(this.inode);
  }

  truncate(sizeBytes: number): Promise<void> {
    const { live } = this.inode;
    this.inode.live = Buffer.alloc(sizeBytes);
    live.copy(this.inode.live, 0, 0, Math.min(live.length, sizeBytes));
    touch(this.inode, this.disk);
    return Promise.resolve();
  }

  startWriteback(): Promise<void> {
    return Promise.resolve();
  }

  dropCache(): Promise<void> {
    dropCache(this.inode);
    return Promise.resolve();
  }

  sync(): Promise<void> {
    return this.syncNow();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  private grow(sizeBytes: number): void {
    if (this.inode.live.length >= sizeBytes) return;
    const { live } = this.inode;
    this.inode.live = Buffer.alloc(sizeBytes);
    live.copy(this.inode.live);
  }

  private mark(offset: number, length: number): void {
    for (let block = Math.floor(offset / BLOCK); block * BLOCK < offset + length; block++) {
      this.inode.blocks.add(block);
      this.inode.unwritten.delete(block);
      this.inode.dirty.add(block);
    }
    touch(this.inode, this.disk);
  }
}
