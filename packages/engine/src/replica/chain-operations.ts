/**
 * Operations that change the chain of an opened replica. No I/O runs meanwhile (the caller's gate is closed).
 *
 * Each has one commit: the replacement of `volume.meta`, or of a disk's meta. Before it a crash leaves the old chain,
 * after it the new one; what else lies in the folder then is cleaned by `finishInterrupted`. A failure before the commit is
 * undone; if even that fails the replica is out of use (`fail`), because nobody knows what a restart would find.
 */
import { RESERVE_FILE, placeFile, replaceFile, type DataFile, type FileStat } from '../io/disk.ts';
import { BLOCK_BYTES, LIVE_CHAIN_MAX, SNAPSHOT_RESERVE_BYTES } from '../limits.ts';
import { NO_SPACE_TEXT } from '../protocol/replica-frame.ts';
import { encodeDiskMeta, encodeVolumeMeta } from './metadata.ts';
import { reloadReplica, type OpenReplica, type PreparedSnapshot, type SnapshotPlan } from './open-replica.ts';
import { removeDiskFiles } from './replica-folder.ts';
import {
  CHECKSUM_SUFFIX,
  META_SUFFIX,
  childrenOf,
  diskOfName,
  liveChain,
  nextHeadFile,
  removeActions,
  snapshotFile,
  snapshotNameProblem,
  type Disk,
  type RemoveAction,
} from './snapshot-chain.ts';

/** A failed operation, told whether it was undone; goes to the caller of an expansion as JSON. */
export class ChainOperationError extends Error {
  override readonly name = 'ChainOperationError';
  readonly reason: string;
  readonly rollbackFailure: string;

  constructor(reason: string, rollbackFailure: string, cause: unknown) {
    const code = rollbackFailure === '' ? 'FunctionFailedRollbackSucceeded' : 'FunctionFailedRollbackFailed';
    const tail = rollbackFailure === '' ? '' : `, rollbackMessage: ${rollbackFailure}`;
    super(`error: code = ${code}, message = ${reason}${tail}`, { cause });
    this.reason = reason;
    this.rollbackFailure = rollbackFailure;
  }
}

