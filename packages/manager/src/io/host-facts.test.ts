import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import {
  configOf,
  filesystemsOf,
  filesystemTypeOf,
  modulesOf,
  osOf,
  readHostFacts,
  rootIsShared,
} from './host-facts.ts';

const MOUNTS = [
  '21 1 0:20 / / rw,relatime shared:1 - ext4 /dev/vda rw',
  '22 21 0:21 / /var/lib rw shared:2 - xfs /dev/vdb rw',
  '23 22 0:22 / /var/lib/longhorn rw - btrfs /dev/vdc rw',
].join('\n');

describe('what the kernel says', () => {
  it.each([
    ['ID=debian\n', 'debian'],
    ['NAME="x"\nID="rhel"\nID_LIKE=fedora\n', 'rhel'],
    ['', ''],
  ])('os-release %j is %j', (text, id) => {
    expect(osOf(text)).toBe(id);
  });

  it('has file systems with and without a device', () => {
    expect(filesystemsOf('nodev\tsysfs\n\text4\n')).toEqual(['sysfs', 'ext4']);
  });

  it('has modules that are loaded, and those that are built in under the name that they would have', () => {
    expect(modulesOf('fuse 1 0 - Live\nnfsd 2 0\n', 'kernel/drivers/md/dm-crypt.ko\n')).toEqual([
      'fuse',
      'nfsd',
      'dm_crypt',
    ]);
  });

  it('has a configuration', () => {
    expect(configOf('# CONFIG_A is not set\nCONFIG_B=y\nCONFIG_C=m\n')).toEqual(
      new Map([
        ['CONFIG_B', 'y'],
        ['CONFIG_C', 'm'],
      ]),
    );
  });

  it('has mounts', () => {
    expect(rootIsShared(MOUNTS)).toBe(true);
    expect(rootIsShared(MOUNTS.replace(' shared:1', ''))).toBe(false);
    expect(rootIsShared('')).toBeNull();
    expect(filesystemTypeOf(MOUNTS, '/var/lib/longhorn')).toBe('btrfs');
    expect(filesystemTypeOf(MOUNTS, '/var/lib/longhorn-2')).toBe('xfs');
    expect(filesystemTypeOf(MOUNTS, '/srv')).toBe('ext4');
  });
});

describe('reading a host', () => {
  const root = mkdtempSync(join(tmpdir(), 'host-facts-'));
  afterAll(() => rmSync(root, { recursive: true }));

  it('finds what is there, and nothing where nothing is', async () => {
    const files: Record<string, string> = {
      'etc/os-release': 'ID=debian\n',
      'proc/1/mountinfo': MOUNTS,
      'proc/1/comm': 'systemd\n',
      'proc/77/comm': 'multipathd\n',
      'proc/filesystems': 'nodev\tfuse\n',
      'proc/modules': 'loop 1 0\n',
      [`boot/config-${release()}`]: 'CONFIG_FUSE_FS=y\n',
      'usr/sbin/cryptsetup': '',
      'dev/fuse': 'a file is no device',
    };
    for (const [path, content] of Object.entries(files)) {
      mkdirSync(join(root, path, '..'), { recursive: true });
      writeFileSync(join(root, path), content);
    }
    const facts = await readHostFacts(root, '/var/lib/longhorn', 'n1');
    expect(facts).toMatchObject({
      node: 'n1',
      os: 'debian',
      hasFuseDevice: false,
      hasLoopControl: false,
      filesystems: ['fuse'],
      modules: ['loop'],
      rootIsShared: true,
      tools: ['cryptsetup'],
      processes: ['multipathd'],
      kernelConfig: new Map([['CONFIG_FUSE_FS', 'y']]),
      disk: { path: '/var/lib/longhorn', type: 'ext4' },
    });
    expect(facts.disk?.totalBytes).toBeGreaterThan(0);
  });
});
