/**
 * Loop devices: attach with direct I/O, grow, detach.
 *
 * A device is attached with "autoclear": it goes away by itself when its last user closes it. So whatever dies
 * while a device is being made, the kernel cleans up; and a device that still has a file system mounted goes away
 * when that is unmounted. `diskSequence` is a number that the kernel gives to each attachment, never twice between
 * two boots: number and sequence together name this attachment and no later one of the same /dev/loopN.
 *
 * What these functions look at is in /sys only: LOOP_GET_STATUS would ask the backing file's server, which may be gone.
 */
import { strict as assert } from 'node:assert';
import { close, closeSync, constants, existsSync, open, openSync } from 'node:fs';
import { promisify } from 'node:util';
import { deviceAttribute } from '@longhorn/shared-types/node/device-attribute';
import { EBUSY, ENXIO, LinuxError, ioctlNumber, ioctlWaiting, makeBlockNode } from './linux.ts';
import { LOOP_ATTEMPTS_MAX } from './limits.ts';

const LOOP_CLR_FD = 0x4c01;
const LOOP_SET_CAPACITY = 0x4c07;
const LOOP_CONFIGURE = 0x4c0a;
const LOOP_CTL_GET_FREE = 0x4c82;
const BLKFLSBUF = 0x1261;
const BLKZEROOUT = 0x127f;
/** u64 start, u64 length: the first sector. */
const PROBED_RANGE = Buffer.from(BigUint64Array.of(0n, 4096n).buffer);
const LO_FLAGS_AUTOCLEAR = 4;
const LO_FLAGS_DIRECT_IO = 16;
/** struct loop_config: fd, block size, loop_info64 (232 bytes), 64 reserved. */
const LOOP_CONFIG_BYTES = 304;
const LOOP_CONFIG_FLAGS_AT = 60;
const LOOP_CONFIG_NAME_AT = 64;
const LOOP_NAME_BYTES_MAX = 63;

/** On the thread pool: opening and closing a block device may wait for its I/O, which this thread serves. */
export const openWaiting: (path: string, flags: number) => Promise<number> = promisify(open);
export const closeWaiting: (fd: number) => Promise<void> = promisify(close);

export const LOOP_CONTROL = '/dev/loop-control';

/** One attachment of a loop device. */
export interface LoopDevice {
  number: number;
  major: number;
  minor: number;
  /** 0 on kernels older than 5.15, which have none */
  diskSequence: number;
}

export const loopPath = (number: number): string => `/dev/loop${number}`;

const readSys = (number: number, file: string): string | null =>
  deviceAttribute(`/sys/block/loop${number}/${file}`, 'latin1');

/** The path of what a loop device is backed by, as the kernel sees it now; null = it is free. */
export const loopBackingFile = (number: number): string | null => readSys(number, 'loop/backing_file');

const loopDiskSequence = (number: number): number => Number(readSys(number, 'diskseq') ?? '0');

/** Whether this very attachment still exists. */
export const isAttached = (loop: LoopDevice): boolean =>
  loopBackingFile(loop.number) !== null && loopDiskSequence(loop.number) === loop.diskSequence;

/** Whether the driver passes "write zeroes" on as holes in the file, like discards. */
export const passesZeroingOn = (number: number): boolean => readSys(number, 'queue/write_zeroes_max_bytes') !== '0';

const describe = (number: number): LoopDevice => {
  const [major, minor] = (readSys(number, 'dev') ?? '').split(':').map(Number);
  assert(major !== undefined && minor !== undefined);
  return { number, major, minor, diskSequence: loopDiskSequence(number) };
};

/** Opens /dev/loopN; makes the node where no devtmpfs does. */
export const openLoop = async (number: number, flags: number): Promise<number> => {
  const path = loopPath(number);
  if (!existsSync(path)) {
    const { major, minor } = describe(number);
    makeBlockNode(path, major, minor, 0o660);
  }
  return await openWaiting(path, flags);
};

const configuration = (backingFd: number, logicalBlockSize: number, name: string): Buffer => {
  const config = Buffer.alloc(LOOP_CONFIG_BYTES);
  config.writeUInt32LE(backingFd, 0);
  config.writeUInt32LE(logicalBlockSize, 4);
  config.writeUInt32LE(LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO, LOOP_CONFIG_FLAGS_AT);
  config.write(name, LOOP_CONFIG_NAME_AT, LOOP_NAME_BYTES_MAX, 'latin1');
  return config;
};

/** An attached device and a read-only descriptor that keeps it from clearing itself. */
export interface AttachedLoop {
  loop: LoopDevice;
  fd: number;
}

/**
 * Attaches a file to a free loop device, with direct I/O. Others may take the free one first: then the next is tried.
 * The backing file's server must be able to answer meanwhile, and be probing: the device's first sector is zeroed, so
 * that the driver learns that it cannot pass zeroing on.
 */
export const attachLoop = async (
  backingFd: number,
  options: { logicalBlockSize: number; name: string },
): Promise<AttachedLoop> => {
  const config = configuration(backingFd, options.logicalBlockSize, options.name);
  const control = openSync(LOOP_CONTROL, constants.O_RDWR);
  try {
    for (let attempt = 0; attempt < LOOP_ATTEMPTS_MAX; attempt++) {
      const number = ioctlNumber(control, LOOP_CTL_GET_FREE, 0, 'LOOP_CTL_GET_FREE');
      const attached = await configureLoop(number, config);
      if (attached !== null) return attached;
    }
  } finally {
    closeSync(control);
  }
  throw new Error(`no loop device could be taken in ${LOOP_ATTEMPTS_MAX} attempts: others take them too; try again`);
};

const configureLoop = async (number: number, config: Buffer): Promise<AttachedLoop | null> => {
  const device = await openLoop(number, constants.O_RDWR);
  try {
    await ioctlWaiting(device, LOOP_CONFIGURE, config, 'LOOP_CONFIGURE');
    await ioctlWaiting(device, BLKZEROOUT, PROBED_RANGE, 'BLKZEROOUT');
    // The one that stays open is read-only: a writer would forbid mounting on kernels that protect mounted devices.
    const fd = await openLoop(number, constants.O_RDONLY);
    return { loop: describe(number), fd };
  } catch (error) {
    if (error instanceof LinuxError && error.errno === EBUSY) return null;
    throw error;
  } finally {
    await closeWaiting(device);
  }
};

/** Takes the backing file's new size. */
export const growLoop = async (fd: number): Promise<void> => {
  await ioctlWaiting(fd, LOOP_SET_CAPACITY, null, 'LOOP_SET_CAPACITY');
};

/** Writes back everything that the device, and a file system mounted on it, hold in memory. Waits for the volume. */
export const flushLoop = async (fd: number): Promise<void> => {
  await ioctlWaiting(fd, BLKFLSBUF, null, 'BLKFLSBUF');
};

/** Detaches at once if `fd` is the only user, else as soon as the last user closes. */
export const clearLoop = async (fd: number): Promise<void> => {
  try {
    await ioctlWaiting(fd, LOOP_CLR_FD, null, 'LOOP_CLR_FD');
  } catch (error) {
    if (error instanceof LinuxError && error.errno === ENXIO) return;
    throw error;
  }
};

/** Whether a file system is mounted on it, or something else has claimed the whole device, in any namespace. */
export const isClaimed = async (number: number): Promise<boolean> => {
  try {
    await closeWaiting(await openLoop(number, constants.O_RDONLY | constants.O_EXCL));
    return false;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EBUSY') return true;
    throw error;
  }
};
