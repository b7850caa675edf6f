/**
 * Block devices that a node has made: FUSE file systems in its run folder, loop devices over files in them, device nodes in
 * /dev/longhorn that lead to those. They are the kernel's and outlive their processes; here they are taken away.
 *
 * Only what leads back to the given folder is touched: by its path, or by the engine's record of it in
 * `devices/<volume>.json` (an engine unmounts its file system as soon as the loop device holds it, so no path is left). A
 * record counts only while the loop device still is the attachment that it names. Nothing here asks a loop device for
 * its status: the kernel would ask the file's server, which may be gone.
 */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { textAt, valueAt, type Json } from '../api/json.ts';
import { flushMsMax } from '../limits.ts';
import { CommandError, run } from '../io/commands.ts';
import { currentMounts, isInside, loopDevices, type LoopDevice, type Mount } from './mounts.ts';

const DEVICE_FOLDER = '/dev/longhorn';

export interface NodeDevices {
  /** FUSE connections behind the loop devices */
  connections: number[];
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

interface Recorded {
  loops: LoopDevice[];
  connections: number[];
}

/** What the engines of a node have noted, as far as it is still true. */
function recorded(runFolder: string): Recorded {
  const folder = join(runFolder, 'devices');
  const found: Recorded = { loops: [], connections: [] };
  const attached = loopDevices();
  for (const name of existsSync(folder) ? readdirSync(folder) : []) {
    if (!name.endsWith('.json')) continue;
    const record = recordAt(join(folder, name));
    const number = valueAt(record, 'loop', 'number');
    const sequence = valueAt(record, 'loop', 'diskSequence');
    const loop = attached.find(
      (device) => device.path === `/dev/loop${textAt(number)}` && device.sequence === sequence,
    );
    if (loop === undefined) continue;
    found.loops.push(loop);
    const connection = valueAt(record, 'connectionId');
    if (typeof connection === 'number' && connection > 0) found.connections.push(connection);
  }
  return found;
}

/** A record, or nothing where it is not whole: what it would name is then found by its path or not at all. */
function recordAt(path: string): Json {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Json;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

/** Everything of a node whose run folder this is. */
export function devicesOf(runFolder: string): NodeDevices {
  const folders = existsSync(runFolder) ? [runFolder, realpathSync(runFolder)] : [runFolder];
  const inside = (path: string): boolean => folders.some((folder) => isInside(path, folder));
  const mounts = currentMounts();
  const known = recorded(runFolder);
  const paths = new Set(known.loops.map((loop) => loop.path));
  const loops = [...known.loops, ...loopDevices().filter((loop) => inside(loop.backingFile) && !paths.has(loop.path))];
  const numbers = new Set(loops.map((loop) => loop.device));
  const entries = existsSync(DEVICE_FOLDER) ? readdirSync(DEVICE_FOLDER).map((name) => join(DEVICE_FOLDER, name)) : [];
  return {
    connections: known.connections,
    fuse: mounts.filter((mount) => mount.type.startsWith('fuse') && mount.type !== 'fusectl' && inside(mount.point)),
    loops,
    users: mounts.filter((mount) => numbers.has(mount.device)),
    nodes: entries.filter((path) => numbers.has(deviceNumber(path) ?? '')),
  };
}

async function attempt(command: string, args: string[], left: string[], limitMs?: number): Promise<void> {
  try {
    await run(command, args, '', limitMs);
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    left.push(error.message);
  }
}

/**
 * Ends FUSE connections: whatever waits on them gets an error. They outlive the process that served them while a request is
 * under way. The kernel's control files are mounted for the moment where nobody has.
 */
async function abortAll(connections: readonly string[], runFolder: string, left: string[]): Promise<void> {
  if (connections.length === 0) return;
  const mounted = currentMounts().find((mount) => mount.type === 'fusectl')?.point;
  const control = mounted ?? join(runFolder, 'fuse-control');
  if (mounted === undefined) {
    mkdirSync(control, { recursive: true });
    await attempt('mount', ['-t', 'fusectl', 'fusectl', control], left);
  }
  for (const connection of connections) {
    const file = join(control, connection, 'abort');
    if (existsSync(file)) writeFileSync(file, '1');
  }
  if (mounted !== undefined) return;
  await attempt('umount', [control], left);
  if (!currentMounts().some((mount) => mount.point === control)) rmdirSync(control);
}

/** Takes all devices away at once, as the end of the machine would; returns what resisted. */
export async function tearDownDevices(runFolder: string): Promise<string[]> {
  const devices = devicesOf(runFolder);
  const left: string[] = [];
  const connections = devices.fuse.map((mount) => mount.device.split(':')[1] ?? '');
  await abortAll([...devices.connections.map(String), ...connections], runFolder, left);
  for (const mount of devices.users.toReversed()) await attempt('umount', ['--lazy', mount.point], left);
  for (const path of devices.nodes) rmSync(path, { force: true });
  for (const loop of devices.loops) await attempt('losetup', ['--detach', loop.path], left);
  for (const mount of devices.fuse.toReversed()) await attempt('umount', ['--lazy', mount.point], left);
  return left;
}

/**
 * Writes out and unmounts the file systems on a node's devices while its engines still serve them, as a machine does when
 * it is shut down; what was written to a device without a file system is written out, too. Returns those that are in use
 * and stay.
 */
export async function releaseUsers(runFolder: string): Promise<string[]> {
  const busy: string[] = [];
  const { users, loops } = devicesOf(runFolder);
  for (const mount of users.toReversed()) {
    const failures: string[] = [];
    await attempt('sync', ['--file-system', mount.point], failures, flushMsMax);
    await attempt('umount', [mount.point], failures, flushMsMax);
    if (failures.length > 0) busy.push(mount.point);
  }
  // A volume whose I/O is held does not answer: the stop does not wait for it for ever.
  await Promise.all(loops.map((loop) => attempt('sync', [loop.path], [], flushMsMax)));
  return busy;
}
