import { describe, expect, it } from 'vitest';
import { changeTimeText } from './checksum-file.ts';
import { Crc64 } from './crc64.ts';

function hash(bytes: Buffer): string {
  const crc = new Crc64();
  crc.update(bytes);
  return crc.hex();
}

describe('CRC-64/GO-ISO', () => {
  it.each([
    ['the check value', Buffer.from('123456789'), 'b90956c775a41001'],
    ['a block of zeros', Buffer.alloc(4096), '492fc33c906fff90'],
    ['a mebibyte of zeros', Buffer.alloc(1 << 20), '430efbe3cfd1f78c'],
  ])('%s', (_name, bytes, expected) => {
    expect(hash(bytes)).toBe(expected);
  });

  it('skips zeros as if they had been read, in any pieces', () => {
    const bytes = Buffer.concat([Buffer.from('abc'), Buffer.alloc(70_001), Buffer.from('defghijkl')]);
    const crc = new Crc64();
    crc.update(bytes.subarray(0, 2));
    crc.update(bytes.subarray(2, 3));
    crc.zeros(70_001);
    crc.update(bytes.subarray(70_004));
    expect(crc.hex()).toBe(hash(bytes));
  });
});

describe('change time', () => {
  it.each([
    [1763169345123450000n, '2025-11-15 01:15:45.12345 +0000 UTC'],
    [1763169345000000000n, '2025-11-15 01:15:45 +0000 UTC'],
    [1795231138493508922n, '2026-11-21 03:18:58.493508922 +0000 UTC'],
  ])('%d', (ns, text) => {
    expect(changeTimeText(ns)).toBe(text);
  });
});
