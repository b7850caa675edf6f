/**
 * The control plane of a replica: its states and what may be done in which.
 *
 *     initial ─create─► closed ─open─► open ─write─► dirty        rebuilding wins over open and dirty
 *                          ▲              └──close──┘             error wins over all
 *
 * One call at a time; those that change the chain keep I/O out meanwhile. Calls on a replica that is not open succeed without
 * effect, as upstream's do.
 */
import { Code, rpcError } from '@longhorn/shared-types/grpc/rpc-error';
import type { Folder } from '../io/disk.ts';
import { rfc3339Seconds, type ReplicaClock } from '../io/replica-clock.ts';
import { SECTOR_BYTES } from '../limits.ts';
import {
  ChainOperationError,
  dropPrepared,
  expandTo,
  markRemoved,
  prepareRemove,
  prepareSnapshot,
  removeDisk,
  replaceDisk,
  revertTo,
  takeSnapshot,
} from './chain-operations.ts';
import type { FailureNote } from './failure-note.ts';
import { FolderClaim, givesWay, readRequest } from './folder-claim.ts';
import { VOLUME_META, encodeDiskMeta, encodeVolumeMeta, type VolumeMeta } from './metadata.ts';
import { openReplica, reloadReplica, type OpenOptions, type OpenReplica } from './open-replica.ts';
import { REVISION_FILE, RevisionCounter } from './revision-counter.ts';
import { readVolumeMeta, removeDiskFiles } from './replica-folder.ts';
import { fencedText, type ReplicaIo } from './replica-io.ts';
import { ReplicaState, SYNC_FAILED, type MembershipRecord } from './replica-state.ts';
import {
  FIRST_HEAD,
  META_SUFFIX,
  childrenOf,
  liveChain,
  snapshotCount,
  snapshotNameProblem,
  type RemoveAction,
} from './snapshot-chain.ts';
import type { Layer } from './volume.ts';

export interface ReplicaServerOptions {
  readonly folder: Folder;
  readonly io: ReplicaIo;
  readonly clock: ReplicaClock;
  readonly bootId: string;
  readonly backingFilePath: string;
  readonly openBacking: (() => Promise<Layer>) | null;
  readonly hasRevisionCounter: boolean;
  readonly snapshotMaxCount: number;
  readonly snapshotMaxSizeBytes: number;
  readonly isUnmapMarking: boolean;
  /** what the disk under the folder has left for new data; null: not known */
  readonly freeBytes: () => Promise<number | null>;
  /** what this process calls itself to another one that wants the folder */
  readonly holder: string;
  /** cuts the data connections of engines below an epoch */
  readonly fence: (epoch: number) => void;
  /** that a sync failed, for the next process */
  readonly failureNote: FailureNote;
  /** This process is of no use any more, and another one may take its place: what it must know was noted. */
  readonly onFault: (reason: string) => void;
  readonly log: (text: string) => void;
}

export type ReplicaStatus = 'initial' | 'open' | 'closed' | 'dirty' | 'rebuilding' | 'error';

/** Disks of the chain under and with `diskFile`, all kept. */
function holdChain(replica: OpenReplica, diskFile: string): string[] {
  const disk = replica.disks.get(diskFile);
  if (disk?.isRemoved === true) throw new Error(`${diskFile} is marked as removed`);
  const names = disk === undefined ? [] : liveChain(replica.disks, diskFile).map(({ name }) => name);
  for (const name of names) replica.keep(name);
  return names;
}

const generationOf = ({ epoch, count }: MembershipRecord): string => `${epoch}.${count}`;
const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

export class ReplicaServer {
  readonly options: ReplicaServerOptions;
  readonly io: ReplicaIo;
  state: ReplicaState;
  snapshotMaxCount: number;
  snapshotMaxSizeBytes: number;
  isUnmapMarking = false;
  /** what `volume.meta` says while the replica is closed */
  private meta: VolumeMeta | null = null;
  private problem: Error | null = null;
  /** generation of the record that this process stored last; the region list knows all that was written since */
  private storedGeneration: string | null = null;
  private wasDirty = false;
  /** since a record counted on this replica last */
  private hasSyncFailed = false;
  /** false: this process is the only one that knows of it */
  private isSyncFailureNoted: Promise<boolean> = Promise.resolve(true);
  private readonly claim: FolderClaim;
  private last: Promise<unknown> = Promise.resolve();

