/**
 * An opened replica: the disks, the live chain with its files, and the one way to write `volume.meta`.
 * Operations on the chain are in `chain-operations.ts`.
 */
import { DiskError, type DataFile, type Folder } from '../io/disk.ts';
import { settleLeftovers } from './head-leftovers.ts';
import { MalformedFileError, encodeVolumeMeta, type VolumeMeta } from './metadata.ts';
import type { RegionList } from './region-list.ts';
import { checkedChain, eightAtATime, finishInterrupted } from './replica-folder.ts';
import type { ReplicaState } from './replica-state.ts';
import { childrenOf, type Disk } from './snapshot-chain.ts';
import { Volume, type Layer } from './volume.ts';

export interface OpenOptions {
  readonly folder: Folder;
  readonly state: ReplicaState;
  readonly regions: RegionList;
  /** opens the backing file; null: none */
  readonly openBacking: (() => Promise<Layer>) | null;
  readonly log: (text: string) => void;
  /** A sync has failed since the host was started: the page cache may hold what the disk does not, and counts it as written. */
  readonly isCacheSuspect: () => boolean;
  /** It answers with errors from now on, for this reason. */
  readonly onFault: (reason: string) => void;
}

/** What a snapshot needs besides the head's content, made while I/O goes on. It is void once the head or `volume.meta` is another. */
export interface PreparedSnapshot {
  /** the request, as JSON */
  readonly request: string;
  readonly plan: SnapshotPlan;
  readonly file: DataFile;
}

/** What a snapshot makes of a replica. */
export interface SnapshotPlan {
  readonly before: VolumeMeta;
  readonly after: VolumeMeta;
  /** the head as it is */
  readonly old: Disk;
  /** the same file as a snapshot */
  readonly taken: Disk;
  readonly next: Disk;
}

export class OpenReplica {
  readonly folder: Folder;
  readonly state: ReplicaState;
  readonly options: OpenOptions;
  meta: VolumeMeta;
  disks: Map<string, Disk>;
  volume: Volume;
  /** disks that a copy in the background reads or writes: unmap leaves them alone */
  readonly busy = new Set<string>();
  /** disks that are copied to other volumes, and how often at this moment */
  private readonly kept = new Map<string, number>();
  /** what was made for the next snapshot; null: nothing */
  prepared: PreparedSnapshot | null = null;
  /** a rebuild brings files in: until they are read, what is known of the layers here is not what their files say */
  isBeingFilled = false;
  /** why the replica is of no use any more; null while it is sound */
  fault: string | null = null;

  constructor(options: OpenOptions, meta: VolumeMeta, disks: Map<string, Disk>, volume: Volume) {
    this.options = options;
    this.folder = options.folder;
    this.state = options.state;
    this.meta = meta;
    this.disks = disks;
    this.volume = volume;
  }

  /** Writes `volume.meta`; done means on stable storage. */
  async writeMeta(meta: VolumeMeta): Promise<void> {
    await this.state.replaceVolumeMeta(encodeVolumeMeta(meta));
    this.meta = meta;
  }

  /** From now on every answer is an error: memory and disk may disagree. */
  fail(reason: string): void {
    if (this.fault !== null) return;
    this.fault = reason;
    this.options.log(`replica failed: ${reason}`);
    this.options.onFault(reason);
  }

  /** Everything written so far is on stable storage; a failure means that nobody knows what is, so the replica is out. */
  async sync(): Promise<void> {
    try {
      if (this.fault !== null) throw new Error(this.fault);
      await this.volume.sync();
    } catch (error) {
      this.fail(error instanceof Error ? error.message : String(error));
      throw error;
    }
  }

  /** Whether an unmap may free what a layer below the head holds. */
  readonly isRemovable = (name: string): boolean => {
    const disk = this.disks.get(name);
    if (disk === undefined || !disk.isRemoved || this.isBeingFilled || this.busy.has(name) || this.isKept(name))
      return false;
    return childrenOf(this.disks, name).length === 1;
  };

  /** Nothing changes the content of this disk until as many `unkeep`. */
  keep(name: string): void {
    this.kept.set(name, (this.kept.get(name) ?? 0) + 1);
  }

