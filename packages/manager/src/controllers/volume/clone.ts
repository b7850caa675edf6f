/**
 * The life of a volume that is a copy (`spec.dataSource`), one step a pass:
 *
 *     ''         -> the source is attached (by the ticket of this copy), a snapshot of it is there: initiated
 *     initiated  -> the engine is asked for the copy until it says that it is complete, or that it failed
 *     copied     -> the other replicas are made; completed once the volume is healthy
 *     failed     -> tried again after a while, each time twice as long, from what is there; given up after ten times
 *
 * `requestedDataSource` of the engine and `status.cloneStatus` are all that is kept, so any manager goes on from any step.
 */
import {
  API_VERSION,
  FINALIZER,
  FOR_CLONING_VOLUME,
  LABEL,
  newObject,
  parseDataSource,
  snapshotSource,
  type Snapshot,
  type Volume,
} from '@longhorn/shared-types';
import { parseTime, rfc3339 } from '../../clock.ts';
import { cloneResumesAtMs, cloneSnapshotName, cloneStage, isIncomplete } from '../../clone-stage.ts';
import { limits } from '../../limits.ts';
import { findCondition } from '../conditions.ts';
import { block, engineServes, isDeleting, modeOf, requeue, type VolumeDraft, type VolumeWorld } from './world.ts';

const FAILED_WORDS = 'its data could not be copied';

export function planClone(world: VolumeWorld, draft: VolumeDraft): void {
  const { volume, engine } = draft;
  if (engine === null || volume.spec.dataSource === '') return;
  const stage = cloneStage(volume, world.nowMs);
  if (stage === 'copying') {
    if (volume.status.cloneStatus.state === 'initiated') follow(world, draft);
    else begin(world, draft);
    return;
  }
  engine.spec.requestedDataSource = '';
  if (stage === 'resting' || stage === 'given-up') explainFailure(world, draft);
  if (stage === 'awaiting') awaitReplicas(world, draft);
  if (stage !== 'resting') dropCloneSnapshot(world, draft);
}

/** Takes away the snapshot that was taken for the copy. */
export function dropCloneSnapshot(world: VolumeWorld, draft: VolumeDraft): void {
  const { volume: source, snapshots } = world.cloneSource ?? { volume: null, snapshots: [] };
  if (source === null || parseDataSource(world.volume.spec.dataSource)?.snapshot !== null) return;
  const name = cloneSnapshotName(source, world.volume);
  const taken = snapshots.find(({ metadata }) => metadata.name === name);
  if (taken !== undefined && !isDeleting(taken)) draft.deletions.push({ kind: 'Snapshot', name });
}

function begin(world: VolumeWorld, draft: VolumeDraft): void {
  const { volume, engine } = draft;
  const source = world.cloneSource?.volume ?? null;
  if (engine === null) return;
  engine.spec.requestedDataSource = '';
  if (source === null || isDeleting(source)) {
    withoutSource(world, draft, source !== null);
    return;
  }
  const waiting = waitsFor(world, draft, source);
  if (waiting !== null) {
    block(draft, 'Volume', volume.metadata.name, waiting, 'copied once that is so');
    return;
  }
  const snapshot = snapshotToCopy(world, draft, source);
  if (snapshot === null) return;
  const { cloneStatus } = volume.status;
  const delayMs = limits.cloneRetryDelayMs * 2 ** cloneStatus.attemptCount;
  volume.status.cloneStatus = {
    sourceVolume: source.metadata.name,
    snapshot,
    state: 'initiated',
    attemptCount: cloneStatus.attemptCount + 1,
    nextAllowedAttemptAt: rfc3339(world.nowMs + delayMs),
  };
  engine.spec.requestedDataSource = snapshotSource(source.metadata.name, snapshot);
  draft.events.push({
    type: 'Normal',
    reason: 'VolumeCloneInitiated',
    message: `source volume ${source.metadata.name}, snapshot ${snapshot}`,
  });
}

