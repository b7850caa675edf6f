import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ACCEPTED } from './accepted.ts';
import { REQUESTS } from './compare.ts';
import { differencesOf, judge } from './difference.ts';
import { normalised, type Value } from './normalise.ts';

const UID = '01234567-89ab-cdef-0123-456789abcdef';

describe('normalised', () => {
  const kept = new Map([
    ['uid', UID],
    ['version', '369'],
  ]);
  it.each<[string, Value, Value]>([
    ['a uid by its name', `UID ${UID}`, 'UID <uid>'],
    ['another uid, even with a version in it', '11111111-3369-4222-8333-444444444444', '<uid>'],
    ['a version that was kept', 'at 369', 'at <version>'],
    ['a time', '2026-01-01T00:00:00Z', '<time>'],
    ['an address', '10.0.0.1:80', '<address>'],
    ['a generated name', 'generated-ab1c2', 'generated-<random>'],
    ['a resourceVersion', { resourceVersion: '7' }, { resourceVersion: '<version>' }],
    ['an empty resourceVersion', { resourceVersion: '' }, { resourceVersion: '' }],
    ['ages in tables', { cells: ['a', '5m3s', 3] }, { cells: ['a', '<age>', 3] }],
    ['faults in random order', { causes: ['b', 'a', 'b'] }, { causes: ['a', 'b'] }],
    ['a list of faults', 'x is invalid: [b, a]', 'x is invalid: [a, b]'],
    ['what is data', { a: [1, null, true, 'x'] }, { a: [1, null, true, 'x'] }],
  ])('%s', (_name, value, expected) => {
    expect(normalised(value, kept)).toEqual(expected);
  });
});

describe('differences', () => {
  it('are found at every depth, missing fields and lengths among them', () => {
    const found = differencesOf('r', { a: 1, b: [1, 2], c: { d: 'x' } }, { a: 1, b: [1], c: { d: 'y', e: null } });
    expect(found.map(({ path, local, real }) => [path, local, real])).toEqual([
      ['b.length', [1, 2], [1]],
      ['c.d', 'x', 'y'],
      ['c.e', undefined, null],
    ]);
  });

  it('are open unless request and place are accepted; what is accepted in vain is told', () => {
    const difference = { request: 'r', path: 'body.a', local: 1, real: 2 };
    const rule = (requests: RegExp, path: RegExp): { requests: RegExp; path: RegExp; reason: string } => ({
      requests,
      path,
      reason: String(path),
    });
    const fits = rule(/^r$/, /^body\.a$/);
    const vain = rule(/^q$/, /^body\.a$/);
    expect(judge([difference], [vain, fits])).toEqual({
      open: [],
      accepted: [{ difference, reason: fits.reason }],
      outdated: [vain],
    });
    expect(judge([difference], []).open).toEqual([difference]);
  });
});

describe('the list of accepted differences', () => {
  it('names requests that there are', () => {
    for (const { requests, reason } of ACCEPTED)
      expect(
        REQUESTS.some(({ name }) => requests.test(name)),
        reason,
      ).toBe(true);
  });

  it('is what the documentation says', () => {
    const page = readFileSync(resolve(import.meta.dirname, '../../../../docs/api-comparison.md'), 'utf8');
    const listed = [...page.matchAll(/^- (.+)$/gm)].map((match) => match[1]);
    expect(listed).toEqual(ACCEPTED.map(({ reason }) => reason));
  });
});
