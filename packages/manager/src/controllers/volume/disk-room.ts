/** Whether the disk of a failed replica can take the rebuild of its data, and if not, why. */
import type { Replica } from '@longhorn/shared-types';
import type { CandidateDisk } from '../../scheduler/scheduling-world.ts';
import type { VolumeWorld } from './world.ts';

export interface DiskProblem {
  reason: string;
  next: string;
}

export function diskOf(world: VolumeWorld, replica: Replica): CandidateDisk | null {
  const node = world.candidateNodes.find(({ name }) => name === replica.spec.nodeID);
  return node?.disks.find(({ uuid }) => uuid === replica.spec.diskID) ?? null;
}

const MIB = 2 ** 20;
const mebibytes = (bytes: number): string => `${Math.floor(bytes / MIB)} MiB`;

export function reuseProblem(world: VolumeWorld, replica: Replica): DiskProblem | null {
  const { nodeID, diskPath } = replica.spec;
  const disk = diskOf(world, replica);
  const where = `disk ${disk?.name ?? ''} (${diskPath}) on node ${nodeID}`;
  if (disk === null || !disk.ready)
    return { reason: `${where} is not ready`, next: 'brought up to date when the disk is back' };
  const percentage = world.settings.get('storage-minimal-available-percentage');
  const minimal = Math.trunc((disk.maximumBytes * percentage) / 100);
  if (disk.schedulable || (disk.unschedulableReason === 'DiskPressure' && disk.availableBytes > minimal)) return null;
  const isFull = disk.unschedulableReason === 'DiskPressure';
  return {
    reason: isFull
      ? `${where} has ${mebibytes(disk.availableBytes)} available, its rebuild wants more than ${mebibytes(minimal)}`
      : `${where} takes no replicas (${disk.unschedulableReason})`,
    next: isFull
      ? `brought up to date by itself once that much is free (${percentage}% of the disk, setting storage-minimal-available-percentage)`
      : 'brought up to date once it does',
  };
}
