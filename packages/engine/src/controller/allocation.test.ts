import fc from 'fast-check';
import { expect, it } from 'vitest';
import { withData } from './allocation.ts';

/** By block, whether it is data. */
function blocksOf(runs: readonly number[]): boolean[] {
  return runs.flatMap((run, index) => Array.from({ length: run }, () => index % 2 === 1));
}

const range = fc
  .tuple(fc.nat(40), fc.integer({ min: 1, max: 12 }))
  .map(([start, length]) => ({ start, end: start + length }));

it('what is in doubt counts as data, and nothing else changes', () => {
  fc.assert(
    fc.property(
      fc.nat(10),
      fc.nat(5),
      fc.array(fc.integer({ min: 1, max: 8 }), { minLength: 1, maxLength: 8 }),
      fc.array(range, { maxLength: 5 }),
      (offset, first, others, data) => {
        const runs = [first, ...others];
        const told = withData(runs, offset, data);
        const expected = blocksOf(runs).map(
          (isData, block) => isData || data.some(({ start, end }) => offset + block >= start && offset + block < end),
        );
        expect(blocksOf(told)).toEqual(expected);
        expect(told.slice(1).every((run) => run > 0)).toBe(true);
      },
    ),
  );
});
