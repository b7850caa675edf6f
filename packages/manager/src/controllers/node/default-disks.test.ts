import { LABEL, type Node } from '@longhorn/shared-types';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { addKubeNode, settle, testManager, type TestManager } from '../../../test/manager-context.ts';
import { bootstrapNode, bootstrapSettings } from '../../bootstrap.ts';
import { CORE_RESOURCES } from '../../datastore/core-kinds.ts';
import type { DiskMeasure } from '../../io/disk-probe.ts';
import { NodeController } from './controller.ts';

const GIB = 2 ** 30;
const CONFIG = 'node.longhorn.io/default-disks-config';
const TAGS = 'node.longhorn.io/default-node-tags';

let manager: TestManager;
let controller: NodeController;
/** Folders of the host, with the file system that each is on. */
const FOLDERS = new Map([
  ['/host/var/lib/longhorn', 'fs-root'],
  ['/host/mnt/disk1', 'fs-1'],
  ['/host/mnt/disk1/again', 'fs-1'],
]);

function measure(root: string): Promise<DiskMeasure> {
  const filesystemId = FOLDERS.get(root.replace(/\/$/, ''));
  if (filesystemId === undefined) return Promise.reject(new Error(`ENOENT: no such folder ${root}`));
  return Promise.resolve({ filesystemId, filesystemType: 'ext4', maximumBytes: 100 * GIB, availableBytes: 100 * GIB });
}

beforeEach(async () => {
  manager = await testManager('n', {
    prepareDisk: measure,
    measureDisk: measure,
    probeDisk: async (_disk, { newUuid }) => ({
      kind: 'found',
      uuid: newUuid(),
      ...(await measure('/host/mnt/disk1')),
    }),
  });
  await bootstrapSettings(manager.context);
  controller = new NodeController(manager.context);
  await addKubeNode(manager.api, 'n');
});

afterEach(async () => {
  controller.stop();
  await manager.stop();
});

async function set(name: string, value: string): Promise<void> {
  await manager.context.datastore.update('Setting', name, (present) => ({ ...present, value }));
}

/** The node joined; then somebody says this about it. */
async function joinedAndThen(metadata: { labels?: object; annotations?: object }): Promise<void> {
  await bootstrapNode(manager.context);
  await settle();
  await controller.reconcile('n');
  manager.api.force(CORE_RESOURCES.kubeNodes, '', 'n', { metadata });
  await settle();
  await controller.reconcile('n');
  await settle();
}

function spec(): Node['spec'] {
  const node = manager.context.datastore.stores.Node.get('n');
  if (node === null) throw new Error('the node did not join');
  return node.spec;
}

const warnings = async (): Promise<string[]> => (await manager.events()).filter((event) => event.startsWith('Default'));

const DISK = { diskDriver: '', diskType: 'filesystem', evictionRequested: false } as const;

