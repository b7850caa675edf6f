import { newObject } from '@longhorn/shared-types';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { NAMESPACE, settle, testManager, type TestManager } from '../../../test/manager-context.ts';
import { EngineController } from '../engines/controller.ts';
import { SnapshotController } from './controller.ts';
import { SNAPSHOT_TICKET_TYPE, snapshotTicketId } from './ticket.ts';

const FINALIZER = 'longhorn.io';
let manager: TestManager;
let controller: SnapshotController;

beforeEach(async () => {
  manager = await testManager('node-1');
  const { context } = manager;
  const { datastore } = context;
  controller = new SnapshotController(context, new EngineController(context));
  const attachment = newObject('VolumeAttachment', NAMESPACE, 'v');
  attachment.spec.volume = 'v';
  const id = snapshotTicketId('s');
  attachment.spec.attachmentTickets = {
    [id]: { id, type: SNAPSHOT_TICKET_TYPE, nodeID: 'node-2', parameters: {}, generation: 0 },
  };
  await datastore.create('VolumeAttachment', attachment);
  const snapshot = newObject('Snapshot', NAMESPACE, 's');
  snapshot.spec = { createSnapshot: true, labels: {}, volume: 'v' };
  snapshot.metadata.finalizers = [FINALIZER];
  await datastore.create('Snapshot', snapshot);
  await settle();
});

afterEach(() => manager.stop());

/** Another manager's, which this one's cache does not know. */
async function volumeUnknownToTheCache(): Promise<void> {
  const { datastore } = manager.context;
  const volume = await datastore.create('Volume', newObject('Volume', NAMESPACE, 'v'));
  await datastore.saveStatus('Volume', volume, { ...volume, status: { ...volume.status, ownerID: 'node-2' } });
  await settle();
  datastore.stores.Volume.remove('v', volume.metadata.uid);
}

async function tickets(): Promise<string[]> {
  const attachment = await manager.context.datastore.read('VolumeAttachment', 'v');
  return Object.keys(attachment?.spec.attachmentTickets ?? {});
}

async function deleteSnapshot(): Promise<void> {
  await manager.context.datastore.delete('Snapshot', 's');
  await settle();
}

it('leaves the ticket of a volume alone that another manager has and its cache does not know yet', async () => {
  await volumeUnknownToTheCache();
  await controller.reconcile('s');
  expect(await tickets()).toEqual([snapshotTicketId('s')]);
});

it('does not let a deleted snapshot go for a volume that its cache does not know yet', async () => {
  await volumeUnknownToTheCache();
  await deleteSnapshot();
  await controller.reconcile('s');
  expect((await manager.context.datastore.read('Snapshot', 's'))?.metadata.finalizers).toEqual([FINALIZER]);
});

it('lets a deleted snapshot go when its volume is gone, and its ticket', async () => {
  await deleteSnapshot();
  await controller.reconcile('s');
  expect(await manager.context.datastore.read('Snapshot', 's')).toBeNull();
  expect(await tickets()).toEqual([]);
});