  private constructor(options: ReplicaServerOptions, state: ReplicaState) {
    this.options = options;
    this.io = options.io;
    this.state = state;
    this.snapshotMaxCount = options.snapshotMaxCount;
    this.snapshotMaxSizeBytes = options.snapshotMaxSizeBytes;
    this.io.epoch = state.epoch;
    this.setUnmapMarking(options.isUnmapMarking);
    const { folder, clock, holder } = options;
    this.claim = new FolderClaim({ folder, clock, holder, onRequest: () => this.heedRequest() });
  }

  /** Reads what is in the folder; what cannot be read puts the replica in state `error`, it does not throw. */
  static async start(options: ReplicaServerOptions): Promise<ReplicaServer> {
    const server = new ReplicaServer(options, await ReplicaState.load(options.folder));
    options.folder.onSyncFailure = (reason) => server.syncFailed(reason);
    await server.refresh();
    if (server.problem !== null) options.log(server.problem.message);
    return server;
  }

  /** Runs one control call after the other. */
  serial<T>(work: () => Promise<T>): Promise<T> {
    const next = this.last.then(work, work);
    this.last = next.catch(() => undefined);
    return next;
  }

  /** Another process may have used the folder while this replica was closed. */
  private async refresh(): Promise<void> {
    if (this.io.open !== null) return;
    try {
      this.state = await ReplicaState.load(this.options.folder);
      this.io.epoch = Math.max(this.io.epoch, this.state.epoch);
      await this.finishDeletion();
      this.meta = await readVolumeMeta(this.options.folder, this.state);
      this.problem = null;
    } catch (error) {
      this.problem = error instanceof Error ? error : new Error(String(error));
    }
  }

  private async finishDeletion(): Promise<void> {
    const { folder } = this.options;
    const isDeleting = this.state.discarded.length > 0 && (await folder.stat(VOLUME_META)) === null;
    if (!isDeleting) return;
    const { isHeld } = this.claim;
    // The process that has the folder is at it.
    if (!isHeld && (await this.claim.tryOnce('exclusive')) !== null) return;
    try {
      for (const name of this.state.discarded) await removeDiskFiles(folder, name);
      await this.state.discard([]);
    } finally {
      if (!isHeld) await this.claim.drop();
    }
  }

  /** Another process wants the folder: lets go of it if that is for an engine that ours gives way to. */
  private heedRequest(): void {
    const { folder, log } = this.options;
    const work = async (): Promise<void> => {
      const claimant = await readRequest(folder);
      if (claimant === null || this.io.open === null) return;
      const holder = { epoch: this.io.epoch, engineName: this.state.engineName };
      if (!givesWay(holder, claimant)) return;
      log(`another process opens ${folder.path} for epoch ${claimant.epoch} of ${claimant.engineName}: closing`);
      this.io.epoch = claimant.epoch;
      this.options.fence(claimant.epoch + 1);
      await this.closeNow();
    };
    this.serial(work).catch((error: unknown) => log(`the folder cannot be handed over: ${messageOf(error)}`));
  }

  get status(): ReplicaStatus {
    const { open } = this.io;
    if (open !== null) {
      if (open.fault !== null) return 'error';
      if (open.meta.isRebuilding) return 'rebuilding';
      return this.isDirty ? 'dirty' : 'open';
    }
    if (this.problem !== null) return 'error';
    return this.meta === null ? 'initial' : 'closed';
  }

  get isDirty(): boolean {
    return this.io.open === null ? (this.meta?.isDirty ?? false) : this.wasDirty || this.io.hasChanged;
  }

