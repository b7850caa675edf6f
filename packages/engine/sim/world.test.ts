import { describe, expect, it } from 'vitest';
import { runWorld } from './run-world.ts';
import type { SimDisk } from './sim-disk.ts';

/** More by hand: `node packages/engine/sim/main.ts FIRST COUNT`. */
const SEEDS = Number(process.env['SIM_SEEDS'] ?? 12);

/** The first seed that fails with such disks; null: none of the first. */
async function firstFailing(spoil: (disk: SimDisk) => void): Promise<number | null> {
  for (let seed = 1; seed <= 40; seed++) {
    try {
      await runWorld(seed, (world) => {
        for (const node of world.cluster.nodes) spoil(node.disk);
      });
    } catch {
      return seed;
    }
  }
  return null;
}

describe('random worlds of engines, replicas and a control plane', { timeout: 3_600_000 }, () => {
  it('keep the contract of the device and end healthy', async () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const world = await runWorld(seed);
      expect(world.violations()).toEqual([]);
      expect(world.device.completed).toBeGreaterThan(100);
    }
  });

  it('find a disk whose sync does nothing', async () => {
    const found = await firstFailing((disk) => {
      disk.ignoresSync = true;
    });
    expect(found).not.toBeNull();
  });

  it('find flushed data that a place without content hides', async () => {
    const found = await firstFailing((disk) => {
      disk.hidesUnwritten = true;
    });
    expect(found).not.toBeNull();
  });
});
