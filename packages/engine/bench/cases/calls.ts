/**
 * What one 4 KiB I/O costs in system calls, sleeps and CPU, of the engine and of a replica, as the kernel counts it. Calls that move
 * data only (read, write and their vectors, on sockets and files): those that wait for events are about as many as the sleeps.
 */
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fill, measure } from '../jobs.ts';
import { cpuOf } from '../processes.ts';
import { PLAIN_VOLUME, startOurs, type OurSystem } from '../systems.ts';
import type { BenchCase, CaseOptions, Figure } from './bench-case.ts';
import { lastReplica, scaledBytes } from './bench-volume.ts';

const SIZE_BYTES = 2 ** 30;
const BLOCK_BYTES = 4096;
const DEPTHS = [1, 16, 64];
const WORDS = { randwrite: '4k random write', randread: '4k random read' } as const;

export const callsCase: BenchCase = {
  name: 'calls per I/O',
  async run(options) {
    const folder = mkdtempSync(join(options.folder, 'calls-'));
    const sizeBytes = scaledBytes(SIZE_BYTES, options.scale);
    let system: OurSystem | null = null;
    try {
      system = await startOurs({ ...PLAIN_VOLUME, name: 'ours', folder, replicas: 3, sizeBytes });
      await fill(system, sizeBytes);
      return await figuresOf(system, options, sizeBytes);
    } finally {
      await system?.stop();
      rmSync(folder, { recursive: true, force: true });
    }
  },
};

async function figuresOf(system: OurSystem, options: CaseOptions, sizeBytes: number): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const pattern of ['randwrite', 'randread'] as const) {
    for (const depth of DEPTHS) {
      figures.push(...(await measureWork(system, { pattern, depth }, options.seconds, sizeBytes)));
    }
  }
  return figures;
}

async function measureWork(
  system: OurSystem,
  { pattern, depth }: { pattern: keyof typeof WORDS; depth: number },
  seconds: number,
  sizeBytes: number,
): Promise<Figure[]> {
  const { volume } = system;
  const [engine, replica] = [volume.enginePid, volume.replicaPid(lastReplica(volume))];
  const before = [usageOf(engine), usageOf(replica)];
  const work = { pattern, blockBytes: BLOCK_BYTES, depth, isFlushed: false };
  const { iops } = await measure(system, work, { seconds, rampSeconds: 0 }, sizeBytes);
  const after = [usageOf(engine), usageOf(replica)];
  const operations = iops * seconds;
  return ['engine', 'replica on TCP'].map((who, i) => {
    const each = (field: keyof Usage): number => ((after[i]?.[field] ?? 0) - (before[i]?.[field] ?? 0)) / operations;
    const calls = `${each('reads').toFixed(2)} reads, ${each('writes').toFixed(2)} writes, ${each('sleeps').toFixed(2)} sleeps`;
    const cpu = `${each('userUs').toFixed(1)} us of CPU in user space, ${each('kernelUs').toFixed(1)} us in the kernel`;
    return {
      name: `${who}, ${WORDS[pattern]} QD${depth}`,
      value: each('reads') + each('writes'),
      unit: 'calls',
      demand: null,
      detail: `${calls}, ${cpu}`,
    };
  });
}

/** Since the start of a process, all threads. */
interface Usage {
  readonly reads: number;
  readonly writes: number;
  readonly sleeps: number;
  readonly userUs: number;
  readonly kernelUs: number;
}

function usageOf(pid: number): Usage {
  const io = readFileSync(`/proc/${pid}/io`, 'utf8');
  const { userMs, kernelMs } = cpuOf(pid);
  return {
    reads: numberAfter(io, 'syscr'),
    writes: numberAfter(io, 'syscw'),
    sleeps: readdirSync(`/proc/${pid}/task`).reduce((sum, thread) => sum + sleepsOf(pid, thread), 0),
    userUs: userMs * 1000,
    kernelUs: kernelMs * 1000,
  };
}

function sleepsOf(pid: number, thread: string): number {
  try {
    return numberAfter(readFileSync(`/proc/${pid}/task/${thread}/status`, 'utf8'), 'voluntary_ctxt_switches');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0; // it has ended since
    throw error;
  }
}

function numberAfter(text: string, name: string): number {
  const found = new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1];
  if (found === undefined) throw new Error(`the kernel tells no ${name}`);
  return Number(found);
}
