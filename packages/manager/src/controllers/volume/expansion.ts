/**
 * A volume's new size goes to its engine and replicas once every disk that holds a replica has room for what is added.
 * The engine grows all of them together while it runs; a detached volume is attached for it (see the attachment plan).
 */
import type { Engine } from '@longhorn/shared-types';
import type { CandidateDisk } from '../../scheduler/scheduling-world.ts';
import { filesystemHolds, storageProblem, type SpaceLimits } from '../../scheduler/storage-check.ts';
import { block, type VolumeDraft, type VolumeWorld } from './world.ts';

/** What is to grow, and where it lies. */
export interface Growth {
  fromBytes: number;
  toBytes: number;
  /** disk UUID of each replica that has a place */
  diskIds: readonly string[];
}

/** Why a disk cannot take the growth of the replicas on it; null when all can. A disk that is away is not asked. */
export function expansionProblem(
  { fromBytes, toBytes, diskIds }: Growth,
  disks: readonly CandidateDisk[],
  limits: SpaceLimits,
): string | null {
  for (const disk of disks) {
    const replicas = diskIds.filter((id) => id === disk.uuid).length;
    if (replicas === 0) continue;
    if (!filesystemHolds(disk.filesystemType, toBytes))
      return `file system ${disk.filesystemType} of disk ${disk.name} does not support volume size ${toBytes}`;
    const addedBytes = (toBytes - fromBytes) * replicas;
    const problem = storageProblem(disk, addedBytes, 0, limits);
    if (problem !== null) return `failed to schedule ${addedBytes} more bytes to disk ${disk.name}: ${problem.trim()}`;
  }
  return null;
}

/** Limits of the settings. */
export function spaceLimits({ settings }: Pick<VolumeWorld, 'settings'>): SpaceLimits {
  return {
    overProvisioningPercentage: settings.get('storage-over-provisioning-percentage'),
    minimalAvailablePercentage: settings.get('storage-minimal-available-percentage'),
  };
}

/** Copies the volume's size to its engine and replicas, and sees whether the engine has reached it. */
export function resize(world: VolumeWorld, draft: VolumeDraft): void {
  const { volume, engine } = draft;
  if (engine === null) return;
  const { size } = volume.spec;
  const { currentSize } = engine.status;
  // Also while there is no room for it: what is required can be canceled.
  volume.status.expansionRequired = hasRun(engine) && currentSize !== size;
  if (engine.spec.volumeSize !== size && currentSize !== size) {
    const problem = expansionProblem(
      {
        fromBytes: Number(engine.spec.volumeSize),
        toBytes: Number(size),
        diskIds: draft.replicas.map((replica) => replica.spec.diskID),
      },
      world.candidateNodes.flatMap(({ disks }) => disks),
      spaceLimits(world),
    );
    if (problem !== null) {
      block(
        draft,
        'Volume',
        volume.metadata.name,
        `it cannot grow to ${size} bytes: ${problem}`,
        'grows once they can',
      );
      return;
    }
  }
  const isCanceled = engine.spec.volumeSize !== size && currentSize === size;
  if (isCanceled) {
    draft.events.push({
      type: 'Normal',
      reason: 'CanceledExpansion',
      message: `Canceled expanding the volume ${volume.metadata.name}, will automatically detach it`,
    });
  }
  engine.spec.volumeSize = size;
  for (const replica of draft.replicas) replica.spec.volumeSize = size;
}

/** '0': the engine never ran, or was not seen yet; one that never ran makes its replicas in the size that they are to have. */
function hasRun({ status }: Engine): boolean {
  return status.currentSize !== '0' && status.currentSize !== '';
}

/** Whether the engine was told to grow and has not yet: it does so while it runs. */
export function isToGrow(engine: Engine): boolean {
  return hasRun(engine) && engine.spec.volumeSize !== engine.status.currentSize;
}
