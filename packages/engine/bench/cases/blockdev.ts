/**
 * The block device that a volume has on a node, /dev/longhorn/NAME by FUSE and a loop device, beside the same device with memory
 * behind it (memory-device-main.ts). Both are filled first; then each kind of load runs on ours and on the other.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { cleanupFrontends } from '../../src/frontend/cleanup.ts';
import { pino } from 'pino';
import { atLeast, type BenchCase, type CaseOptions, type Figure } from './bench-case.ts';
import { assertReplicasEqual, scaledBytes, withVolume } from './bench-volume.ts';
import { fill, randomIops, writeAndVerify, type FioTarget } from './fio.ts';

const SIZE_BYTES = 1 << 30;
const VERIFY_BYTES = 64 << 20;
/** Half of what the frontend alone can do, with three replicas to write to. */
const RATIO_MIN = 0.5;
const MEMORY_DEVICE = resolve(import.meta.dirname, 'memory-device-main.ts');

export const blockdevCase: BenchCase = {
  name: 'block device',
  run: (options) => {
    const sizeBytes = scaledBytes(SIZE_BYTES, options.scale);
    return withVolume(options, { name: 'blockdev', sizeBytes, over: 'device' }, (volume) =>
      withMemoryDevice(options, sizeBytes, async (memory) => {
        const figures = await compare(options, volume, memory);
        await writeAndVerify(volume, VERIFY_BYTES);
        await assertReplicasEqual(volume);
        return figures;
      }),
    );
  },
};

async function compare({ seconds, log }: CaseOptions, ours: FioTarget, memory: FioTarget): Promise<Figure[]> {
  await fill(ours);
  await fill(memory);
  const figures: Figure[] = [];
  for (const [pattern, words] of [
    ['randwrite', '4k random write QD16'],
    ['randread', '4k random read QD16'],
  ] as const) {
    const ourIops = await randomIops(ours, pattern, seconds);
    const memoryIops = await randomIops(memory, pattern, seconds);
    const detail = `${ourIops.toFixed(0)} IOPS, memory by the same frontend ${memoryIops.toFixed(0)} IOPS`;
    log(`${words}: ${detail}`);
    figures.push({ name: words, value: ourIops / memoryIops, unit: '', demand: atLeast(RATIO_MIN), detail });
  }
  return figures;
}

async function withMemoryDevice<T>(
  { folder }: CaseOptions,
  sizeBytes: number,
  work: (memory: FioTarget) => Promise<T>,
): Promise<T> {
  const runDir = join(folder, 'memory-device');
  const name = `bench-memory-${process.pid}`;
  mkdirSync(runDir);
  const child = spawn(process.execPath, [MEMORY_DEVICE, name, String(sizeBytes), runDir], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    return await work({ endpoint: await firstLine(child), sizeBytes });
  } finally {
    const isAlive = child.exitCode === null && child.signalCode === null;
    const ended = isAlive ? once(child, 'exit') : null;
    child.kill('SIGTERM');
    await ended;
    await cleanupFrontends({ volume: name, runDir, logger: pino({ level: 'error' }, process.stderr) });
    rmSync(runDir, { recursive: true, force: true });
  }
}

/** @throws when the process ends without a word */
async function firstLine(child: ChildProcess): Promise<string> {
  if (child.stdout === null) throw new Error('the memory device has no standard output');
  for await (const line of createInterface({ input: child.stdout })) return line;
  throw new Error('the memory device did not come up');
}
