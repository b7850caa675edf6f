/** What the services answer besides the life of processes: logs, levels, replacement, and refusals of what is not v1. */
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DataEngine, DiskService, DiskType, type DiskServiceMethods } from '@longhorn/shared-types/generated/imrpc';
import { createClient, type ServiceClient } from '@longhorn/shared-types/grpc/client';
import { Code, RpcError } from '@longhorn/shared-types/grpc/rpc-error';
import { readMounts, volumeHash } from '../src/node/mounts.ts';
import { startTestNode, untilProcess, type TestNode } from './test-node.ts';

let node: TestNode;
let disks: ServiceClient<DiskServiceMethods>;
beforeAll(async () => {
  node = await startTestNode({ podIp: '127.1.205.1' });
  disks = createClient(DiskService, `${node.podIp}:8502`);
});
afterAll(async () => {
  disks.close();
  await node.stop();
});

async function refusal(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (!(error instanceof RpcError)) throw new Error(`expected a refusal, got ${String(error)}`);
  return `${error.code} ${error.details}`;
}

async function all<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of stream) items.push(item);
  return items;
}

const V2 = { data_engine: DataEngine.DATA_ENGINE_V2 };

describe('the instance service', () => {
  const spec = (image: string): object => ({
    name: 'inst-e-0',
    type: 'engine',
    volume_name: 'inst',
    port_count: 1,
    port_args: ['--listen,:'],
    process_instance_spec: {
      binary: node.binary(image),
      args: ['--engine-instance-name', 'inst-e-0', 'controller', 'inst'],
    },
  });

  it('replaces an engine by one of another image, and has the logs of both', async () => {
    await node.instances.InstanceCreate({ spec: spec('image-1') });
    const old = await untilProcess(node, 'inst-e-0', ({ status }) => status?.state === 'running');
    const { spec: replaced, status } = await node.instances.InstanceReplace({
      spec: spec('image-2'),
      terminate_signal: 'SIGHUP',
    });
    expect(replaced).toMatchObject({ type: 'engine', process_instance_spec: { binary: node.binary('image-2') } });
    expect(status).toMatchObject({ state: 'running', target_port_start: status?.port_start });
    expect(status?.uuid).not.toBe(old.status?.uuid);
    const lines = await all(node.instances.InstanceLog({ name: 'inst-e-0', type: 'engine' }));
    const starts = lines.filter(({ line }) => line.includes('started --engine-instance-name inst-e-0'));
    expect(starts).toHaveLength(2);
    await node.instances.InstanceDelete({ name: 'inst-e-0', type: 'engine' });
  });

  it('refuses logs and replacements that there cannot be', async () => {
    expect(await refusal(all(node.instances.InstanceLog({ name: 'none' })))).toBe(
      `${Code.NotFound} cannot find process none`,
    );
    expect(await refusal(all(node.instances.InstanceLog({ name: 'none', ...V2 })))).toContain(
      `${Code.Unimplemented} unsupported data engine DATA_ENGINE_V2`,
    );
    expect(await refusal(node.instances.InstanceReplace({ terminate_signal: 'SIGHUP' }))).toBe(
      `${Code.InvalidArgument} missing required argument: spec`,
    );
    expect(await refusal(node.instances.InstanceReplace({ spec: { name: 'x', ...V2 } }))).toContain(
      'unsupported data engine',
    );
  });

  it.each([
    ['suspend', () => node.instances.InstanceSuspend({ name: 'x', type: 'engine' })],
    ['resume', () => node.instances.InstanceResume({ name: 'x', type: 'engine' })],
    ['target switch over', () => node.instances.InstanceSwitchOverTarget({ name: 'x', type: 'engine' })],
    ['target delete', () => node.instances.InstanceDeleteTarget({ name: 'x', type: 'engine' })],
  ])('refuses %s, which is of the v2 data engine', async (action, call) => {
    expect(await refusal(call())).toBe(`${Code.Unimplemented} v1 data engine instance ${action} is not supported`);
  });

  it('sets and tells the level of the log', async () => {
    await node.instances.LogSetLevel({ level: 'warning' });
    expect(await node.instances.LogGetLevel({})).toEqual({ level: 'warning' });
    await node.instances.LogSetLevel({ level: 'Trace' });
    expect(await node.instances.LogGetLevel({})).toEqual({ level: 'trace' });
    expect(await refusal(node.instances.LogSetLevel({ level: 'loud' }))).toContain('not a valid logrus Level: "loud"');
    expect(await refusal(node.instances.LogSetLevel({ level: 'info', ...V2 }))).toContain('unsupported data engine');
    expect(await node.instances.LogGetLevel({})).toEqual({ level: 'trace' });
    expect(await node.instances.LogSetFlags({ flags: 'any' })).toEqual({});
    expect(await node.instances.LogGetFlags({})).toEqual({ flags: '' });
  });
});

