/** What can be done with a volume now, and why not. Pure. */
import { currentController, type Snapshot, type Volume } from '../../data/resources.ts';

/** null: it can be done; else the sentence that says why not. */
export type Refusal = string | null;

export function attachRefusal(volume: Volume): Refusal {
  if (!('attach' in volume.actions)) return 'The API does not offer to attach this volume now.';
  if (volume.state !== 'detached') return `The volume is ${volume.state}: only a detached one can be attached.`;
  if (volume.restoreStatus.some(({ isRestoring }) => isRestoring)) return 'The volume is being restored.';
  return null;
}

export function detachRefusal(volume: Volume): Refusal {
  if (!('detach' in volume.actions)) return 'The API does not offer to detach this volume now.';
  const hasTickets = Object.keys(volume.volumeAttachment.attachments).length > 0;
  if (volume.state === 'detached' && !hasTickets) return 'The volume is detached.';
  if (volume.standby) return 'A standby volume stays attached until it is activated.';
  return null;
}

export function deleteRefusal(volume: Volume): Refusal {
  return volume.state === 'deleting' ? 'The volume is being deleted.' : null;
}

export function takeSnapshotRefusal(volume: Volume): Refusal {
  if (volume.standby) return 'A standby volume takes no snapshots.';
  if (!('snapshotCreate' in volume.actions)) return 'Attach the volume first: its engine takes the snapshot.';
  return null;
}

export function deleteSnapshotRefusal(volume: Volume): Refusal {
  return 'snapshotDelete' in volume.actions ? null : 'Attach the volume first: its engine deletes the snapshot.';
}

/** Reverting throws away what was written since, so nothing may use the volume meanwhile. */
export function revertRefusal(volume: Volume): Refusal {
  if (!('snapshotRevert' in volume.actions)) return 'Attach the volume in maintenance mode first.';
  if (currentController(volume)?.running !== true) return 'The engine is not running yet.';
  return isInMaintenance(volume)
    ? null
    : 'Only in maintenance mode, in which nothing can write: detach the volume, then attach it in maintenance mode.';
}

/** One snapshot may be no target although others are. */
export function revertToRefusal(volume: Volume, snapshot: Snapshot): Refusal {
  return snapshot.removed ? 'The snapshot is being removed.' : revertRefusal(volume);
}

/** Attached without a device. */
export function isInMaintenance(volume: Volume): boolean {
  return volume.disableFrontend && volume.state !== 'detached';
}
