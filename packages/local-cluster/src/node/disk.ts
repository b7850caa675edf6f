/**
 * The disk of a node.
 *
 * With root it is an ext4 file system of its own in a sparse file behind a loop device: a power-cut shuts that file system
 * down, so what was not synced is lost as on a real machine. Without root, or where loop devices are missing, it is a
 * plain folder, which loses nothing by itself: replicas on it note what their unsynced writes replace, and take it back
 * when the node has booted anew (LONGHORN_UNSYNCED_UNDO). Which of the two a node has is decided once, at its first start: a
 * disk that is not mounted must never look like an empty one.
 *
 * It is mounted without `discard`: of a transaction that a cut took back, the kernel would discard nevertheless what it freed, and
 * files that were synced long before come back as zeros, which no loss of power does. What is free is trimmed while no cut can come.
 */
import { existsSync, mkdirSync, openSync, closeSync, ftruncateSync, fsyncSync, renameSync } from 'node:fs';
import { run } from '../io/commands.ts';
import { shutDownFileSystem } from '../io/system-calls.ts';
import { currentMounts, loopDevices } from './mounts.ts';
import type { NodePaths } from './paths.ts';

export type DiskKind = 'ext4' | 'folder';

export interface Disk {
  kind: DiskKind;
  paths: NodePaths;
}

/** One inode per 128 KiB: replicas are few large files. */
const BYTES_PER_INODE = 131_072;

async function makeImage(path: string, sizeBytes: number): Promise<void> {
  const temporary = `${path}.new`;
  const file = openSync(temporary, 'w', 0o600);
  try {
    ftruncateSync(file, sizeBytes);
    await run('mkfs.ext4', ['-q', '-F', '-m', '0', '-i', String(BYTES_PER_INODE), temporary]);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(temporary, path);
}

/** Makes the disk of a new node. */
export async function createDisk(paths: NodePaths, kind: DiskKind, sizeBytes: number): Promise<Disk> {
  mkdirSync(paths.disk, { recursive: true });
  if (kind === 'ext4' && !existsSync(paths.diskImage)) await makeImage(paths.diskImage, sizeBytes);
  return { kind, paths };
}

const mountsOf = (disk: Disk): number => currentMounts().filter((mount) => mount.point === disk.paths.disk).length;
const loopsOf = (disk: Disk): string[] =>
  loopDevices()
    .filter((loop) => loop.backingFile === disk.paths.diskImage)
    .map((loop) => loop.path);

/**
 * Mounts the disk; the file system replays its journal. After a power-cut it gets a loop device of its own: a mount namespace
 * that somebody made meanwhile (a container's) may hold the file system that was cut off, and would bring it back with its device.
 */
export async function mountDisk(disk: Disk, afterCut: boolean): Promise<void> {
  if (disk.kind === 'folder' || mountsOf(disk) > 0) return;
  if (!existsSync(disk.paths.diskImage))
    throw new Error(`${disk.paths.diskImage}, the disk of this node, is gone; run "npm run reset" to begin anew`);
  const [present] = loopsOf(disk);
  if (afterCut) for (const held of loopsOf(disk)) await run('blockdev', ['--flushbufs', held]);
  const device = present === undefined || afterCut ? await attachLoop(disk.paths.diskImage) : present;
  await run('mount', ['-t', 'ext4', '-o', 'noatime', device, disk.paths.disk]);
}

/** Gives the space of deleted files back to the machine. Must have ended before a cut: see above. */
export async function trimDisk(disk: Disk): Promise<void> {
  if (disk.kind === 'ext4' && mountsOf(disk) > 0) await run('fstrim', ['--quiet-unsupported', disk.paths.disk]);
}

async function attachLoop(image: string): Promise<string> {
  const show = ['--find', '--show'];
  try {
    return (await run('losetup', [...show, '--direct-io=on', image])).trim();
  } catch (error) {
    // Some file systems cannot do direct I/O; the second cache costs memory, nothing else.
    const device = await run('losetup', [...show, image]);
    if (device.trim() === '') throw error;
    return device.trim();
  }
}

async function unmount(disk: Disk, ...flags: string[]): Promise<void> {
  for (let count = mountsOf(disk); count > 0; count--) await run('umount', [...flags, disk.paths.disk]);
}

async function detachLoops(disk: Disk): Promise<void> {
  for (const device of loopsOf(disk)) await run('losetup', ['--detach', device]);
}

/** Writes everything out and unmounts. */
export async function unmountDisk(disk: Disk): Promise<void> {
  if (disk.kind === 'folder') return;
  await unmount(disk);
  await detachLoops(disk);
}

/** Cuts the file system off its disk: from now on nothing more is written. */
export function cutDisk(disk: Disk): void {
  if (disk.kind === 'ext4' && mountsOf(disk) > 0) shutDownFileSystem(disk.paths.disk);
}

/** Takes away a file system that was cut off; what still uses it gets errors. */
export async function dropDisk(disk: Disk): Promise<void> {
  if (disk.kind === 'folder') return;
  await unmount(disk, '--lazy');
  await detachLoops(disk);
}
