/**
 * `tgt-blockdev` by FUSE and a loop device: `/dev/longhorn/<volume>`, without kernel modules beyond these two.
 *
 * - A flush or FUA of the block layer reaches `BlockTarget.flush` (the loop driver turns both into fsync of the file). Discards
 *   reach `unmap`, zeroing comes as writes. Errors keep their errno: EIO and ENOSPC reach the file system.
 * - The device outlives the engine (holder.ts). The next engine takes it over; on kernels before 6.9 it cannot, and
 *   opening removes the old device, whose users get I/O errors, and makes a new one.
 * - `close` is the end of the device: dirty data is written, the device goes. A file system that is still mounted is cut
 *   off with I/O errors, and the loop device clears itself when that is unmounted. An engine that is to be replaced
 *   calls `leave` instead (or just ends).
 * - Memory pressure: writing back pages of this device needs this process, so its own allocations must not wait for
 *   that writeback. The loop driver marks its side; this side asks for PR_SET_IO_FLUSHER, which needs CAP_SYS_RESOURCE and
 *   covers this thread and those that it starts later. Where it is refused, a node that is out of memory
 *   with many dirty pages of its own volumes may stall until something is freed; a log line says so.
 */
import { existsSync } from 'node:fs';
import { setTimeout as delayFor } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { BlockTarget, Frontend } from '../frontend.ts';
import { type DevicePaths, DEVICE_DIRECTORY, devicePaths } from './device-paths.ts';
import { writeRecord } from './device-record.ts';
import { removeDevice, removeLeftovers } from './device-removal.ts';
import { type Device, type DeviceContext, type DeviceStep, growDevice, makeDevice, takeOverDevice } from './device.ts';
import type { Delay } from './holder.ts';
import { setIoFlusher } from './linux.ts';
import { readLiveRecord } from './live-device.ts';
import { CLOSE_FLUSH_TIMEOUT_MS, LOCK_ATTEMPTS_MAX, LOCK_RETRY_MS } from './limits.ts';
import { LOOP_CONTROL, closeWaiting } from './loop-device.ts';
import { type VolumeLock, lockVolume } from './volume-lock.ts';

export interface BlockdevOptions {
  target: BlockTarget;
  volumeName: string;
  /** `LONGHORN_RUN_DIR` */
  runDir: string;
  logger: Logger;
  /** `LONGHORN_NODE_MARK`, set on the holder; default: this process's own */
  nodeMark?: string | null;
  /** What to do with a live device of an engine before us; default: take it over. */
  liveDevice?: 'take-over' | 'replace';
  /** The device ended without us (aborted from outside). */
  onLost?: (reason: string) => void;
  nodeDirectory?: string;
  logicalBlockSize?: number;
  flushTimeoutMs?: number;
  delay?: Delay;
  onStep?: (step: DeviceStep) => void;
}

/** The frontend, with what only this one can do. */
export interface BlockdevFrontend extends Frontend {
  /** Whether it went on with the device of an engine before. */
  readonly tookOver: boolean;
  /** Requests that were read and are not answered. */
  inFlight(): number;
  /** Serves nothing more, and leaves the device in place for the next engine. What was read is answered first. */
  leave(): Promise<void>;
}

/** Whether a device can be made here, and if not, what is missing. */
export const blockdevDriverAvailable = (
  exists: (path: string) => boolean = existsSync,
  userId: number | undefined = process.getuid?.(),
): { ok: boolean; reason: string } => {
  if (process.platform !== 'linux') return { ok: false, reason: `needs Linux, this is ${process.platform}` };
  if (userId !== 0) return { ok: false, reason: 'needs root to mount and to attach loop devices' };
  for (const path of ['/dev/fuse', LOOP_CONTROL]) {
    if (!exists(path))
      return { ok: false, reason: `${path} does not exist: load the module, or give the pod the host's /dev` };
  }
  return { ok: true, reason: '' };
};