  unkeep(name: string): void {
    const left = (this.kept.get(name) ?? 0) - 1;
    if (left > 0) this.kept.set(name, left);
    else this.kept.delete(name);
  }

  isKept(name: string): boolean {
    return this.kept.has(name);
  }

  /** Live chain below the head, newest first. */
  chainBelowHead(): string[] {
    return checkedChain(this.folder, this.disks, this.meta)
      .slice(1)
      .map((disk) => disk.name);
  }
}

async function openLayers(options: OpenOptions, chain: readonly Disk[], meta: VolumeMeta): Promise<Layer[]> {
  const layers: Layer[] = [];
  const files: DataFile[] = [];
  try {
    if (options.openBacking !== null) {
      const backing = await options.openBacking();
      files.push(backing.file);
      layers.push(backing);
    }
    const opened = await eightAtATime(chain.toReversed(), async ({ name }) => {
      const file = await openImage(options.folder, name);
      files.push(file);
      return { name, file, sizeBytes: file.statNow().sizeBytes, isBacking: false };
    });
    layers.push(...opened);
    const head = opened.at(-1);
    if (head !== undefined && head.sizeBytes < meta.sizeBytes) {
      throw new MalformedFileError(
        `${options.folder.path}/${head.name}`,
        `has ${head.sizeBytes} bytes where volume.meta says ${meta.sizeBytes}`,
        'nothing was changed: put the file back from a copy, or remove this replica so that it is rebuilt',
      );
    }
    return layers;
  } catch (error) {
    for (const file of files) await file.close();
    throw error;
  }
}

async function openImage(folder: Folder, name: string): Promise<DataFile> {
  try {
    return await folder.open(name, 'write');
  } catch (error) {
    if (!(error instanceof DiskError) || error.code !== 'ENOENT') throw error;
    throw new MalformedFileError(
      `${folder.path}/${name}`,
      'is missing although its .meta is there',
      'nothing was changed: put the file back from a copy, or remove this replica so that it is rebuilt from another one',
    );
  }
}

/** The head holds nothing but holes and what was written when this is done. */
async function settleHead({ state, log }: OpenOptions, layers: readonly Layer[], meta: VolumeMeta): Promise<void> {
  const head = layers.at(-1);
  if (head === undefined) return;
  const rule = state.hasWrittenZeros ? 'free' : 'fill';
  const blocks = await settleLeftovers(head.file, head.sizeBytes, rule);
  await state.noteWrittenZeros();
  if (blocks === 0) return;
  const what =
    rule === 'free'
      ? 'freed: writes that were lost before they were flushed'
      : 'written as the zeros that they read as';
  log(`${meta.head}: ${blocks} blocks that had a place but no content were ${what}`);
}

async function dropCaches({ folder, log }: OpenOptions, names: readonly string[]): Promise<void> {
  for (const name of names) {
    const file = await openImage(folder, name);
    try {
      await file.dropCache();
    } finally {
      await file.close();
    }
  }
  log(`a sync failed before: ${names.length} files are read from the disk again`);
}

/** Opens the chain of a folder, without writing anything but what finishes an interrupted operation or write. */
export async function openReplica(options: OpenOptions, meta: VolumeMeta): Promise<OpenReplica> {
  const { notes, disks } = await finishInterrupted(options.folder, options.state, meta);
  for (const note of notes) options.log(note);
  if (options.isCacheSuspect()) await dropCaches(options, [...disks.keys()]);
  const chain = checkedChain(options.folder, disks, meta);
  const layers = await openLayers(options, chain, meta);
  try {
    await settleHead(options, layers, meta);
    options.regions.resize(meta.sizeBytes);
    const volume = await Volume.load(meta.sizeBytes, layers, options.regions);
    const parent = chain[0]?.parent ?? '';
    return new OpenReplica(options, { ...meta, parent }, disks, volume);
  } catch (error) {
    for (const layer of layers) await layer.file.close();
    throw error;
  }
}

/** Loads the chain anew, for example after files were brought in; the old files are closed. No I/O may be running. */
export async function reloadReplica(replica: OpenReplica, meta: VolumeMeta): Promise<void> {
  const fresh = await openReplica(replica.options, meta);
  const old = replica.volume;
  replica.meta = fresh.meta;
  replica.disks = fresh.disks;
  replica.volume = fresh.volume;
  await old.close();
}
