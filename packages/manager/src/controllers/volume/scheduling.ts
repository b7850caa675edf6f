/** Gives places to replicas that have none, and keeps the volume's `Scheduled` condition. */
import type { Replica } from '@longhorn/shared-types';
import { limits } from '../../limits.ts';
import { chooseCandidate, reasons } from '../../scheduler/candidates.ts';
import { findCondition, setCondition } from '../conditions.ts';
import { place, searchPlaces } from './placement.ts';
import { replenishCount, wantedReplicas } from './replenish.ts';
import { isDeleting, requeue, type VolumeDraft, type VolumeWorld } from './world.ts';

const DEGRADED_AVAILABILITY = 'Reset schedulable due to allow volume creation with degraded availability';

export function scheduleReplicas(world: VolumeWorld, draft: VolumeDraft): void {
  const { spec, status } = draft.volume;
  const found = new Set<string>();
  let local = false;
  /** Replicas that get their place when it is known where the volume is used; until then they lack none. */
  const waiting = new Set<string>();
  for (const replica of [...draft.replicas, ...draft.newReplicas]) {
    if (replica.spec.nodeID !== '' || isDeleting(replica)) continue;
    if (spec.dataLocality !== 'disabled' && spec.nodeID === '' && replica.spec.hardNodeAffinity === '') {
      waiting.add(replica.metadata.name);
      continue;
    }
    if (spec.dataLocality === 'strict-local') replica.spec.hardNodeAffinity = spec.nodeID;
    const { hardNodeAffinity } = replica.spec;
    const result = searchPlaces(world, draft, { hardNodeAffinity, except: replica.metadata.name });
    const chosen = chooseCandidate(result.candidates, spec.dataLocality === 'best-effort' ? preferredNode(draft) : '');
    if (chosen !== null) {
      place(world, replica, chosen);
      continue;
    }
    for (const reason of result.reasons) found.add(reason);
    local ||= hardNodeAffinity !== '';
    requeue(draft, world.nowMs + limits.scheduleRetryMs);
  }
  const all = [...draft.replicas, ...draft.newReplicas].filter((replica) => !isDeleting(replica));
  const hasPlace = ({ spec: { nodeID }, metadata }: Replica): boolean => nodeID !== '' || waiting.has(metadata.name);
  const complete = all.length >= wantedReplicas(world, draft) && all.every(hasPlace);
  if (complete && replenishCount(world, draft) === 0) return scheduled(draft, world.nowMs, '');
  const usable = all.some((replica) => replica.spec.nodeID !== '' && replica.spec.failedAt === '');
  const allowsDegraded = world.settings.get('allow-volume-creation-with-degraded-availability');
  if (status.currentNodeID === '' && allowsDegraded && (usable || waiting.size > 0))
    return scheduled(draft, world.nowMs, complete ? '' : DEGRADED_AVAILABILITY);
  notScheduled(draft, world.nowMs, found, local);
}

/** With best-effort locality the first replica goes where the volume is used. */
function preferredNode(draft: VolumeDraft): string {
  const { nodeID } = draft.volume.spec;
  return draft.replicas.some((replica) => replica.spec.failedAt === '' && replica.spec.nodeID === nodeID) ? '' : nodeID;
}

function scheduled(draft: VolumeDraft, nowMs: number, message: string): void {
  setCondition(draft.volume.status.conditions, { type: 'Scheduled', status: 'True', message }, nowMs);
}

function notScheduled(draft: VolumeDraft, nowMs: number, found: ReadonlySet<string>, local: boolean): void {
  const { conditions } = draft.volume.status;
  const present = findCondition(conditions, 'Scheduled');
  const kept = present?.status === 'False' && present.reason === 'ReplicaSchedulingFailure' ? present.message : '';
  const message = found.size > 0 ? [...found].toSorted().join('; ') : kept || reasons.schedulingFailed;
  const reason = local ? 'LocalReplicaSchedulingFailure' : 'ReplicaSchedulingFailure';
  setCondition(conditions, { type: 'Scheduled', status: 'False', reason, message }, nowMs);
}
