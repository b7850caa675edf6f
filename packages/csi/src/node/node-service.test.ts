import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Metadata } from '@grpc/grpc-js';
import pino from 'pino';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  VolumeCapability_AccessMode_Mode as Mode,
  type NodeMethods,
  type NodePublishVolumeRequest,
  type VolumeCapability,
} from '@longhorn/shared-types/generated/csi-v1';
import type { ServiceHandlers } from '@longhorn/shared-types/grpc/server';
import { FakeHost } from '../../test/fake-host.ts';
import { attachedVolume, fakeManager } from '../../test/fake-manager.ts';
import { HandClock } from '../../test/hand-clock.ts';
import { VolumeLocks } from '../call/volume-locks.ts';
import { CALL_TIMEOUT_MS, POLL_LAST_MS, WRITE_BACK_PATIENCE_MS } from '../limits.ts';
import { nodeHandlers } from './node-service.ts';

const DEVICE = '/dev/longhorn/vol';
const context = { signal: new AbortController().signal, metadata: new Metadata(), peer: '' };
const MOUNTED: VolumeCapability = {
  block: null,
  mount: { fs_type: 'ext4', mount_flags: [], volume_mount_group: '' },
  access_mode: { mode: Mode.SINGLE_NODE_WRITER },
};

/** Time stands, but for looks at something that is waited for, which come at once. */
class PollingClock extends HandClock {
  override sleep(ms: number, signal: AbortSignal): Promise<void> {
    return ms <= POLL_LAST_MS ? this.pass(ms) : super.sleep(ms, signal);
  }
}

let folder: string;
let host: FakeHost;
let clock: HandClock;
let resources: Map<string, object>;
let handlers: ServiceHandlers<NodeMethods>;

/** The plugin, as it is after a start. */
function startPlugin(): void {
  handlers = nodeHandlers({
    clock,
    log: pino({ level: 'silent' }),
    locks: new VolumeLocks(),
    manager: fakeManager(resources),
    host,
    nodeId: 'n1',
    stateFolder: join(folder, 'state'),
  });
}

beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'csi-')));
  host = new FakeHost();
  clock = new PollingClock();
  resources = new Map([['/volumes/vol', attachedVolume('vol', 'n1')]]);
  startPlugin();
});
afterEach(() => rmSync(folder, { recursive: true }));

function publication(pod: string, capability: VolumeCapability): NodePublishVolumeRequest {
  return {
    volume_id: 'vol',
    publish_context: {},
    staging_target_path: join(folder, 'stage'),
    target_path: join(folder, pod, 'mount'),
    volume_capability: capability,
    readonly: false,
    secrets: {},
    volume_context: {},
  };
}

const publish = (pod: string, capability: VolumeCapability) =>
  handlers.NodePublishVolume(publication(pod, capability), context);

const unstage = () =>
  handlers.NodeUnstageVolume({ volume_id: 'vol', staging_target_path: join(folder, 'stage') }, context);

async function stage(capability = MOUNTED): Promise<void> {
  host.addDevice(DEVICE);
  await handlers.NodeStageVolume(publication('', capability), context);
}

