import { describe, expect, it } from 'vitest';
import { decodeResource } from '../api/rest-decoder.ts';
import { conflictWith, sizeOfCopy, volumeIdFor } from './create-volume.ts';

const present = decodeResource('volume', { id: 'v', size: '20971520', accessMode: 'rwo', dataEngine: 'v1' });
const MIB = 1_048_576n;

describe('an existing volume', () => {
  const asked = { sizeBytes: 20n * MIB, limitBytes: 0n };
  it.each([
    ['is the one asked for', {}, asked, null],
    ['with the same said again', { accessMode: 'rwo', dataEngine: '', numberOfReplicas: 5 }, asked, null],
    ['within the limit', {}, { sizeBytes: 10n * MIB, limitBytes: 20n * MIB }, null],
    [
      'is larger than asked',
      {},
      { sizeBytes: 10n * MIB, limitBytes: 0n },
      /size 20971520 differs from requested size 10485760/,
    ],
    ['is larger than the limit', {}, { sizeBytes: 10n * MIB, limitBytes: 18n * MIB }, /differs/],
    ['is smaller', {}, { sizeBytes: 22n * MIB, limitBytes: 30n * MIB }, /differs/],
    ['has another access mode', { accessMode: 'rwx' }, asked, /accessMode "rwo", requested is "rwx"/],
    ['has no source', { dataSource: 'vol://x' }, asked, /dataSource "", requested is "vol:\/\/x"/],
    ['is not encrypted', { encrypted: true }, asked, /encrypted false, requested is true/],
  ])('%s', (_name, wanted, range, conflict) => {
    expect(conflictWith(present, wanted, range) ?? 'none').toMatch(conflict ?? /^none$/);
  });
});

describe('the size of a copy', () => {
  const source = { dataSource: 'vol://x', sizeBytes: 20n * MIB };
  const range = (mib: bigint, limitMib = 0n) => ({ sizeBytes: mib * MIB, limitBytes: limitMib * MIB });
  it.each([
    ['that of its source', range(20n), true, 20n],
    ['larger', range(30n), true, 30n],
    ['that of its source if none is said', range(10n), false, 20n],
    ['that of its source within the limit', range(10n, 20n), false, 20n],
  ])('is %s', (_name, asked, isSaid, mib) => {
    expect(sizeOfCopy(source, asked, isSaid).sizeBytes).toBe(mib * MIB);
  });

  it.each([
    ['is smaller', range(18n), true],
    ['may not be as large', range(10n, 18n), false],
  ])('that %s is refused', (_name, asked, isSaid) => {
    expect(() => sizeOfCopy(source, asked, isSaid)).toThrow(/OutOfRange.*smaller than that of its source vol:\/\/x/);
  });
});

describe('the id of a volume', () => {
  it.each([
    ['pvc-01234567-89ab-cdef-0123-456789abcdef', 'pvc-01234567-89ab-cdef-0123-456789abcdef'],
    ['My-Volume', 'my-volume'],
  ])('for %s is %s', (name, id) => {
    expect(volumeIdFor(name)).toBe(id);
  });

  it('for a long name is cut and marked', () => {
    expect(volumeIdFor('a'.repeat(128))).toMatch(/^a{31}-[0-9a-f]{8}$/);
  });

  it.each(['', '../etc', 'a\u0000b', 'a b'])('cannot be made of %j', (name) => {
    expect(() => volumeIdFor(name)).toThrow(expect.objectContaining({ code: 3 }));
  });
});
