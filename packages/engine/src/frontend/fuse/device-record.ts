/**
 * `<run dir>/devices/<volume>.json`: what of a volume's block device exists in the kernel, for the engine that takes it
 * over and for the cleaner. Written by temporary file, fsync, rename, fsync of the folder; a reader sees a whole
 * record or none. It is only a claim: each part carries what proves that it is still the same (start time of a
 * process, disk sequence of a loop device, inode and time of birth of a node), and nothing is touched without that.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { RECORD_BYTES_MAX } from './limits.ts';
import type { LoopDevice } from './loop-device.ts';

const KERNEL_BOOT_ID_FILE = '/proc/sys/kernel/random/boot_id';

/** A process and the time of its start in clock ticks since boot: together they name it for good. */
export interface ProcessIdentity {
  pid: number;
  startTicks: number;
}

/** The device node, as it was right after it was made. */
export interface NodeIdentity {
  path: string;
  inode: number;
  bornMs: number;
}

export interface DeviceRecord {
  version: 1;
  volumeName: string;
  sizeBytes: number;
  /** of the kernel: all below is void after a reboot */
  kernelBootId: string;
  /** of the node (`LONGHORN_BOOT_ID_FILE`): a device of before a node's power-cut is not live */
  nodeBootId: string;
  /** id of the FUSE connection, as /proc/<pid>/fdinfo shows it; 0 = the kernel does not */
  connectionId: number;
  canResend: boolean;
  /** discards reach the volume (fuse-session.ts, `FallocatePolicy`) */
  canDiscard: boolean;
  holder: ProcessIdentity;
  loop: LoopDevice;
  backingPath: string;
  node: NodeIdentity | null;
}

const readTrimmed = (path: string): string => readFileSync(path, 'latin1').trim();

export const kernelBootId = (): string => readTrimmed(KERNEL_BOOT_ID_FILE);
export const nodeBootId = (environment: NodeJS.ProcessEnv = process.env): string =>
  readTrimmed(environment['LONGHORN_BOOT_ID_FILE'] ?? KERNEL_BOOT_ID_FILE);

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const hasNumbers = (value: unknown, ...fields: string[]): boolean =>
  isObject(value) && fields.every((field) => Number.isSafeInteger(value[field]));
const hasStrings = (value: Record<string, unknown>, ...fields: string[]): boolean =>
  fields.every((field) => typeof value[field] === 'string');

const isRecord = (value: unknown): value is DeviceRecord =>
  isObject(value) &&
  value['version'] === 1 &&
  hasStrings(value, 'volumeName', 'kernelBootId', 'nodeBootId', 'backingPath') &&
  hasNumbers(value, 'sizeBytes', 'connectionId') &&
  typeof value['canResend'] === 'boolean' &&
  typeof value['canDiscard'] === 'boolean' &&
  hasNumbers(value['holder'], 'pid', 'startTicks') &&
  hasNumbers(value['loop'], 'number', 'major', 'minor', 'diskSequence') &&
  (value['node'] === null ||
    (isObject(value['node']) &&
      hasStrings(value['node'], 'path') &&
      hasNumbers(value['node'], 'inode') &&
      typeof value['node']['bornMs'] === 'number'));

/** Parses a record; null for anything that is not one. */
export const parseRecord = (text: string): DeviceRecord | null => {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
  return isRecord(value) ? value : null;
};

/** The record at `path`: null when there is none, `damaged` when the file is not a record. */
export const readRecord = (path: string): DeviceRecord | 'damaged' | null => {
  if (!existsSync(path)) return null;
  if (statSync(path).size > RECORD_BYTES_MAX) return 'damaged';
  return parseRecord(readFileSync(path, 'utf8')) ?? 'damaged';
};

const syncDirectory = (path: string): void => {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
};

/** Puts a record in the place of the one before; on stable storage when this returns. */
export const writeRecord = (path: string, record: DeviceRecord): void => {
  const temporary = `${path}.tmp`;
  const fd = openSync(temporary, 'w', 0o600);
  try {
    writeSync(fd, `${JSON.stringify(record, null, 2)}\n`);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(temporary, path);
  syncDirectory(dirname(path));
};

/** Removes a record, and what a crash while writing one left. */
export const removeRecord = (path: string): void => {
  rmSync(`${path}.tmp`, { force: true });
  if (!existsSync(path)) return;
  rmSync(path);
  syncDirectory(dirname(path));
};