export interface SnapshotRequest {
  readonly name: string;
  readonly isUserCreated: boolean;
  readonly created: string;
  readonly labels: Readonly<Record<string, string>>;
  /** size of the new head; larger than before for an expansion */
  readonly sizeBytes: number;
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** The number of the next head, or the one after that if an unknown file has its name. */
async function freeHeadFile(replica: OpenReplica): Promise<string> {
  let name = nextHeadFile(replica.meta.head);
  for (let tries = 0; tries < 10; tries++) {
    const isTaken = (await replica.folder.stat(name)) !== null || replica.disks.has(name);
    if (!isTaken) return name;
    name = nextHeadFile(name);
  }
  throw new Error(`${name} already exists`);
}

/** A new head; its names are on stable storage after the folder's next sync. */
async function createHead(replica: OpenReplica, disk: Disk, sizeBytes: number): Promise<DataFile> {
  const file = await replica.folder.create(disk.name, sizeBytes);
  try {
    await placeFile(replica.folder, `${disk.name}${META_SUFFIX}`, encodeDiskMeta(disk));
    return file;
  } catch (error) {
    await file.close();
    await removeLeftOver(replica, disk.name);
    throw error;
  }
}

function headDisk(name: string, parent: string, created: string): Disk {
  return { name, recordedName: name, parent, isRemoved: false, isUserCreated: false, created, labels: null };
}

function checkSnapshotRequest(replica: OpenReplica, request: SnapshotRequest): void {
  const problem = snapshotNameProblem(request.name);
  if (problem !== null) throw new Error(problem);
  if (request.created === '') throw new Error('need to specific created time');
  const file = snapshotFile(request.name);
  if (replica.disks.has(file)) throw new Error(`snapshot ${file} is already existing`);
  const chain = liveChain(replica.disks, replica.meta.head);
  if (chain.length >= LIVE_CHAIN_MAX) throw new Error(`too many active disks: ${chain.length}`);
}

/** On a full disk a snapshot would take the space that membership records need, so it is refused before anything changes. */
async function checkSpace({ folder }: OpenReplica): Promise<void> {
  const isShort = (reserve: FileStat | null): boolean =>
    reserve !== null && reserve.allocatedBytes < SNAPSHOT_RESERVE_BYTES;
  const reserve = await folder.stat(RESERVE_FILE);
  if (reserve !== null && !isShort(reserve)) return;
  // Space may have been freed since: a sync takes the reserve again, in a folder that keeps one.
  await folder.sync();
  if (isShort(await folder.stat(RESERVE_FILE)))
    throw new Error(`${folder.path}: ${NO_SPACE_TEXT} for another snapshot`);
}

async function planSnapshot(replica: OpenReplica, request: SnapshotRequest): Promise<SnapshotPlan> {
  checkSnapshotRequest(replica, request);
  await checkSpace(replica);
  const { meta } = replica;
  const snapshot = snapshotFile(request.name);
  const old = replica.disks.get(meta.head);
  if (old === undefined) throw new Error(`failed to find metadata for ${meta.head}`);
  const taken: Disk = {
    name: snapshot,
    recordedName: old.recordedName,
    parent: old.parent,
    isRemoved: false,
    isUserCreated: request.isUserCreated,
    created: request.created,
    labels: Object.keys(request.labels).length === 0 ? null : request.labels,
  };
  const next = headDisk(await freeHeadFile(replica), snapshot, request.created);
  const after = { ...meta, head: next.name, isDirty: true, parent: snapshot, sizeBytes: request.sizeBytes };
  return { before: meta, after, old, taken, next };
}

const temporaryMeta = (disk: Disk): string => `${disk.name}${META_SUFFIX}.tmp`;

/** The new head, and the snapshot's meta under a temporary name. */
async function makeFiles(replica: OpenReplica, { taken, next, after }: SnapshotPlan): Promise<DataFile> {
  const { folder } = replica;
  const file = await createHead(replica, next, after.sizeBytes);
  try {
    await removeDiskFiles(folder, taken.name);
    await folder.writeSmall(temporaryMeta(taken), Buffer.from(encodeDiskMeta(taken, taken.recordedName), 'utf8'));
    return file;
  } catch (error) {
    await file.close();
    await removeLeftOver(replica, next.name);
    throw error;
  }
}

/**
 * Makes what `takeSnapshot` with the same request will need, while I/O goes on. A crash leaves an empty head that `volume.meta` does
 * not name, and temporary files: the next open removes both.
 */
export async function prepareSnapshot(replica: OpenReplica, request: SnapshotRequest): Promise<void> {
  await dropPrepared(replica);
  const plan = await planSnapshot(replica, request);
  const file = await makeFiles(replica, plan);
  replica.prepared = { request: JSON.stringify(request), plan, file };
  try {
    await replica.state.prepareVolumeMeta(encodeVolumeMeta(plan.after));
  } catch (error) {
    await dropPrepared(replica);
    throw error;
  }
}

/** Removes what was made for a snapshot that is not taken. */
export async function dropPrepared(replica: OpenReplica): Promise<void> {
  const { prepared, folder } = replica;
  if (prepared === null) return;
  const { next, taken } = prepared.plan;
  replica.prepared = null;
  replica.state.dropPreparedMeta();
  try {
    await prepared.file.close();
    await folder.remove(temporaryMeta(taken));
  } catch (error) {
    replica.options.log(`what was made for snapshot ${taken.name} stays until the next open: ${messageOf(error)}`);
  }
  await removeLeftOver(replica, next.name);
}

/** What was made for this very snapshot, if nothing it stands on has changed since. */
async function takePrepared(replica: OpenReplica, request: SnapshotRequest): Promise<PreparedSnapshot | null> {
  const { prepared, meta, disks } = replica;
  const isUsable =
    prepared?.request === JSON.stringify(request) &&
    prepared.plan.before === meta &&
    prepared.plan.old === disks.get(meta.head) &&
    !disks.has(prepared.plan.taken.name);
  if (!isUsable) {
    await dropPrepared(replica);
    return null;
  }
  replica.prepared = null;
  return prepared;
}

/** Turns the head into a snapshot under a new, empty head. The snapshot's content is on stable storage when it is done. */
export async function takeSnapshot(replica: OpenReplica, request: SnapshotRequest): Promise<void> {
  const prepared = await takePrepared(replica, request);
  const plan = prepared?.plan ?? (await planSnapshot(replica, request));
  const { folder } = replica;
  const { after, old, taken, next } = plan;
  let file = prepared?.file ?? null;
  let isCommitting = false;
  try {
    await replica.sync();
    file ??= await makeFiles(replica, plan);
    await folder.link(old.name, taken.name);
    await folder.rename(temporaryMeta(taken), `${taken.name}${META_SUFFIX}`);
    await folder.sync();
    isCommitting = true;
    await replica.writeMeta(after);
  } catch (error) {
    const rollback = await undoSnapshot(replica, plan, file, isCommitting);
    throw new ChainOperationError(`failed to create new disk ${request.name}: ${messageOf(error)}`, rollback, error);
  }
  replica.disks.delete(old.name);
  replica.disks.set(taken.name, taken);
  replica.disks.set(next.name, next);
  replica.volume.pushHead(taken.name, { name: next.name, file, sizeBytes: after.sizeBytes, isBacking: false });
  await removeLeftOver(replica, old.name);
}

/** Takes back what a failed snapshot has left; returns what went wrong, or "". */
async function undoSnapshot(
  replica: OpenReplica,
  { before, taken, next }: SnapshotPlan,
  file: DataFile | null,
  isCommitting: boolean,
): Promise<string> {
  try {
    replica.state.dropPreparedMeta();
    // volume.meta first: as long as it may name the new head on disk, that head has to stay.
    if (isCommitting) await replica.writeMeta(before);
    await removeDiskFiles(replica.folder, next.name);
    await removeDiskFiles(replica.folder, taken.name);
    await replica.folder.remove(temporaryMeta(taken));
    await replica.folder.sync();
    await file?.close();
    return '';
  } catch (error) {
    const text = messageOf(error);
    replica.fail(`a snapshot failed and could not be undone: ${text}`);
    return text;
  }
}

/** After a commit: names nobody needs. A failure is no failure of the operation, the next open tries again. */
async function removeLeftOver(replica: OpenReplica, name: string): Promise<void> {
  try {
    await removeDiskFiles(replica.folder, name);
  } catch (error) {
    replica.options.log(`${name} stays until the next open: ${messageOf(error)}`);
  }
}

/** A new empty head on a snapshot; the content of the present head is given up. */
export async function revertTo(replica: OpenReplica, target: string, created: string): Promise<void> {
  if (target === '') throw new Error('cannot accept empty snapshot name');
  if (created === '') throw new Error('need to specific created time');
  const disk = replica.disks.get(target);
  if (disk === undefined || target === replica.meta.head) {
    throw new Error(`cannot revert to disk file ${target} since it's not in the disk chain`);
  }
  if (disk.isRemoved) throw new Error(`cannot revert to disk file ${target} since it's already marked as removed`);
  await dropPrepared(replica);
  liveChain(replica.disks, target);
  const { meta } = replica;
  const next = headDisk(await freeHeadFile(replica), target, created);
  const file = await createHead(replica, next, meta.sizeBytes);
  await file.close();
  await replica.folder.sync();
  const reverted = { ...meta, head: next.name, isDirty: true, parent: target };
  try {
    await replica.state.discard([meta.head]);
    await replica.writeMeta(reverted);
  } catch (error) {
    const rollback = await undoRevert(replica, meta, next.name);
    throw new ChainOperationError(`failed to revert to ${target}: ${messageOf(error)}`, rollback, error);
  }
  try {
    await reloadReplica(replica, reverted);
  } catch (error) {
    replica.fail(`a revert was done, but its chain cannot be loaded: ${messageOf(error)}`);
    throw error;
  }
}

async function undoRevert(replica: OpenReplica, before: OpenReplica['meta'], head: string): Promise<string> {
  try {
    await replica.writeMeta(before);
    await replica.state.discard([]);
    await removeDiskFiles(replica.folder, head);
    return '';
  } catch (error) {
    replica.fail(`a revert failed and could not be undone: ${messageOf(error)}`);
    return messageOf(error);
  }
}

/** Takes a system snapshot and goes on with a larger head. */
export async function expandTo(replica: OpenReplica, sizeBytes: number, created: string): Promise<void> {
  if (sizeBytes % BLOCK_BYTES !== 0) {
    throw new Error(`failed to expand the replica: size ${sizeBytes} is not a multiple of ${BLOCK_BYTES}`);
  }
  if (sizeBytes < replica.meta.sizeBytes) throw new Error(`cannot expand replica to a smaller size ${sizeBytes}`);
  if (sizeBytes === replica.meta.sizeBytes) return;
  await takeSnapshot(replica, {
    name: `expand-${sizeBytes}`,
    isUserCreated: false,
    created,
    labels: { 'replica-expansion': String(sizeBytes) },
    sizeBytes,
  });
}

/** Marks a disk as removed; an unknown one is no error. */
export async function markRemoved(replica: OpenReplica, name: string): Promise<void> {
  const disk = diskOfName(replica.disks, name);
  if (disk === null || disk.isRemoved) return;
  if (disk.name === replica.meta.head) throw new Error('cannot mark the active differencing disk as removed');
  const removed = { ...disk, isRemoved: true };
  await replaceFile(replica.folder, `${disk.name}${META_SUFFIX}`, encodeDiskMeta(removed, disk.recordedName));
  replica.disks.set(disk.name, removed);
}

/** What has to be done to get rid of a removed disk; an unknown one: nothing. */
export function prepareRemove(replica: OpenReplica, name: string): RemoveAction[] {
  const disk = diskOfName(replica.disks, name);
  if (disk === null) return [];
  if (disk.name === replica.meta.head) throw new Error('cannot delete the active differencing disk');
  if (!disk.isRemoved) throw new Error(`disk ${disk.name} hasn't been marked as removed`);
  return removeActions(replica.disks, replica.meta.head, disk.name);
}

/** Takes a disk out of the forest; its content is given up, its children get its parent. */
export async function removeDisk(replica: OpenReplica, name: string, isForced: boolean): Promise<void> {
  if (name === replica.meta.head) throw new Error('cannot delete the active differencing disk');
  const disk = replica.disks.get(name);
  if (disk === undefined) throw new Error(`cannot find disk ${name}`);
  const children = childrenOf(replica.disks, name);
  if (children.length > 1 && !isForced) {
    throw new Error(`cannot remove snapshot ${name} with ${children.length} children`);
  }
  const isLive = replica.volume.numberOf(name) > 0;
  await dropPrepared(replica);
  await replica.state.discard([name]);
  for (const child of children) {
    const orphan = replica.disks.get(child);
    if (orphan === undefined) continue;
    const adopted = { ...orphan, parent: disk.parent };
    await replaceFile(replica.folder, `${child}${META_SUFFIX}`, encodeDiskMeta(adopted, orphan.recordedName));
    replica.disks.set(child, adopted);
  }
  replica.disks.delete(name);
  await removeDiskFiles(replica.folder, name);
  await replica.folder.sync();
  if (!isLive) return;
  const parent = replica.disks.get(replica.meta.head)?.parent ?? '';
  if (parent !== replica.meta.parent) await replica.writeMeta({ ...replica.meta, parent });
  await reloadReplica(replica, replica.meta);
}

/**
 * `source`, a disk whose only child is `target`, holds both disks' content (it was merged and synced): it takes the
 * target's name. Order: image, then the target's parent, then the source's names; each on stable storage
 * before the next, so that every crash leaves a chain that reads the same.
 */
export async function replaceDisk(replica: OpenReplica, target: string, source: string): Promise<void> {
  const { folder, disks, volume } = replica;
  if (target === replica.meta.head) throw new Error('cannot replace the active differencing disk');
  const upper = disks.get(target);
  const lower = disks.get(source);
  if (upper === undefined) throw new Error(`cannot find disk ${target}`);
  if (lower === undefined) throw new Error(`cannot find disk ${source}`);
  const children = childrenOf(disks, source);
  if (upper.parent !== source || children.length !== 1) {
    throw new Error(`cannot replace ${target} by ${source}: it is not the only child of ${source}`);
  }
  const [targetStat, sourceStat] = [await folder.stat(target), await folder.stat(source)];
  if (targetStat?.inode !== sourceStat?.inode) {
    await folder.remove(`${target}.tmp`);
    await folder.link(source, `${target}.tmp`);
    await folder.rename(`${target}.tmp`, target);
    await folder.sync();
  }
  const adopted = { ...upper, parent: lower.parent };
  await replaceFile(folder, `${target}${META_SUFFIX}`, encodeDiskMeta(adopted, upper.recordedName));
  disks.set(target, adopted);
  disks.delete(source);
  const number = volume.numberOf(source);
  if (number > 0) {
    const lowerFile = volume.layers[number - 1]?.file;
    const upperFile = volume.layers[number]?.file;
    const merged = await folder.open(target, 'write');
    volume.mergeUp(number, merged, merged.statNow().sizeBytes);
    await lowerFile?.close();
    await upperFile?.close();
  }
  await folder.remove(`${target}${CHECKSUM_SUFFIX}`);
  await removeLeftOver(replica, source);
}
