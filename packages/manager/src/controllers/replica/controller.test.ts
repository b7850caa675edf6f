import { newObject } from '@longhorn/shared-types';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { NAMESPACE, settle, testManager, type TestManager } from '../../../test/manager-context.ts';
import { ReplicaController } from './controller.ts';

const ME = 'node-1';
let manager: TestManager;
let removedFolders: string[];

beforeEach(async () => {
  removedFolders = [];
  manager = await testManager(ME, {
    removeReplicaData: ({ folder }) => {
      removedFolders.push(folder);
      return Promise.resolve();
    },
  });
  const { datastore } = manager.context;
  const replica = newObject('Replica', NAMESPACE, 'v-r-1');
  replica.metadata.finalizers = ['longhorn.io'];
  Object.assign(replica.spec, {
    volumeName: 'v',
    nodeID: ME,
    dataDirectoryName: 'v-1',
    healthyAt: '2026-11-01T00:00:00Z',
  });
  const created = await datastore.create('Replica', replica);
  await datastore.saveStatus('Replica', created, { ...created, status: { ...created.status, ownerID: ME } });
  await datastore.delete('Replica', 'v-r-1');
});

afterEach(() => manager.stop());

async function aPass(): Promise<string[]> {
  await settle();
  await new ReplicaController(manager.context).reconcile('v-r-1');
  return removedFolders;
}

it('keeps the data of a deleted replica that may be the last while its volume is there, which the cache need not know', async () => {
  const { datastore } = manager.context;
  const volume = await datastore.create('Volume', newObject('Volume', NAMESPACE, 'v'));
  await settle();
  datastore.stores.Volume.remove('v', volume.metadata.uid);
  expect(await aPass()).toEqual([]);
});

it('removes the data of a deleted replica whose volume is gone', async () => {
  expect(await aPass()).toEqual(['v-1']);
});
