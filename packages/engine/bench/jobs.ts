/** The work that is measured, and its result from fio or, for an engine without NBD, from our own generator. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { cpuMs } from './processes.ts';
import { driveSocket } from './socket-load.ts';
import type { NbdAccess, System } from './systems.ts';

const run = promisify(execFile);
/** Somebody without privileges, for fio with certificates of its own: as root libnbd looks for them in /etc. */
const NOBODY = 65_534;
const FIO_OUTPUT_BYTES_MAX = 16 << 20;
const VERIFY_BYTES_MAX = 512 << 20;

export interface Work {
  readonly pattern: 'randwrite' | 'randread' | 'write' | 'read';
  readonly blockBytes: number;
  readonly depth: number;
  /** A flush after every write. */
  readonly isFlushed: boolean;
}

export interface Job extends Work {
  readonly name: string;
  /** IOPS as a ratio to the yardstick's that three replicas must reach. */
  readonly leastRatio: number;
  /** CPU time per I/O of all processes but fio's, as a ratio to the yardstick's, that three replicas may take; null: any. */
  readonly mostCpuRatio: number | null;
}

export interface Result {
  readonly iops: number;
  readonly latencyUs: number;
  readonly mbPerSecond: number;
  readonly cpuUsPerIo: number;
}

/** How long a job is measured, and how long it runs before that. */
export interface Duration {
  readonly seconds: number;
  readonly rampSeconds: number;
}

const SMALL = 4096;
const LARGE = 128 << 10;
const CPU_RATIO_MAX = 0.5;

function small(name: string, pattern: Work['pattern'], depth: number, leastRatio: number): Job {
  return { name, pattern, blockBytes: SMALL, depth, isFlushed: false, leastRatio, mostCpuRatio: CPU_RATIO_MAX };
}

function large(name: string, pattern: Work['pattern']): Job {
  return { name, pattern, blockBytes: LARGE, depth: 16, isFlushed: false, leastRatio: 0.8, mostCpuRatio: null };
}

export const LARGE_WRITE: Job = large('128k write QD16', 'write');
export const LARGE_READ: Job = large('128k read QD16', 'read');

/** The table of demands in docs/benchmarks.md. */
export const JOBS: readonly Job[] = [
  small('4k random write QD1', 'randwrite', 1, 1.2),
  small('4k random write QD16', 'randwrite', 16, 2.5),
  small('4k random write QD64', 'randwrite', 64, 3.5),
  small('4k random read QD1', 'randread', 1, 1.7),
  small('4k random read QD16', 'randread', 16, 3),
  small('4k random read QD64', 'randread', 64, 4.5),
  LARGE_WRITE,
  LARGE_READ,
  // Most of its CPU is the file system's, on both sides.
  { ...small('4k write, flush each', 'randwrite', 1, 1), isFlushed: true, mostCpuRatio: null },
];

/** Writes the first `fillBytes` of the volume once, so that all systems have the same allocated blocks. */
export async function fill(system: System, fillBytes: number): Promise<void> {
  const work: Work = { pattern: 'write', blockBytes: 1 << 20, depth: 4, isFlushed: false };
  if (system.nbd === null) {
    const limits = { seconds: Number.POSITIVE_INFINITY, operationsMax: fillBytes / work.blockBytes };
    await driveSocket(system.socketPath ?? '', { ...work, ...limits, sizeBytes: fillBytes });
    return;
  }
  await fio(system.nbd, 'fill', [...argumentsOf(work), `--size=${fillBytes}`, '--end_fsync=1']);
}

/** Writes blocks of many sizes with checksums in them and reads all back; rejects when one is not what was written. */
export async function verify(system: System, sizeBytes: number): Promise<void> {
  if (system.nbd === null) throw new Error(`${system.name} has no NBD to verify by`);
  const args = ['--rw=randwrite', '--bsrange=4k-256k', '--iodepth=16', '--randrepeat=0'];
  args.push(`--size=${Math.min(sizeBytes, VERIFY_BYTES_MAX)}`, '--verify=crc32c', '--do_verify=1', '--verify_fatal=1');
  await fio(system.nbd, 'verify', args);
}

/** One job over the first `sizeBytes` of the volume. */
export async function measure(system: System, work: Work, duration: Duration, sizeBytes: number): Promise<Result> {
  const before = cpuMs(system.pids);
  const { seconds, rampSeconds } = duration;
  const operationsMax = Number.POSITIVE_INFINITY;
  const { iops, latencyUs } =
    system.nbd === null
      ? await driveSocket(system.socketPath ?? '', { ...work, seconds, sizeBytes, operationsMax })
      : await driveFio(system.nbd, work, duration, sizeBytes);
  const usedMs = cpuMs(system.pids) - before;
  const operations = iops * (system.nbd === null ? seconds : seconds + rampSeconds);
  return {
    iops,
    latencyUs,
    mbPerSecond: (iops * work.blockBytes) / 1e6,
    cpuUsPerIo: operations === 0 ? 0 : (usedMs * 1000) / operations,
  };
}

interface FioSide {
  iops: number;
  lat_ns: { mean: number };
}

async function driveFio(
  nbd: NbdAccess,
  work: Work,
  { seconds, rampSeconds }: Duration,
  sizeBytes: number,
): Promise<{ iops: number; latencyUs: number }> {
  const args = [...argumentsOf(work), `--size=${sizeBytes}`, `--runtime=${seconds}`, `--ramp_time=${rampSeconds}`];
  args.push('--time_based', '--randrepeat=0', '--norandommap');
  if (work.isFlushed) args.push('--fsync=1');
  const stdout = await fio(nbd, 'bench', args);
  const report = JSON.parse(stdout.slice(stdout.indexOf('{'))) as { jobs: { read: FioSide; write: FioSide }[] };
  const [first] = report.jobs;
  if (!first) throw new Error('fio reported no job');
  const side = work.pattern.endsWith('read') ? first.read : first.write;
  return { iops: side.iops, latencyUs: side.lat_ns.mean / 1000 };
}

function argumentsOf({ pattern, blockBytes, depth }: Work): string[] {
  return [`--rw=${pattern}`, `--bs=${blockBytes}`, `--iodepth=${depth}`];
}

/** Its standard output: a report in JSON, with warnings before it. */
async function fio({ uri, home }: NbdAccess, name: string, args: readonly string[]): Promise<string> {
  const all = [`--name=${name}`, '--ioengine=nbd', `--uri=${uri}`, ...args, '--output-format=json'];
  const asNobody = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};
  const place = home === null ? {} : { cwd: home, env: { ...process.env, HOME: home }, ...asNobody };
  const { stdout } = await run('fio', all, { maxBuffer: FIO_OUTPUT_BYTES_MAX, encoding: 'utf8', ...place });
  return stdout;
}
