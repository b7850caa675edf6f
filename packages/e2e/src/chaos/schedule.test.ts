import { describe, expect, it } from 'vitest';
import { DECK_ROUNDS, planRound } from './schedule.ts';

const rounds = (seed: number, from: number, count: number) =>
  Array.from({ length: count }, (_, index) => planRound(seed, from + index));

function count(values: readonly string[]): Record<string, number> {
  const result: Record<string, number> = {};
  for (const value of values) result[value] = (result[value] ?? 0) + 1;
  return result;
}

describe('schedule of chaos', () => {
  it('is the same for a seed and another for another', () => {
    expect(rounds(7, 0, 20)).toEqual(rounds(7, 0, 20));
    expect(rounds(7, 0, 20)).not.toEqual(rounds(8, 0, 20));
  });

  it.each([
    [1, 'power-cut-only-copy'],
    [2, 'power-cut-all'],
    [99, 'power-cut-only-copy'],
    [100, 'power-cut-all'],
  ])('cuts power in all ways within the first ten rounds of seed %i, one of them %s', (seed, kind) => {
    const kinds = rounds(seed, 0, DECK_ROUNDS).flatMap(({ faults }) => faults.map((fault) => fault.kind));
    expect(kinds).toEqual(expect.arrayContaining(['power-cut', kind, 'power-cut-two']));
  });

  it('deals every kind and every activity often in 200 rounds', () => {
    const plans = rounds(5, 0, 200);
    const faults = count(plans.flatMap((plan) => plan.faults.map(({ kind }) => kind)));
    const least = Object.entries(faults).toSorted((a, b) => a[1] - b[1])[0];
    expect(Object.keys(faults)).toHaveLength(14);
    expect(least?.[1]).toBeGreaterThanOrEqual(10);
    expect(count(plans.map(({ activity }) => activity))).toEqual({
      none: 20,
      snapshot: 40,
      purge: 20,
      'delete-replica': 40,
      move: 40,
      revert: 40,
    });
    const many = count(plans.map((plan) => String(plan.faults.length)));
    expect(Math.min(...Object.values(many))).toBeGreaterThan(40);
    const inRebuild = plans.flatMap((plan) => plan.faults).filter(({ when }) => when === 'in-rebuild');
    expect(inRebuild.length).toBeGreaterThan(40);
  });

  it('has at most one fault of power in a round', () => {
    const power = rounds(3, 0, 100).map(({ faults }) => faults.filter(({ kind }) => kind.startsWith('power-')).length);
    expect(count(power.map(String))).toEqual({ 0: 70, 1: 30 });
  });
});
