import { describe, expect, it } from 'vitest';
import { newObject } from '@longhorn/shared-types';
import {
  UnsafePathError,
  binaryPath,
  engineProcessArguments,
  replicaFolderOf,
  replicaProcessArguments,
} from './process-arguments.ts';

describe('the command line of an engine', () => {
  it('carries epoch, record and replicas as stored for this start', () => {
    const engine = newObject('Engine', 'ns', 'v-e-0');
    Object.assign(engine.spec, {
      volumeName: 'v',
      volumeSize: '1073741824',
      frontend: 'blockdev',
      epoch: 4,
      snapshotMaxCount: 250,
      replicaAddressMap: { 'v-r-b': '10.0.0.2:10000', 'v-r-a': '10.0.0.1:10000' },
    });
    engine.status.membership = { epoch: 3, count: 2, members: ['v-r-b', 'v-r-a'], decided: false };
    const args = engineProcessArguments(engine, {
      engineReplicaTimeoutS: 8,
      fileSyncTimeoutS: 30,
      ioHoldTimeoutS: 300,
      blockdevDriver: 'auto',
      iscsiAuthentication: 'chap',
    });
    expect(args.join(' ')).toBe(
      '--engine-instance-name v-e-0 controller v --frontend tgt-blockdev --size 1073741824 --current-size 1073741824 ' +
        '--engine-replica-timeout 8 --file-sync-http-client-timeout 30 --snapshot-max-count 250 --snapshot-max-size 0 --epoch 4 ' +
        '--membership {"epoch":3,"count":2,"members":["v-r-a","v-r-b"],"decided":false} --io-hold-timeout 300 --blockdev-driver auto ' +
        '--replica tcp://10.0.0.1:10000 --replica tcp://10.0.0.2:10000',
    );
  });

  it('says of an iSCSI target who may log in', () => {
    const engine = newObject('Engine', 'ns', 'v-e-0');
    Object.assign(engine.spec, { frontend: 'iscsi' });
    const args = engineProcessArguments(engine, {
      engineReplicaTimeoutS: 8,
      fileSyncTimeoutS: 30,
      ioHoldTimeoutS: 0,
      blockdevDriver: 'fuse',
      iscsiAuthentication: 'chap',
    });
    expect(args[args.indexOf('--frontend') + 1]).toBe('tgt-iscsi');
    expect(args[args.indexOf('--iscsi-authentication') + 1]).toBe('chap');
  });

  it('has an empty frontend in maintenance mode', () => {
    const engine = newObject('Engine', 'ns', 'v-e-0');
    Object.assign(engine.spec, { frontend: 'blockdev', disableFrontend: true });
    const args = engineProcessArguments(engine, {
      engineReplicaTimeoutS: 8,
      fileSyncTimeoutS: 30,
      ioHoldTimeoutS: 0,
      blockdevDriver: 'fuse',
      iscsiAuthentication: 'none',
    });
    expect(args[args.indexOf('--frontend') + 1]).toBe('');
  });
});

describe('the command line of a replica', () => {
  it('names its folder on the host', () => {
    const replica = newObject('Replica', 'ns', 'v-r-1');
    Object.assign(replica.spec, {
      volumeName: 'v',
      volumeSize: '2097152',
      diskPath: '/var/lib/longhorn/',
      dataDirectoryName: 'v-0a1b2c3d',
      snapshotMaxCount: 10,
    });
    const paths = { hostRoot: '/host', engineBinariesDir: '/engine-binaries' };
    expect(replicaProcessArguments(replica, paths).slice(0, 6)).toEqual([
      '--volume-name',
      'v',
      'replica',
      '/host/var/lib/longhorn/replicas/v-0a1b2c3d',
      '--size',
      '2097152',
    ]);
    expect(binaryPath(paths, 'longhornio/longhorn-engine:v1.10.1')).toBe(
      '/engine-binaries/longhornio-longhorn-engine-v1.10.1/longhorn',
    );
  });
});

describe('the folder of a replica', () => {
  it.each([
    ['/disk', '..'],
    ['/disk', '.'],
    ['/disk', ''],
    ['/disk', 'v'],
    ['/disk', '../v-00000000'],
    ['/disk', 'a/b-00000000'],
    ['/disk', '-00000000'],
    ['/disk', 'v..-00000000'],
    ['/disk', 'v-00000000\n'],
    ['disk', 'v-00000000'],
    ['/disk/../etc', 'v-00000000'],
    ['', 'v-00000000'],
  ])('is refused for disk %j and name %j', (diskPath, folder) => {
    expect(() => replicaFolderOf(diskPath, folder, '')).toThrow(UnsafePathError);
  });

  it('is below the disk', () => {
    expect(replicaFolderOf('/disk/', 'my.vol_1-00000000', '')).toBe('/disk/replicas/my.vol_1-00000000');
  });
});