describe('unstaging', () => {
  it('has not succeeded before umount has ended, which may be after its call was answered', async () => {
    await stage();
    let end = (): void => {};
    const act = host.run.bind(host);
    const started = new Promise<void>((resolve) => {
      host.run = async (command, args, timeoutMs = 0) => {
        const result = await act(command, args);
        if (command !== 'umount') return result;
        // Gone from the mount table, and still writing back.
        const ended = new Promise<void>((finish) => (end = finish));
        const isGivenUp = clock.sleep(timeoutMs, context.signal).then(() => {
          throw new Error(`umount: not done after ${timeoutMs / 1000} s`);
        });
        resolve();
        await Promise.race([ended, isGivenUp]);
        return result;
      };
    });
    const first = Promise.resolve(unstage()).then(
      () => null,
      (error: unknown) => error,
    );
    await started;
    await clock.pass(CALL_TIMEOUT_MS);
    expect(await first).toMatchObject({ code: 4 });
    expect(host.table).toEqual([]);
    await expect(unstage()).rejects.toMatchObject({ code: 10, details: expect.stringMatching(/still working on vol/) });
    end();
    expect(await vi.waitFor(unstage)).toEqual({});
    expect(host.changes().filter((line) => line.startsWith('umount'))).toEqual([`umount ${join(folder, 'stage')}`]);
  });

  it('by a plugin that was started meanwhile is told to come again while the device is held', async () => {
    await stage();
    host.table.length = 0;
    host.held.add(DEVICE);
    startPlugin();
    await expect(unstage()).rejects.toMatchObject({
      code: 10,
      details: expect.stringMatching(
        /\/dev\/longhorn\/vol is unmounted but still held: its data is being written back/,
      ),
    });
    expect(clock.now()).toBeGreaterThanOrEqual(WRITE_BACK_PATIENCE_MS);
    let looks = 0;
    host.isHeld = () => Promise.resolve((looks += 1) < 3);
    await expect(unstage()).resolves.toEqual({});
    expect(looks).toBe(3);
  });

  it('waits for nothing when the device is gone, is a raw one, or is mounted elsewhere', async () => {
    await expect(unstage()).resolves.toEqual({});
    await stage({ ...MOUNTED, mount: null, block: {} });
    host.held.add(DEVICE);
    await expect(unstage()).resolves.toEqual({});
    host.held.clear();
    await handlers.NodeStageVolume(publication('', MOUNTED), context);
    await publish('pod-1', MOUNTED);
    await expect(unstage()).resolves.toEqual({});
    expect(clock.now()).toBe(0);
  });
});

describe('how full a volume is', () => {
  const stats = () =>
    handlers.NodeGetVolumeStats(
      { volume_id: 'vol', volume_path: join(folder, 'pod/mount'), staging_target_path: '' },
      context,
    );

  it('is told of a file system that works, and of one that has failed that its pods must be restarted', async () => {
    await stage();
    await publish('pod', MOUNTED);
    expect(await stats()).toMatchObject({
      usage: [{ unit: 1, used: expect.any(BigInt) as bigint }, { unit: 2 }],
      volume_condition: { abnormal: false },
    });
    host.silent.add(join(folder, 'pod/mount'));
    expect(await stats()).toEqual({
      usage: [{ unit: 1, total: 1n << 30n }],
      volume_condition: {
        abnormal: true,
        message: 'the file system of volume vol has failed: it answers with I/O errors: restart its pods',
      },
    });
  });
});

describe('a volume that was deleted under a running pod', () => {
  it('is not found by what needs it, and can be unmounted', async () => {
    await stage();
    await publish('pod', MOUNTED);
    resources.clear();
    host.devices.clear();
    const { volume_id, target_path, staging_target_path } = publication('pod', MOUNTED);
    const stats = { volume_id, volume_path: target_path, staging_target_path };
    const notFound = { code: 5, details: 'volume vol not found' };
    await expect(handlers.NodeGetVolumeStats(stats, context)).rejects.toMatchObject(notFound);
    await expect(publish('pod', MOUNTED)).rejects.toMatchObject(notFound);
    await expect(handlers.NodeUnpublishVolume({ volume_id, target_path }, context)).resolves.toEqual({});
    await expect(unstage()).resolves.toEqual({});
    expect(host.table).toEqual([]);
  });
});

describe('the node', () => {
  const topology = async () => (await handlers.NodeGetInfo({}, context)).accessible_topology?.segments;

  it.each([
    ['its label', { hostnameLabel: 'host-1.example' }, 'host-1.example'],
    ['its name where the manager tells no label', {}, 'n1'],
  ])('is in topologies by %s', async (_name, fields, hostname) => {
    resources.set('/nodes/n1', { id: 'n1', name: 'n1', ...fields });
    expect(await handlers.NodeGetInfo({}, context)).toMatchObject({ node_id: 'n1' });
    expect(await topology()).toEqual({ 'kubernetes.io/hostname': hostname });
  });

  it('is known by its name until the manager knows it, and keeps its label while the manager is away', async () => {
    expect(await topology()).toEqual({ 'kubernetes.io/hostname': 'n1' });
    resources.set('/nodes/n1', { id: 'n1', name: 'n1', hostnameLabel: 'host-1' });
    expect(await topology()).toEqual({ 'kubernetes.io/hostname': 'host-1' });
    resources.clear();
    expect(await topology()).toEqual({ 'kubernetes.io/hostname': 'host-1' });
  });
});
