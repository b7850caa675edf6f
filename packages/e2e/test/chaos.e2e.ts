/** Rounds of chaos in the normal tests, by kept seeds; `npm run chaos` runs as many as wanted. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runChaos } from '../src/chaos/rounds.ts';
import { KEPT_SEEDS } from '../src/chaos/seeds.ts';
import { Cluster } from '../src/cluster.ts';

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

  for (const { seed, first, rounds, why } of KEPT_SEEDS) {
    it(`${rounds} rounds of seed ${seed} lose nothing (${why})`, async () => {
      const result = await runChaos(cluster, { seed, first, rounds, log: (text) => console.log(`    ${text}`) });
      expect(result.rounds).toBe(rounds);
      expect(result.operations).toBeGreaterThan(rounds);
    });
  }
});