/** Nothing to copy from, now or ever: there is no further try. */
function withoutSource(world: VolumeWorld, draft: VolumeDraft, isLeaving: boolean): void {
  const { volume } = draft;
  const name = parseDataSource(volume.spec.dataSource)?.volume ?? volume.spec.dataSource;
  const createdMs = parseTime(volume.metadata.creationTimestamp ?? '') ?? world.nowMs;
  const appearsByMs = createdMs + limits.cloneSourceAppearsMs;
  if (!isLeaving && appearsByMs > world.nowMs) {
    block(draft, 'Volume', volume.metadata.name, `its source volume ${name} is not there`, 'looked for again');
    requeue(draft, appearsByMs);
    return;
  }
  fail(world, draft, `cannot find the source volume ${name}`, '');
}

/** What the source lacks for now, in words; null when it can be copied. */
function waitsFor(world: VolumeWorld, draft: VolumeDraft, source: Volume): string | null {
  const { name } = source.metadata;
  const sourceEngine = world.cloneSource?.engine ?? null;
  if (isIncomplete(cloneStage(source, world.nowMs))) return `its source volume ${name} is itself being copied`;
  if (source.status.restoreRequired) return `its source volume ${name} is being restored`;
  if (source.status.state !== 'attached' || !engineServes(sourceEngine))
    return `its source volume ${name} is ${source.status.state || 'new'}, it has to be attached`;
  // What the engine said of an earlier try has to be gone, or it would be taken for what it says of this one.
  const said = Object.values(draft.engine?.status.cloneStatus ?? {});
  return said.every(({ state }) => state === 'complete') ? null : 'the last try is being ended';
}

/** The snapshot to copy, ready; null while it is not there yet. */
function snapshotToCopy(world: VolumeWorld, draft: VolumeDraft, source: Volume): string | null {
  const { volume } = draft;
  const named = parseDataSource(volume.spec.dataSource)?.snapshot ?? null;
  const name = named ?? cloneSnapshotName(source, volume);
  const present = world.cloneSource?.snapshots.find(({ metadata }) => metadata.name === name);
  const listed = world.cloneSource?.engine?.status.snapshots ?? {};
  const isListed = listed[name] !== undefined;
  if (present?.status.readyToUse === true && isListed) return name;
  const { name: target } = volume.metadata;
  if (present === undefined && named === null) {
    draft.newSnapshot = makeSnapshot(source, volume, name);
    block(draft, 'Volume', target, `a snapshot of ${source.metadata.name} is being taken`, 'copied after it');
    return null;
  }
  // A snapshot without an object of its own counts by what the engine says.
  if (present === undefined && isListed) return name;
  if (present === undefined && listed['volume-head'] !== undefined) {
    const nextMs = world.nowMs + limits.cloneRetryDelayMs;
    volume.status.cloneStatus.attemptCount += 1;
    fail(world, draft, `cannot find snapshot ${name} of the source volume ${source.metadata.name}`, rfc3339(nextMs));
    return null;
  }
  const error = present?.status.error ?? '';
  const why = error === '' ? '' : `: ${error}`;
  block(draft, 'Volume', target, `snapshot ${name} of ${source.metadata.name} is not ready to use${why}`, 'waited for');
  return null;
}

function makeSnapshot(source: Volume, target: Volume, name: string): Snapshot {
  const { name: sourceName, namespace, uid } = source.metadata;
  const snapshot = newObject('Snapshot', namespace, name);
  snapshot.metadata.finalizers = [FINALIZER];
  snapshot.metadata.labels = { [LABEL.volume]: sourceName };
  snapshot.metadata.ownerReferences = [{ apiVersion: API_VERSION, kind: 'Volume', name: sourceName, uid }];
  snapshot.spec = { createSnapshot: true, labels: { [FOR_CLONING_VOLUME]: target.metadata.name }, volume: sourceName };
  return snapshot;
}

