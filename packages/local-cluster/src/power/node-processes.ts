/** Processes of a node, found by the mark in their environment: also those that deliberately outlive their parents. */
import { readdirSync, readFileSync } from 'node:fs';
import type { Pause } from './node-disk.ts';

const KILL_ROUNDS = 100;
const KILL_PAUSE_MS = 50;

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return ''; // ended between listing and reading, or another user's
  }
}

/** Ids of the processes whose LONGHORN_NODE_MARK is `mark`, or begins with it when it ends in `/`. Zombies are left out. */
export function markedProcessIds(mark: string): number[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .filter((entry) => {
      const own = /(?:^|\0)LONGHORN_NODE_MARK=([^\0]*)/.exec(read(`/proc/${entry}/environ`))?.[1];
      return own !== undefined && (own === mark || (mark.endsWith('/') && own.startsWith(mark)));
    })
    .map(Number)
    .filter((pid) => pid !== process.pid);
}

/** SIGKILL to all of them, again and again until none is left (they may be starting others). */
export async function killMarkedProcesses(mark: string, pause: Pause): Promise<void> {
  for (let round = 0; round < KILL_ROUNDS; round++) {
    const pids = markedProcessIds(mark);
    if (pids.length === 0) return;
    for (const pid of pids) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch (error) {
        if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
      }
    }
    await pause(KILL_PAUSE_MS);
  }
  throw new Error(`processes of ${mark} do not end: ${markedProcessIds(mark).join(', ')}`);
}
