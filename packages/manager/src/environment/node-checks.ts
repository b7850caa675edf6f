/**
 * What a node lacks, each in words that say what does not work without it and how to get it. `error`: volumes cannot be
 * served, or data is in danger; `warn`: one feature is missing; `info`: looked at, and good.
 */
import type { HostFacts } from './host-facts.ts';

export type Level = 'error' | 'warn' | 'info';

export interface Finding {
  topic: string;
  level: Level;
  message: string;
}

const GIB = 2 ** 30;
const DISK_ERROR_BYTES = 2 * GIB;
const DISK_WARN_FRACTION = 0.25;
const DISK_TYPES = ['ext4', 'xfs', 'btrfs'];

type Check = (facts: HostFacts) => Finding[];

/** One finding: good when nothing is at fault. */
const one = (topic: string, level: Exclude<Level, 'info'>, fault: string | null, good: string): Finding[] => [
  fault === null ? { topic, level: 'info', message: good } : { topic, level, message: fault },
];

const PACKAGES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'mount.nfs': { apt: 'nfs-common', rpm: 'nfs-utils', zypper: 'nfs-client', pacman: 'nfs-utils' },
  cryptsetup: { apt: 'cryptsetup', rpm: 'cryptsetup', zypper: 'cryptsetup', pacman: 'cryptsetup' },
  dmsetup: { apt: 'dmsetup', rpm: 'device-mapper', zypper: 'device-mapper', pacman: 'device-mapper' },
  fstrim: { apt: 'util-linux', rpm: 'util-linux', zypper: 'util-linux', pacman: 'util-linux' },
};

/** [way of the system's packages, command that installs one] by `ID` of os-release. */
function installer(os: string): [kind: string, command: string] | null {
  if (['ubuntu', 'debian'].includes(os)) return ['apt', 'apt-get install'];
  if (['rhel', 'ol', 'rocky', 'centos', 'fedora', 'almalinux', 'amzn'].includes(os)) return ['rpm', 'yum install'];
  if (['sl-micro', 'opensuse-microos'].includes(os)) return ['zypper', 'transactional-update pkg install'];
  if (['sles', 'suse'].includes(os) || os.startsWith('opensuse')) return ['zypper', 'zypper install'];
  return os === 'arch' ? ['pacman', 'pacman -S'] : null;
}

function howToInstall(tool: string, os: string): string {
  const way = installer(os);
  const name = way === null ? undefined : PACKAGES[tool]?.[way[0]];
  return way === null || name === undefined
    ? `install the package that has ${tool} on this node`
    : `on this node: ${way[1]} ${name}`;
}

const loadNow = (module: string): string =>
  `on this node: modprobe ${module} && echo ${module} > /etc/modules-load.d/${module}.conf`;

const fuse: Check = ({ hasFuseDevice, filesystems }) =>
  one(
    'FUSE',
    'error',
    hasFuseDevice && filesystems.includes('fuse')
      ? null
      : `${hasFuseDevice ? 'the kernel has no file system fuse' : 'there is no /dev/fuse'}: volumes cannot be attached to this node (it can hold replicas); ${loadNow('fuse')}`,
    '/dev/fuse is there',
  );

const loop: Check = ({ hasLoopControl }) =>
  one(
    'LoopDevices',
    'error',
    hasLoopControl
      ? null
      : `there is no /dev/loop-control: volumes cannot be attached to this node (it can hold replicas); ${loadNow('loop')}`,
    'loop devices can be made',
  );

const filesystems: Check = (facts) => {
  const kernelHas = (name: string): boolean => facts.filesystems.includes(name) || facts.modules.includes(name);
  return ['ext4', 'xfs'].flatMap((name) =>
    one(
      'FileSystems',
      'warn',
      kernelHas(name)
        ? null
        : `the kernel has no ${name}: volumes with fsType ${name} cannot be mounted; ${loadNow(name)}`,
      `${name} can be mounted`,
    ),
  );
};

const propagation: Check = ({ rootIsShared }) =>
  one(
    'MountPropagation',
    'error',
    rootIsShared === false
      ? 'mounts of pods do not reach this host, so no pod would see its volume; on this node: mount --make-rshared / (and on boot, or MountFlags=shared for the container runtime)'
      : null,
    rootIsShared === null ? 'the mounts of the host cannot be seen from here' : 'mounts of pods reach the host',
  );

const multipath: Check = ({ processes }) =>
  one(
    'Multipathd',
    'warn',
    processes.includes('multipathd')
      ? 'multipathd runs and may take volumes for paths of its own, so that they cannot be mounted; add to /etc/multipath.conf: blacklist { devnode "^(sd[a-z0-9]+|loop[0-9]+)" } and restart multipathd'
      : null,
    'multipathd does not run',
  );

