/** The work that is measured, and its result from fio or, for an engine without NBD, from our own generator. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { cpuMs } from './processes.ts';
import { driveSocket } from './socket-load.ts';
import type { System } from './systems.ts';

const run = promisify(execFile);

export interface Job {
  readonly name: string;
  readonly pattern: 'randwrite' | 'randread' | 'write' | 'read';
  readonly blockBytes: number;
  readonly depth: number;
  /** A flush after every write. */
  readonly isFlushed: boolean;
  /** IOPS as a ratio to the yardstick's that three replicas must reach; 0 = nothing is demanded. */
  readonly required: number;
  /** The ratio that we would like. */
  readonly aim: number;
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

const job = (
  name: string,
  pattern: Job['pattern'],
  blockBytes: number,
  depth: number,
  required: number,
  aim: number,
  isFlushed = false,
): Job => ({ name, pattern, blockBytes, depth, required, aim, isFlushed });

export const JOBS: readonly Job[] = [
  job('4k random write QD1', 'randwrite', 4096, 1, 1, 1.2),
  job('4k random write QD16', 'randwrite', 4096, 16, 1.5, 2.5),
  job('4k random write QD64', 'randwrite', 4096, 64, 0, 3.5),
  job('4k random read QD1', 'randread', 4096, 1, 1, 1.7),
  job('4k random read QD16', 'randread', 4096, 16, 2, 3),
  job('4k random read QD64', 'randread', 4096, 64, 0, 4.5),
  job('128k write QD16', 'write', 131072, 16, 0.5, 0.8),
  job('128k read QD16', 'read', 131072, 16, 0.5, 0.8),
  job('4k write, flush each', 'randwrite', 4096, 1, 0, 1, true),
];

/** Writes the whole volume once, so that all systems have the same allocated blocks. */
export async function fill(system: System, sizeBytes: number): Promise<void> {
  if (system.nbdUri === null) {
    const seconds = Number.POSITIVE_INFINITY;
    const operationsMax = sizeBytes / FILL.blockBytes;
    await driveSocket(system.socketPath ?? '', { ...FILL, sizeBytes, seconds, operationsMax });
    return;
  }
  const args = ['--name=fill', '--ioengine=nbd', `--uri=${system.nbdUri}`, '--rw=write', '--bs=1m', '--iodepth=4'];
  await run('fio', [...args, `--size=${sizeBytes}`, '--end_fsync=1', '--output-format=json']);
}

const FILL = job('fill', 'write', 1 << 20, 4, 0, 0);

/** Writes blocks of many sizes with checksums in them and reads all back; rejects when one is not what was written. */
export async function verify(system: System, sizeBytes: number): Promise<void> {
  if (system.nbdUri === null) throw new Error(`${system.name} has no NBD to verify by`);
  const args = ['--name=verify', '--ioengine=nbd', `--uri=${system.nbdUri}`, '--rw=randwrite', '--bsrange=4k-256k'];
  args.push('--iodepth=16', `--size=${Math.min(sizeBytes, VERIFY_BYTES_MAX)}`, '--verify=crc32c', '--do_verify=1');
  args.push('--verify_fatal=1', '--randrepeat=0', '--output-format=json');
  await run('fio', args, { maxBuffer: 16 << 20 });
}

const VERIFY_BYTES_MAX = 512 << 20;

export async function measure(system: System, work: Job, duration: Duration, sizeBytes: number): Promise<Result> {
  const before = cpuMs(system.pids);
  const { seconds, rampSeconds } = duration;
  const operationsMax = Number.POSITIVE_INFINITY;
  const { iops, latencyUs } =
    system.nbdUri === null
      ? await driveSocket(system.socketPath ?? '', { ...work, seconds, sizeBytes, operationsMax })
      : await driveFio(system.nbdUri, work, duration, sizeBytes);
  const usedMs = cpuMs(system.pids) - before;
  const operations = iops * (system.nbdUri === null ? seconds : seconds + rampSeconds);
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
  uri: string,
  work: Job,
  { seconds, rampSeconds }: Duration,
  sizeBytes: number,
): Promise<{ iops: number; latencyUs: number }> {
  const args = ['--name=bench', '--ioengine=nbd', `--uri=${uri}`, `--rw=${work.pattern}`, `--bs=${work.blockBytes}`];
  args.push(`--iodepth=${work.depth}`, `--size=${sizeBytes}`, `--runtime=${seconds}`, `--ramp_time=${rampSeconds}`);
  args.push('--time_based', '--randrepeat=0', '--norandommap', '--output-format=json');
  if (work.isFlushed) args.push('--fsync=1');
  const { stdout } = await run('fio', args, { maxBuffer: 16 << 20 });
  const report = JSON.parse(stdout.slice(stdout.indexOf('{'))) as { jobs: { read: FioSide; write: FioSide }[] };
  const [first] = report.jobs;
  if (!first) throw new Error('fio reported no job');
  const side = work.pattern.endsWith('read') ? first.read : first.write;
  return { iops: side.iops, latencyUs: side.lat_ns.mean / 1000 };
}
