import { describe, expect, it } from 'vitest';
import { isResponsible } from './ownership.ts';

const CASES: [string, { me: string; preferred: string; current: string; up: string[] }, boolean][] = [
  ['the preferred one acts', { me: 'a', preferred: 'a', current: 'b', up: ['a', 'b'] }, true],
  [
    'nobody else acts while the preferred one is there',
    { me: 'b', preferred: 'a', current: 'b', up: ['a', 'b'] },
    false,
  ],
  [
    'the current one keeps it while the preferred one is away',
    { me: 'b', preferred: 'a', current: 'b', up: ['b', 'c'] },
    true,
  ],
  ['nobody takes it from the current one', { me: 'c', preferred: 'a', current: 'b', up: ['b', 'c'] }, false],
  ['anybody takes over when both are away', { me: 'c', preferred: 'a', current: 'b', up: ['c'] }, true],
  ['a preferred one that was given up does not fight', { me: 'a', preferred: 'a', current: 'b', up: ['b'] }, false],
  ['a preferred one acts when everybody was given up', { me: 'a', preferred: 'a', current: 'b', up: [] }, true],
  ['one that was given up does not take over', { me: 'c', preferred: 'a', current: 'b', up: [] }, false],
  ['without preference the current one keeps it', { me: 'b', preferred: '', current: 'b', up: ['b', 'c'] }, true],
  ['without preference and owner anybody takes it', { me: 'c', preferred: '', current: '', up: ['c'] }, true],
];

describe('responsibility', () => {
  it.each(CASES)('%s', (_name, { up, ...question }, expected) => {
    expect(isResponsible({ ...question, isAvailable: (node) => up.includes(node) })).toBe(expected);
  });

  it('is at most with one of the nodes that live, once it was written down', () => {
    const nodes = ['a', 'b', 'c', ''];
    for (const up of [[], ['a'], ['b', 'c'], ['a', 'b', 'c']])
      for (const preferred of nodes)
        for (const current of nodes.filter((node) => up.includes(node))) {
          const acting = ['a', 'b', 'c'].filter((me) =>
            isResponsible({ me, preferred, current, isAvailable: (node) => up.includes(node) }),
          );
          expect(acting).toHaveLength(1);
        }
  });
});