const NFS_OPTIONS = ['CONFIG_NFS_V4_2', 'CONFIG_NFS_V4_1', 'CONFIG_NFS_V4'];

const nfs: Check = (facts) => {
  const { kernelConfig, modules } = facts;
  const built = NFS_OPTIONS.map((option) => kernelConfig?.get(option));
  const works =
    built.includes('y') ||
    facts.filesystems.includes('nfs4') ||
    ((kernelConfig === null || built.includes('m')) && (modules.includes('nfs') || modules.includes('nfsv4')));
  return one(
    'NFSv4',
    'warn',
    works
      ? null
      : `the kernel has no NFSv4 client: no ReadWriteMany volumes, no backups on NFS; ${built.includes('m') ? loadNow('nfs') : 'use a kernel with CONFIG_NFS_V4_1 or CONFIG_NFS_V4_2'}`,
    'the kernel has an NFSv4 client',
  );
};

const encryption: Check = ({ modules, kernelConfig }) => {
  const option = kernelConfig?.get('CONFIG_DM_CRYPT');
  return one(
    'Encryption',
    'warn',
    modules.includes('dm_crypt') || option === 'y'
      ? null
      : `the kernel module dm_crypt is not loaded: no encrypted volumes; ${option === undefined && kernelConfig !== null ? 'use a kernel with CONFIG_DM_CRYPT' : loadNow('dm_crypt')}`,
    'dm_crypt is there',
  );
};

const NEEDED_FOR: Readonly<Record<string, string>> = {
  'mount.nfs': 'no ReadWriteMany volumes, no backups on NFS',
  cryptsetup: 'no encrypted volumes',
  dmsetup: 'no encrypted volumes',
  fstrim: 'space of deleted files is not given back',
};

const tools: Check = (facts) =>
  Object.entries(NEEDED_FOR).flatMap(([tool, lost]) =>
    one(
      'Tools',
      'warn',
      facts.tools.includes(tool) ? null : `${tool} is not installed: ${lost}; ${howToInstall(tool, facts.os)}`,
      `${tool} is installed`,
    ),
  );

function versionOf(kernel: string): { numbers: number[]; build: number } {
  const match = /^(\d+)\.(\d+)(?:\.(\d+))?(?:-(\d+))?/.exec(kernel);
  const [, major = '0', minor = '0', patch = '0', build = '0'] = match ?? [];
  return { numbers: [Number(major), Number(minor), Number(patch)], build: Number(build) };
}

/** Kernels that lose or corrupt data of file systems under load. */
function isKnownBad(kernel: string): boolean {
  const { numbers, build } = versionOf(kernel);
  const text = numbers.join('.');
  return (text === '5.15.0' && build >= 94 && build < 100) || text === '6.5.6';
}

const kernel: Check = (facts) => {
  const { numbers } = versionOf(facts.kernel);
  const [major = 0, minor = 0] = numbers;
  const fault = isKnownBad(facts.kernel)
    ? `kernel ${facts.kernel} has a known fault in its file systems; update the kernel of this node`
    : major < 5 || (major === 5 && minor < 8)
      ? `kernel ${facts.kernel} is older than 5.8, which is the oldest that is recommended; update the kernel of this node`
      : null;
  return one('Kernel', 'warn', fault, `kernel ${facts.kernel}`);
};

const gib = (bytes: number): string => `${(bytes / GIB).toFixed(1)} GiB`;

const disk: Check = ({ disk: found }) => {
  if (found === null) return one('Disk', 'error', 'the folder of the default disk cannot be looked at', '');
  const { path, type, totalBytes, availableBytes } = found;
  const space = `${gib(availableBytes)} of ${gib(totalBytes)} are free at ${path}`;
  const way = 'make room, or mount another disk there, or add a disk to the node in Longhorn';
  return [
    ...one(
      'Disk',
      availableBytes < DISK_ERROR_BYTES ? 'error' : 'warn',
      availableBytes < DISK_ERROR_BYTES
        ? `${space}: too little for any volume; ${way}`
        : availableBytes < totalBytes * DISK_WARN_FRACTION
          ? `${space}: below the default of storage-minimal-available-percentage, so nothing will be scheduled here; ${way}`
          : null,
      space,
    ),
    ...one(
      'Disk',
      'warn',
      DISK_TYPES.includes(type) || type === ''
        ? null
        : `${path} is on ${type}: replicas need sparse files and hole punching; use a disk with ext4 or xfs`,
      `${path} is on ${type === '' ? 'an unknown file system' : type}`,
    ),
  ];
};

const CHECKS: readonly Check[] = [
  fuse,
  loop,
  propagation,
  disk,
  kernel,
  filesystems,
  multipath,
  tools,
  nfs,
  encryption,
];

/** All findings of a node, in the order of the checks. */
export const findingsOf = (facts: HostFacts): Finding[] => CHECKS.flatMap((check) => check(facts));