const acquireLock = async (paths: DevicePaths, volumeName: string, delay: Delay): Promise<VolumeLock> => {
  for (let attempt = 1; ; attempt++) {
    const lock = lockVolume(paths.lock);
    if ('release' in lock) return lock;
    if (attempt >= LOCK_ATTEMPTS_MAX) {
      throw new Error(`the device of volume ${volumeName} is in the hands of process ${lock.heldBy}: end that first`);
    }
    await delay(LOCK_RETRY_MS);
  }
};

const openDevice = async (
  context: DeviceContext,
  options: BlockdevOptions,
  delay: Delay,
): Promise<{ device: Device; tookOver: boolean }> => {
  const { paths, logger } = context;
  const live = readLiveRecord(paths);
  if (live !== null && options.liveDevice !== 'replace') {
    return { device: await takeOverDevice(context, live), tookOver: true };
  }
  const report = await removeLeftovers({ paths, logger, delay });
  if (report.removed.length > 0 || report.remaining.length > 0)
    logger.info(report, 'removed what an earlier engine left');
  try {
    return { device: await makeDevice(context), tookOver: false };
  } catch (error) {
    await removeLeftovers({ paths, logger, delay });
    throw error;
  }
};

/** Makes `/dev/longhorn/<volume>`, or takes over the one that an engine before left alive. */
export const openBlockdevFrontend = async (options: BlockdevOptions): Promise<BlockdevFrontend> => {
  const { target, volumeName, logger } = options;
  const available = blockdevDriverAvailable();
  if (!available.ok) throw new Error(`a block device cannot be made on this node: ${available.reason}`);
  const delay = options.delay ?? ((milliseconds: number) => delayFor(milliseconds));
  const paths = devicePaths(volumeName, options.runDir, options.nodeDirectory ?? DEVICE_DIRECTORY);
  const flusherErrno = setIoFlusher();
  if (flusherErrno !== 0) logger.warn({ errno: flusherErrno }, 'PR_SET_IO_FLUSHER refused: needs CAP_SYS_RESOURCE');
  let state: 'up' | 'lost' | 'closed' = 'up';
  const lock = await acquireLock(paths, volumeName, delay);
  const context: DeviceContext = {
    target,
    volumeName,
    paths,
    nodeMark: options.nodeMark === undefined ? (process.env['LONGHORN_NODE_MARK'] ?? null) : options.nodeMark,
    logicalBlockSize: options.logicalBlockSize ?? 512,
    logger,
    onLost: (reason) => {
      if (state !== 'up') return;
      state = 'lost';
      logger.error({ reason }, 'the device has ended');
      options.onLost?.(reason);
    },
    onStep: options.onStep ?? (() => undefined),
  };
  let opened: { device: Device; tookOver: boolean };
  try {
    opened = await openDevice(context, options, delay);
  } catch (error) {
    lock.release();
    throw error;
  }
  const { device, tookOver } = opened;
  let closing: Promise<void> | null = null;
  const finish = async (end: () => Promise<void>): Promise<void> => {
    state = 'closed';
    try {
      await end();
    } finally {
      lock.release();
    }
  };
  return {
    name: 'tgt-blockdev',
    tookOver,
    endpoint: () => (state === 'up' ? (device.record.node?.path ?? '') : ''),
    inFlight: () => device.session.inFlight,
    expand: async (sizeBytes) => {
      await growDevice(device, sizeBytes);
      device.record.sizeBytes = sizeBytes;
      writeRecord(paths.record, device.record);
    },
    leave: () =>
      (closing ??= finish(async () => {
        await device.session.stop();
        for (const fd of Object.values(device.descriptors)) await closeWaiting(fd);
      })),
    close: () =>
      (closing ??= finish(() =>
        removeDevice(device, { paths, logger, delay }, options.flushTimeoutMs ?? CLOSE_FLUSH_TIMEOUT_MS),
      )),
  };
};
