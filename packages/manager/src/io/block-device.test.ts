import {
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { blockDeviceAt } from './block-device.ts';

const numbersFile = (name: string): string => `/sys/class/block/${name}/dev`;
const device = readdirSync('/dev').find(
  (name) => lstatSync(join('/dev', name)).isBlockDevice() && existsSync(numbersFile(name)),
);
if (device === undefined) console.log('no block device in /dev: the test that reads one is left out');

describe('the block device at a path', () => {
  it.skipIf(device === undefined)('is told by its numbers and the boot', async () => {
    const name = device ?? '';
    const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    const number = readFileSync(numbersFile(name), 'utf8').trim();
    expect(await blockDeviceAt(`/dev/${name}`, '')).toEqual({ number, bootId });
    expect(await blockDeviceAt(`/${name}`, '/dev')).toEqual({ number, bootId });
  });

  it('is none where there is nothing, or something else', async () => {
    const root = mkdtempSync(join(tmpdir(), 'device-'));
    try {
      writeFileSync(join(root, 'file'), '');
      symlinkSync(`/dev/${device ?? 'null'}`, join(root, 'link'));
      expect(await blockDeviceAt('/missing', root)).toBeNull();
      expect(await blockDeviceAt('/file/below', root)).toBeNull();
      expect(await blockDeviceAt('/file', root)).toBeNull();
      expect(await blockDeviceAt('/link', root)).toBeNull();
      expect(await blockDeviceAt('/dev/null', '')).toBeNull();
    } finally {
      rmSync(root, { recursive: true });
    }
  });
});
