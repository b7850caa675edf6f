/** `status.blockedBy`: why the volume is not healthy, since when, and what happens next. Empty when it is. */
import type { Replica, Volume } from '@longhorn/shared-types';
import { rfc3339 } from '../../clock.ts';
import { reasons } from '../../scheduler/candidates.ts';
import { findCondition } from '../conditions.ts';
import { FAILED, REBUILD_FAILED } from '../replica-failure.ts';
import { diskOf, reuseProblem } from './disk-room.ts';
import { isPotentiallyReusable, placementRules, replacementAtMs, searchPlaces } from './placement.ts';
import {
  block,
  engineServes,
  isDeleting,
  launchability,
  modeOf,
  type Blocker,
  type VolumeDraft,
  type VolumeWorld,
} from './world.ts';

type BlockedBy = Volume['status']['blockedBy'];

export function explain(world: VolumeWorld, draft: VolumeDraft): void {
  const { volume } = draft;
  const settled = volume.status.state === 'detached' && volume.spec.nodeID === '';
  if (!settled) explainEngine(draft);
  explainScheduling(world, draft);
  if (!settled) for (const replica of draft.replicas) explainReplica(world, draft, replica);
  volume.status.blockedBy = withTimes(draft.blockers, volume.status.blockedBy, world.nowMs);
}

/** The time of a reason that was there before stays. */
function withTimes(blockers: readonly Blocker[], before: BlockedBy, nowMs: number): BlockedBy {
  const seen = new Set<string>();
  return blockers.flatMap((blocker) => {
    const key = `${blocker.kind}/${blocker.name}`;
    if (seen.has(key)) return [];
    seen.add(key);
    const same = before.find(
      ({ kind, name, reason }) => kind === blocker.kind && name === blocker.name && reason === blocker.reason,
    );
    return [{ ...blocker, since: same?.since ?? rfc3339(nowMs) }];
  });
}

function explainEngine(draft: VolumeDraft): void {
  const { engine, volume } = draft;
  if (engine === null || volume.spec.nodeID === '') return;
  const { name } = engine.metadata;
  const { currentState, ioState, ioReason } = engine.status;
  if (engine.spec.desireState === 'running' && currentState !== 'running') {
    const failure = findCondition(engine.status.conditions, 'InstanceCreation');
    const why = failure?.status === 'False' ? `: ${failure.message}` : '';
    const next =
      currentState === 'unknown'
        ? `goes on when node ${engine.spec.nodeID} is back, or attaches elsewhere when asked to`
        : 'it is started (again); I/O waits meanwhile';
    block(draft, 'Engine', name, `the engine is ${currentState || 'not started'}${why}`, next);
    return;
  }
  if (currentState !== 'running') return;
  if (ioState === 'waiting') block(draft, 'Engine', name, ioReason, 'serves by itself once they are there');
  else if (ioState === 'held')
    block(draft, 'Engine', name, ioReason, 'I/O goes on by itself, or fails after the setting io-hold-timeout');
  else if (ioState === 'failed') block(draft, 'Engine', name, ioReason, 'the volume is detached and attached anew');
  else if (ioState === 'serving' && ioReason !== '')
    block(draft, 'Engine', name, ioReason, 'goes on by itself once the cause is gone');
  else if (!engineServes(engine))
    block(draft, 'Engine', name, 'the engine is opening its replicas', 'serves once they are open');
}

function explainScheduling(world: VolumeWorld, draft: VolumeDraft): void {
  const { volume } = draft;
  const scheduled = findCondition(volume.status.conditions, 'Scheduled');
  if (scheduled === null) return;
  const [homeless] = draft.replicas.filter((replica) => replica.spec.nodeID === '' && !isDeleting(replica));
  if (scheduled.status === 'True') {
    // Upstream's condition is true also for a detached volume that only some of its replicas have places for.
    const waitsForNode = volume.spec.dataLocality !== 'disabled' && volume.spec.nodeID === '';
    if (homeless === undefined || waitsForNode) return;
  }
  // Not a matter of places: a replica that is away is waited for first.
  if (homeless === undefined && replacementAtMs(world, draft) !== null) return;
  const { name } = volume.metadata;
  const reason = `a replica has no place: ${placementReason(world, draft, scheduled, homeless)}`;
  block(draft, 'Volume', name, reason, 'placed once a disk can take it; tried every 30 s');
}

