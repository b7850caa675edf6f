import { describe, expect, it } from 'vitest';
import { walkContents, type ContentsRule, type ContentsStats } from './contents-walk.ts';

/** More by hand: `WALK_RUNS=1000000 npx vitest run packages/engine/src/membership`. */
const RUNS = Number(process.env['WALK_RUNS'] ?? 20_000);

function walkMany(without: ContentsRule | null, runs: number): { violation: string | null; stats: ContentsStats } {
  const stats = { reads: 0, flushes: 0, errors: 0, starts: 0 };
  for (let seed = 0; seed < runs; seed++) {
    const violation = walkContents(seed, 1 + (seed % 3), without, stats);
    if (violation) return { violation, stats };
  }
  return { violation: null, stats };
}

describe('random walks over the contents of a device', () => {
  it('find no flushed write lost and no region that reads two ways', { timeout: 600_000 }, () => {
    const { violation, stats } = walkMany(null, RUNS);
    expect(violation).toBeNull();
    expect(stats.reads).toBeGreaterThan(RUNS * 5);
    expect(stats.flushes).toBeGreaterThan(RUNS * 2);
    expect(stats.errors).toBeGreaterThan(RUNS / 100);
  });

  it.each<ContentsRule>(['errorAfterLoss', 'coldLeftOut', 'wholeHeads', 'lists', 'keepDoubt', 'syncBeforeJoin'])(
    'catch a device without the rule %s',
    (rule) => {
      expect(walkMany(rule, 20_000).violation).not.toBeNull();
    },
  );
});
