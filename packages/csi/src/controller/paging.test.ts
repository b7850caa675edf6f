import { describe, expect, it } from 'vitest';
import { page } from './paging.ts';

const same = (text: string): string => text;

function walk(items: string[], max: number, later: string[] = items): string[][] {
  const pages: string[][] = [];
  let token = '';
  let present = items;
  do {
    const { items: taken, next_token } = page(present, same, { max_entries: max, starting_token: token });
    pages.push(taken);
    token = next_token;
    present = later;
  } while (token !== '');
  return pages;
}

describe('pages', () => {
  it.each([
    [0, [['a', 'b', 'c', 'd', 'e']]],
    [1, [['a'], ['b'], ['c'], ['d'], ['e']]],
    [2, [['a', 'b'], ['c', 'd'], ['e']]],
    [5, [['a', 'b', 'c', 'd', 'e']]],
    [9, [['a', 'b', 'c', 'd', 'e']]],
  ])('of %d entries show each once', (max, expected) => {
    expect(walk(['a', 'b', 'c', 'd', 'e'], max)).toEqual(expected);
  });

  it('go on where they were when entries come and go, the last one shown too', () => {
    expect(walk(['a', 'c', 'e', 'g'], 2, ['b', 'd', 'e', 'g'])).toEqual([['a', 'c'], ['d', 'e'], ['g']]);
  });

  it.each(['invalid-token', 'bm90IG91cnM', '!', 'YWZ0ZXI6YQ=='])('refuse the token %j of other makers', (token) => {
    expect(() => page(['a'], same, { max_entries: 0, starting_token: token })).toThrow(
      expect.objectContaining({ code: 10 }),
    );
  });

  it('refuse a negative size', () => {
    expect(() => page(['a'], same, { max_entries: -1, starting_token: '' })).toThrow(/max_entries/);
  });
});
