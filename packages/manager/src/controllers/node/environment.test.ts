import { describe, expect, it } from 'vitest';
import type { HostFacts } from '../../environment/host-facts.ts';
import { findingsOf } from '../../environment/node-checks.ts';
import { environmentConditions } from './environment.ts';

const GOOD: HostFacts = {
  node: 'n',
  kernel: '6.1.0',
  os: 'debian',
  hasFuseDevice: true,
  hasLoopControl: true,
  filesystems: ['fuse', 'ext4', 'xfs', 'nfs4'],
  modules: ['dm_crypt'],
  kernelConfig: null,
  rootIsShared: true,
  tools: ['mount.nfs', 'cryptsetup', 'dmsetup', 'fstrim'],
  processes: [],
  disk: { path: '/var/lib/longhorn', type: 'ext4', totalBytes: 2 ** 40, availableBytes: 2 ** 39 },
};
const conditions = (change: Partial<HostFacts>): Record<string, [string, string, string]> =>
  Object.fromEntries(
    environmentConditions(findingsOf({ ...GOOD, ...change })).map(({ type, status, reason = '', message = '' }) => [
      type,
      [status, reason, message],
    ]),
  );

describe('conditions of the environment', () => {
  it('are True where nothing is missing', () => {
    expect(Object.values(conditions({})).map(([status]) => status)).toEqual(['True', 'True', 'True', 'True', 'True']);
  });

  it('say that no pod can use a volume, and the way out, where there is no FUSE or no loop device', () => {
    const both = conditions({ hasFuseDevice: false, hasLoopControl: false })['BlockDeviceAvailable'];
    expect(both).toEqual([
      'False',
      'NoFrontend',
      expect.stringMatching(/no \/dev\/fuse.*modprobe fuse.*modprobe loop/),
    ]);
    expect(conditions({ filesystems: [] })['BlockDeviceAvailable']?.[0]).toBe('False');
    expect(conditions({ hasLoopControl: false })['BlockDeviceAvailable']?.[0]).toBe('False');
  });

  it.each<[string, string, string, Partial<HostFacts>]>([
    [
      'RequiredPackages',
      'PackagesNotInstalled',
      'apt-get install cryptsetup',
      { tools: ['mount.nfs', 'dmsetup', 'fstrim'] },
    ],
    ['Multipathd', 'MultipathdIsRunning', 'multipath.conf', { processes: ['multipathd'] }],
    ['NFSClientInstalled', 'NFSClientIsNotFound', 'no NFSv4 client', { filesystems: ['fuse', 'ext4', 'xfs'] }],
    ['KernelModulesLoaded', 'KernelModulesNotLoaded', 'modprobe dm_crypt', { modules: [] }],
  ])('say in %s what is missing', (type, reason, words, change) => {
    expect(conditions(change)[type]).toEqual(['False', reason, expect.stringContaining(words)]);
    expect(Object.values(conditions(change)).filter(([status]) => status === 'False').length).toBe(1);
  });
});
