import { FINALIZER, newObject, type Node, type Orphan } from '@longhorn/shared-types';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NAMESPACE, settle, testManager, type TestManager } from '../../test/manager-context.ts';
import { resourceOf } from '../datastore/datastore.ts';
import { DiskMissingError, type ReplicaData } from '../io/replica-data.ts';
import { OWN_ANNOTATION } from '../own-annotations.ts';
import { decideOrphan, reconcileOrphan } from './orphan.ts';

const FOLDER = 'vol-1-1a2b3c4d';
const DISK = { DataName: FOLDER, DiskName: 'd', DiskUUID: 'uuid-d', DiskPath: '/disk/', DiskType: 'filesystem' };

function nodeWithDisk(name: string): Node {
  const node = newObject('Node', NAMESPACE, name);
  const disk = { allowScheduling: true, diskDriver: '', diskType: 'filesystem', evictionRequested: false } as const;
  node.spec.disks = { d: { ...disk, path: '/disk', storageReserved: 0, tags: [] } };
  return node;
}

interface Given {
  isDeleting?: boolean;
  isOurs?: boolean;
  orphanType?: string;
  diskType?: string;
}

function orphanOn(nodeID: string, given: Given = {}): Orphan {
  const { isDeleting = true, isOurs = false, orphanType = 'replica', diskType = 'filesystem' } = given;
  const orphan = newObject('Orphan', NAMESPACE, 'orphan-1');
  Object.assign(orphan.spec, { nodeID, orphanType, parameters: { ...DISK, DiskType: diskType } });
  orphan.metadata.finalizers = [FINALIZER];
  if (isDeleting) orphan.metadata.deletionTimestamp = '2026-01-01T00:00:00Z';
  if (isOurs) orphan.metadata.annotations[OWN_ANNOTATION.deletedReplica] = 'vol-1-r-1';
  return orphan;
}

describe('what is done with an orphan', () => {
  const here = nodeWithDisk('here');
  const without: Node = { ...here, spec: { ...here.spec, disks: {} } };
  const evicted: Node = { ...here, spec: { ...here.spec, evictionRequested: true } };
  const deleted = { isDeleting: false, isOurs: true };
  it.each([
    ['one that nobody deleted', orphanOn('here', { isDeleting: false }), 'here', here, 'nothing', 'nothing'],
    ['data of a deleted replica', orphanOn('here', deleted), 'here', here, 'remove its data', 'remove its data'],
    ['such data elsewhere', orphanOn('there', deleted), 'here', here, 'nothing', 'nothing'],
    ['one that was deleted', orphanOn('here'), 'here', here, 'remove its data', 'remove its data'],
    ['one elsewhere', orphanOn('there'), 'here', nodeWithDisk('there'), 'nothing', 'nothing'],
    ['one whose node was removed', orphanOn('there'), 'here', null, 'let it go', 'nothing'],
    ['one whose disk was removed', orphanOn('here'), 'here', without, 'let it go', 'nothing'],
    ['one whose node is emptied', orphanOn('here'), 'here', evicted, 'let it go', 'nothing'],
    ['an instance', orphanOn('here', { orphanType: 'engine-instance' }), 'here', here, 'let it go', 'nothing'],
    ['data on a block disk', orphanOn('here', { diskType: 'block' }), 'here', here, 'let it go', 'nothing'],
  ])('%s', (_case, orphan, me, node, ifResponsible, ifNot) => {
    expect(decideOrphan({ orphan, me, isResponsible: true, node })).toBe(ifResponsible);
    expect(decideOrphan({ orphan, me, isResponsible: false, node })).toBe(ifNot);
  });
});

describe('an orphan that is deleted', () => {
  let manager: TestManager;
  let removed: ReplicaData[];
  let failure: Error | null;

  beforeEach(async () => {
    removed = [];
    failure = null;
    manager = await testManager('here', {
      removeReplicaData: (data) => {
        if (failure !== null) return Promise.reject(failure);
        removed.push(data);
        return Promise.resolve();
      },
    });
  });

  afterEach(() => manager.stop());

  async function deleted(nodeID: string, given: Given = {}): Promise<void> {
    const { api, context } = manager;
    await context.datastore.create('Node', nodeWithDisk('here'));
    await context.datastore.create('Orphan', orphanOn(nodeID, { ...given, isDeleting: false }));
    await api.delete(resourceOf('Orphan'), NAMESPACE, 'orphan-1', {});
    await settle();
  }

  const isGone = async (): Promise<boolean> =>
    (await manager.api.list(resourceOf('Orphan'), NAMESPACE)).items.length === 0;

  it.each([
    ['was found by an older system', {}],
    ['is of a deleted replica', { isOurs: true }],
  ])('goes with its data if it %s', async (_case, given) => {
    await deleted('here', given);
    expect(await reconcileOrphan(manager.context, 'orphan-1')).toEqual({ kind: 'done' });
    expect(removed).toEqual([{ diskPath: '/disk/', diskUuid: 'uuid-d', folder: FOLDER }]);
    expect(await isGone()).toBe(true);
  });

  it('goes without its data if its node is gone', async () => {
    await deleted('removed-node');
    await reconcileOrphan(manager.context, 'orphan-1');
    expect(removed).toEqual([]);
    expect(await isGone()).toBe(true);
  });

  it('goes without its data if another disk is in its place', async () => {
    await deleted('here');
    failure = new DiskMissingError('longhorn-disk.cfg belongs to disk other, not uuid-d');
    await reconcileOrphan(manager.context, 'orphan-1');
    expect(await isGone()).toBe(true);
  });

  it('stays if its data could not be removed', async () => {
    await deleted('here');
    failure = new Error('EIO');
    await expect(reconcileOrphan(manager.context, 'orphan-1')).rejects.toThrow('EIO');
    expect(await isGone()).toBe(false);
  });

  it('goes without data that belongs to a replica, even to one that the cache does not know', async () => {
    await deleted('here');
    await manager.stop();
    const replica = newObject('Replica', NAMESPACE, 'vol-1-r-9');
    Object.assign(replica.spec, { nodeID: 'here', diskID: 'uuid-d', dataDirectoryName: FOLDER });
    await manager.api.create(resourceOf('Replica'), NAMESPACE, { ...replica, metadata: { name: 'vol-1-r-9' } });
    await reconcileOrphan(manager.context, 'orphan-1');
    expect(removed).toEqual([]);
    expect(await isGone()).toBe(true);
  });

  it('waits while its node is only down', async () => {
    await deleted('there');
    await manager.context.datastore.create('Node', nodeWithDisk('there'));
    await reconcileOrphan(manager.context, 'orphan-1');
    expect(await isGone()).toBe(false);
  });
});
