import { describe, expect, it } from 'vitest';
import { runWorld } from './run-world.ts';

/** More by hand: `node packages/engine/sim/main.ts FIRST COUNT`. */
const SEEDS = Number(process.env['SIM_SEEDS'] ?? 12);

describe('random worlds of engines, replicas and a control plane', { timeout: 3_600_000 }, () => {
  it('keep the contract of the device and end healthy', async () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const world = await runWorld(seed);
      expect(world.violations()).toEqual([]);
      expect(world.device.completed).toBeGreaterThan(100);
    }
  });

  it('find a disk whose sync does nothing', async () => {
    const found = async (): Promise<number | null> => {
      for (let seed = 1; seed <= 20; seed++) {
        try {
          await runWorld(seed, (world) => {
            for (const node of world.cluster.nodes) node.disk.ignoresSync = true;
          });
        } catch {
          return seed;
        }
      }
      return null;
    };
    expect(await found()).not.toBeNull();
  });
});