/** What keeps a replica from having a place, in words that tell what to change. */
function placementReason(
  world: VolumeWorld,
  draft: VolumeDraft,
  scheduled: { status: string; message: string },
  homeless: Replica | undefined,
): string {
  const search = { hardNodeAffinity: homeless?.spec.hardNodeAffinity ?? '', except: homeless?.metadata.name ?? '' };
  const words = scheduled.status === 'True' ? searchPlaces(world, draft, search).reasons.join('; ') : scheduled.message;
  const { diskSelector, nodeSelector } = draft.volume.spec;
  if (words.includes(reasons.tagsNotFulfilled) || (words.endsWith(reasons.schedulingFailed) && nodeSelector.length > 0))
    return `${words} (spec.diskSelector [${diskSelector.join(', ')}], spec.nodeSelector [${nodeSelector.join(', ')}])`;
  if (!words.endsWith(reasons.schedulingFailed) || placementRules(world, draft).nodeSoft) return words;
  return `${words}: hard node anti-affinity keeps it off the nodes that have a replica of the volume; add a node, lower spec.numberOfReplicas or set spec.replicaSoftAntiAffinity to enabled`;
}

function explainReplica(world: VolumeWorld, draft: VolumeDraft, replica: Replica): void {
  const { name } = replica.metadata;
  const { nodeID, failedAt } = replica.spec;
  if (isDeleting(replica)) return;
  const mode = modeOf(draft.engine, name);
  if (mode === 'RW') return explainFullDisk(world, draft, replica);
  if (mode === 'WO') {
    block(draft, 'Replica', name, `it is being rebuilt on node ${nodeID}`, 'counts again once it holds everything');
    return;
  }
  if (nodeID === '') return;
  const launch = launchability(world, replica);
  if (launch === 'never') {
    const next = nextForAway(world, draft, replica, 'the node is back');
    block(draft, 'Replica', name, `node ${nodeID} is not available`, next);
    return;
  }
  if (launch === 'soon') {
    const next = nextForAway(world, draft, replica, 'that runs');
    block(draft, 'Replica', name, `the instance manager of node ${nodeID} is starting`, next);
    return;
  }
  const failure = findCondition(replica.status.conditions, 'InstanceCreation');
  if (failure?.status === 'False') {
    block(draft, 'Replica', name, `its process on node ${nodeID} failed: ${failure.message}`, 'tried again');
    return;
  }
  if (failedAt !== '') explainFailed(world, draft, replica);
  else if (draft.volume.status.state === 'attached')
    block(draft, 'Replica', name, `it is being started on node ${nodeID}`, 'rebuilt, then it counts again');
}

function explainFailed(world: VolumeWorld, draft: VolumeDraft, replica: Replica): void {
  const failure = findCondition(replica.status.conditions, FAILED);
  const rebuild = findCondition(replica.status.conditions, REBUILD_FAILED);
  const why = [failure, rebuild].flatMap((one) => (one?.status === 'True' ? [`: ${one.message}`] : [])).at(-1) ?? '';
  const problem = reuseProblem(world, replica);
  const reason = `it failed on node ${replica.spec.nodeID}${why}`;
  const { name } = replica.metadata;
  if (problem === null) block(draft, 'Replica', name, reason, 'brought up to date, then it counts again');
  else block(draft, 'Replica', name, `${reason}; ${problem.reason}`, problem.next);
}

/** A good replica of a volume that refuses new data: which disks are full. */
function explainFullDisk(world: VolumeWorld, draft: VolumeDraft, replica: Replica): void {
  if (draft.engine?.status.ioState !== 'serving' || draft.engine.status.ioReason === '') return;
  const disk = diskOf(world, replica);
  if (disk === null || disk.availableBytes > 0) return;
  const { nodeID, diskPath } = replica.spec;
  const reason = `disk ${disk.name} (${diskPath}) on node ${nodeID} is full`;
  block(draft, 'Replica', replica.metadata.name, reason, 'it takes new data again once space is free');
}

/** `when`: what has to happen first. */
function nextForAway(world: VolumeWorld, draft: VolumeDraft, replica: Replica, when: string): string {
  const atMs = isPotentiallyReusable(replica) ? replacementAtMs(world, draft) : null;
  return atMs === null ? `used again when ${when}` : `brought up to date when ${when}, replaced after ${rfc3339(atMs)}`;
}
