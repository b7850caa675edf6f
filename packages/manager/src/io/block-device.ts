/** Which block device a path on this host leads to. */
import { lstat, readFile } from 'node:fs/promises';
import { hostPath } from './disk-probe.ts';

/**
 * A device as long as somebody has it open: the kernel gives a number to another device only after the last user of the
 * one before is gone, and no user outlives the boot.
 */
export interface BlockDevice {
  /** `MAJOR:MINOR` */
  number: string;
  bootId: string;
}

const BOOT_ID_FILE = '/proc/sys/kernel/random/boot_id';

/** Null if there is no block device at the path (of the host). */
export async function blockDeviceAt(path: string, hostRoot: string): Promise<BlockDevice | null> {
  try {
    const stat = await lstat(hostPath(hostRoot, path));
    if (!stat.isBlockDevice()) return null;
    const major = (stat.rdev >>> 8) & 0xfff;
    const minor = (stat.rdev & 0xff) | ((stat.rdev >>> 12) & 0xfff00);
    return { number: `${major}:${minor}`, bootId: (await readFile(BOOT_ID_FILE, 'latin1')).trim() };
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')) return null;
    throw error;
  }
}
