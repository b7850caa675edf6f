/**
 * Brings the number of good replicas back to what is wanted, one at a time: a failed replica's data is brought up to
 * date if it is there (only what differs is copied), else a new one is made, after a wait that gives the old one the
 * chance to come back.
 */
import {
  FINALIZER,
  LABEL,
  API_VERSION,
  newObject,
  replicaName,
  type Engine,
  type Replica,
} from '@longhorn/shared-types';
import { cloneStage, hasOneReplica } from '../../clone-stage.ts';
import { limits } from '../../limits.ts';
import { setCondition, findCondition } from '../conditions.ts';
import { NO_SPACE, REBUILD_FAILED } from '../replica-failure.ts';
import { reuseProblem } from './disk-room.ts';
import { autoBalance, isPotentiallyReusable, replacementAtMs, searchPlaces } from './placement.ts';
import {
  engineServes,
  isDeleting,
  launchability,
  modeOf,
  requeue,
  type VolumeDraft,
  type VolumeWorld,
} from './world.ts';

/** Replicas that the volume is to have now: one until its data is there. */
export function wantedReplicas(world: VolumeWorld, { volume }: VolumeDraft): number {
  return hasOneReplica(cloneStage(volume, world.nowMs)) ? 1 : volume.spec.numberOfReplicas;
}

/** How many good replicas are missing. */
export function replenishCount(world: VolumeWorld, draft: VolumeDraft): number {
  const usable = [...draft.replicas, ...draft.newReplicas].filter(
    (replica) =>
      replica.spec.failedAt === '' &&
      !replica.spec.evictionRequested &&
      replica.spec.active &&
      !isDeleting(replica) &&
      !draft.deletions.some(({ name }) => name === replica.metadata.name),
  );
  return Math.max(0, wantedReplicas(world, draft) - usable.length);
}

export function replenish(world: VolumeWorld, draft: VolumeDraft, hardNodeAffinity = ''): void {
  const { engine, volume } = draft;
  const limit = world.settings.get('concurrent-replica-rebuild-per-node-limit');
  if (engine === null || !engineServes(engine) || volume.status.state !== 'attached' || limit === 0) return;
  if (volume.spec.migrationNodeID !== '' || volume.status.currentMigrationNodeID !== '') return;
  if (volume.spec.size !== engine.status.currentSize && engine.status.currentSize !== '0') return;
  if (!engineIsInSync(draft, engine) || isRebuilding(draft, engine)) return;
  const count = hardNodeAffinity !== '' ? 1 : replenishCount(world, draft);
  // A replica that found no place yet does not keep a returned one from being used.
  const placeless = draft.replicas.filter(
    (replica) => replica.spec.nodeID === '' && replica.spec.failedAt === '',
  ).length;
  if (count + placeless === 0) return;
  if (reuseOne(world, draft, hardNodeAffinity)) return;
  if (count === 0) return;
  const atMs = hardNodeAffinity === '' ? replacementAtMs(world, draft) : null;
  if (atMs !== null) {
    requeue(draft, atMs + 1000);
    return;
  }
  addOne(world, draft, hardNodeAffinity);
}

/** The engine knows exactly the replicas that it should. */
function engineIsInSync(draft: VolumeDraft, engine: Engine): boolean {
  const modes = engine.status.replicaModeMap;
  const names = Object.keys(engine.spec.replicaAddressMap);
  const wanted = draft.replicas.filter(
    (replica) =>
      replica.spec.failedAt === '' && replica.spec.nodeID !== '' && replica.spec.active && !isDeleting(replica),
  );
  return (
    names.length === wanted.length &&
    names.length === Object.keys(modes).length &&
    names.every((name) => modes[name] !== undefined && modes[name] !== 'ERR')
  );
}

function isRebuilding(draft: VolumeDraft, engine: Engine): boolean {
  if (Object.values(engine.status.replicaModeMap).includes('WO')) return true;
  const known = Object.keys(engine.status.currentReplicaAddressMap);
  if (known.some((name) => engine.status.replicaModeMap[name] === undefined)) return true;
  // Placed but not yet started, or started but not yet handed over.
  return draft.replicas.some(
    (replica) =>
      replica.spec.nodeID !== '' &&
      replica.spec.failedAt === '' &&
      replica.spec.healthyAt === '' &&
      replica.spec.active &&
      !isDeleting(replica) &&
      modeOf(engine, replica.metadata.name) !== 'RW',
  );
}

function reuseOne(world: VolumeWorld, draft: VolumeDraft, hardNodeAffinity: string): boolean {
  const candidates = draft.replicas.filter(
    (replica) =>
      isPotentiallyReusable(replica) &&
      (hardNodeAffinity === '' || replica.spec.nodeID === hardNodeAffinity) &&
      replica.status.currentState === 'stopped' &&
      launchability(world, replica) === 'ready' &&
      reuseProblem(world, replica) === null,
  );
  if (candidates.length === 0) return false;
  const disks = candidates.map((replica) => replica.spec.diskID);
  const places = searchPlaces(world, draft, { hardNodeAffinity, onlyDisks: disks }).candidates.map(
    ({ disk }) => disk.uuid,
  );
  const fitting = candidates
    .filter((replica) => places.includes(replica.spec.diskID))
    .toSorted(
      (a, b) => b.spec.failedAt.localeCompare(a.spec.failedAt) || a.metadata.name.localeCompare(b.metadata.name),
    );
  let earliestMs = Number.POSITIVE_INFINITY;
  for (const replica of fitting) {
    const notBeforeMs = world.reuseNotBeforeMs.get(replica.metadata.name) ?? 0;
    if (notBeforeMs > world.nowMs) {
      earliestMs = Math.min(earliestMs, notBeforeMs);
      continue;
    }
    reuse(draft, replica);
    return true;
  }
  if (earliestMs !== Number.POSITIVE_INFINITY) requeue(draft, earliestMs);
  return false;
}

