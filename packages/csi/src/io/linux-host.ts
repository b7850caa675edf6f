/** The node as it is: programs, /proc and device files. */
import { constants, existsSync, readdirSync } from 'node:fs';
import { lstat, open, readFile, stat, statfs } from 'node:fs/promises';
import { runBounded } from '@longhorn/shared-types/node/bounded-command';
import type { CommandResult, NodeHost } from '../node/node-host.ts';

async function run(command: string, args: readonly string[], timeoutMs: number): Promise<CommandResult> {
  const env = { ...process.env, LC_ALL: 'C' };
  const { code, signal, output } = await runBounded(command, args, { timeoutMs, env });
  if (code === null) throw new Error(`${[command, ...args].join(' ')}: ended by ${signal}: ${output}`);
  return { code, output };
}

function major(device: bigint): bigint {
  return ((device >> 8n) & 0xfffn) | ((device >> 32n) & 0xfffff000n);
}

function minor(device: bigint): bigint {
  return (device & 0xffn) | ((device >> 12n) & 0xffffff00n);
}

async function deviceNumber(path: string): Promise<string | null> {
  try {
    const found = await stat(path, { bigint: true });
    return found.isBlockDevice() ? `${major(found.rdev)}:${minor(found.rdev)}` : null;
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')) return null;
    throw error;
  }
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}

/** The kernel lets only one at a time have a device exclusively; a file system has it until it is written back. */
async function isHeld(path: string): Promise<boolean> {
  try {
    await (await open(path, constants.O_RDONLY | constants.O_EXCL | constants.O_NONBLOCK)).close();
    return false;
  } catch (error) {
    // Anything else says that there is no device to hold.
    return hasCode(error, 'EBUSY');
  }
}

async function answers(path: string): Promise<boolean> {
  try {
    await lstat(path);
    await statfs(path);
    return true;
  } catch (error) {
    if (hasCode(error, 'EIO')) return false;
    throw error;
  }
}

async function readDevice(path: string, offset: number, length: number): Promise<Buffer> {
  const handle = await open(path, 'r');
  try {
    const buffer = Buffer.alloc(length);
    let filled = 0;
    while (filled < length) {
      const { bytesRead } = await handle.read(buffer, filled, length - filled, offset + filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return buffer.subarray(0, filled);
  } finally {
    await handle.close();
  }
}

/** Where there is a control device the kernel makes as many as are wanted. */
function loopDevices(): number | null {
  if (existsSync('/dev/loop-control')) return null;
  return readdirSync('/dev').filter((name) => /^loop[0-9]+$/.test(name)).length;
}

export const linuxHost: NodeHost = {
  run,
  mountInfo: () => readFile('/proc/self/mountinfo', 'utf8'),
  deviceNumber,
  isHeld,
  answers,
  readDevice,
  loopDevices: () => Promise.resolve(loopDevices()),
};
