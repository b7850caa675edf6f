import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { devicePaths } from './device-paths.ts';
import { type DeviceRecord, parseRecord, readRecord, removeRecord, writeRecord } from './device-record.ts';
import { parseMounts } from './fuse-connection.ts';

const RECORD: DeviceRecord = {
  version: 1,
  volumeName: 'v',
  sizeBytes: 1 << 30,
  kernelBootId: 'k',
  nodeBootId: 'n',
  connectionId: 39,
  canResend: true,
  canDiscard: true,
  holder: { pid: 7, startTicks: 8 },
  loop: { number: 0, major: 7, minor: 0, diskSequence: 19 },
  backingPath: '/run/longhorn/devices/v.backing',
  node: { path: '/dev/longhorn/v', inode: 116, bornMs: 1795265817764.3506 },
};

let directory = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'longhorn-record-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

describe('the device record', () => {
  it('is read as it was written, with and without a node', () => {
    const path = join(directory, 'v.json');
    for (const record of [RECORD, { ...RECORD, node: null }]) {
      writeRecord(path, record);
      expect(readRecord(path)).toEqual(record);
    }
    removeRecord(path);
    expect(readdirSync(directory)).toEqual([]);
    expect(readRecord(path)).toBeNull();
  });

  it.each([
    '',
    '{',
    '[]',
    'null',
    '{"version":2}',
    JSON.stringify({ ...RECORD, holder: { pid: '7' } }),
    JSON.stringify({ ...RECORD, loop: undefined }),
  ])('refuses %s', (text) => {
    expect(parseRecord(text)).toBeNull();
    writeFileSync(join(directory, 'v.json'), text);
    expect(readRecord(join(directory, 'v.json'))).toBe('damaged');
  });
});

describe('the files of a volume', () => {
  it.each(['', '.', '..', 'a/b', '../a', '-a', 'a\0', 'a b', 'x'.repeat(201)])('refuses the name %j', (name) => {
    expect(() => devicePaths(name, directory)).toThrow('cannot be used for a device');
  });
});

describe('the mount table', () => {
  it('gives FUSE mounts below a directory, with unescaped paths', () => {
    const table = [
      '22 1 254:1 / / rw,relatime - ext4 /dev/vda rw',
      '90 22 0:39 / /run/long\\040horn/devices/v.backing rw,nosuid shared:5 - fuse longhorn rw,user_id=0',
      '91 22 0:40 / /run/long\\040horn/devices-not/v.backing rw - fuse longhorn rw',
      '92 22 0:41 / /run/long\\040horn/devices/tmp rw - tmpfs tmpfs rw',
      '',
    ].join('\n');
    expect(parseMounts(table, '/run/long horn/devices')).toEqual([
      { path: '/run/long horn/devices/v.backing', connectionId: 39 },
    ]);
  });
});
