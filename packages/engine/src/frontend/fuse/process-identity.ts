/** Which process is which, by /proc: a pid alone is used again, pid and start time together are not. */
import { readFileSync, readdirSync } from 'node:fs';
import type { ProcessIdentity } from './device-record.ts';

/** Reads a file of /proc; null when the process is gone. */
export const readProcess = (pid: number, file: string): string | null => {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ESRCH' || code === 'EACCES') return null;
    throw error;
  }
};

/** Start time in clock ticks since boot; null when there is no such process, or it is dead and only not yet reaped. */
export const startTicksOf = (pid: number): number | null => {
  const stat = readProcess(pid, 'stat');
  if (stat === null) return null;
  // The second field is the name in parentheses and may hold anything; fields 3 and 22 are state and start time.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  if (fields[0] === 'Z' || fields[0] === 'X') return null;
  return Number(fields[19]);
};

export const isSameProcess = (identity: ProcessIdentity): boolean => startTicksOf(identity.pid) === identity.startTicks;

/** Whether a process was started with exactly this in its environment. */
export const hasEnvironment = (pid: number, name: string, value: string): boolean =>
  (readProcess(pid, 'environ') ?? '').split('\0').includes(`${name}=${value}`);

/**
 * All processes of an executable whose environment names the variable, with its value. The name is looked at first: reading
 * the environment of a process that hangs in exec(2) would hang, too.
 */
export const processesWithEnvironment = (executable: string, name: string): { pid: number; value: string }[] => {
  const found: { pid: number; value: string }[] = [];
  for (const entry of readdirSync('/proc')) {
    const pid = Number(entry);
    if (!Number.isInteger(pid) || readProcess(pid, 'comm')?.trim() !== executable) continue;
    const line = (readProcess(pid, 'environ') ?? '').split('\0').find((text) => text.startsWith(`${name}=`));
    if (line !== undefined) found.push({ pid, value: line.slice(name.length + 1) });
  }
  return found;
};
