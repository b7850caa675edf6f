import { describe, expect, it } from 'vitest';
import type { Json } from './json.ts';
import { jsonPatch, mergePatch } from './patch.ts';
import { strategicMerge } from './patch-strategic.ts';

describe('mergePatch', () => {
  it.each<[string, Json, Json, Json]>([
    [
      'merges objects and removes by null',
      { a: { b: 1, c: 2 }, d: 3 },
      { a: { b: null, e: 4 } },
      { a: { c: 2, e: 4 }, d: 3 },
    ],
    ['replaces lists', { a: [1, 2] }, { a: [3] }, { a: [3] }],
    ['puts an object where none was', { a: 1 }, { a: { b: { c: null, d: 1 } } }, { a: { b: { d: 1 } } }],
  ])('%s', (_name, target, patch, wanted) => {
    const before = structuredClone(target);
    expect(mergePatch(target, patch)).toEqual(wanted);
    expect(target).toEqual(before);
  });
});

/** The real server does not say more. */
const REJECTED = /^the server rejected our request due to an error in our request$/;

describe('jsonPatch', () => {
  const document = { a: { 'x/y': 1, l: [1, 2, 3] }, n: null };
  it.each<[string, Json, Json]>([
    ['adds into a list', [{ op: 'add', path: '/a/l/1', value: 9 }], { a: { 'x/y': 1, l: [1, 9, 2, 3] }, n: null }],
    ['appends', [{ op: 'add', path: '/a/l/-', value: 9 }], { a: { 'x/y': 1, l: [1, 2, 3, 9] }, n: null }],
    ['reads escapes', [{ op: 'replace', path: '/a/x~1y', value: 2 }], { a: { 'x/y': 2, l: [1, 2, 3] }, n: null }],
    ['removes', [{ op: 'remove', path: '/a/l/0' }], { a: { 'x/y': 1, l: [2, 3] }, n: null }],
    ['moves', [{ op: 'move', from: '/a/l', path: '/m' }], { a: { 'x/y': 1 }, n: null, m: [1, 2, 3] }],
    ['copies', [{ op: 'copy', from: '/a/l/0', path: '/n' }], { a: { 'x/y': 1, l: [1, 2, 3] }, n: 1 }],
    [
      'tests',
      [
        { op: 'test', path: '/n', value: null },
        { op: 'add', path: '/o', value: {} },
      ],
      { ...document, o: {} },
    ],
  ])('%s', (_name, patch, wanted) => {
    expect(jsonPatch(document, patch)).toEqual(wanted);
  });
  it.each<[string, Json, RegExp]>([
    ['a missing path', [{ op: 'replace', path: '/zz/y', value: 1 }], REJECTED],
    ['a test that fails', [{ op: 'test', path: '/n', value: 1 }], REJECTED],
    ['an index out of range', [{ op: 'remove', path: '/a/l/3' }], REJECTED],
    ['an index that is none', [{ op: 'add', path: '/a/l/x', value: 1 }], REJECTED],
    ['an unknown operation', [{ op: 'eval', path: '/a' }], REJECTED],
    ['something else than a list', { op: 'add' }, /must be a list/],
  ])('refuses %s and changes nothing', (_name, patch, message) => {
    const before = structuredClone(document);
    expect(() => jsonPatch(document, patch)).toThrow(message);
    expect(document).toEqual(before);
  });
});

describe('strategicMerge', () => {
  const pod = {
    spec: {
      containers: [
        { name: 'a', image: '1', env: [{ name: 'X', value: '1' }] },
        { name: 'b', image: '2' },
      ],
      tolerations: [{ key: 'k' }],
    },
  };
  it.each<[string, Json, Json]>([
    [
      'merges lists by their key',
      { spec: { containers: [{ name: 'a', env: [{ name: 'Y', value: '2' }] }] } },
      {
        spec: {
          ...pod.spec,
          containers: [
            {
              name: 'a',
              image: '1',
              env: [
                { name: 'Y', value: '2' },
                { name: 'X', value: '1' },
              ],
            },
            { name: 'b', image: '2' },
          ],
        },
      },
    ],
    [
      'deletes an element by directive',
      { spec: { containers: [{ name: 'b', $patch: 'delete' }] } },
      { spec: { ...pod.spec, containers: [pod.spec.containers[0] ?? {}] } },
    ],
    [
      'replaces a list without a key',
      { spec: { tolerations: [{ key: 'z' }] } },
      { spec: { ...pod.spec, tolerations: [{ key: 'z' }] } },
    ],
    [
      'orders as asked',
      {
        spec: {
          '$setElementOrder/containers': [{ name: 'b' }, { name: 'a' }],
          containers: [{ name: 'b', image: '3' }],
        },
      },
      { spec: { ...pod.spec, containers: [{ name: 'b', image: '3' }, pod.spec.containers[0] ?? {}] } },
    ],
    ['replaces an object by directive', { spec: { $patch: 'replace', nodeName: 'n' } }, { spec: { nodeName: 'n' } }],
  ])('%s', (_name, patch, wanted) => {
    expect(strategicMerge(pod, patch)).toEqual(wanted);
  });
  it('adds to and removes from sets of plain values', () => {
    const object = { metadata: { finalizers: ['a', 'b'] } };
    expect(strategicMerge(object, { metadata: { finalizers: ['c', 'a'] } })).toEqual({
      metadata: { finalizers: ['a', 'b', 'c'] },
    });
    expect(strategicMerge(object, { metadata: { '$deleteFromPrimitiveList/finalizers': ['a', 'b'] } })).toEqual({
      metadata: {},
    });
  });
});
