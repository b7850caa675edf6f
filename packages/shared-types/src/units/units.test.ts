import { describe, expect, it } from 'vitest';
import { parseDuration } from './duration.ts';
import { parseQuantity } from './quantity.ts';
import { parseSize, roundVolumeSize, VOLUME_SIZE_BYTES_MAX } from './volume-size.ts';

describe('parseQuantity', () => {
  it.each([
    ['0', 0n],
    ['1073741824', 1073741824n],
    ['2Gi', 2147483648n],
    ['1.5Gi', 1610612736n],
    ['100M', 100000000n],
    ['0.1Ki', 103n],
    ['-1', -1n],
    ['8Ei', 2n ** 63n],
  ])('reads %s', (text, bytes) => {
    expect(parseQuantity(text)).toBe(bytes);
  });

  it.each(['', 'Gi', '1 Gi', '1gi', '0x10', '1e3x', 'NaN', '1.', '9'.repeat(65)])('does not read %j', (text) => {
    expect(parseQuantity(text)).toBeNull();
  });
});

describe('sizes of volumes', () => {
  it.each([
    [0n, 2097152n],
    [-5n, 2097152n],
    [1n, 2097152n],
    [2097152n, 2097152n],
    [2097153n, 4194304n],
    [VOLUME_SIZE_BYTES_MAX, VOLUME_SIZE_BYTES_MAX],
    [VOLUME_SIZE_BYTES_MAX + 1n, null],
  ])('%s bytes become %s', (bytes, rounded) => {
    expect(roundVolumeSize(bytes)).toBe(rounded);
  });

  it.each([
    ['-1', 'must not be negative'],
    ['9223372036854775808', 'must be below 2^63'],
    ['8Ei', 'must be below 2^63'],
    ['big', 'must be a whole number of bytes'],
    ['', 'must be a whole number of bytes'],
  ])('%j is refused', (text, problem) => {
    expect(parseSize(text)).toMatchObject({ ok: false, problem: expect.stringContaining(problem) });
  });
});

describe('parseDuration', () => {
  it.each([
    ['0', 0],
    ['6h', 21_600_000],
    ['1h30m', 5_400_000],
    ['5m0s', 300_000],
    ['90d', 7_776_000_000],
    ['500ms', 500],
    ['1.5s', 1500],
  ])('reads %s', (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  it.each(['', '5', '-1h', '1 h', 'h', '1w'])('does not read %j', (text) => {
    expect(parseDuration(text)).toBeNull();
  });
});
