import { AssertionError } from 'node:assert';
import { describe, expect, it } from 'vitest';
import { CoreWorld, type WorldOptions } from './core-world.ts';

const calm = { replicas: 3, operations: 200, isForeign: false, isLocal: false, doubtRegions: 0, faults: {} };

/** Each kind of trouble alone, then all together. */
const scenarios: { name: string; seeds: number; options: Omit<WorldOptions, 'seed'> }[] = [
  { name: 'nothing fails', seeds: 10, options: calm },
  { name: 'a local replica', seeds: 5, options: { ...calm, isLocal: true } },
  {
    name: 'one replica',
    seeds: 10,
    options: { ...calm, replicas: 1, faults: { kill: 0.02, error: 0.02, full: 0.02 } },
  },
  { name: 'connections break', seeds: 25, options: { ...calm, faults: { kill: 0.02 } } },
  { name: 'replicas hang', seeds: 15, options: { ...calm, faults: { hang: 0.01 } } },
  { name: 'replicas answer with errors', seeds: 15, options: { ...calm, faults: { error: 0.02 } } },
  { name: 'replicas are full', seeds: 25, options: { ...calm, faults: { full: 0.05 } } },
  {
    name: 'replicas are full, and are taken out',
    seeds: 40,
    options: { ...calm, faults: { full: 0.15, remove: 0.1, rebuild: 0.15 } },
  },
  { name: 'the engine is stopped for a while', seeds: 15, options: { ...calm, faults: { stop: 0.05, hang: 0.01 } } },
  { name: 'pauses and holds', seeds: 15, options: { ...calm, faults: { pause: 0.1, hold: 0.1 } } },
  { name: 'rebuilds', seeds: 25, options: { ...calm, faults: { rebuild: 0.1, remove: 0.03 } } },
  { name: 'regions in doubt', seeds: 25, options: { ...calm, doubtRegions: 4, faults: {} } },
  {
    name: 'regions in doubt and connections that break',
    seeds: 25,
    options: { ...calm, doubtRegions: 4, faults: { kill: 0.03, rebuild: 0.05 } },
  },
  {
    name: 'everything',
    seeds: 60,
    options: {
      ...calm,
      doubtRegions: 2,
      faults: {
        kill: 0.02,
        hang: 0.005,
        error: 0.01,
        full: 0.02,
        stop: 0.005,
        pause: 0.03,
        hold: 0.03,
        rebuild: 0.1,
        remove: 0.01,
      },
    },
  },
  { name: 'replicas of upstream', seeds: 15, options: { ...calm, isForeign: true } },
  {
    name: 'replicas of upstream that fail',
    seeds: 25,
    options: { ...calm, isForeign: true, faults: { kill: 0.03, pause: 0.03, rebuild: 0.05, full: 0.02 } },
  },
];

describe('a volume core among simulated replicas keeps the contract of a block device', () => {
  it.each(scenarios)('$name', async ({ seeds, options }) => {
    for (let seed = 1; seed <= seeds; seed++) {
      const completed = await runSeed({ ...options, seed });
      expect(completed).toBeGreaterThanOrEqual(options.operations);
    }
  });
});

describe('the checks find', () => {
  it.each(['flush does nothing', 'some writes are lost', 'no order'] as const)(
    'a replica that lies: %s',
    async (lie) => {
      let found = 0;
      for (let seed = 1; seed <= 10; seed++) {
        const world = new CoreWorld({ ...calm, seed, lie });
        await world.run().catch((error: unknown) => {
          if (!(error instanceof AssertionError)) throw error;
          found++;
        });
      }
      expect(found).toBeGreaterThan(0);
    },
  );
});

async function runSeed(options: WorldOptions): Promise<number> {
  const world = new CoreWorld(options);
  try {
    await world.run();
  } catch (error) {
    const events = world.log.slice(-30).join('\n');
    throw new Error(`seed ${options.seed}: ${error instanceof Error ? error.message : String(error)}\n${events}`, {
      cause: error,
    });
  }
  return world.completed;
}
