/**
 * What a snapshot and a purge do to the load beside them.
 *
 * Snapshots: 4 KiB random writes at depth 16 go on over NBD while ten snapshots are taken, one a second. fio logs every I/O. The
 * figure is the longest one that was answered between the call for a snapshot and a moment after its answer: the engine holds I/O
 * while the replicas begin new heads. Beside it the longest at any other time.
 *
 * Purge: ten snapshots that hold the whole volume each are removed and purged while random writes and reads, each at depth 16, go on.
 * The figures are their IOPS while a replica purges, divided by those of the seconds before. Half of the volume is left alone by
 * the load, and must read as the last one of the full writes.
 */
import { mkdirSync, rmSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { EngineFlow } from '../../src/client/flow.ts';
import { purgeSnapshots, purgeStatus, removeSnapshots } from '../../src/client/snapshot.ts';
import { waitFor } from '../../testing/wait.ts';
import { atLeast, atMost, type BenchCase, type CaseOptions, type Figure } from './bench-case.ts';
import {
  assertReplicasEqual,
  scaledBytes,
  takeSnapshot,
  withFlow,
  withVolume,
  type BenchVolume,
} from './bench-volume.ts';
import {
  averageLogOptions,
  averageLogPath,
  fill,
  fillWith,
  ioLogOptions,
  ioLogPath,
  randomOptions,
  readsAs,
  startLoad,
} from './fio.ts';
import { longestMs, longestOutsideMs, meanWithin, readFioLog, type LogLine, type Span } from './fio-log.ts';

const SIZE_BYTES = 1 << 30;
const SNAPSHOTS = 10;
const SNAPSHOT_EVERY_MS = 1000;
/** An I/O that was held by a snapshot is answered this long after it at the latest. */
const AFTER_MS = 100;
const HELD_MS_MAX = 50;
const PURGE_RATIO_MIN = 0.7;
/** Load runs for this long before something is measured. */
const RAMP_MS = 2000;
const PURGE_MS_MAX = 1_200_000;
const REPLICAS = 3;
/** Of the sum of all layers, for what is on the disk beside them. */
const SPACE_MARGIN = 1.1;

export const snapshotLoadCase: BenchCase = {
  name: 'snapshot load',
  async run(options) {
    const sizeBytes = scaledBytes(SIZE_BYTES, options.scale);
    assertSpace(options.folder, sizeBytes * (SNAPSHOTS + 1) * REPLICAS * SPACE_MARGIN);
    const logs = join(options.folder, 'snapshot-load-logs');
    mkdirSync(logs);
    const settings = (name: string) => ({ name, sizeBytes, over: 'socket' as const });
    try {
      const held = await withVolume(options, settings('snapshot-load'), (volume) =>
        measureSnapshots(options, volume, join(logs, 'snapshot')),
      );
      const purged = await withVolume(options, settings('purge-load'), (volume) =>
        measurePurge(options, volume, join(logs, 'purge')),
      );
      return [...held, ...purged];
    } finally {
      rmSync(logs, { recursive: true, force: true });
    }
  },
};

async function measureSnapshots({ log }: CaseOptions, volume: BenchVolume, prefix: string): Promise<Figure[]> {
  await fill(volume);
  const spans: Span[] = [];
  const load = startLoad(volume, [[...randomOptions('randwrite'), ...ioLogOptions(prefix)]]);
  let fromMs: number;
  try {
    await delay(RAMP_MS);
    fromMs = Date.now();
    await withFlow(volume, async (flow) => {
      for (let i = 0; i < SNAPSHOTS; i++) {
        await delay(SNAPSHOT_EVERY_MS);
        spans.push(await spanOfSnapshot(flow, `s${i}`));
      }
    });
    await delay(SNAPSHOT_EVERY_MS);
  } finally {
    await load.stop();
  }
  await assertReplicasEqual(volume);
  const lines = readFioLog(ioLogPath(prefix)).filter(({ timeMs }) => timeMs >= fromMs);
  const figures = heldFigures(lines, spans);
  for (const { detail } of figures) log(detail);
  return figures;
}

async function spanOfSnapshot(flow: EngineFlow, name: string): Promise<Span> {
  const fromMs = Date.now();
  await takeSnapshot(flow, name);
  return { fromMs, toMs: Date.now() + AFTER_MS };
}

function heldFigures(lines: readonly LogLine[], spans: readonly Span[]): Figure[] {
  const [held, other] = [spans.map((span) => longestMs(lines, span)), longestOutsideMs(lines, spans)];
  const calls = spans.map(({ fromMs, toMs }) => toMs - fromMs - AFTER_MS);
  const list = (times: readonly number[]): string => times.map((ms) => ms.toFixed(0)).join(' ');
  const detail = `longest write around each of ${spans.length} snapshots: ${list(held)} ms (the calls took ${list(calls)} ms)`;
  const without = `longest write at any other time: ${other.toFixed(0)} ms`;
  return [
    { name: 'write held by a snapshot', value: Math.max(...held), unit: 'ms', demand: atMost(HELD_MS_MAX), detail },
    { name: 'longest write at other times', value: other, unit: 'ms', demand: null, detail: without },
  ];
}

async function measurePurge({ seconds, log }: CaseOptions, volume: BenchVolume, prefix: string): Promise<Figure[]> {
  const half = volume.sizeBytes / 2;
  return withFlow(volume, async (flow) => {
    const names = Array.from({ length: SNAPSHOTS }, (_, i) => `s${i}`);
    for (const [i, name] of names.entries()) {
      await fillWith(volume, i + 1);
      await takeSnapshot(flow, name);
    }
    await removeSnapshots(flow, names);
    log(`${SNAPSHOTS} snapshots of ${volume.sizeBytes >> 20} MiB are there`);
    const average = (name: string): string[] => averageLogOptions(`${prefix}-${name}`);
    const load = startLoad({ ...volume, sizeBytes: half }, [
      [...randomOptions('randwrite'), ...average('write')],
      [...randomOptions('randread'), ...average('read')],
    ]);
    let spans: { before: Span; during: Span };
    try {
      spans = await purgeUnderLoad(flow, seconds);
    } finally {
      await load.stop();
    }
    await readsAs(volume, SNAPSHOTS, { offset: half, length: half });
    await assertReplicasEqual(volume);
    const figures = ['write', 'read'].map((name, job) => {
      const lines = readFioLog(averageLogPath(`${prefix}-${name}`, job));
      return purgeFigure(name, meanWithin(lines, spans.before), meanWithin(lines, spans.during), spans.during);
    });
    for (const { detail } of figures) log(detail);
    return figures;
  });
}

async function purgeUnderLoad(flow: EngineFlow, seconds: number): Promise<{ before: Span; during: Span }> {
  await delay(RAMP_MS);
  const before = { fromMs: Date.now(), toMs: Date.now() + seconds * 1000 };
  await delay(seconds * 1000);
  const fromMs = Date.now();
  await purgeSnapshots(flow, false);
  await waitFor('the purge ends', PURGE_MS_MAX, async () => {
    const statuses = Object.values(await purgeStatus(flow));
    const failed = statuses.find(({ error }) => error !== '');
    if (failed) throw new Error(failed.error);
    return statuses.every(({ is_purging: isPurging }) => !isPurging);
  });
  return { before, during: { fromMs, toMs: Date.now() } };
}

function purgeFigure(name: string, before: number, during: number, { fromMs, toMs }: Span): Figure {
  const seconds = ((toMs - fromMs) / 1000).toFixed(1);
  const detail = `4k random ${name} QD16: ${during.toFixed(0)} IOPS in the ${seconds} s of the purge, ${before.toFixed(0)} before`;
  return {
    name: `${name} during a purge / before`,
    value: during / before,
    unit: '',
    demand: atLeast(PURGE_RATIO_MIN),
    detail,
  };
}

/** @throws when a folder's file system has less */
function assertSpace(folder: string, bytes: number): void {
  const { bavail, bsize } = statfsSync(folder);
  if (bavail * bsize >= bytes) return;
  throw new Error(`${folder} has ${(bavail * bsize) >> 30} GiB free, ${Math.ceil(bytes / (1 << 30))} GiB are wanted`);
}
