/**
 * The data path beside the yardstick: `nx run engine:bench -- [options]`.
 *
 *     --runs N       each job so often, systems in turn; medians are printed (3)
 *     --seconds S    per job and run (5)
 *     --replicas N   1 or 3 (3)
 *     --size MIB     of the volume, all written before (2048)
 *     --folder F     where the replicas lie; a folder of its own is made there (the system's temporary folder)
 *     --jobs TEXT    only jobs whose name contains it
 *     --only NAME    only this system: ours, quorum, peer
 *
 * Wants fio with its nbd engine and, for the yardstick, qemu-storage-daemon (Debian: apt install fio qemu-system-common).
 * PEER_ENGINE names another engine's executable; it is driven over upstream's socket protocol by a generator of our own.
 */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { fill, JOBS, measure, type Job, type Result } from './jobs.ts';
import { pssMiB } from './processes.ts';
import { hasQuorum, removeFolder, startOurs, startPeer, startQuorum, type System } from './systems.ts';

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '5' },
    replicas: { type: 'string', default: '3' },
    size: { type: 'string', default: '2048' },
    folder: { type: 'string', default: tmpdir() },
    jobs: { type: 'string', default: '' },
    only: { type: 'string', default: '' },
  },
});
const [runs, seconds, replicas] = [Number(values.runs), Number(values.seconds), Number(values.replicas)];
const sizeBytes = Number(values.size) << 20;
if (!(runs >= 1 && seconds > 0 && replicas >= 1 && replicas <= 8 && sizeBytes >= 64 << 20)) {
  throw new Error('--runs, --seconds and --replicas are positive numbers, --size is at least 64 (MiB)');
}

const folder = mkdtempSync(join(values.folder, 'longhorn-bench-'));
const systems: System[] = [];
try {
  await startAll();
  await benchmark();
} finally {
  for (const system of systems) await system.stop();
  removeFolder(folder);
}

async function startAll(): Promise<void> {
  const options = { folder, replicas, sizeBytes };
  const wants = (name: string): boolean => values.only === '' || values.only === name;
  if (wants('ours')) systems.push(await startOurs(options));
  if (wants('quorum')) {
    if (hasQuorum()) systems.push(await startQuorum(options));
    else console.log('qemu-storage-daemon is not installed: no yardstick');
  }
  const peer = process.env['PEER_ENGINE'];
  if (peer && wants('peer')) systems.push(await startPeer(peer, options));
  for (const system of systems) {
    console.log(`${system.name}: ${pssMiB(system.pids).toFixed(0)} MiB PSS idle, ${system.pids.length} processes`);
  }
  for (const system of systems) await fill(system, sizeBytes);
}

async function benchmark(): Promise<void> {
  const jobs = JOBS.filter((job) => job.name.includes(values.jobs));
  console.log(row(['', 'system', 'IOPS', 'us', 'MB/s', 'CPU us/IO', 'ratio', 'target', 'CPU ratio']));
  for (const job of jobs) {
    const results = new Map<string, Result[]>();
    for (let run = 0; run < runs; run++) {
      for (const system of systems) {
        const result = await measure(system, job, seconds, sizeBytes);
        results.set(system.name, [...(results.get(system.name) ?? []), result]);
      }
    }
    report(job, results);
  }
  for (const system of systems) console.log(`${system.name}: ${pssMiB(system.pids).toFixed(0)} MiB PSS afterwards`);
}

function report(job: Job, results: ReadonlyMap<string, Result[]>): void {
  const yardstick = results.get('quorum');
  for (const [name, list] of results) {
    const of = (field: keyof Result, from = list): number => median(from.map((result) => result[field]));
    const isCompared = yardstick !== undefined && name !== 'quorum';
    const ratio = isCompared ? (of('iops') / of('iops', yardstick)).toFixed(2) : '';
    const cpuRatio = isCompared ? (of('cpuUsPerIo') / of('cpuUsPerIo', yardstick)).toFixed(2) : '';
    const target = name === 'ours' && replicas === 3 && isCompared ? job.target.toFixed(1) : '';
    const figures = [of('iops'), of('latencyUs'), of('mbPerSecond'), of('cpuUsPerIo')].map((value) => value.toFixed(0));
    console.log(row([job.name, name, ...figures, ratio, target, cpuRatio]));
  }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

function row(cells: readonly string[]): string {
  const widths = [22, 8, 9, 8, 8, 10, 7, 7, 9];
  return cells.map((cell, i) => (i < 2 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join(' ');
}
