/** Block devices of killed engines: their nodes, loop devices, mounts and the holders that outlive them on purpose. */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { PROGRAM } from '../testing/volume-processes.ts';

/** Where a run directory has what there is to know of its devices. */
const DEVICES = 'devices';
const ATTEMPTS = 10;

/** Removes those of every run directory below the folder, and waits for it. */
export function removeDevices(folder: string): void {
  const found = readdirSync(folder, { recursive: true, withFileTypes: true });
  for (const entry of found.filter(({ name }) => name === DEVICES)) {
    const runDir = dirname(join(entry.parentPath, entry.name));
    const left = leftAfter(ATTEMPTS, runDir);
    if (left !== '') console.error(`devices of ${runDir} are left:\n${left}`);
  }
}

/** What the last attempt says that it could not remove: a killed engine holds its lock until it is really gone. */
function leftAfter(attempts: number, runDir: string): string {
  const env = { ...process.env, LONGHORN_RUN_DIR: runDir };
  const { status, stderr, error } = spawnSync(PROGRAM, ['frontend', 'cleanup', '--all'], { env, encoding: 'utf8' });
  if (status === 0) return '';
  return attempts > 1 ? leftAfter(attempts - 1, runDir) : `${stderr}${error?.message ?? ''}`;
}