  /** What `volume.meta` says; null when there is none, or none that can be read. */
  get currentMeta(): VolumeMeta | null {
    return this.io.open?.meta ?? this.meta;
  }

  /** The region list holds all that was written under the stored record: it was stored by this process. */
  get keptMemory(): boolean {
    const { membership } = this.state;
    return membership !== null && this.storedGeneration === generationOf(membership);
  }

  /** Boot id noted with the record; another one than the host's now means that unsynced writes are lost. */
  get lastBootId(): string {
    return this.hasSyncFailed || this.options.failureNote.isThere() ? SYNC_FAILED : this.state.bootId;
  }

  /** Of any data file, also while the replica is being opened, filled or merged: nobody knows what of the writes before is on the disk. */
  private syncFailed(reason: string): void {
    this.hasSyncFailed = true;
    this.isSyncFailureNoted = this.noteSyncFailure();
    const { open } = this.io;
    if (open === null) void this.giveUp(reason);
    else open.fail(reason);
  }

  /** A process that did not know of a failed sync would take what the kernel shows for what is on the disk. */
  private async giveUp(reason: string): Promise<void> {
    if (await this.isSyncFailureNoted) this.options.onFault(reason);
  }

  /** On the disk, and beside it as the disk may refuse; answers whether it is anywhere. */
  private async noteSyncFailure(): Promise<boolean> {
    const { failureNote, log } = this.options;
    let isNoted = false;
    try {
      failureNote.write();
      isNoted = true;
    } catch (error) {
      log(`that a sync failed could not be noted beside the disk: ${messageOf(error)}`);
    }
    try {
      await this.serial(() => this.state.noteSyncFailure());
      return true;
    } catch (error) {
      log(`that a sync failed could not be noted: ${messageOf(error)}`);
      return isNoted;
    }
  }

  /** Stores a record that an engine proposes; the caller has checked its generation. */
  async storeMembership(record: MembershipRecord): Promise<void> {
    const { open } = this.io;
    // The record says that the content counts as it is in this process. An engine that has not noticed that its replica's host restarted
    // would make that forgotten.
    if (open === null)
      throw rpcError(Code.FailedPrecondition, 'replica is not open: its process is another one than was opened');
    if (open.fault !== null) throw rpcError(Code.FailedPrecondition, open.fault);
    await this.state.setMembership(record, this.options.bootId);
    // A sync that failed meanwhile stays noted: the record does not count on what it should have written.
    if (open.fault !== null) throw rpcError(Code.FailedPrecondition, open.fault);
    this.options.failureNote.remove();
    this.hasSyncFailed = false;
    this.storedGeneration = generationOf(record);
  }

  /** Brings a closed replica's picture up to date before it is told. */
  async update(): Promise<void> {
    if (this.io.open === null) await this.serial(() => this.refresh());
  }

  // -- create, open, close, delete

  /** Makes an empty replica; no effect unless there is none. */
  create(sizeBytes: number): Promise<void> {
    return this.serial(async () => {
      await this.refresh();
      if (this.status !== 'initial') return;
      if (!Number.isSafeInteger(sizeBytes) || sizeBytes <= 0 || sizeBytes % SECTOR_BYTES !== 0) {
        throw new Error(`invalid replica size ${sizeBytes}: it must be above 0 and a multiple of ${SECTOR_BYTES}`);
      }
      await this.claim.take('exclusive', null);
      try {
        await this.refresh();
        if (this.status === 'initial') await this.createNow(sizeBytes);
      } finally {
        await this.claim.drop();
      }
    });
  }

  private async createNow(sizeBytes: number): Promise<void> {
    const { folder, clock, backingFilePath } = this.options;
    const created = rfc3339Seconds(clock.now());
    const head = { name: FIRST_HEAD, parent: '', isRemoved: false, isUserCreated: false, created, labels: null };
    await (await folder.create(FIRST_HEAD, sizeBytes)).close();
    await folder.writeSmall(`${FIRST_HEAD}${META_SUFFIX}`, Buffer.from(encodeDiskMeta(head)));
    await folder.sync();
    await this.state.replaceVolumeMeta(
      encodeVolumeMeta({
        sizeBytes,
        head: FIRST_HEAD,
        isDirty: false,
        isRebuilding: false,
        parent: '',
        sectorBytes: SECTOR_BYTES,
        backingFilePath,
      }),
    );
    await this.refresh();
  }

