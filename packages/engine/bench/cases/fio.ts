/** fio on a volume's device: one run to its end, or load that goes on until it is stopped. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { promisify } from 'node:util';

const run = promisify(execFile);

export const BLOCK_BYTES = 4096;
/** What the cases call load: 4 KiB blocks, 16 at a time. */
const DEPTH = 16;
const OUTPUT_BYTES_MAX = 16 << 20;
const STRETCH_MS = 200;
/** For fio to answer what is in flight and to write its logs. */
const STOP_MS = 60_000;
/** fio's exit code after SIGINT when nothing has failed. */
const EXIT_STOPPED = 128;
/** A load that nobody stops ends by itself. */
const LOAD_SECONDS_MAX = 1800;

export interface FioSide {
  readonly iops: number;
  readonly total_ios: number;
}

/** What fio reports of one of its jobs. */
export interface FioJob {
  readonly read: FioSide;
  readonly write: FioSide;
}

/** What fio works on: a volume's endpoint, which is an NBD URI or a block device, and how many bytes of it. */
export interface FioTarget {
  readonly endpoint: string;
  readonly sizeBytes: number;
}

/** One job with the given options. @throws when fio fails, with what it wrote on standard error */
export async function fio(target: FioTarget, options: readonly string[]): Promise<FioJob> {
  const args = ['--output-format=json', '--name=job', ...targetOptions(target), ...options];
  const { stdout } = await run('fio', args, { maxBuffer: OUTPUT_BYTES_MAX });
  const [job] = jobsOf(stdout);
  if (job === undefined) throw new Error('fio reported no job');
  return job;
}

/** 4 KiB random I/O at depth 16 for so long; IOPS. A fifth as long runs before it unmeasured. */
export async function randomIops(
  target: FioTarget,
  pattern: 'randread' | 'randwrite',
  seconds: number,
): Promise<number> {
  const times = [`--runtime=${seconds}`, `--ramp_time=${Math.max(0.5, seconds / 5)}`, '--time_based'];
  const job = await fio(target, [...randomOptions(pattern), ...times]);
  return pattern === 'randread' ? job.read.iops : job.write.iops;
}

/** Writes all of it once and flushes. */
export async function fill(target: FioTarget): Promise<void> {
  await fio(target, ['--rw=write', '--bs=1m', '--iodepth=4', '--end_fsync=1']);
}

/** Writes all of it once with a word of 32 bits, and flushes. */
export async function fillWith(target: FioTarget, word: number): Promise<void> {
  await fio(target, ['--rw=write', '--bs=1m', '--iodepth=4', `--buffer_pattern=${hex(word)}`, '--end_fsync=1']);
}

/** @throws when a range reads as anything else than that word */
export async function readsAs(
  target: FioTarget,
  word: number,
  { offset, length }: { offset: number; length: number },
): Promise<void> {
  const range = ['--rw=read', '--bs=1m', '--iodepth=4', `--offset=${offset}`];
  const verify = ['--verify=pattern', `--verify_pattern=${hex(word)}`, '--verify_fatal=1'];
  await fio({ ...target, sizeBytes: length }, [...range, ...verify]);
}

/** 4 KiB at random, so many of them; for the same seed, size and word always the same bytes at the same places. */
export async function scatter(target: FioTarget, writes: number, seed: number, word: number): Promise<void> {
  const places = ['--rw=randwrite', `--bs=${BLOCK_BYTES}`, '--iodepth=16', '--norandommap', `--randseed=${seed}`];
  await fio(target, [...places, `--io_size=${writes * BLOCK_BYTES}`, `--buffer_pattern=${hex(word)}`]);
}

function hex(word: number): string {
  return `0x${word.toString(16).padStart(8, '0')}`;
}

/** Writes blocks of many sizes with checksums in them and reads all back. @throws when one is not what was written */
export async function writeAndVerify(target: FioTarget, bytesMax: number): Promise<void> {
  const sizeBytes = Math.min(target.sizeBytes, bytesMax);
  const options = ['--rw=randwrite', '--bsrange=4k-256k', '--iodepth=16', '--randrepeat=0'];
  await fio({ ...target, sizeBytes }, [...options, '--verify=crc32c', '--do_verify=1', '--verify_fatal=1']);
}

/** 4 KiB random I/O at depth 16, with other blocks in each run. */
export function randomOptions(pattern: 'randread' | 'randwrite'): string[] {
  return [`--rw=${pattern}`, `--bs=${BLOCK_BYTES}`, `--iodepth=${DEPTH}`, '--randrepeat=0', '--norandommap'];
}

/** For `readFioLog`: a line for each I/O in the file `ioLogPath`, with its time on the clock of `Date.now` and its place. */
export function ioLogOptions(prefix: string): string[] {
  const only = ['--disable_clat=1', '--disable_slat=1'];
  return [`--write_lat_log=${prefix}`, '--log_offset=1', '--log_unix_epoch=1', ...only];
}

/** Of the only job of a load. */
export function ioLogPath(prefix: string): string {
  return `${prefix}_lat.1.log`;
}

/** For `readFioLog`: IOPS of every stretch of 200 ms, in the file `averageLogPath`. */
export function averageLogOptions(prefix: string): string[] {
  return [`--write_iops_log=${prefix}`, `--log_avg_msec=${STRETCH_MS}`, '--log_unix_epoch=1'];
}

/** `job`: its place among those of a load, from 0. */
export function averageLogPath(prefix: string, job: number): string {
  return `${prefix}_iops.${job + 1}.log`;
}

export interface Load {
  /** Ends it; its logs are written then. @throws when fio has failed, also before */
  stop(): Promise<void>;
}

/** Load that goes on until it is stopped: one fio job for each list of options. */
export function startLoad(target: FioTarget, jobs: readonly (readonly string[])[]): Load {
  const common = ['--output-format=json', '--name=global', '--time_based', `--runtime=${LOAD_SECONDS_MAX}`];
  const args = jobs.flatMap((options, i) => [`--name=job${i}`, ...targetOptions(target), ...options]);
  const child = spawn('fio', [...common, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
  const ended = once(child, 'close');
  // A failure is told by `stop`; until then it must not count as unhandled.
  ended.catch(() => undefined);
  return {
    async stop() {
      const isEarly = child.exitCode !== null;
      child.kill('SIGINT');
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
      const [code] = (await ended.finally(() => clearTimeout(timer))) as [number | null];
      if (isEarly || code !== EXIT_STOPPED) throw new Error(`fio ended with ${code}: ${errors.trim()}`);
    },
  };
}

function targetOptions({ endpoint, sizeBytes }: FioTarget): string[] {
  const engine = endpoint.startsWith('/')
    ? ['--ioengine=libaio', '--direct=1', `--filename=${endpoint}`]
    : ['--ioengine=nbd', `--uri=${endpoint}`];
  return [...engine, `--size=${sizeBytes}`];
}

function jobsOf(output: string): FioJob[] {
  const report = JSON.parse(output.slice(output.indexOf('{'))) as { jobs: FioJob[] };
  return report.jobs;
}
