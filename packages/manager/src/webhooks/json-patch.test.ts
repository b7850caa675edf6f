import { describe, expect, it } from 'vitest';
import { jsonPatch } from './json-patch.ts';

describe('jsonPatch', () => {
  it.each([
    [{ a: 1 }, { a: 1 }, []],
    [
      { a: 1 },
      { a: 2, b: { c: [] } },
      [
        { op: 'add', path: '/a', value: 2 },
        { op: 'add', path: '/b', value: { c: [] } },
      ],
    ],
    [
      { a: { 'x/y~z': 1, k: 1 } },
      { a: { 'x/y~z': 2 } },
      [
        { op: 'remove', path: '/a/k' },
        { op: 'add', path: '/a/x~1y~0z', value: 2 },
      ],
    ],
    [{ a: [1] }, { a: [1, 2] }, [{ op: 'add', path: '/a', value: [1, 2] }]],
    [{ a: null }, { a: {} }, [{ op: 'add', path: '/a', value: {} }]],
  ])('from %j to %j', (before, after, operations) => {
    expect(jsonPatch(before, after)).toEqual(operations);
  });
});
