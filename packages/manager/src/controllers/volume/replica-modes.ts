/**
 * What the running engine reports about its replicas becomes their `healthyAt` and `failedAt`, and the volume's
 * robustness. The engine decides; this only writes it down. An engine that does not serve says nothing about them.
 */
import type { Engine, Replica } from '@longhorn/shared-types';
import { parseTime, rfc3339 } from '../../clock.ts';
import {
  engineFailedIo,
  engineServes,
  isDeleting,
  launchability,
  markFailed,
  modeOf,
  type VolumeDraft,
  type VolumeWorld,
} from './world.ts';

export function applyModes(world: VolumeWorld, draft: VolumeDraft): void {
  const { engine } = draft;
  if (engine === null) return;
  if (engine.status.currentState === 'unknown') {
    setRobustness(draft, 'unknown', world.nowMs);
    return;
  }
  if (engineFailedIo(engine)) {
    failVolume(world, draft, engine);
    return;
  }
  if (!engineServes(engine)) {
    if (draft.volume.status.state === 'attached') setRobustness(draft, 'unknown', world.nowMs);
    return;
  }
  for (const replica of draft.replicas) {
    if (replica.spec.engineName === engine.metadata.name) applyMode(world, engine, replica);
  }
  const rw = draft.replicas.filter((replica) => modeOf(engine, replica.metadata.name) === 'RW').length;
  setRobustness(draft, rw >= draft.volume.spec.numberOfReplicas ? 'healthy' : 'degraded', world.nowMs);
}

function applyMode(world: VolumeWorld, engine: Engine, replica: Replica): void {
  const now = rfc3339(world.nowMs);
  const { name } = replica.metadata;
  switch (modeOf(engine, name)) {
    case 'RW': {
      if (replica.spec.healthyAt === '') {
        replica.spec.healthyAt = now;
        replica.spec.rebuildRetryCount = 0;
      }
      const sinceMs = parseTime(engine.status.replicaTransitionTimeMap[name] ?? '');
      const lastMs = parseTime(replica.spec.lastHealthyAt);
      if (lastMs === null || (sinceMs !== null && sinceMs > lastMs)) replica.spec.lastHealthyAt = now;
      // The engine opened it by its record: it holds everything, whatever was thought of it before.
      replica.spec.failedAt = '';
      return;
    }
    case 'ERR':
      markFailed(replica, world.nowMs);
      return;
    case 'WO':
      return;
    default:
      if (replica.spec.failedAt !== '') return;
      // Neither in the engine nor on its way there.
      if (replica.status.currentState === 'error' || isAway(world, replica)) markFailed(replica, world.nowMs);
  }
}

function isAway(world: VolumeWorld, replica: Replica): boolean {
  return replica.spec.nodeID !== '' && !isDeleting(replica) && launchability(world, replica) === 'never';
}

function failVolume(world: VolumeWorld, draft: VolumeDraft, engine: Engine): void {
  if (draft.volume.status.robustness !== 'faulted') {
    draft.events.push({
      type: 'Warning',
      reason: 'DetachedUnexpectedly',
      message: `Engine of volume ${draft.volume.metadata.name} gave up I/O (${engine.status.ioReason}), setting v.Status.Robustness to faulted`,
    });
  }
  setRobustness(draft, 'faulted', world.nowMs);
}

export function setRobustness(
  draft: VolumeDraft,
  robustness: 'healthy' | 'degraded' | 'faulted' | 'unknown',
  nowMs: number,
): void {
  const { status, metadata } = draft.volume;
  const before = status.robustness;
  if (robustness === 'degraded' && (before !== 'degraded' || status.lastDegradedAt === ''))
    status.lastDegradedAt = rfc3339(nowMs);
  if (robustness !== 'degraded') status.lastDegradedAt = '';
  if (before === robustness) return;
  status.robustness = robustness;
  const { name } = metadata;
  if (robustness === 'healthy' && before === 'degraded')
    draft.events.push({ type: 'Normal', reason: 'Healthy', message: `volume ${name} became healthy` });
  if (robustness === 'degraded')
    draft.events.push({ type: 'Normal', reason: 'Degraded', message: `volume ${name} became degraded` });
  if (robustness === 'unknown' && draft.engine?.status.currentState === 'unknown')
    draft.events.push({ type: 'Warning', reason: 'Unknown', message: `volume ${name} robustness is unknown` });
}
