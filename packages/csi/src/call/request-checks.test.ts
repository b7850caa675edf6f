import { describe, expect, it } from 'vitest';
import {
  VolumeCapability_AccessMode_Mode as Mode,
  type VolumeCapability,
} from '@longhorn/shared-types/generated/csi-v1';
import { capabilityProblem, fileSystemOf, requiredPath, requiredVolumeId, sizeFor } from './request-checks.ts';

const MIB = 1_048_576n;

function mount(fsType = '', flags: string[] = [], mode: number = Mode.SINGLE_NODE_WRITER): VolumeCapability {
  return {
    block: null,
    mount: { fs_type: fsType, mount_flags: flags, volume_mount_group: '' },
    access_mode: { mode },
  };
}

describe('a capability', () => {
  it.each([
    ['ext4', mount('ext4', ['noatime'])],
    ['xfs', mount('xfs')],
    ['no file system said', mount()],
    ['a raw device', { ...mount(), mount: null, block: {} }],
    ['one pod', mount('', [], Mode.SINGLE_NODE_SINGLE_WRITER)],
    ['many pods of one node', mount('', [], Mode.SINGLE_NODE_MULTI_WRITER)],
  ])('for %s is fine', (_name, capability) => {
    expect(capabilityProblem(capability)).toBeNull();
  });

  it.each([
    ['neither type', { ...mount(), mount: null }, /failed to have both mount and block access type be undefined/],
    ['both types', { ...mount(), block: {} }, /failed to have both block and mount access type/],
    ['no mode', { ...mount(), access_mode: null }, /access mode UNKNOWN is not supported/],
    [
      'many nodes',
      mount('', [], Mode.MULTI_NODE_MULTI_WRITER),
      /MULTI_NODE_MULTI_WRITER is not supported.*ReadWriteOnce/,
    ],
    ['readers on many nodes', mount('', [], Mode.MULTI_NODE_READER_ONLY), /MULTI_NODE_READER_ONLY is not supported/],
    ['a mode of the future', mount('', [], 99), /access mode 99 is not supported/],
    ['ntfs', mount('ntfs'), /fsType "ntfs" is not supported, use one of ext4, ext3, xfs/],
    ['an option that is a flag of mount', mount('', ['--make-shared']), /mount_flags has "--make-shared"/],
    ['an empty option', mount('', ['']), /mount_flags has ""/],
    ['too many options', mount('', ['x'.repeat(5000)]), /mount_flags must be at most 4096 bytes/],
  ])('with %s is refused', (_name, capability, message) => {
    expect(capabilityProblem(capability)).toMatch(message);
  });

  it('without a file system has ext4, a raw device has none', () => {
    expect([
      fileSystemOf(mount()),
      fileSystemOf(mount('xfs')),
      fileSystemOf({ ...mount(), mount: null, block: {} }),
    ]).toEqual(['ext4', 'xfs', null]);
  });
});

describe('a size', () => {
  it.each([
    ['nothing said', null, 10n * MIB],
    ['zero', { required_bytes: 0n, limit_bytes: 0n }, 10n * MIB],
    ['one byte', { required_bytes: 1n, limit_bytes: 0n }, 10n * MIB],
    ['no multiple', { required_bytes: 11n * MIB, limit_bytes: 12n * MIB }, 12n * MIB],
    ['2^60', { required_bytes: 2n ** 60n, limit_bytes: 0n }, 2n ** 60n],
  ])('of %s', (_name, range, expected) => {
    expect(sizeFor(range).sizeBytes).toBe(expected);
  });

  it.each([
    [{ required_bytes: -1n, limit_bytes: 0n }, 3, /negative/],
    [{ required_bytes: 0n, limit_bytes: -1n }, 3, /negative/],
    [{ required_bytes: 2n ** 63n - 1n, limit_bytes: 0n }, 11, /below 2\^63/],
    [{ required_bytes: 11n * MIB, limit_bytes: 11n * MIB }, 11, /limit_bytes 11534336 is too small.*12582912/],
    [{ required_bytes: 0n, limit_bytes: MIB }, 11, /limit_bytes/],
  ])('out of range is refused (%#)', (range, code, message) => {
    expect(() => sizeFor(range)).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }));
  });
});

describe('ids and paths', () => {
  it.each(['', '../x', 'a/b', 'Volume', 'a'.repeat(41), '-a', 'a b', '.'])('refuse the volume id %j', (id) => {
    expect(() => requiredVolumeId(id)).toThrow(expect.objectContaining({ code: 3 }));
  });

  it.each(['', 'some/path', '/a/../b', '/..', '/a\0b', `/${'a'.repeat(5000)}`])('refuse the path %j', (path) => {
    expect(() => requiredPath(path, 'target_path', 'target path')).toThrow(expect.objectContaining({ code: 3 }));
  });

  it('take a long path, and one with dots in names', () => {
    const path = `/var/lib/kubelet/pods/..data/${'a'.repeat(200)}/mount`;
    expect(requiredPath(path, 'target_path', 'target path')).toBe(path);
  });
});
