/**
 * Random reads of a volume with fifty snapshots beside those of a volume with the same content and none: what it costs that a
 * block may be in any of fifty layers.
 *
 * Both volumes are filled and then get the same scattered writes, in fifty steps; one gets a snapshot after each step. Reads take
 * turns between the two, so that what the machine does meanwhile hits both. All that is read lies in the page cache, if the machine
 * has memory for two volumes of three replicas.
 */
import { atLeast, type BenchCase, type CaseOptions, type Figure } from './bench-case.ts';
import {
  assertReplicasEqual,
  scaledBytes,
  scaledCount,
  takeSnapshot,
  withFlow,
  withVolume,
  type BenchVolume,
} from './bench-volume.ts';
import { fillWith, randomIops, scatter } from './fio.ts';

const SIZE_BYTES = 1 << 30;
const SNAPSHOTS = 50;
/** Of 4 KiB, after each snapshot. */
const WRITES_PER_SNAPSHOT = 2000;
const WRITES_MIN = 20;
/** Measurements of each volume. */
const TURNS = 2;
const RATIO_MIN = 0.8;

export const snapshotsCase: BenchCase = {
  name: 'fifty snapshots',
  run: (options) => {
    const sizeBytes = scaledBytes(SIZE_BYTES, options.scale);
    const settings = (name: string) => ({ name, sizeBytes, over: 'socket' as const });
    return withVolume(options, settings('plain'), (plain) =>
      withVolume(options, settings('layered'), async (layered) => {
        const writes = scaledCount(WRITES_PER_SNAPSHOT, options.scale, WRITES_MIN);
        await write(plain, writes, false);
        await write(layered, writes, true);
        options.log(`two volumes of ${sizeBytes >> 20} MiB are written, ${SNAPSHOTS} times ${writes} blocks scattered`);
        const figure = await compare(options, plain, layered);
        const [plainSum, layeredSum] = [await assertReplicasEqual(plain), await assertReplicasEqual(layered)];
        if (plainSum !== layeredSum) throw new Error('the volume with snapshots reads otherwise than the one without');
        return [figure];
      }),
    );
  },
};

/** The same bytes at the same places for every volume of that size. */
function write(volume: BenchVolume, writes: number, isSnapshotted: boolean): Promise<void> {
  return withFlow(volume, async (flow) => {
    await fillWith(volume, SNAPSHOTS + 1);
    for (let step = 1; step <= SNAPSHOTS; step++) {
      if (isSnapshotted) await takeSnapshot(flow, `s${step}`);
      await scatter(volume, writes, step, step);
    }
  });
}

async function compare({ seconds, log }: CaseOptions, plain: BenchVolume, layered: BenchVolume): Promise<Figure> {
  const sums = { plain: 0, layered: 0 };
  for (let turn = 0; turn < TURNS; turn++) {
    // By turns the other one is first: what drifts in one direction cancels.
    const order = turn % 2 === 0 ? (['plain', 'layered'] as const) : (['layered', 'plain'] as const);
    for (const name of order) {
      const iops = await randomIops(name === 'plain' ? plain : layered, 'randread', seconds);
      log(`4k random read QD16, ${name}: ${iops.toFixed(0)} IOPS`);
      sums[name] += iops / TURNS;
    }
  }
  return {
    name: '4k random read QD16',
    value: sums.layered / sums.plain,
    unit: '',
    demand: atLeast(RATIO_MIN),
    detail: `${sums.layered.toFixed(0)} IOPS with ${SNAPSHOTS} snapshots, ${sums.plain.toFixed(0)} without, same content`,
  };
}
