import { describe, expect, it } from 'vitest';
import type { HostFacts } from './host-facts.ts';
import { findingsOf, type Finding } from './node-checks.ts';
import { asMap, formatted, hasErrors } from '../lhctl/report.ts';

const GIB = 2 ** 30;
const GOOD: HostFacts = {
  node: 'n1',
  kernel: '6.1.0-18-amd64',
  os: 'debian',
  hasFuseDevice: true,
  hasLoopControl: true,
  filesystems: ['fuse', 'ext4', 'xfs', 'nfs4'],
  modules: ['dm_crypt'],
  kernelConfig: new Map([['CONFIG_NFS_V4_2', 'y']]),
  rootIsShared: true,
  tools: ['mount.nfs', 'cryptsetup', 'dmsetup', 'fstrim'],
  processes: [],
  disk: { path: '/var/lib/longhorn', type: 'ext4', totalBytes: 100 * GIB, availableBytes: 80 * GIB },
};
const missing = (facts: HostFacts): Finding[] => findingsOf(facts).filter(({ level }) => level !== 'info');
const disk = (change: Partial<NonNullable<HostFacts['disk']>>): Partial<HostFacts> => ({
  disk: { path: '/d', type: 'xfs', totalBytes: 100 * GIB, availableBytes: 80 * GIB, ...change },
});

/** what is different, topic and level of the only finding, words that it must have */
const CASES: [Partial<HostFacts>, string, string, RegExp][] = [
  [{ hasFuseDevice: false }, 'FUSE', 'error', /no \/dev\/fuse.*cannot be attached.*modprobe fuse.*modules-load\.d/],
  [{ filesystems: ['ext4', 'xfs', 'nfs4'] }, 'FUSE', 'error', /no file system fuse.*modprobe fuse/],
  [{ hasLoopControl: false }, 'LoopDevices', 'error', /no \/dev\/loop-control.*modprobe loop/],
  [{ rootIsShared: false }, 'MountPropagation', 'error', /mount --make-rshared \//],
  [disk({ availableBytes: GIB }), 'Disk', 'error', /1\.0 GiB of 100\.0 GiB.*make room/],
  [disk({ availableBytes: 20 * GIB }), 'Disk', 'warn', /storage-minimal-available-percentage/],
  [disk({ type: 'overlay' }), 'Disk', 'warn', /on overlay: .*ext4 or xfs/],
  [{ disk: null }, 'Disk', 'error', /cannot be looked at/],
  [{ kernel: '5.4.0-100-generic' }, 'Kernel', 'warn', /older than 5\.8/],
  [{ kernel: '5.15.0-97-generic' }, 'Kernel', 'warn', /known fault/],
  [{ kernel: '6.5.6-200.fc38' }, 'Kernel', 'warn', /known fault/],
  [{ filesystems: ['fuse', 'ext4', 'nfs4'] }, 'FileSystems', 'warn', /no xfs.*modprobe xfs/],
  [{ processes: ['multipathd'] }, 'Multipathd', 'warn', /blacklist.*loop/],
  [
    { tools: ['cryptsetup', 'dmsetup', 'fstrim'] },
    'Tools',
    'warn',
    /mount\.nfs.*ReadWriteMany.*apt-get install nfs-common/,
  ],
  [
    { os: 'rocky', tools: ['mount.nfs', 'cryptsetup', 'fstrim'] },
    'Tools',
    'warn',
    /dmsetup.*encrypted.*yum install device-mapper/,
  ],
  [
    { os: 'plan9', tools: ['mount.nfs', 'dmsetup', 'fstrim'] },
    'Tools',
    'warn',
    /install the package that has cryptsetup/,
  ],
  [
    {
      filesystems: ['fuse', 'ext4', 'xfs'],
      kernelConfig: new Map([
        ['CONFIG_NFS_V4_2', 'm'],
        ['CONFIG_DM_CRYPT', 'm'],
      ]),
    },
    'NFSv4',
    'warn',
    /modprobe nfs/,
  ],
  [
    { filesystems: ['fuse', 'ext4', 'xfs'], kernelConfig: new Map() },
    'NFSv4',
    'warn',
    /use a kernel with CONFIG_NFS_V4_1/,
  ],
  [{ modules: [], kernelConfig: null }, 'Encryption', 'warn', /modprobe dm_crypt/],
];

describe('the checks of a node', () => {
  it('find nothing missing on a good one, and say what they looked at', () => {
    expect(missing(GOOD)).toEqual([]);
    expect(new Set(findingsOf(GOOD).map(({ topic }) => topic))).toEqual(new Set(CASES.map(([, topic]) => topic)));
  });

  it.each(CASES)('%j: [%s] %s', (change, topic, level, words) => {
    const found = missing({ ...GOOD, ...change });
    expect(found).toEqual([{ topic, level, message: expect.stringMatching(words) as string }]);
  });

  it('do not take kernels next to the bad ones for bad', () => {
    for (const kernel of ['5.15.0-93-generic', '5.15.0-100-generic', '6.5.7', '5.8.0', '6.18.44-fc'])
      expect(missing({ ...GOOD, kernel }), kernel).toEqual([]);
  });

  it('do not know about mounts of a host that they do not see', () => {
    expect(missing({ ...GOOD, rootIsShared: null })).toEqual([]);
  });
});

describe('the report', () => {
  const reports = [
    { node: 'n1', findings: [{ topic: 'A', level: 'info' as const, message: 'good' }] },
    {
      node: 'n2',
      findings: [
        { topic: 'B', level: 'warn' as const, message: 'less good' },
        { topic: 'C', level: 'error' as const, message: 'bad' },
      ],
    },
  ];

  it('is a map from node and level to messages', () => {
    expect(asMap(reports)).toEqual({
      n1: { error: [], warn: [], info: ['[A] good'] },
      n2: { error: ['[C] bad'], warn: ['[B] less good'], info: [] },
    });
    expect(JSON.parse(formatted(reports, 'json'))).toEqual(asMap(reports));
  });

  it('shows the worst of each node first', () => {
    expect(formatted(reports, 'text')).toBe('n1\n  info  [A] good\nn2\n  error [C] bad\n  warn  [B] less good');
  });

  it('counts errors, not warnings', () => {
    expect(hasErrors(reports)).toBe(true);
    expect(hasErrors(reports.slice(0, 1))).toBe(false);
  });
});
