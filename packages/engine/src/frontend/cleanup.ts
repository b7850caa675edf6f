/**
 * Removes what dead engines of this node left of their frontends: block devices (FUSE mount, loop device, holder,
 * node, record), the sockets of `socket` and NBD, and iSCSI ports. Only ours: what a record, a path below the run directory, or a
 * holder's environment proves to be. What a running engine serves is left alone and reported. Never waits for a device.
 */
import { existsSync, lstatSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { setTimeout as delayFor } from 'node:timers/promises';
import type { Logger } from 'pino';
import { isDeadSocket } from '@longhorn/shared-types/node/unix-socket';
import { DEVICE_DIRECTORY, devicePaths, devicesDirectory, isVolumeName } from './fuse/device-paths.ts';
import { type RemovalReport, removeLeftovers } from './fuse/device-removal.ts';
import { fuseMountsBelow, removeControlMounts } from './fuse/fuse-connection.ts';
import { type Delay, findHolders } from './fuse/holder.ts';
import { lockVolume } from './fuse/volume-lock.ts';
import { removeIscsiPort, volumesWithIscsiPort } from './iscsi/port-claim.ts';
import { volumeOfNbdSocket } from './nbd/nbd-session.ts';

export interface CleanupOptions {
  /** One volume; absent: every volume that left a trace below the run directory. */
  volume?: string;
  /** `LONGHORN_RUN_DIR` */
  runDir: string;
  logger: Logger;
  nodeDirectory?: string;
  delay?: Delay;
}

const DEVICE_FILE = /^(.+)\.(?:json|json\.tmp|lock|backing)$/;

const entriesOf = (directory: string): string[] => (existsSync(directory) ? readdirSync(directory) : []);

/** Volumes with a trace of a device: files, mounts, or holders that no file speaks of. */
const volumesWithDevices = (devices: string): string[] => {
  const paths = [
    ...entriesOf(devices),
    ...fuseMountsBelow(devices).map(({ path }) => basename(path)),
    ...findHolders((recordPath) => dirname(recordPath) === devices).map(({ recordPath }) => basename(recordPath)),
  ];
  const names = paths.map((path) => DEVICE_FILE.exec(path)?.[1] ?? '');
  return [...new Set(names)].filter(isVolumeName);
};

const cleanDevice = async (volume: string, options: CleanupOptions, report: RemovalReport): Promise<void> => {
  const paths = devicePaths(volume, options.runDir, options.nodeDirectory ?? DEVICE_DIRECTORY);
  const lock = lockVolume(paths.lock);
  if ('heldBy' in lock) {
    report.remaining.push(`device of volume ${volume}: process ${lock.heldBy} serves it`);
    return;
  }
  try {
    const delay = options.delay ?? ((milliseconds: number) => delayFor(milliseconds));
    const { removed, remaining } = await removeLeftovers({ paths, logger: options.logger, delay });
    report.removed.push(...removed);
    report.remaining.push(...remaining);
  } finally {
    lock.release();
  }
};

const cleanSocket = async (path: string, report: RemovalReport): Promise<void> => {
  if (!existsSync(path) || !lstatSync(path).isSocket()) return;
  if (await isDeadSocket(path)) {
    rmSync(path, { force: true });
    report.removed.push(`socket ${path}`);
  } else {
    report.remaining.push(`socket ${path}: a process listens on it`);
  }
};

/** Where the `socket` frontend notes its sockets, which lie outside of the run directory: links named by volume. */
export const socketLinksDirectory = (runDir: string): string => join(runDir, 'sockets');

const isLink = (path: string): boolean => lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() ?? false;

const cleanSockets = async (volume: string | null, runDir: string, report: RemovalReport): Promise<void> => {
  const wanted = (name: string): boolean => volume === null || name === volume;
  const links = socketLinksDirectory(runDir);
  for (const name of entriesOf(links).filter(wanted)) {
    const link = join(links, name);
    if (!isLink(link)) continue;
    const before = report.remaining.length;
    await cleanSocket(readlinkSync(link), report);
    if (report.remaining.length === before) rmSync(link, { force: true });
  }
  const nbd = join(runDir, 'nbd');
  for (const name of entriesOf(nbd)) {
    const owner = volumeOfNbdSocket(name);
    if (owner !== null && wanted(owner)) await cleanSocket(join(nbd, name), report);
  }
};

const cleanIscsiPorts = (volume: string | null, runDir: string, report: RemovalReport): void => {
  for (const name of volumesWithIscsiPort(runDir).filter((one) => volume === null || one === volume)) {
    const heldBy = removeIscsiPort(name, runDir);
    if (heldBy === null) report.removed.push(`iSCSI port of volume ${name}`);
    else report.remaining.push(`iSCSI target of volume ${name}: process ${heldBy} serves it`);
  }
};

/** See above. Nothing is left when `remaining` is empty. May be called at any time, and again. */
export const cleanupFrontends = async (options: CleanupOptions): Promise<RemovalReport> => {
  const report: RemovalReport = { removed: [], remaining: [] };
  const devices = devicesDirectory(options.runDir);
  removeControlMounts(devices, report.removed);
  const volumes = options.volume === undefined ? volumesWithDevices(devices) : [options.volume];
  for (const volume of volumes) await cleanDevice(volume, options, report);
  await cleanSockets(options.volume ?? null, options.runDir, report);
  cleanIscsiPorts(options.volume ?? null, options.runDir, report);
  return report;
};