function reuse(draft: VolumeDraft, replica: Replica): void {
  const failure = findCondition(replica.status.conditions, REBUILD_FAILED);
  const excused = [NO_SPACE, 'Disconnection', 'ManagerPodDown', 'KubernetesNodeGone', 'KubernetesNodeNotReady'];
  if (!(failure?.status === 'True' && excused.includes(failure.reason))) replica.spec.rebuildRetryCount += 1;
  replica.spec.failedAt = '';
  replica.spec.healthyAt = '';
  draft.reused.push(replica.metadata.name);
}

function addOne(world: VolumeWorld, draft: VolumeDraft, hardNodeAffinity: string): void {
  if (hardNodeAffinity === '') {
    const { candidates, reasons } = searchPlaces(world, draft, { hardNodeAffinity });
    if (candidates.length === 0) {
      const message = `precheck new replica failed: ${reasons.join('; ')}`;
      setCondition(
        draft.volume.status.conditions,
        { type: 'Scheduled', status: 'False', reason: 'ReplicaSchedulingFailure', message },
        world.nowMs,
      );
      requeue(draft, world.nowMs + limits.scheduleRetryMs);
      return;
    }
  }
  const replica = makeReplica(world, draft, hardNodeAffinity);
  // A first rebuild that fails is not tried on the same data again.
  replica.spec.rebuildRetryCount = limits.rebuildRetriesMax;
  draft.newReplicas.push(replica);
}

/** Best-effort locality: a healthy volume gets one replica where it is used. */
export function replenishLocal(world: VolumeWorld, draft: VolumeDraft): void {
  const { volume, engine } = draft;
  if (volume.spec.dataLocality !== 'best-effort' || engine === null || volume.status.frontendDisabled) return;
  const node = engine.spec.nodeID;
  const there = draft.replicas.some(
    (r) => !isDeleting(r) && (r.spec.nodeID === node || r.spec.hardNodeAffinity === node),
  );
  if (!there) replenish(world, draft, node);
}

/** Healthy, but some replicas are to leave: make the replacements first. */
export function replenishForEviction(world: VolumeWorld, draft: VolumeDraft): void {
  const { engine, volume } = draft;
  if (engine === null || !draft.replicas.some((replica) => replica.spec.evictionRequested)) return;
  const staying = draft.replicas.filter(
    (replica) => modeOf(engine, replica.metadata.name) === 'RW' && !replica.spec.evictionRequested,
  ).length;
  const fresh = draft.replicas.some((replica) => replica.spec.healthyAt === '' && replica.spec.failedAt === '');
  if (staying < volume.spec.numberOfReplicas && !fresh) replenish(world, draft);
}

/** One more replica where a node or zone has none; the surplus one is removed once it is healthy. */
export function replenishForBalance(world: VolumeWorld, draft: VolumeDraft): void {
  if (autoBalance(world, draft) === 'disabled' || draft.engine === null) return;
  const running = draft.replicas.filter((replica) => modeOf(draft.engine, replica.metadata.name) === 'RW');
  const used = new Set(running.map((replica) => replica.spec.nodeID));
  if (running.length !== draft.volume.spec.numberOfReplicas || used.size === running.length) return;
  const { candidates } = searchPlaces(world, draft, { hardNodeAffinity: '' });
  const target = candidates.find(({ node }) => !used.has(node.name));
  if (target !== undefined) replenish(world, draft, target.node.name);
}

export function makeReplica(world: VolumeWorld, draft: VolumeDraft, hardNodeAffinity: string): Replica {
  const { volume } = draft;
  const engine = draft.engine ?? draft.newEngine;
  const volumeName = volume.metadata.name;
  const replica = newObject('Replica', volume.metadata.namespace, replicaName(volumeName, world.hex()));
  replica.metadata.finalizers = [FINALIZER];
  replica.metadata.labels = { [LABEL.volume]: volumeName, [LABEL.ownerNode]: '', [LABEL.replicaDiskUuid]: '' };
  replica.metadata.ownerReferences = [
    { apiVersion: API_VERSION, kind: 'Volume', name: volumeName, uid: volume.metadata.uid },
  ];
  Object.assign(replica.spec, {
    volumeName,
    volumeSize: volume.spec.size,
    image: volume.status.currentImage,
    dataEngine: volume.spec.dataEngine,
    desireState: 'stopped',
    engineName: engine?.metadata.name ?? '',
    active: true,
    backingImage: volume.spec.backingImage,
    hardNodeAffinity,
    revisionCounterDisabled: volume.spec.revisionCounterDisabled,
    unmapMarkDiskChainRemovedEnabled: unmapMarksRemoved(world, draft),
    snapshotMaxCount: volume.spec.snapshotMaxCount,
    snapshotMaxSize: volume.spec.snapshotMaxSize,
  });
  return replica;
}

export function unmapMarksRemoved(world: VolumeWorld, draft: VolumeDraft): boolean {
  const own = draft.volume.spec.unmapMarkSnapChainRemoved;
  return own === 'ignored' ? world.settings.get('remove-snapshots-during-filesystem-trim') : own === 'enabled';
}
