/**
 * Removes devices: an orderly end of one that this process serves, and what dead engines left.
 *
 * Neither ever waits for the device without a limit, and neither looks into the mounted file. What is still in use
 * (a mounted file system) is cut off: the connection is aborted, its users get I/O errors, and the loop device
 * clears itself as soon as the last of them closes it.
 */
import { constants, rmSync } from 'node:fs';
import type { Logger } from 'pino';
import { findDeviceNode, removeDeviceNode } from './device-node.ts';
import type { DevicePaths } from './device-paths.ts';
import { type DeviceRecord, type NodeIdentity, kernelBootId, readRecord, removeRecord } from './device-record.ts';
import type { Device } from './device.ts';
import { abortConnection, forceUnmount, fuseMountsBelow } from './fuse-connection.ts';
import { type Delay, findHolders, heldConnectionId, isHolder, stopHolder } from './holder.ts';
import { SETTLE_ATTEMPTS_MAX, SETTLE_RETRY_MS } from './limits.ts';
import {
  type LoopDevice,
  clearLoop,
  closeWaiting,
  flushLoop,
  isAttached,
  isClaimed,
  loopBackingFile,
  loopPath,
  openLoop,
} from './loop-device.ts';
import { withTimeout } from './with-timeout.ts';

export interface RemovalContext {
  paths: DevicePaths;
  logger: Logger;
  delay: Delay;
}

/** What a removal did, and what it could not remove. */
export interface RemovalReport {
  removed: string[];
  remaining: string[];
}

const waitUntilDetached = async (loop: LoopDevice, delay: Delay): Promise<boolean> => {
  for (let attempt = 0; attempt < SETTLE_ATTEMPTS_MAX; attempt++) {
    if (!isAttached(loop)) return true;
    await delay(SETTLE_RETRY_MS);
  }
  return !isAttached(loop);
};

/** True when all dirty data reached the volume and nobody uses the device. */
const quiesce = async (device: Device, context: RemovalContext, flushTimeoutMs: number): Promise<boolean> => {
  const { loop } = device.record;
  try {
    await withTimeout(
      flushLoop(device.descriptors.loopFd),
      flushTimeoutMs,
      `${loopPath(loop.number)} could not be flushed`,
    );
  } catch (error) {
    context.logger.warn({ err: error }, 'the device is removed without its unwritten data');
    return false;
  }
  if (!(await isClaimed(loop.number))) return true;
  context.logger.warn(
    { device: loopPath(loop.number) },
    'the device is still mounted or claimed: its users get I/O errors',
  );
  return false;
};

/**
 * Orderly end of a served device. Dirty data is written first, also of a mounted file system. Nobody uses it: it is
 * gone when this resolves. Somebody does, or the volume does not take the data in time: it is cut off (see above).
 */
export const removeDevice = async (device: Device, context: RemovalContext, flushTimeoutMs: number): Promise<void> => {
  const { session, descriptors, record } = device;
  const { paths, delay } = context;
  if (record.node !== null) removeDeviceNode(record.node);
  const quiet = await quiesce(device, context, flushTimeoutMs);
  if (!quiet) abortConnection(record.connectionId, paths.directory);
  await stopHolder(record.holder, delay);
  await clearLoop(descriptors.loopFd);
  await closeWaiting(descriptors.loopFd);
  const detached = quiet && (await waitUntilDetached(record.loop, delay));
  if (quiet && !detached) abortConnection(record.connectionId, paths.directory);
  await closeWaiting(descriptors.backingFd);
  if (detached) await session.stop();
  else void session.stop();
  await closeWaiting(descriptors.fuseFd);
  if (detached) removeRecord(paths.record);
};

const abortIfProven = (record: DeviceRecord, context: RemovalContext, report: RemovalReport): void => {
  // A connection's id is given again once the connection is gone; holder or loop device prove that it is not.
  const proven =
    heldConnectionId(record.holder.pid) === record.connectionId && isHolder(record.holder, context.paths.record);
  if (!proven && !isAttached(record.loop)) return;
  if (abortConnection(record.connectionId, context.paths.directory)) {
    report.removed.push(`FUSE connection ${record.connectionId}`);
  }
};

const removeHolders = async (context: RemovalContext, report: RemovalReport): Promise<void> => {
  for (const { identity } of findHolders((recordPath) => recordPath === context.paths.record)) {
    const connectionId = heldConnectionId(identity.pid);
    if (connectionId !== 0) abortConnection(connectionId, context.paths.directory);
    await stopHolder(identity, context.delay);
    report.removed.push(`holder process ${identity.pid}`);
  }
};

const removeMounts = (context: RemovalContext, report: RemovalReport): void => {
  const { directory, backing } = context.paths;
  for (const { path } of fuseMountsBelow(directory)) {
    if (path !== backing) continue;
    forceUnmount(path);
    report.removed.push(`mount ${path}`);
  }
};

const removeLoop = async (loop: LoopDevice, context: RemovalContext, report: RemovalReport): Promise<void> => {
  if (!isAttached(loop)) return;
  const fd = await openLoop(loop.number, constants.O_RDONLY);
  try {
    // While it is open here it cannot become another's: look again, then clear.
    if (isAttached(loop)) await clearLoop(fd);
  } finally {
    await closeWaiting(fd);
  }
  if (await waitUntilDetached(loop, context.delay)) report.removed.push(`loop device ${loopPath(loop.number)}`);
  else
    report.remaining.push(
      `loop device ${loopPath(loop.number)} is in use (unmount what is on it); it clears itself then`,
    );
};

/** The device's node. Killed before it was noted: one with the loop device's numbers, while these are not another's. */
const nodeOf = (record: DeviceRecord, paths: DevicePaths): NodeIdentity | null => {
  if (record.node !== null) return record.node;
  const isOurs = isAttached(record.loop) || loopBackingFile(record.loop.number) === null;
  return isOurs ? findDeviceNode(paths.node, record.loop) : null;
};

/**
 * Removes everything that an engine which is not running any more left of a volume's device. The volume's lock is held.
 * May be called again at any time, and after having been killed at any point.
 */
export const removeLeftovers = async (context: RemovalContext): Promise<RemovalReport> => {
  const { paths } = context;
  const report: RemovalReport = { removed: [], remaining: [] };
  const found = readRecord(paths.record);
  if (found === 'damaged')
    context.logger.warn({ path: paths.record }, 'the device record is damaged; looking without it');
  const record = found === 'damaged' || found?.kernelBootId !== kernelBootId() ? null : found;
  const node = record === null ? null : nodeOf(record, paths);
  if (record !== null) abortIfProven(record, context, report);
  await removeHolders(context, report);
  removeMounts(context, report);
  if (record !== null) await removeLoop(record.loop, context, report);
  if (node !== null && removeDeviceNode(node)) report.removed.push(`device node ${node.path}`);
  rmSync(paths.backing, { force: true });
  if (report.remaining.length > 0) return report;
  if (found !== null) report.removed.push(`record ${paths.record}`);
  removeRecord(paths.record);
  return report;
};
