/**
 * The disk of a node as a file system of its own: a sparse ext4 image on a loop device.
 *
 * Losing power is the file system's shutdown ioctl without a log flush: whatever was not synced never reaches the image,
 * as on a machine whose plug is pulled. Mounting it again replays the journal, as after any crash. Wants root.
 */
import { closeSync, existsSync, ftruncateSync, mkdirSync, openSync, renameSync } from 'node:fs';
import koffi from 'koffi';
import { isWithin, readMountTable } from './mount-table.ts';
import { ProgramError, runProgram } from './run-program.ts';

/** _IOR('X', 125, __u32) of linux: FS_IOC_SHUTDOWN (ext4, xfs, f2fs) */
const FS_IOC_SHUTDOWN = 0x8004587d;
/** drop the journal in memory as well */
const SHUTDOWN_NO_LOG_FLUSH = 2;
const UNMOUNT_TRIES = 100;
const UNMOUNT_PAUSE_MS = 100;

export interface NodeDisk {
  imagePath: string;
  mountPoint: string;
  sizeBytes: number;
}

/** Pauses between two tries; a parameter so that tests need no real time. */
export type Pause = (ms: number) => Promise<void>;

function isMounted(disk: NodeDisk): boolean {
  return readMountTable().some(({ mountPoint }) => mountPoint === disk.mountPoint);
}

/** A new image gets its name only when its file system is whole. */
async function makeImage(disk: NodeDisk): Promise<void> {
  const unfinished = `${disk.imagePath}.new`;
  const fd = openSync(unfinished, 'w', 0o600);
  ftruncateSync(fd, disk.sizeBytes);
  closeSync(fd);
  await runProgram('mkfs.ext4', ['-q', '-F', '-m', '0', '-E', 'lazy_itable_init=1,nodiscard', unfinished]);
  renameSync(unfinished, disk.imagePath);
}

/** Loop devices that carry the image. */
async function loopsOf(imagePath: string): Promise<string[]> {
  const list = await runProgram('losetup', ['-n', '-O', 'NAME', '-j', imagePath]);
  return list
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
}

async function attachLoop(imagePath: string): Promise<string> {
  const stale = await loopsOf(imagePath);
  for (const loop of stale) await runProgram('losetup', ['-d', loop]);
  const args = ['--find', '--show', imagePath];
  try {
    return (await runProgram('losetup', ['--direct-io=on', ...args])).trim();
  } catch (error) {
    // A file system below that has no direct I/O: the cache of the image is one more copy, nothing else.
    if (!(error instanceof ProgramError)) throw error;
    return (await runProgram('losetup', args)).trim();
  }
}

/** Makes the image when it is missing and mounts it; a disk that is mounted already stays as it is. */
export async function mountNodeDisk(disk: NodeDisk): Promise<void> {
  if (isMounted(disk)) return;
  mkdirSync(disk.mountPoint, { recursive: true });
  if (!existsSync(disk.imagePath)) await makeImage(disk);
  const loop = await attachLoop(disk.imagePath);
  try {
    await runProgram('mount', ['-t', 'ext4', loop, disk.mountPoint]);
  } catch (error) {
    await runProgram('losetup', ['-d', loop]);
    throw error;
  }
}

/** Unmounts, once the processes that had it open are gone, and lets go of the loop device. */
export async function unmountNodeDisk(disk: NodeDisk, pause: Pause): Promise<void> {
  for (let attempt = 1; isMounted(disk); attempt++) {
    try {
      await runProgram('umount', [disk.mountPoint]);
    } catch (error) {
      if (attempt >= UNMOUNT_TRIES) throw new Error(`the disk at ${disk.mountPoint} is still in use`, { cause: error });
      await pause(UNMOUNT_PAUSE_MS);
    }
  }
  if (!existsSync(disk.imagePath)) return;
  for (const loop of await loopsOf(disk.imagePath)) await runProgram('losetup', ['-d', loop]);
}

const ioctl = koffi.load('libc.so.6').func('int ioctl(int fd, unsigned long request, _In_ uint32_t *flags)');

/** Pulls the plug: what was not synced is lost. The file system answers EIO from now on; unmount it next. */
export function cutNodeDisk(disk: NodeDisk): void {
  if (!isMounted(disk)) return;
  const fd = openSync(disk.mountPoint, 'r');
  try {
    if (Number(ioctl(fd, FS_IOC_SHUTDOWN, [SHUTDOWN_NO_LOG_FLUSH])) !== 0) {
      throw new Error(`the file system at ${disk.mountPoint} refuses to lose power (errno ${koffi.errno()})`);
    }
  } finally {
    closeSync(fd);
  }
}

/** Mounted disks below a folder, for cleaning up after a crash. */
export function mountedBelow(folder: string): string[] {
  return readMountTable()
    .map(({ mountPoint }) => mountPoint)
    .filter((mountPoint) => isWithin(mountPoint, folder));
}
