/**
 * The engine's part of a rebuild: it takes a replica in as WO, says which files it needs, and admits it as a member.
 *
 * The driver (client/rebuild.ts) copies the layers below the head; from `createReplica` on all writes go to the new
 * replica's head as well.
 */
import { errorText, wrapError } from '@longhorn/shared-types/grpc/rpc-error';
import type { ReplicaSnapshotRequest, SyncFileInfo } from '@longhorn/shared-types/generated/ptypes';
import { compareAtRest, compareInUse } from './comparison.ts';
import { SNAPSHOT_TOTAL_MAX } from './control-limits.ts';
import type { DoubtSettling } from './doubt-settling.ts';
import { assertSettled, commonReport, withPausedIo } from './layer-operation.ts';
import { dropMember } from './member-removal.ts';
import { settleMembership } from './membership-change.ts';
import { attach, lookAt, newEntry, openFenced, openPlain, refuse } from './replica-entry.ts';
import type { ReplicaReport } from './replica-report.ts';
import type { ReplicaEntry } from './replica-set.ts';
import { checkSnapshotLimits, flushMost, prepareSnapshot, snapshotAll, snapshotOf } from './snapshot.ts';
import type { VolumeContext } from './volume-context.ts';
import { whileAnswering } from './while-answering.ts';

/** Adds a replica that gets all writes and serves no read. An address that is there already: success. */
export async function createReplica(
  context: VolumeContext,
  settling: DoubtSettling,
  address: string,
  snapshotRequired: boolean,
): Promise<ReplicaEntry> {
  const present = context.replicas.get(address);
  if (present) return present;
  if (context.isExpanding) throw new Error('cannot add WO replica during expansion');
  if (context.replicas.inStage('joining').length > 0) throw new Error('can only have one WO replica at a time');
  if (context.replicas.inStage('reading').length === 0) throw new Error('cannot find any healthy replica');
  if (snapshotRequired) await checkSnapshotLimits(context);
  await settling.whenSettled();
  const entry = newEntry(context, address);
  try {
    await join(context, entry, snapshotRequired);
  } catch (error) {
    entry.client.close();
    entry.syncAgent.close();
    throw error;
  }
  context.replicas.add(entry);
  context.changed();
  return entry;
}

async function join(context: VolumeContext, entry: ReplicaEntry, snapshotRequired: boolean): Promise<void> {
  const { report, link } = await open(context, entry);
  try {
    if (report.sizeBytes !== context.layout.sizeBytes) {
      throw new Error(`replica ${entry.address} has size ${report.sizeBytes}, the volume ${context.layout.sizeBytes}`);
    }
    const other = context.replicas.all().find((candidate) => candidate.name === entry.name);
    if (other) throw new Error(`replica ${entry.name} is already there as ${other.address}`);
    // A rebuild that did not end left its mark.
    if (report.rebuilding) {
      await entry.client.RebuildingSet({ rebuilding: false }, { timeoutMs: context.options.replicaTimeoutMs });
    }
    const snapshot = snapshotRequired
      ? snapshotOf(context, context.randomId(), { labels: {}, userCreated: false })
      : null;
    if (snapshot !== null) {
      await checkSnapshotLimits(context);
      const readers = context.replicas.inStage('reading');
      // Looked at before the new replica is changed, and again when the snapshot is taken.
      const wanted = await commonReport(context, readers);
      if (isFull(context, report)) await removeForeignLayers(context, entry, wanted, report);
      await prepareSnapshot(context, snapshot, [entry]);
      // Those on full disks give way to the new one as long as two others are left.
      await prepareSnapshot(context, snapshot, readers, Math.max(0, readers.length - 2));
      await flushMost(context);
    }
    await withPausedIo(context, async () => {
      if (snapshot !== null) await snapshotWith(context, entry, snapshot);
      attach(context, entry, link, 'joining');
    });
  } catch (error) {
    if (entry.memberId === null) link.close();
    throw error;
  }
}

/** It was away while the others purged theirs, or its rebuilds have failed often: another snapshot would be refused for its layers. */
function isFull(
  { snapshotMaxCount }: VolumeContext,
  { snapshotCountUsage, snapshotCountTotal }: ReplicaReport,
): boolean {
  return snapshotCountUsage >= snapshotMaxCount || snapshotCountTotal >= SNAPSHOT_TOTAL_MAX;
}

async function open(context: VolumeContext, entry: ReplicaEntry): ReturnType<typeof openPlain> {
  if (!context.keeper) return openPlain(context, entry);
  const report = await openFenced(context, entry);
  return { report, link: await context.backends.openLink(entry.address, report, context.options.epoch) };
}

/** The new replica first: when it refuses, the others keep no snapshot that nobody needs. */
async function snapshotWith(
  context: VolumeContext,
  entry: ReplicaEntry,
  request: ReplicaSnapshotRequest,
): Promise<void> {
  await checkSnapshotLimits(context);
  assertSettled(context);
  await whileAnswering(context, entry, (call) => entry.client.ReplicaSnapshot(request, call));
  await snapshotAll(context, request);
}

/** Tells which files the replica needs, after its layers that no member has were removed. */
export async function prepareRebuild(context: VolumeContext, address: string): Promise<SyncFileInfo[]> {
  const entry = joiningReplica(context, address, 'prepare rebuild');
  const source = anyReader(context);
  const [wanted, present] = await Promise.all([lookAt(source), lookAt(entry)]);
  if (!present.revisionCounterDisabled)
    await whileAnswering(context, entry, (call) => entry.client.RevisionCounterSet({ counter: 0 }, call));
  await removeForeignLayers(context, entry, wanted, present);
  return layersOf(wanted).flatMap((name) => {
    const size = Number(wanted.disks[name]?.size ?? 0);
    return [
      { from_file_name: name, to_file_name: name, actual_size: size },
      { from_file_name: `${name}.meta`, to_file_name: `${name}.meta`, actual_size: 0 },
    ];
  });
}

