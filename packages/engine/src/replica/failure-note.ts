/**
 * A note that a replica's sync failed, kept beside its disk: a disk that fails a sync may not take a note of it either. It lies in
 * the run directory, which a start of the host empties; that is how long the note is needed, since what was not synced is
 * known to be lost after that.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

export interface FailureNote {
  isThere(): boolean;
  /** Throws when it cannot be written. */
  write(): void;
  remove(): void;
}

/** The note of the replica in `directory`. */
export function failureNote(runFolder: string, directory: string): FailureNote {
  const name = createHash('sha256').update(resolve(directory)).digest('hex').slice(0, 32);
  const path = join(runFolder, 'sync-failed', name);
  return {
    isThere: () => existsSync(path),
    write: () => {
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, `${resolve(directory)}\n`);
    },
    remove: () => rmSync(path, { force: true }),
  };
}