  /** Opens without an epoch: for maintenance, and for upstream's engines. */
  open(): Promise<void> {
    return this.serial(async () => {
      if (this.io.open !== null) throw new Error('replica is already open');
      await this.openNow(this.io.epoch, null);
    });
  }

  /** Opens for an engine; engines of lower epochs are out from the start of this call. */
  openEpoch(epoch: number, engineName: string): Promise<void> {
    return this.serial(async () => {
      await this.refresh();
      this.checkEpoch(epoch);
      // By what is stored: an open that failed half way (a full disk) has raised the epoch in memory for an engine that is not noted.
      if (
        epoch === this.state.epoch &&
        epoch > 0 &&
        this.state.engineName !== '' &&
        this.state.engineName !== engineName
      ) {
        throw rpcError(Code.FailedPrecondition, `epoch ${epoch} is already taken by engine ${this.state.engineName}`);
      }
      this.io.epoch = epoch;
      // Also this epoch's own connections: one that the engine has given up may still hold frames that nobody has read.
      this.options.fence(epoch + 1);
      if (this.io.open === null) await this.openNow(epoch, engineName);
      else await this.state.noteOpen(epoch, engineName, this.options.bootId);
    });
  }

  /** Refuses an engine that has been replaced. */
  checkEpoch(epoch: number): void {
    const highest = Math.max(this.io.epoch, this.state.epoch);
    if (epoch < highest) throw rpcError(Code.FailedPrecondition, fencedText(epoch, highest));
  }

  private async openNow(epoch: number, engineName: string | null): Promise<void> {
    const claimant = engineName === null ? null : { epoch, engineName };
    await this.claim.take(claimant === null ? 'shared' : 'exclusive', claimant);
    try {
      await this.openLocked(epoch, engineName);
    } catch (error) {
      await this.claim.drop();
      throw error;
    }
  }

  private async openLocked(epoch: number, engineName: string | null): Promise<void> {
    await this.refresh();
    // While we waited for the folder its holder may have been opened for a newer engine.
    if (engineName !== null) this.checkEpoch(epoch);
    if (this.problem !== null) throw this.problem;
    if (this.meta === null) throw new Error(`there is no replica in ${this.options.folder.path}: create it first`);
    const { io } = this;
    const { folder, log } = this.options;
    await this.state.noteOpen(epoch, engineName ?? this.state.engineName, this.options.bootId);
    const openOptions: OpenOptions = {
      folder,
      state: this.state,
      regions: io.regions,
      openBacking: this.options.openBacking,
      log,
      isCacheSuspect: () => this.lastBootId === SYNC_FAILED,
      onFault: (reason) => void this.giveUp(reason),
    };
    const { backingFilePath } = this.options;
    const replica = await openReplica(openOptions, { ...this.meta, backingFilePath });
    try {
      this.wasDirty = this.meta.isDirty;
      io.revision = this.options.hasRevisionCounter ? await RevisionCounter.open(folder) : null;
      await replica.writeMeta({ ...replica.meta, isDirty: true });
    } catch (error) {
      await replica.volume.close();
      throw error;
    }
    io.hasChanged = false;
    io.open = replica;
  }

  /** Syncs and marks the replica as clean. */
  close(): Promise<void> {
    return this.serial(() => this.closeNow());
  }

  private async closeNow(): Promise<void> {
    const { io } = this;
    if (io.open === null) return;
    try {
      await this.syncQuietly(io.open);
      await io.gate.exclusive(() => this.closeOpened());
    } finally {
      if (io.open === null) await this.claim.drop();
    }
    await this.refresh();
  }

