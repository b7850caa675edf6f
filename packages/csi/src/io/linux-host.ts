/** The node as it is: programs, /proc and device files. */
import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { open, readFile, stat } from 'node:fs/promises';
import { COMMAND_OUTPUT_BYTES_MAX } from '../limits.ts';
import type { CommandResult, NodeHost } from '../node/node-host.ts';

function run(command: string, args: readonly string[], timeoutMs: number): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, LC_ALL: 'C' } });
    const line = [command, ...args].join(' ');
    let output = '';
    const take = (chunk: Buffer): void => {
      output = (output + chunk.toString('utf8')).slice(-COMMAND_OUTPUT_BYTES_MAX);
    };
    const finish = (): void => {
      clearTimeout(limit);
      child.stdout.destroy();
      child.stderr.destroy();
    };
    // It may hang in the kernel on a dead device, where no signal reaches it: it is left behind.
    const limit = setTimeout(() => {
      child.kill('SIGKILL');
      child.unref();
      finish();
      reject(new Error(`${line}: not done after ${timeoutMs / 1000} s: ${output.trim()}`));
    }, timeoutMs);
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    child.on('error', (error) => {
      finish();
      reject(new Error(`${command} cannot be run: ${error.message}`, { cause: error }));
    });
    // `exit`, not `close`: something that the program left running may hold its pipes.
    child.on('exit', (code, signal) => {
      setImmediate(() => {
        finish();
        if (code === null) reject(new Error(`${line}: ended by ${signal}: ${output.trim()}`));
        else resolve({ code, output });
      });
    });
  });
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
  readDevice,
  loopDevices: () => Promise.resolve(loopDevices()),
};
