/** Six rounds of chaos in the normal tests, by a fixed seed; `npm run chaos` runs as many as wanted. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runChaos } from '../src/chaos/rounds.ts';
import { Cluster } from '../src/cluster.ts';

/** A failing round is kept here as seed and count, with the reason that it failed for. */
const SEEDS: { seed: number; rounds: number; why: string }[] = [
  { seed: 1, rounds: 6, why: 'every fault at least once' },
];

const root = process.getuid?.() === 0;
if (!root) console.log('chaos: skipped, power-cuts want root');

describe.skipIf(!root)('chaos', () => {
  const folder = mkdtempSync(join(tmpdir(), 'longhorn-chaos-'));
  const cluster = new Cluster(join(folder, 'cluster'), 21);

  beforeAll(async () => {
    await cluster.start();
  });

  afterAll(async () => {
    await cluster.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  for (const { seed, rounds, why } of SEEDS) {
    it(`${rounds} rounds of seed ${seed} lose nothing (${why})`, async () => {
      const result = await runChaos(cluster, seed, rounds, (text) => console.log(`    ${text}`));
      expect(result.rounds).toBe(rounds);
      expect(result.operations).toBeGreaterThan(rounds);
    });
  }
});
