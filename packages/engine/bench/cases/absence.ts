/**
 * What is moved when a replica was away for half a minute under random writes, beside what was written meanwhile.
 *
 *     killed                    started, rebuild begins           RW
 *       |------ away ------------|------- rebuild ---------------|
 *     fio writes on, 4 KiB at random, with a log of every write
 *
 * Changed: the different blocks that were written while it was away. Moved: what the rebuild wrote into the replica's files, as its
 * sync agent counts it (`bytes_written` of ReplicaRebuildStatus): windows with data that arrived over the network. Left out are
 * what both send beside the data (checksums, headers, the metadata files) and writes of clients during the rebuild, which go to the
 * replica as to any other. That the contents are equal afterwards is checked.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { syncAgentOf } from '../../src/client/flow.ts';
import { atMost, type BenchCase, type CaseOptions, type Figure } from './bench-case.ts';
import {
  assertReplicasEqual,
  lastReplica,
  rebuild,
  scaledBytes,
  scaledCount,
  withFlow,
  withVolume,
  type BenchVolume,
} from './bench-volume.ts';
import { BLOCK_BYTES, fill, ioLogOptions, ioLogPath, randomOptions, startLoad } from './fio.ts';
import { distinctOffsets, readFioLog } from './fio-log.ts';

const SIZE_BYTES = 2 * (1 << 30);
const AWAY_SECONDS = 30;
const AWAY_SECONDS_MIN = 3;
/** So many that most parts of the volume are touched, and so few that most blocks are not: what is moved beyond them shows. */
const WRITES_PER_SECOND = 1000;
const BEFORE_MS = 1000;
const RATIO_MAX = 2;

export const absenceCase: BenchCase = {
  name: 'rebuild after an absence',
  run: (options) => {
    const sizeBytes = scaledBytes(SIZE_BYTES, options.scale);
    return withVolume(options, { name: 'absence', sizeBytes, over: 'socket' }, async (volume) => {
      await fill(volume);
      const logs = join(options.folder, 'absence-logs');
      mkdirSync(logs);
      try {
        return [await measure(options, volume, join(logs, 'write'))];
      } finally {
        rmSync(logs, { recursive: true, force: true });
      }
    });
  },
};

async function measure({ scale, log }: CaseOptions, volume: BenchVolume, prefix: string): Promise<Figure> {
  const rate = `--rate_iops=${WRITES_PER_SECOND}`;
  const load = startLoad(volume, [[...randomOptions('randwrite'), rate, ...ioLogOptions(prefix)]]);
  let rebuilt: Rebuilt;
  try {
    await delay(BEFORE_MS);
    rebuilt = await leaveAndReturn(volume, scaledCount(AWAY_SECONDS, scale, AWAY_SECONDS_MIN));
  } finally {
    await load.stop();
  }
  await assertReplicasEqual(volume);
  const changed = distinctOffsets(readFioLog(ioLogPath(prefix)), rebuilt.away) * BLOCK_BYTES;
  const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
  const moved = `${megabytes(rebuilt.movedBytes)} moved, ${megabytes(changed)} changed`;
  const seconds = (rebuilt.away.toMs - rebuilt.away.fromMs) / 1000;
  const detail = `${moved} in ${seconds.toFixed(1)} s, rebuilt in ${rebuilt.seconds.toFixed(1)} s`;
  log(detail);
  return { name: 'moved / changed', value: rebuilt.movedBytes / changed, unit: '', demand: atMost(RATIO_MAX), detail };
}

interface Rebuilt {
  /** on the clock of `Date.now` */
  readonly away: { readonly fromMs: number; readonly toMs: number };
  readonly movedBytes: number;
  /** that the rebuild took */
  readonly seconds: number;
}

/** Kills a replica, starts it again after so many seconds, and rebuilds it. */
async function leaveAndReturn(volume: BenchVolume, awaySeconds: number): Promise<Rebuilt> {
  const { processes } = volume;
  const last = lastReplica(processes);
  const fromMs = Date.now();
  await processes.killReplica(last);
  await delay(awaySeconds * 1000);
  processes.startReplica(last);
  await processes.untilListening(last);
  await processes.removeReplica(last);
  return withFlow(volume, async (flow) => {
    const toMs = Date.now();
    await rebuild(volume, flow, last);
    const seconds = (Date.now() - toMs) / 1000;
    const status = await syncAgentOf(flow, processes.address(last)).ReplicaRebuildStatus({});
    return { away: { fromMs, toMs }, movedBytes: status.bytes_written, seconds };
  });
}
