/** Whether a disk has room, by what is promised and by what is really free. Integer arithmetic after truncation. */

export interface DiskSpace {
  maximumBytes: number;
  availableBytes: number;
  reservedBytes: number;
  scheduledBytes: number;
}

export interface SpaceLimits {
  overProvisioningPercentage: number;
  minimalAvailablePercentage: number;
}

/** Null if `sizeBytes` may be promised while `requiredBytes` will be written soon; else the reason. */
export function storageProblem(
  disk: DiskSpace,
  sizeBytes: number,
  requiredBytes: number,
  { overProvisioningPercentage, minimalAvailablePercentage }: SpaceLimits,
): string | null {
  if (disk.maximumBytes <= 0) return 'Storage Max must be greater than 0';
  if (disk.availableBytes <= 0) return 'Storage Available must be greater than 0';
  const left = disk.availableBytes - requiredBytes;
  const minimal = Math.trunc((disk.maximumBytes * minimalAvailablePercentage) / 100);
  if (left <= minimal) {
    return (
      `Actual space usage condition failed: CurrentAvailable = ${left} (StorageAvailable - Required) is less than or ` +
      `equal to MinimalAvailable = ${minimal} (${minimalAvailablePercentage}% of Storage Max).`
    );
  }
  const total = sizeBytes + disk.scheduledBytes;
  const limit = Math.trunc(((disk.maximumBytes - disk.reservedBytes) * overProvisioningPercentage) / 100);
  if (total > limit) {
    return (
      `Scheduling space condition failed: ScheduledTotal = ${total} (Size + StorageScheduled) is greater than ` +
      `ProvisionedLimit = ${limit} (${overProvisioningPercentage}% of StorageMax - StorageReserved). `
    );
  }
  return null;
}

const EXT_LIMIT_BYTES = 16 * 1024 ** 4;
/** 8 EiB - 1 as far as a number can tell it apart. */
const XFS_LIMIT_BYTES = 2 ** 63 - 1024;

/** Whether a file of the volume's size can exist on the file system. */
export function filesystemHolds(filesystemType: string, sizeBytes: number): boolean {
  if (filesystemType.startsWith('ext')) return sizeBytes < EXT_LIMIT_BYTES;
  if (filesystemType === 'xfs') return sizeBytes < XFS_LIMIT_BYTES;
  return true;
}
