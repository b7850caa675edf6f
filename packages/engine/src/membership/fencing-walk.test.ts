import { describe, expect, it } from 'vitest';
import { walkFencing, type FencingRule, type FencingStats } from './fencing-walk.ts';

/** More by hand: `WALK_RUNS=1000000 npx vitest run packages/engine/src/membership`. */
const RUNS = Number(process.env['WALK_RUNS'] ?? 100_000);

function walkMany(without: FencingRule | null, runs: number): { violation: string | null; stats: FencingStats } {
  const stats = { acked: 0, starts: 0, confirmed: 0 };
  for (let seed = 0; seed < runs; seed++) {
    const violation = walkFencing(seed, 2 + (seed % 4), without, stats);
    if (violation) return { violation, stats };
  }
  return { violation: null, stats };
}

describe('random walks over the fencing rules', () => {
  it('find no engine that serves without an acknowledged write', { timeout: 600_000 }, () => {
    const { violation, stats } = walkMany(null, RUNS);
    expect(violation).toBeNull();
    expect(stats.acked).toBeGreaterThan(RUNS);
    expect(stats.starts).toBeGreaterThan(RUNS / 2);
    expect(stats.confirmed).toBeGreaterThan(RUNS / 10);
  });

  it.each<FencingRule>([
    'epochOfReplicas',
    'recordOfControlPlane',
    'epochOfControlPlane',
    'neverFewer',
    'bases',
    'askedOnce',
  ])('catch an engine without the rule %s', (rule) => {
    expect(walkMany(rule, 100_000).violation).not.toBeNull();
  });
});
