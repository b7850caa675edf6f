import { newObject, type Snapshot } from '@longhorn/shared-types';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { NAMESPACE, settle, testManager, type TestManager } from '../../../test/manager-context.ts';
import { resourceOf } from '../../datastore/datastore.ts';
import { SNAPSHOT_TICKET_TYPE, snapshotTicketId } from '../snapshot/ticket.ts';
import { reconcileAttachment } from './controller.ts';

const ME = 'node-1';
let manager: TestManager;

beforeEach(async () => {
  manager = await testManager(ME);
  const { datastore } = manager.context;
  const volume = await datastore.create('Volume', newObject('Volume', NAMESPACE, 'v'));
  await datastore.saveStatus('Volume', volume, {
    ...volume,
    status: { ...volume.status, ownerID: ME, state: 'detached' },
  });
  const attachment = newObject('VolumeAttachment', NAMESPACE, 'v');
  attachment.spec.volume = 'v';
  const ticket = (id: string, type: 'snapshot-controller' | 'csi-attacher'): [string, object] => [
    id,
    { id, type, nodeID: '', parameters: { disableFrontend: 'any' }, generation: 0 },
  ];
  Object.assign(attachment.spec, {
    attachmentTickets: Object.fromEntries([
      ticket(snapshotTicketId('s'), SNAPSHOT_TICKET_TYPE),
      ticket('csi', 'csi-attacher'),
    ]),
  });
  await datastore.create('VolumeAttachment', attachment);
});

afterEach(() => manager.stop());

function snapshotOf(volume: string): Snapshot {
  const snapshot = newObject('Snapshot', NAMESPACE, 's');
  snapshot.spec.volume = volume;
  return snapshot;
}

async function ticketsAfterAPass(): Promise<string[]> {
  await settle();
  await reconcileAttachment(manager.context, 'v');
  const attachment = await manager.context.datastore.read('VolumeAttachment', 'v');
  return Object.keys(attachment?.spec.attachmentTickets ?? {}).toSorted();
}

it('keeps the ticket of a snapshot that is there', async () => {
  await manager.context.datastore.create('Snapshot', snapshotOf('v'));
  expect(await ticketsAfterAPass()).toEqual(['csi', snapshotTicketId('s')]);
});

it('drops the ticket of a snapshot that is gone, and no other', async () => {
  expect(await ticketsAfterAPass()).toEqual(['csi']);
});

it('drops the ticket of a snapshot whose name another volume has by now', async () => {
  await manager.context.datastore.create('Snapshot', snapshotOf('copy'));
  expect(await ticketsAfterAPass()).toEqual(['csi']);
});

it('keeps a ticket of another type, whatever its ID', async () => {
  const { datastore } = manager.context;
  await datastore.update('VolumeAttachment', 'v', (attachment) => {
    const id = snapshotTicketId('other');
    attachment.spec.attachmentTickets[id] = { id, type: 'longhorn-api', nodeID: '', parameters: {}, generation: 0 };
    return attachment;
  });
  expect(await ticketsAfterAPass()).toEqual(['csi', snapshotTicketId('other')]);
});

it('does not undo what came while it asked for a snapshot', async () => {
  await settle();
  const { datastore } = manager.context;
  const { transport } = datastore;
  const get = transport.get.bind(transport);
  transport.get = async (resource, ...rest) => {
    if (resource.plural === resourceOf('Snapshot').plural) {
      await datastore.update('VolumeAttachment', 'v', (attachment) => {
        const csi = attachment.spec.attachmentTickets['csi'];
        if (csi) csi.nodeID = ME;
        return attachment;
      });
      await settle();
    }
    return get(resource, ...rest);
  };
  expect(await ticketsAfterAPass()).toEqual(['csi']);
  expect((await datastore.read('Volume', 'v'))?.spec.nodeID).toBe(ME);
});

it('keeps the ticket of a snapshot that the cache does not know yet', async () => {
  const { datastore } = manager.context;
  const { metadata } = await datastore.create('Snapshot', snapshotOf('v'));
  await settle();
  datastore.stores.Snapshot.remove('s', metadata.uid);
  expect(await ticketsAfterAPass()).toEqual(['csi', snapshotTicketId('s')]);
});

it('drops nothing when it cannot be asked whether the snapshot is there', async () => {
  await settle();
  const { transport } = manager.context.datastore;
  const get = transport.get.bind(transport);
  transport.get = (resource, ...rest) =>
    resource.plural === resourceOf('Snapshot').plural
      ? Promise.reject(new Error('the API server is away'))
      : get(resource, ...rest);
  await expect(reconcileAttachment(manager.context, 'v')).rejects.toThrow('is away');
  const attachment = manager.context.datastore.stores.VolumeAttachment.get('v');
  expect(Object.keys(attachment?.spec.attachmentTickets ?? {})).toHaveLength(2);
});