function follow(world: VolumeWorld, draft: VolumeDraft): void {
  const { volume, engine } = draft;
  if (engine === null) return;
  const { sourceVolume, snapshot } = volume.status.cloneStatus;
  const { name } = volume.metadata;
  const wanted = snapshotSource(sourceVolume, snapshot);
  const isAsked = engine.spec.requestedDataSource === wanted;
  engine.spec.requestedDataSource = wanted;
  const said = isAsked ? Object.values(engine.status.cloneStatus ?? {}) : [];
  const failed = said.find(({ state }) => state === 'error');
  if (failed !== undefined) {
    engine.spec.requestedDataSource = '';
    const { nextAllowedAttemptAt } = volume.status.cloneStatus;
    const words = `failed to clone volume ${sourceVolume}, snapshot ${snapshot}: ${failed.error}`;
    fail(world, draft, words, nextAllowedAttemptAt);
    return;
  }
  if (said.length > 0 && said.every(({ state }) => state === 'complete')) {
    engine.spec.requestedDataSource = '';
    volume.status.cloneStatus.state = 'copy-completed-awaiting-healthy';
    draft.events.push({
      type: 'Warning',
      reason: 'VolumeCloneCopyCompleteAwaitingHealthy',
      message: `finished copying source volume ${sourceVolume}, snapshot ${snapshot}; waiting for the volume to become healthy`,
    });
    return;
  }
  const source = world.cloneSource?.volume ?? null;
  if (said.length === 0 && (source === null || isDeleting(source))) {
    engine.spec.requestedDataSource = '';
    withoutSource(world, draft, source !== null);
    return;
  }
  if (said.length === 0 && source?.status.state !== 'attached') {
    const words = `its source volume ${sourceVolume} is ${source?.status.state ?? ''}, it has to be attached`;
    block(draft, 'Volume', name, words, 'copied once that is so');
    return;
  }
  const percent = said.length === 0 ? 0 : Math.min(...said.map(({ progress }) => progress));
  const reason = `its data is being copied from snapshot ${snapshot} of ${sourceVolume}`;
  block(draft, 'Volume', name, reason, `${percent} % done; can be used once it is complete and healthy`);
}

function awaitReplicas(world: VolumeWorld, draft: VolumeDraft): void {
  const { volume, engine } = draft;
  const { sourceVolume, snapshot } = volume.status.cloneStatus;
  if (!isDone(world, draft)) {
    const reason = 'its data is copied, its other replicas are being made';
    block(draft, 'Volume', volume.metadata.name, reason, 'can be used once it is healthy');
    return;
  }
  volume.status.cloneStatus.state = 'completed';
  draft.events.push({
    type: 'Normal',
    reason: 'VolumeCloneCompleted',
    message: `finished cloning source volume ${sourceVolume}, snapshot ${snapshot}`,
  });
  if (engine !== null) engine.spec.requestedDataSource = '';
}

/** Healthy; or as far as it can get where there are not enough places, if volumes may be made so. */
function isDone(world: VolumeWorld, draft: VolumeDraft): boolean {
  const { volume, engine } = draft;
  if (volume.status.robustness === 'healthy') return true;
  if (!world.settings.get('allow-volume-creation-with-degraded-availability') || !engineServes(engine)) return false;
  const present = draft.replicas.filter((replica) => replica.spec.nodeID !== '' && replica.spec.failedAt === '');
  const isSettled = present.every((replica) => modeOf(engine, replica.metadata.name) === 'RW');
  return isSettled && findCondition(volume.status.conditions, 'Scheduled')?.status === 'False';
}

/** Without a time there is no further try. */
function fail(world: VolumeWorld, draft: VolumeDraft, message: string, nextAllowedAttemptAt: string): void {
  const { cloneStatus } = draft.volume.status;
  const isLast = cloneStatus.attemptCount >= limits.cloneAttemptsMax;
  Object.assign(cloneStatus, { state: 'failed', nextAllowedAttemptAt: isLast ? '' : nextAllowedAttemptAt });
  draft.events.push({ type: 'Warning', reason: 'VolumeCloneFailed', message });
  explainFailure(world, draft, `${FAILED_WORDS}: ${message}`);
}

/** The reason is kept where it is told. */
function explainFailure(world: VolumeWorld, draft: VolumeDraft, fresh: string | null = null): void {
  const { volume } = draft;
  const { name } = volume.metadata;
  const known = world.volume.status.blockedBy.find(({ reason }) => reason.startsWith(FAILED_WORDS))?.reason;
  const resumesAtMs = cloneResumesAtMs(volume, world.nowMs);
  if (resumesAtMs !== null) requeue(draft, resumesAtMs);
  const next =
    resumesAtMs === null
      ? 'delete this volume; its content is not complete, so it cannot be used'
      : `tried again at ${rfc3339(resumesAtMs)}, from what is there already`;
  block(draft, 'Volume', name, fresh ?? known ?? FAILED_WORDS, next);
}