/** What no member has need not stay. */
async function removeForeignLayers(
  context: VolumeContext,
  entry: ReplicaEntry,
  wanted: ReplicaReport,
  present: ReplicaReport,
): Promise<void> {
  const names = layersOf(wanted);
  for (const name of layersOf(present)) {
    if (!names.includes(name))
      await whileAnswering(context, entry, (call) => entry.client.DiskRemove({ name, force: true }, call));
  }
}

/** Admits a rebuilt replica: compared, synced, in the record, then RW. Already RW: success; any failure makes it ERR. */
export async function verifyRebuild(
  context: VolumeContext,
  settling: DoubtSettling,
  address: string,
): Promise<ReplicaEntry> {
  const present = context.replicas.get(address);
  if (present?.stage === 'reading') return present;
  const entry = joiningReplica(context, address, 'verify rebuild');
  try {
    await admit(context, settling, entry);
  } catch (error) {
    context.log.warn('a rebuilt replica was not admitted', { replica: address, reason: errorText(error) });
    await dropMember(context, entry, `the rebuild was not verified: ${errorText(error)}`);
    throw wrapError(`failed to verify rebuild of replica ${address}`, error);
  }
  return entry;
}

async function admit(context: VolumeContext, settling: DoubtSettling, entry: ReplicaEntry): Promise<void> {
  await settling.whenSettled();
  const source = anyReader(context);
  const [wanted, present] = await Promise.all([lookAt(source), lookAt(entry)]);
  assertSameLayers(wanted, present);
  const comparable = wanted.knowsRegions && present.knowsRegions;
  const differing = comparable ? await compareInUse(context, source, entry) : [];
  if (present.knowsEpochs) await whileAnswering(context, entry, (call) => entry.client.ReplicaSync({}, call));
  await context.core.flushNow();
  await withPausedIo(context, async () => {
    if (entry.stage !== 'joining') throw new Error(entry.reason === '' ? 'it is not being rebuilt' : entry.reason);
    if (comparable) await compareAtRest(context, source, entry, differing);
    const [final, own] = await Promise.all([lookAt(source), lookAt(entry)]);
    assertSameLayers(final, own);
    await markRemovedLike(context, entry, final, own);
    if (!final.revisionCounterDisabled) {
      const request = { counter: final.revisionCounter };
      await whileAnswering(context, entry, (call) => entry.client.RevisionCounterSet(request, call));
    }
    // What reached it since the flush above must be on stable storage before a record counts on it.
    if (present.knowsEpochs) await whileAnswering(context, entry, (call) => entry.client.ReplicaSync({}, call));
    await settleMembership(context, entry);
  });
  if (!isMember(entry)) throw new Error(entry.reason === '' ? 'it was not admitted' : entry.reason);
}

/** Its stage has changed while the membership was settled. */
function isMember(entry: ReplicaEntry): boolean {
  return entry.stage === 'reading';
}

/** A snapshot that was marked as removed after its file had been copied. */
async function markRemovedLike(
  context: VolumeContext,
  entry: ReplicaEntry,
  wanted: ReplicaReport,
  present: ReplicaReport,
): Promise<void> {
  for (const name of layersOf(wanted)) {
    if (wanted.disks[name]?.removed !== true || present.disks[name]?.removed === true) continue;
    await whileAnswering(context, entry, (call) => entry.client.DiskMarkAsRemoved({ name }, call));
  }
}

/** The same files, on the same parents. */
function assertSameLayers(wanted: ReplicaReport, present: ReplicaReport): void {
  const expected = layersOf(wanted).toSorted();
  const actual = layersOf(present).toSorted();
  const missing = expected.filter((name) => !actual.includes(name));
  const foreign = actual.filter((name) => !expected.includes(name));
  if (missing.length > 0 || foreign.length > 0)
    throw new Error(`it lacks the layers [${missing.join(' ')}] and has foreign ones [${foreign.join(' ')}]`);
  const isMoved = (name: string, own: string): boolean => wanted.disks[name]?.parent !== present.disks[own]?.parent;
  const differing = expected.filter((name) => isMoved(name, name));
  if (isMoved(wanted.head, present.head)) differing.push(present.head);
  if (differing.length > 0) throw new Error(`its layers [${differing.join(' ')}] have other parents`);
}

function layersOf(report: ReplicaReport): string[] {
  return Object.keys(report.disks).filter((name) => name !== report.head && name !== report.backingFile);
}

function joiningReplica(context: VolumeContext, address: string, action: string): ReplicaEntry {
  const entry = context.replicas.get(address);
  if (!entry) throw new Error(`cannot find replica ${address}`);
  if (entry.stage === 'joining') return entry;
  const mode = entry.stage === 'reading' ? 'RW' : 'ERR';
  throw new Error(`invalid mode ${mode} for replica ${address} to ${action}`);
}

function anyReader(context: VolumeContext): ReplicaEntry {
  const [source] = context.replicas.inStage('reading');
  if (!source) throw new Error('cannot find any healthy replica');
  return source;
}

/** ControllerReplicaCreate with mode ERR: listed, never used. */
export function listAsFailed(context: VolumeContext, address: string): ReplicaEntry {
  const present = context.replicas.get(address);
  if (present) return present;
  const entry = newEntry(context, address);
  refuse(entry, 'added as failed');
  context.replicas.add(entry);
  context.changed();
  return entry;
}
