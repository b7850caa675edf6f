/**
 * Block devices that a node has made: FUSE file systems in its run folder, loop devices over files in them, device nodes in
 * /dev/longhorn that lead to those. They are the kernel's and outlive their processes; here they are taken away.
 *
 * Only what leads back to the given folder is touched.
 */
import { existsSync, readdirSync, realpathSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CommandError, run } from '../io/commands.ts';
import { currentMounts, isInside, loopDevices, type LoopDevice, type Mount } from './mounts.ts';

const DEVICE_FOLDER = '/dev/longhorn';

export interface NodeDevices {
  fuse: Mount[];
  loops: LoopDevice[];
  /** file systems that somebody mounted from the node's devices */
  users: Mount[];
  /** entries of /dev/longhorn */
  nodes: string[];
}

/** `major:minor` of a device node; `null`: it is not a block device. */
function deviceNumber(path: string): string | null {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined || !found.isBlockDevice()) return null;
  // The kernel's split of a device number: the minor's upper bits stand above the major.
  const major = (found.rdev >> 8) & 0xfff;
  const minor = (found.rdev & 0xff) | ((found.rdev >> 12) & 0xfff00);
  return `${major}:${minor}`;
}

/** Everything of a node whose run folder this is. */
export function devicesOf(runFolder: string): NodeDevices {
  const folders = existsSync(runFolder) ? [runFolder, realpathSync(runFolder)] : [runFolder];
  const inside = (path: string): boolean => folders.some((folder) => isInside(path, folder));
  const mounts = currentMounts();
  const loops = loopDevices().filter((loop) => inside(loop.backingFile));
  const numbers = new Set(loops.map((loop) => loop.device));
  const entries = existsSync(DEVICE_FOLDER) ? readdirSync(DEVICE_FOLDER).map((name) => join(DEVICE_FOLDER, name)) : [];
  return {
    fuse: mounts.filter((mount) => mount.type.startsWith('fuse') && inside(mount.point)),
    loops,
    users: mounts.filter((mount) => numbers.has(mount.device)),
    nodes: entries.filter((path) => numbers.has(deviceNumber(path) ?? '')),
  };
}

async function attempt(command: string, args: string[], left: string[]): Promise<void> {
  try {
    await run(command, args);
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    left.push(error.message);
  }
}

/** Ends a FUSE connection: whatever waits on it gets an error. */
function abort(mount: Mount): void {
  const control = `/sys/fs/fuse/connections/${mount.device.split(':')[1] ?? ''}/abort`;
  if (existsSync(control)) writeFileSync(control, '1');
}

/** Takes all devices away at once, as the end of the machine would; returns what resisted. */
export async function tearDownDevices(runFolder: string): Promise<string[]> {
  const devices = devicesOf(runFolder);
  const left: string[] = [];
  devices.fuse.forEach(abort);
  for (const mount of devices.users.toReversed()) await attempt('umount', ['--lazy', mount.point], left);
  for (const path of devices.nodes) rmSync(path, { force: true });
  for (const loop of devices.loops) await attempt('losetup', ['--detach', loop.path], left);
  for (const mount of devices.fuse.toReversed()) await attempt('umount', ['--lazy', mount.point], left);
  return left;
}

/**
 * Writes out and unmounts the file systems on a node's devices while its engines still serve them, as a machine does when
 * it is shut down. Returns those that are in use and stay.
 */
export async function releaseUsers(runFolder: string): Promise<string[]> {
  const busy: string[] = [];
  for (const mount of devicesOf(runFolder).users.toReversed()) {
    const failures: string[] = [];
    await attempt('sync', ['--file-system', mount.point], failures);
    await attempt('umount', [mount.point], failures);
    if (failures.length > 0) busy.push(mount.point);
  }
  return busy;
}
