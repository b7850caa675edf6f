/** Starts the processes of a benchmark and reads what they cost from /proc. */
import { spawn, type ChildProcess } from 'node:child_process';
import { openSync, readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';

/** Kernel ticks per second of `/proc/PID/stat` (USER_HZ), 100 on every Linux that runs this. */
const TICKS_PER_SECOND = 100;
const STOP_TIMEOUT_MS = 5000;

export interface Running {
  readonly name: string;
  readonly pid: number;
  stop(): Promise<void>;
}

/** Starts a program; its output goes to `logFile`. */
export function start(
  name: string,
  command: string,
  args: readonly string[],
  logFile: string,
  environment: NodeJS.ProcessEnv = {},
): Running {
  const log = openSync(logFile, 'a');
  const child = spawn(command, args, { stdio: ['ignore', log, log], env: { ...process.env, ...environment } });
  if (child.pid === undefined) throw new Error(`cannot start ${command}`);
  return { name, pid: child.pid, stop: () => stopChild(child) };
}

async function stopChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
  await ended;
  clearTimeout(timer);
}

/** Tries `check` until it is true. */
export async function until(what: string, check: () => boolean | Promise<boolean>, timeoutMs = 20_000): Promise<void> {
  const end = performance.now() + timeoutMs;
  while (!(await check())) {
    if (performance.now() > end) throw new Error(`${what} did not happen within ${timeoutMs} ms`);
    await pause(50);
  }
}

/** Milliseconds of CPU that processes have used, threads included. */
export function cpuMs(pids: readonly number[]): number {
  let ticks = 0;
  for (const pid of pids) {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    ticks += Number(fields[11]) + Number(fields[12]);
  }
  return (ticks * 1000) / TICKS_PER_SECOND;
}

/** Proportional share of memory of processes, in MiB. */
export function pssMiB(pids: readonly number[]): number {
  let kib = 0;
  for (const pid of pids) {
    const match = /^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'));
    kib += Number(match?.[1] ?? 0);
  }
  return kib / 1024;
}