  private async closeOpened(): Promise<void> {
    const { io } = this;
    const replica = io.open;
    if (replica === null) return;
    try {
      await dropPrepared(replica);
      if (replica.fault === null) {
        await replica.sync();
        await io.revision?.close();
        await replica.writeMeta({ ...replica.meta, isDirty: false });
      }
    } finally {
      io.open = null;
      io.revision = null;
      this.meta = replica.meta;
      await replica.volume.close();
    }
  }

  /** Everything acknowledged is on stable storage; for the end of the process. */
  syncAll(): Promise<void> {
    return this.serial(async () => {
      if (this.io.open !== null && this.io.open.fault === null) await this.io.flush();
      this.io.revision?.store();
    });
  }

  /** Removes all files of the replica; the folder, the epoch and the backing file stay. */
  delete(): Promise<void> {
    return this.serial(async () => {
      const replica = this.io.open;
      if (replica === null) return;
      const { folder } = this.options;
      const disks = [...replica.disks.keys()];
      await this.closeNow();
      await this.claim.take('exclusive', null);
      try {
        await this.state.forgetVolume();
        await this.state.discard(disks);
        await folder.remove(VOLUME_META);
        await folder.sync();
        await folder.remove(REVISION_FILE);
        for (const name of disks) await removeDiskFiles(folder, name);
        await this.state.discard([]);
      } finally {
        await this.claim.drop();
      }
      await this.refresh();
    });
  }

  // -- operations on the chain

  /** Runs a change of the chain without I/O; no effect when the replica is not open. */
  private change(work: (replica: OpenReplica) => Promise<void>, isSyncedFirst = false): Promise<void> {
    return this.serial(async () => {
      if (this.io.open === null) return;
      // Most of the dirty data goes out while I/O still runs, so that the pause is short.
      if (isSyncedFirst) await this.syncQuietly(this.io.open);
      await this.io.gate.exclusive(async () => {
        const replica = this.io.open;
        if (replica === null) return;
        if (replica.fault !== null) throw new Error(replica.fault);
        await work(replica);
        this.io.hasChanged = true;
      });
    });
  }

  private async syncQuietly(replica: OpenReplica): Promise<void> {
    if (replica.fault !== null) return;
    // A failure has put the replica out of use; the operation that follows says so.
    await this.io.flush().catch(() => undefined);
  }

  snapshot(name: string, isUserCreated: boolean, created: string, labels: Record<string, string>): Promise<void> {
    const problem = snapshotNameProblem(name);
    if (problem !== null) return Promise.reject(new Error(problem));
    if (created === '') return Promise.reject(new Error('need to specific created time'));
    return this.change(async (replica) => {
      this.checkSnapshotCount(replica);
      const { sizeBytes } = replica.meta;
      await takeSnapshot(replica, { name, isUserCreated, created, labels, sizeBytes });
    }, true);
  }

  /**
   * Makes what `snapshot` with the same arguments will need, while I/O goes on. Of no effect but for the time that takes; "" as a
   * name: removes what was made.
   */
  prepareSnapshot(
    name: string,
    isUserCreated: boolean,
    created: string,
    labels: Record<string, string>,
  ): Promise<void> {
    return this.serial(async () => {
      const replica = this.io.open;
      if (replica === null || replica.fault !== null) return;
      if (name === '') {
        await dropPrepared(replica);
        return;
      }
      this.checkSnapshotCount(replica);
      const { sizeBytes } = replica.meta;
      await prepareSnapshot(replica, { name, isUserCreated, created, labels, sizeBytes });
    });
  }

  private checkSnapshotCount({ disks, meta }: OpenReplica): void {
    const count = snapshotCount(disks, meta.head);
    if (count >= this.snapshotMaxCount) throw new Error(`too many active disks: ${count + 1}`);
  }

  revert(diskFile: string, created: string): Promise<void> {
    if (diskFile === '') return Promise.reject(new Error('cannot accept empty snapshot name'));
    if (created === '') return Promise.reject(new Error('need to specific created time'));
    return this.change((replica) => revertTo(replica, diskFile, created));
  }

