/**
 * The node `/dev/longhorn/<volume>`: the loop device's numbers under the volume's name, mode 0660, root:disk.
 *
 * A node is removed only if it is the one that was made (inode and time of birth), because another engine on this
 * kernel may have put its own under the same name meanwhile, even with the same numbers.
 */
import { chmodSync, chownSync, existsSync, lstatSync, mkdirSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import type { NodeIdentity } from './device-record.ts';
import { makeBlockNode } from './linux.ts';
import type { LoopDevice } from './loop-device.ts';

const DIRECTORY_MODE = 0o755;
const NODE_MODE = 0o660;
const DISK_GROUP = 6;

/** Makes the node; one that is there already under this name (of a dead engine, or upstream's) is replaced. */
export const makeDeviceNode = (path: string, loop: LoopDevice): NodeIdentity => {
  // Whatever the umask is: users of the device must get through.
  if (mkdirSync(dirname(path), { recursive: true }) !== undefined) chmodSync(dirname(path), DIRECTORY_MODE);
  if (existsSync(path)) {
    if (!lstatSync(path).isBlockDevice()) throw new Error(`${path} exists and is not a block device: move it away`);
    rmSync(path);
  }
  makeBlockNode(path, loop.major, loop.minor, NODE_MODE);
  chmodSync(path, NODE_MODE);
  chownSync(path, 0, DISK_GROUP);
  const stat = lstatSync(path);
  return { path, inode: stat.ino, bornMs: stat.birthtimeMs };
};

/** Whether the node is there as it was made. */
export const isDeviceNode = (node: NodeIdentity): boolean => {
  if (!existsSync(node.path)) return false;
  const stat = lstatSync(node.path);
  return stat.isBlockDevice() && stat.ino === node.inode && stat.birthtimeMs === node.bornMs;
};

/** The identity of a node at `path` that has the loop device's numbers; null = there is none. */
export const findDeviceNode = (path: string, loop: LoopDevice): NodeIdentity | null => {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined || !stat.isBlockDevice()) return null;
  const major = (stat.rdev >>> 8) & 0xfff;
  const minor = (stat.rdev & 0xff) | ((stat.rdev >>> 12) & 0xfff00);
  if (major !== loop.major || minor !== loop.minor) return null;
  return { path, inode: stat.ino, bornMs: stat.birthtimeMs };
};

/** Removes the node if it is the one that was made; says whether it was. */
export const removeDeviceNode = (node: NodeIdentity): boolean => {
  if (!isDeviceNode(node)) return false;
  rmSync(node.path);
  return true;
};
