/** System calls that Node lacks. */
import { closeSync, openSync } from 'node:fs';
import koffi from 'koffi';

const libc = koffi.load('libc.so.6');
const ioctl = libc.func('int ioctl(int, unsigned long, ...)') as (...args: unknown[]) => number;
const flock = libc.func('int flock(int, int)') as (file: number, operation: number) => number;

const FS_IOC_SHUTDOWN = 0x8004587d;
const SHUTDOWN_WITHOUT_LOG = 2;
const LOCK_EX = 2;
const LOCK_NB = 4;

/**
 * Cuts a mounted file system off its disk: nothing that is not there already gets there any more, the journal
 * included. All further access fails.
 */
export function shutDownFileSystem(mountPoint: string): void {
  const file = openSync(mountPoint, 'r');
  try {
    const flags = Buffer.alloc(4);
    flags.writeUInt32LE(SHUTDOWN_WITHOUT_LOG);
    if (ioctl(file, FS_IOC_SHUTDOWN, 'void *', flags) !== 0)
      throw new Error(`${mountPoint} cannot be shut down (errno ${koffi.errno()})`);
  } finally {
    closeSync(file);
  }
}

/** Takes an exclusive lock on an open file; false: somebody else has it. The kernel drops it with the process. */
export function tryLock(file: number): boolean {
  return flock(file, LOCK_EX | LOCK_NB) === 0;
}