describe('a node that is labelled after it joined', () => {
  beforeEach(() => set('create-default-disk-labeled-nodes', 'true'));

  it('has no disk before', async () => {
    await joinedAndThen({});
    expect(spec().disks).toEqual({});
  });

  it('gets the default disk by the label true', async () => {
    await joinedAndThen({ labels: { [LABEL.createDefaultDisk]: 'True' } });
    expect(spec().disks).toEqual({
      'default-disk-fs-root': {
        ...DISK,
        allowScheduling: true,
        path: '/var/lib/longhorn/',
        storageReserved: 30 * GIB,
        tags: [],
      },
    });
  });

  it('gets the disks of its annotation by the label config', async () => {
    const disks = [
      { name: 'fast', path: '/mnt/disk1', allowScheduling: true, storageReserved: 1024, tags: ['ssd'] },
      { path: '/var/lib/longhorn' },
    ];
    await joinedAndThen({
      labels: { [LABEL.createDefaultDisk]: 'config' },
      annotations: { [CONFIG]: JSON.stringify(disks) },
    });
    expect(spec().disks).toEqual({
      fast: { ...DISK, allowScheduling: true, path: '/mnt/disk1', storageReserved: 1024, tags: ['ssd'] },
      'default-disk-fs-root': {
        ...DISK,
        allowScheduling: false,
        path: '/var/lib/longhorn',
        storageReserved: 30 * GIB,
        tags: [],
      },
    });
    expect(await warnings()).toEqual([]);
  });

  it.each([
    ['config', '', 'it is no JSON'],
    ['config', '{"path":"/mnt/disk1"}', 'it is no list'],
    ['config', '[{"path":"/mnt/away"}]', 'the disk at /mnt/away cannot be looked at (Error: ENOENT'],
    ['config', '[{"path":"/mnt/disk1"},{"path":"/mnt/disk1/again"}]', 'are on the same file system'],
    ['config', `[{"path":"/mnt/disk1","storageReserved":${101 * GIB}}]`, 'storageReserved of /mnt/disk1 is'],
    ['config', '[{"path":"/var/lib/longhorn"},{"path":"/mnt/away"}]', 'the disk at /mnt/away'],
    ['maybe', '[]', 'must be true or config, it is "maybe"'],
  ])('is told once what is wrong and gets nothing: %s %s', async (label, annotation, problem) => {
    await joinedAndThen({ labels: { [LABEL.createDefaultDisk]: label }, annotations: { [CONFIG]: annotation } });
    await controller.reconcile('n');
    expect(spec().disks).toEqual({});
    const told = await warnings();
    expect(told).toHaveLength(1);
    expect(told[0]).toContain(`DefaultDisks: annotation ${CONFIG} is not applied: `);
    expect(told[0]).toContain(problem);
    expect(told[0]).toContain('Expected is [{"name"');
    expect(manager.api.writes.filter(({ kind, verb }) => kind === 'Event' && verb === 'patch')).toEqual([]);
  });

  it('keeps the disks that people gave it', async () => {
    await bootstrapNode(manager.context);
    const mine = { ...DISK, allowScheduling: true, path: '/mine', storageReserved: 0, tags: [] };
    await manager.context.datastore.update('Node', 'n', (node) => ({
      ...node,
      spec: { ...node.spec, disks: { mine } },
    }));
    await joinedAndThen({ labels: { [LABEL.createDefaultDisk]: 'true' } });
    expect(spec().disks).toEqual({ mine });
  });
});

describe('a node without that setting', () => {
  it('does not get its disks back by a label', async () => {
    await bootstrapNode(manager.context);
    expect(Object.keys(spec().disks)).toEqual(['default-disk-fs-root']);
    await manager.context.datastore.update('Node', 'n', (node) => ({ ...node, spec: { ...node.spec, disks: {} } }));
    await joinedAndThen({ labels: { [LABEL.createDefaultDisk]: 'true' } });
    expect(spec().disks).toEqual({});
  });

  it('gets the tags of its annotation', async () => {
    await joinedAndThen({ annotations: { [TAGS]: '["fast","storage"]' } });
    expect(spec().tags).toEqual(['fast', 'storage']);
  });

  it('keeps the tags that people gave it', async () => {
    await bootstrapNode(manager.context);
    await manager.context.datastore.update('Node', 'n', (node) => ({
      ...node,
      spec: { ...node.spec, tags: ['mine'] },
    }));
    await joinedAndThen({ annotations: { [TAGS]: '["fast"]' } });
    expect(spec().tags).toEqual(['mine']);
  });

  it('is told what is wrong with its tags, and gets none', async () => {
    await joinedAndThen({ annotations: { [TAGS]: 'fast' } });
    expect(spec().tags).toEqual([]);
    expect(await warnings()).toEqual([
      expect.stringContaining(`DefaultTags: annotation ${TAGS} is not applied: it is no JSON`),
    ]);
  });
});
