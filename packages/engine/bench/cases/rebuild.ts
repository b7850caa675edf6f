/**
 * How fast a replica on another host is rebuilt from nothing, and what it costs when 4 KiB of data and of nothing take turns.
 *
 * A rebuild is what `longhorn add-replica` does, from its start to its end: a snapshot, the copy of the layers over TCP with a sync at its
 * end, the comparison of checksums, the membership. Its rate is the data of the volume by that time. What it is compared with is
 * `cp` of the same layer to another file of the same file system, and `sync` of that file.
 *
 * What is cached: the volume was written just before, and its replicas' files were then synced. So both read from the page cache,
 * as far as the machine's memory holds the replicas, and both write to an idle disk.
 */
import { execFile } from 'node:child_process';
import { readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { atLeast, type BenchCase, type CaseOptions, type Figure } from './bench-case.ts';
import {
  assertReplicasEqual,
  lastReplica,
  rebuild,
  scaledBytes,
  withFlow,
  withVolume,
  type BenchVolume,
} from './bench-volume.ts';
import { BLOCK_BYTES, fill, fio } from './fio.ts';

const run = promisify(execFile);

const DENSE_BYTES = 2 * (1 << 30);
const SPARSE_SPAN_BYTES = 1 << 30;
const DENSE_RATIO_MIN = 0.7;
const SPARSE_RATIO_MIN = 0.5;
/** `blocks` of stat(2). */
const STAT_BLOCK_BYTES = 512;

export const rebuildCase: BenchCase = {
  name: 'rebuild',
  async run(options) {
    const denseBytes = scaledBytes(DENSE_BYTES, options.scale);
    const sparseBytes = scaledBytes(SPARSE_SPAN_BYTES, options.scale);
    const dense = await withVolume(options, { name: 'dense', sizeBytes: denseBytes, over: 'socket' }, (volume) =>
      measureDense(options, volume),
    );
    const sparseRate = await withVolume(options, { name: 'sparse', sizeBytes: sparseBytes, over: 'socket' }, (volume) =>
      measureSparse(options, volume),
    );
    const detail = `${megabytes(sparseRate)} of data, 4k data and 4k hole by turns; dense ${megabytes(dense.rate)}`;
    const ratio = sparseRate / dense.rate;
    return [
      dense.figure,
      { name: 'data and holes by turns / dense', value: ratio, unit: '', demand: atLeast(SPARSE_RATIO_MIN), detail },
    ];
  },
};

async function measureDense(options: CaseOptions, volume: BenchVolume): Promise<{ rate: number; figure: Figure }> {
  await fill(volume);
  await syncReplicas(volume);
  const before = await copyRate(options, volume);
  const rate = await rebuildRate(options, volume);
  const copyRates = [before, await copyRate(options, volume)];
  const copied = copyRates.reduce((sum, each) => sum + each, 0) / copyRates.length;
  const detail = `${megabytes(rate)}; cp and sync ${copyRates.map(megabytes).join(' before, ')} after`;
  const figure = {
    name: 'dense / cp and sync',
    value: rate / copied,
    unit: '',
    demand: atLeast(DENSE_RATIO_MIN),
    detail,
  };
  return { rate, figure };
}

async function measureSparse(options: CaseOptions, volume: BenchVolume): Promise<number> {
  const half = volume.sizeBytes / 2;
  const turns = [`--rw=write:${BLOCK_BYTES}`, `--bs=${BLOCK_BYTES}`, '--iodepth=16', `--io_size=${half}`];
  await fio(volume, [...turns, '--end_fsync=1']);
  const { path } = largestLayer(volume);
  const heldBytes = statSync(path).blocks * STAT_BLOCK_BYTES;
  if (heldBytes > half * 1.1) throw new Error(`${path} holds ${heldBytes} bytes, ${half} were written`);
  await syncReplicas(volume);
  return rebuildRate(options, volume);
}

/** Wipes the last replica and rebuilds it; bytes of data a second. @throws when it then holds something else than the others */
async function rebuildRate({ folder, log }: CaseOptions, volume: BenchVolume): Promise<number> {
  const { processes } = volume;
  const dataBytes = statSync(largestLayer(volume).path).blocks * STAT_BLOCK_BYTES;
  const last = lastReplica(processes);
  await processes.removeReplica(last);
  await processes.wipeReplica(last);
  processes.startReplica(last);
  await processes.untilListening(last);
  await touchMemory(folder, dataBytes);
  const seconds = await withFlow(volume, async (flow) => {
    const begunMs = performance.now();
    await rebuild(volume, flow, last);
    return (performance.now() - begunMs) / 1000;
  });
  log(`rebuilt ${(dataBytes / 1e6).toFixed(0)} MB in ${seconds.toFixed(2)} s`);
  await assertReplicasEqual(volume);
  return dataBytes / seconds;
}

/** Bytes a second of `cp` and `sync` of the file with the volume's data. */
async function copyRate({ folder, log }: CaseOptions, volume: BenchVolume): Promise<number> {
  const { path, sizeBytes } = largestLayer(volume);
  const copy = join(folder, 'copy.img');
  await touchMemory(folder, sizeBytes);
  try {
    const begunMs = performance.now();
    await run('cp', [path, copy]);
    await run('sync', [copy]);
    const seconds = (performance.now() - begunMs) / 1000;
    log(`cp and sync of ${(sizeBytes / 1e6).toFixed(0)} MB in ${seconds.toFixed(2)} s`);
    return sizeBytes / seconds;
  } finally {
    rmSync(copy, { force: true });
  }
}

/**
 * Has the page cache use as much memory as what is measured next will. A virtual machine that gives free memory back to its host has
 * each page brought by the host when it is used again, at a tenth of the speed, and not in the same number for each measurement.
 */
async function touchMemory(folder: string, bytes: number): Promise<void> {
  const path = join(folder, 'touched.img');
  try {
    await run('dd', ['if=/dev/zero', `of=${path}`, 'bs=1M', `count=${Math.ceil(bytes / (1 << 20))}`, 'conv=fsync']);
  } finally {
    rmSync(path, { force: true });
  }
}

/** So that the disk has nothing else to write while something is measured. */
async function syncReplicas({ processes }: BenchVolume): Promise<void> {
  for (const replica of processes.replicaNames) await run('sync', ['-f', processes.folderOf(replica)]);
}

/** Of the first replica; the head before a rebuild, the rebuild's snapshot after it. */
function largestLayer({ processes }: BenchVolume): { path: string; sizeBytes: number } {
  const folder = processes.folderOf(processes.replicaNames[0] ?? '');
  const layers = readdirSync(folder)
    .filter((file) => file.endsWith('.img'))
    .map((file) => ({ path: join(folder, file), stat: statSync(join(folder, file)) }))
    .toSorted((a, b) => b.stat.blocks - a.stat.blocks);
  const [largest] = layers;
  if (largest === undefined) throw new Error(`${folder} holds no layer`);
  return { path: largest.path, sizeBytes: largest.stat.size };
}

function megabytes(bytesPerSecond: number): string {
  return `${(bytesPerSecond / 1e6).toFixed(0)} MB/s`;
}