  /** Errors are what upstream's caller expects: code Internal, the message JSON. */
  async expand(sizeBytes: number): Promise<void> {
    try {
      await this.change((replica) => expandTo(replica, sizeBytes, rfc3339Seconds(this.options.clock.now())), true);
    } catch (error) {
      const isRolledBack = error instanceof ChainOperationError;
      const rollbackMessage = isRolledBack ? error.rollbackFailure : '';
      const undone = rollbackMessage === '' ? 'FunctionFailedRollbackSucceeded' : 'FunctionFailedRollbackFailed';
      const code = isRolledBack ? undone : 'FunctionFailedWithoutRollback';
      const message = isRolledBack ? error.reason : messageOf(error);
      throw rpcError(Code.Internal, JSON.stringify({ code, message, rollbackMessage }), { cause: error });
    }
  }

  /** Reads the folder again, after files were brought in. */
  reload(): Promise<void> {
    return this.change(async (replica) => {
      await dropPrepared(replica);
      await reloadReplica(replica, replica.meta);
      replica.isBeingFilled = false;
    }, true);
  }

  removeDisk(name: string, isForced: boolean): Promise<void> {
    return this.change((replica) => removeDisk(replica, name, isForced), true);
  }

  replaceDisk(target: string, source: string): Promise<void> {
    return this.change((replica) => replaceDisk(replica, target, source));
  }

  markRemoved(name: string): Promise<void> {
    return this.change((replica) => {
      if (replica.isBeingFilled) throw new Error(`cannot mark ${name} as removed: the replica is being rebuilt`);
      return markRemoved(replica, name);
    });
  }

  prepareRemove(name: string): Promise<RemoveAction[]> {
    return this.serial(() => Promise.resolve(this.io.open === null ? [] : prepareRemove(this.io.open, name)));
  }

  /**
   * Keeps a snapshot and what it stands on as it is while it is copied to another volume: no unmap frees in it, no purge
   * merges into it. The returned function ends that; it throws if the replica was closed meanwhile, for then nothing was kept.
   */
  hold(diskFile: string): Promise<() => void> {
    return this.serial(() => {
      const replica = this.io.open;
      const disks = replica === null ? [] : holdChain(replica, diskFile);
      return Promise.resolve(() => {
        if (replica === null) return;
        for (const name of disks) replica.unkeep(name);
        if (this.io.open !== replica) throw new Error(`the replica was closed while ${diskFile} was copied`);
      });
    });
  }

  setRebuilding(isRebuilding: boolean): Promise<void> {
    return this.serial(async () => {
      const { status } = this;
      const replica = this.io.open;
      const isAllowed = isRebuilding ? status === 'open' || status === 'dirty' : status === 'rebuilding';
      if (!isAllowed || replica === null) throw new Error(`cannot set rebuilding=${isRebuilding} from state ${status}`);
      await replica.writeMeta({ ...replica.meta, isRebuilding, isDirty: true });
      replica.isBeingFilled = isRebuilding;
    });
  }

  setRevision(counter: number): Promise<void> {
    return this.serial(() => {
      const { revision } = this.io;
      if (revision !== null) {
        revision.value = counter;
        revision.store();
      }
      return Promise.resolve();
    });
  }

  /** On: an unmap first marks the snapshots under the head as removed, down to the first branch. */
  setUnmapMarking(isOn: boolean): void {
    this.isUnmapMarking = isOn;
    this.io.markChainRemoved = isOn ? () => this.markChainRemoved() : null;
  }

  private markChainRemoved(): Promise<void> {
    return this.serial(async () => {
      const replica = this.io.open;
      // The end of a rebuild marks what the others have marked meanwhile.
      if (replica === null || replica.isBeingFilled) return;
      for (const name of replica.chainBelowHead()) {
        if (childrenOf(replica.disks, name).length > 1) return;
        await markRemoved(replica, name);
      }
    });
  }
}
