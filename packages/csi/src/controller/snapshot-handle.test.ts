import { describe, expect, it } from 'vitest';
import { decodeHandle, snapHandle, snapshotObjectName } from './snapshot-handle.ts';

describe('handles of snapshots', () => {
  it.each([
    ['snap://vol-1/snapshot-2', { kind: 'snap', volume: 'vol-1', snapshot: 'snapshot-2' }],
    ['snap://vol-1/snapshot-2/more', { kind: 'snap', volume: 'vol-1', snapshot: 'snapshot-2' }],
    ['bak://vol-1/backup-0123', { kind: 'bak', volume: 'vol-1', backup: 'backup-0123' }],
    ['bs://vol-1/backup-0123', { kind: 'bak', volume: 'vol-1', backup: 'backup-0123' }],
    ['snap://vol-1', { kind: 'unknown' }],
    ['snap://../snapshot', { kind: 'unknown' }],
    ['snap://vol-1/../vol-2', { kind: 'unknown' }],
    ['ftp://vol-1/x', { kind: 'unknown' }],
    ['non-existing-snapshot-id', { kind: 'unknown' }],
    ['', { kind: 'unknown' }],
  ])('%s', (handle, expected) => {
    expect(decodeHandle(handle)).toEqual(expected);
  });

  it('of backing images keep their query', () => {
    const handle = decodeHandle('bi://backing?backingImage=img&backingImageDataSourceType=export-from-volume');
    expect(handle.kind === 'bi' ? Object.fromEntries(handle.query) : null).toEqual({
      backingImage: 'img',
      backingImageDataSourceType: 'export-from-volume',
    });
  });

  it('come back from what they are made of', () => {
    expect(decodeHandle(snapHandle('v-1', 's.1'))).toEqual({ kind: 'snap', volume: 'v-1', snapshot: 's.1' });
  });

  it('have object names for every name that a caller may choose, the same each time and never shared', () => {
    const names = [
      'snapshot-1',
      'Snapshot-1',
      'SNAPSHOT-1',
      'ß',
      '',
      ' ',
      'a/b',
      'a-b',
      'x'.repeat(128),
      'x'.repeat(129),
    ];
    const made = names.map(snapshotObjectName);
    expect(made[0]).toBe('snapshot-1');
    expect(made[8]).toBe('x'.repeat(128));
    expect(new Set(made).size).toBe(names.length);
    expect(names.map(snapshotObjectName)).toEqual(made);
    for (const name of made) expect(name).toMatch(/^[a-z0-9]([-a-z0-9]{0,126}[a-z0-9])?$/);
  });
});
