import { expect, it } from 'vitest';
import { parseDataSource, snapshotSource } from './data-source.ts';

it.each([
  ['vol://a', { volume: 'a', snapshot: null }],
  ['snap://a/b', { volume: 'a', snapshot: 'b' }],
  [snapshotSource('a', 'b'), { volume: 'a', snapshot: 'b' }],
  ['', null],
  ['a', null],
  ['vol://', null],
  ['vol://a/b', null],
  ['snap://a', null],
  ['snap://a/', null],
  ['snap://a/b/c', null],
  ['bak://a/b', null],
])('%s', (text, expected) => {
  expect(parseDataSource(text)).toEqual(expected);
});