describe('the disk service', () => {
  const name = { disk_name: 'disk', disk_path: '/disk', disk_uuid: 'u', replcia_instance_name: 'r' };

  it.each<[string, (request: object) => Promise<unknown>, string]>([
    ['DiskCreate', (request) => disks.DiskCreate(request), 'disk name and disk path are required'],
    ['DiskDelete', (request) => disks.DiskDelete(request), 'disk name is required'],
    ['DiskGet', (request) => disks.DiskGet(request), 'disk name is required'],
    ['DiskReplicaInstanceList', (request) => disks.DiskReplicaInstanceList(request), 'disk name is required'],
    [
      'DiskReplicaInstanceDelete',
      (request) => disks.DiskReplicaInstanceDelete(request),
      'disk name, disk UUID and replica instance name are required',
    ],
    ['MetricsGet', (request) => disks.MetricsGet(request), 'disk name is required'],
  ])('%s refuses disks, by their type or for want of a name', async (_rpc, call, missing) => {
    expect(await refusal(call({}))).toBe(`${Code.InvalidArgument} ${missing}`);
    expect(await refusal(call({ ...name, disk_type: DiskType.filesystem }))).toBe(
      `${Code.Unimplemented} unsupported disk type filesystem`,
    );
    expect(await refusal(call({ ...name, disk_type: DiskType.block }))).toBe(
      `${Code.Unimplemented} unsupported disk type block`,
    );
  });

  it('tells its version', async () => {
    expect(await disks.VersionGet({})).toMatchObject({
      version: 'dev',
      instanceManagerDiskServiceAPIVersion: 1,
      instanceManagerDiskServiceAPIMinVersion: 1,
    });
  });
});

describe('the proxy', () => {
  const backup = 'is not supported: this version has no backup and restore';
  const spdk = 'is not supported: this instance manager serves the v1 data engine only';

  it.each<[string, () => Promise<unknown>, string]>([
    ['SnapshotBackup', () => node.proxy.SnapshotBackup({}), `SnapshotBackup ${backup}`],
    ['SnapshotBackupStatus', () => node.proxy.SnapshotBackupStatus({}), `SnapshotBackupStatus ${backup}`],
    ['BackupRestore', () => node.proxy.BackupRestore({}), `BackupRestore ${backup}`],
    ['BackupRestoreStatus', () => node.proxy.BackupRestoreStatus({}), `BackupRestoreStatus ${backup}`],
    ['BackupRestoreFinish', () => node.proxy.BackupRestoreFinish({}), 'method BackupRestoreFinish not implemented'],
    ['CleanupBackupMountPoints', () => node.proxy.CleanupBackupMountPoints({}), `CleanupBackupMountPoints ${backup}`],
    ['SPDKBackingImageCreate', () => node.proxy.SPDKBackingImageCreate({}), `SPDKBackingImageCreate ${spdk}`],
    ['SPDKBackingImageDelete', () => node.proxy.SPDKBackingImageDelete({}), `SPDKBackingImageDelete ${spdk}`],
    ['SPDKBackingImageGet', () => node.proxy.SPDKBackingImageGet({}), `SPDKBackingImageGet ${spdk}`],
    ['SPDKBackingImageList', () => node.proxy.SPDKBackingImageList({}), `SPDKBackingImageList ${spdk}`],
    ['SPDKBackingImageWatch', () => all(node.proxy.SPDKBackingImageWatch({})), `SPDKBackingImageWatch ${spdk}`],
  ])('refuses %s', async (_rpc, call, text) => {
    expect(await refusal(call())).toBe(`${Code.Unimplemented} ${text}`);
  });

  // Mounting is for root.
  it.skipIf(process.getuid?.() !== 0)('mounts the staging path of a volume read-write again', async () => {
    const path = join(node.folder, volumeHash('remounted'), 'globalmount');
    mkdirSync(path, { recursive: true });
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'ro,size=64k', 'none', path]);
    const options = (): readonly string[] => readMounts().find((mount) => mount.path === path)?.options ?? [];
    try {
      expect(options()).toContain('ro');
      await node.proxy.RemountReadOnlyVolume({ volume_name: 'remounted' });
      expect(options()).toContain('rw');
    } finally {
      execFileSync('umount', [path]);
    }
    expect(await node.proxy.RemountReadOnlyVolume({ volume_name: 'remounted' })).toEqual({});
    expect(await refusal(node.proxy.RemountReadOnlyVolume({}))).toBe(
      `${Code.InvalidArgument} missing required argument: volume_name`,
    );
  });
});
