import { describe, expect, it } from 'vitest';
import { percent, sizeText } from './size-text.ts';
import { ageText, parseTime } from './time-text.ts';

describe('sizeText', () => {
  it.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [1536, '1.5 KiB'],
    [2 ** 31, '2 GiB'],
    [1.5234 * 2 ** 30, '1.52 GiB'],
    [15.26 * 2 ** 40, '15.3 TiB'],
    [999 * 2 ** 20, '999 MiB'],
    [Number.NaN, 'unknown'],
    [-1, 'unknown'],
  ])('shows %d as %s', (bytes, text) => {
    expect(sizeText(bytes)).toBe(text);
  });
});

describe('percent', () => {
  it.each([
    [1, 4, 25],
    [5, 4, 100],
    [1, 0, 0],
  ])('%d of %d is %d', (part, whole, result) => {
    expect(percent(part, whole)).toBe(result);
  });
});

describe('times', () => {
  it('reads both forms as the same time', () => {
    expect(parseTime('2025-11-20 10:11:12 +0000 UTC')).toBe(parseTime('2025-11-20T10:11:12Z'));
    expect(parseTime('')).toBeNull();
  });

  const now = Date.parse('2025-11-20T12:00:00Z');
  it.each([
    ['2025-11-20T11:59:58Z', 'just now'],
    ['2025-11-20T11:59:20Z', '40 seconds ago'],
    ['2025-11-20T11:59:00Z', '1 minute ago'],
    ['2025-11-20T09:00:00Z', '3 hours ago'],
    ['2025-11-17T12:00:00Z', '3 days ago'],
    ['2022-11-17T12:00:00Z', '3 years ago'],
    ['2025-11-20T12:00:09Z', 'just now'],
    ['soon', 'soon'],
  ])('shows %s as %s', (text, age) => {
    expect(ageText(text, now)).toBe(age);
  });
});
