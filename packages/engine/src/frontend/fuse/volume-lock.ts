/**
 * One process at a time makes, serves or removes the device of a volume on a node. The lock is the kernel's (flock),
 * so it ends with its holder however that dies; the file holds the pid only to tell people.
 */
import {
  closeSync,
  existsSync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { tryLock } from './linux.ts';

export interface VolumeLock {
  release(): void;
}

/** Takes the lock, or returns the pid (as text) of the process that has it. */
export const lockVolume = (path: string): VolumeLock | { heldBy: string } => {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  for (;;) {
    const fd = openSync(path, 'a+', 0o600);
    if (!tryLock(fd, path)) {
      closeSync(fd);
      return { heldBy: existsSync(path) ? readFileSync(path, 'latin1').trim() : '' };
    }
    // Whoever had the lock before may have removed the file: then this is the lock of a file that nobody sees.
    if (existsSync(path) && statSync(path).ino === fstatSync(fd).ino) {
      ftruncateSync(fd);
      writeSync(fd, `${process.pid}\n`);
      return {
        release: () => {
          rmSync(path, { force: true });
          closeSync(fd);
        },
      };
    }
    closeSync(fd);
  }
};
