/** One pass over a volume: from what is seen to what is wanted. Pure. */
import { rfc3339 } from '../../clock.ts';
import { moveAttachment } from './attach.ts';
import { explain } from './blocked-by.ts';
import { cleanUpReplicas } from './cleanup.ts';
import { planClone } from './clone.ts';
import { followDevice } from './device.ts';
import {
  copyEngineFigures,
  copySpec,
  createFirstObjects,
  deleteAll,
  normalise,
  recoverFaulted,
  releaseDeleted,
} from './lifecycle.ts';
import { decideDeletedMembers, decideForcedStart } from './membership.ts';
import { replenish, replenishForBalance, replenishForEviction, replenishLocal } from './replenish.ts';
import { applyModes } from './replica-modes.ts';
import { scheduleReplicas } from './scheduling.ts';
import { isDeleting, newDraft, type VolumeDraft, type VolumeWorld } from './world.ts';

export function planVolume(world: VolumeWorld): VolumeDraft {
  const draft = newDraft(world);
  if (isDeleting(world.volume)) {
    deleteAll(world, draft);
    explain(world, draft);
    return draft;
  }
  normalise(world, draft);
  if (createFirstObjects(world, draft)) {
    draft.volume.status.state = 'creating';
    draft.volume.status.robustness = 'unknown';
    scheduleReplicas(world, draft);
    explain(world, draft);
    return draft;
  }
  applyModes(world, draft);
  copySpec(world, draft);
  releaseDeleted(draft);
  planClone(world, draft);
  bringBack(world, draft);
  scheduleReplicas(world, draft);
  copyEngineFigures(world, draft);
  recoverFaulted(world, draft, rfc3339(world.nowMs));
  moveAttachment(world, draft);
  followDevice(world, draft);
  decide(world, draft);
  cleanUpReplicas(world, draft);
  explain(world, draft);
  return draft;
}

function bringBack(world: VolumeWorld, draft: VolumeDraft): void {
  const { robustness } = draft.volume.status;
  if (robustness === 'degraded') replenish(world, draft);
  if (robustness !== 'healthy') return;
  replenishForEviction(world, draft);
  replenishLocal(world, draft);
  replenishForBalance(world, draft);
}

function decide(world: VolumeWorld, draft: VolumeDraft): void {
  const membership = decideDeletedMembers(world, draft) ?? decideForcedStart(world, draft);
  if (membership === null || draft.engine === null) return;
  draft.engine.spec.epoch = membership.epoch;
  draft.engine.status.membership = membership;
}
