import { describe, expect, it } from 'vitest';
import { faultTotal } from './fault-count.ts';
import { runWorld } from './run-world.ts';
import type { SimDisk } from './sim-disk.ts';
import { snapshotOf } from './snapshot-checker.ts';
import type { World } from './world.ts';

/** More by hand: `npm run sim -- --seed FIRST --count COUNT`. */
const SEEDS = Number(process.env['SIM_SEEDS'] ?? 12);
const CANARY_SEEDS = 40;

describe('random worlds of engines, replicas and a control plane', { timeout: 3_600_000 }, () => {
  it('keep the contract of the device and end healthy', async () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const world = await runWorld(seed);
      expect(world.violations()).toEqual([]);
      expect(world.device.completed).toBeGreaterThan(100);
      expect(faultTotal(world.cluster.faults)).toBeGreaterThan(20);
    }
  });
});

function everyDisk(spoil: (disk: SimDisk) => void): (world: World) => void {
  return ({ cluster }) => cluster.nodes.forEach(({ disk }) => spoil(disk));
}

/** One bit of the oldest snapshot of the first replica changes now and then. */
function rotSnapshots({ cluster, time, random, snapshots }: World): void {
  const rot = (): void => {
    const { node, folderPath, process } = cluster.replicas[0] ?? {};
    const file = process?.server.io.open?.volume.layers.find(({ name }) => {
      const snapshot = snapshotOf(name);
      return snapshot !== null && !snapshots.mayChange(snapshot);
    });
    if (node && folderPath !== undefined && file) node.disk.folder(folderPath).rot(file.name, random);
    time.at(1000, rot);
  };
  rot();
}

/** name, what the build does wrong, what the check that finds it says */
const CANARIES: readonly [string, (world: World) => void, RegExp][] = [
  [
    'a disk whose sync does nothing',
    everyDisk((disk) => {
      disk.ignoresSync = true;
    }),
    /reads \d+, allowed is/,
  ],
  [
    'flushed data that a place without content hides',
    everyDisk((disk) => {
      disk.hidesUnwritten = true;
    }),
    /reads \d+, allowed is/,
  ],
  [
    'writes that are answered and not done',
    everyDisk((disk) => {
      disk.losesWrites = true;
    }),
    /reads \d+, allowed is|the replicas differ at the end/,
  ],
  [
    'replicas that are taken for equal without a look',
    ({ cluster }) => {
      cluster.comparesNothing = true;
    },
    /the replicas differ at the end|reads \d+, allowed is/,
  ],
  ['a snapshot that changes', rotSnapshots, /snapshot \S+ of r0 has changed/],
  [
    'an engine that goes on after it was replaced',
    ({ cluster }) =>
      cluster.replicas.forEach((replica) => {
        replica.ignoresEpochs = true;
      }),
    /acknowledged a write after it had been replaced|let epoch \d+ connect/,
  ],
  [
    'a replica that nobody starts again',
    ({ cluster }) => {
      const [first] = cluster.replicas;
      if (first) first.start = () => Promise.resolve();
    },
    /does not become healthy/,
  ],
];

describe('a build with a fault is found by its check', { timeout: 3_600_000 }, () => {
  it.each(CANARIES)('%s', async (_name, spoil, expected) => {
    const found: string[] = [];
    for (let seed = 1; seed <= CANARY_SEEDS && !found.some((text) => expected.test(text)); seed++) {
      await runWorld(seed, spoil).catch((error: unknown) => found.push(String(error)));
    }
    expect(found.find((text) => expected.test(text))).toBeDefined();
  });
});
