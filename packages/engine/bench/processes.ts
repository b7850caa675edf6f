/** Starts the processes of a benchmark and reads what they cost from /proc. */
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';

/** Kernel ticks per second of `/proc/PID/stat` (USER_HZ), 100 on every Linux that runs this. */
const TICKS_PER_SECOND = 100;
const STOP_TIMEOUT_MS = 5000;
/** What a program may take to listen. */
export const LISTENING_MS = 20_000;

export interface Running {
  readonly name: string;
  readonly pid: number;
  isAlive(): boolean;
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
  closeSync(log);
  child.on('error', () => undefined);
  if (child.pid === undefined) throw new Error(`cannot start ${command}`);
  return { name, pid: child.pid, isAlive: () => isAlive(child), stop: () => stopChild(child) };
}

function isAlive({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode === null && signalCode === null;
}

async function stopChild(child: ChildProcess): Promise<void> {
  if (!isAlive(child)) return;
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
  await ended;
  clearTimeout(timer);
}

/** The last one that was started first. */
export async function stopAll(running: readonly Running[]): Promise<void> {
  for (const process of running.toReversed()) await process.stop();
}

/** Does `work`, which starts processes and puts them into the list; when it throws they are stopped. */
export async function startingOrStopped<T>(work: (running: Running[]) => Promise<T>): Promise<T> {
  const running: Running[] = [];
  try {
    return await work(running);
  } catch (error) {
    await stopAll(running);
    throw error;
  }
}

/** Kills whatever this process has started, and what that has started: for an end by a signal, when nothing may be waited for. */
export function killDescendants(pid: number = process.pid): void {
  for (const child of childrenOf(pid)) {
    killDescendants(child);
    try {
      process.kill(child, 'SIGKILL');
    } catch {
      // It has ended by itself.
    }
  }
}

function childrenOf(pid: number): number[] {
  try {
    const listed = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
    return listed.split(' ').filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

/** Milliseconds of CPU. */
export interface CpuTime {
  readonly userMs: number;
  readonly kernelMs: number;
}

/** What a process has used, its threads included. */
export function cpuOf(pid: number): CpuTime {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const msOf = (field: string | undefined): number => (Number(field) * 1000) / TICKS_PER_SECOND;
  return { userMs: msOf(fields[11]), kernelMs: msOf(fields[12]) };
}

/** Milliseconds of CPU that processes have used, threads included. */
export function cpuMs(pids: readonly number[]): number {
  return pids.map(cpuOf).reduce((sum, { userMs, kernelMs }) => sum + userMs + kernelMs, 0);
}

/** Proportional share of memory of processes, in bytes: what several processes have together counts once in the sum. */
export function pssBytes(pids: readonly number[]): number {
  let kib = 0;
  for (const pid of pids) {
    const match = /^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'));
    kib += Number(match?.[1] ?? 0);
  }
  return kib * 1024;
}
