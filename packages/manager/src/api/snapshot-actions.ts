/** The actions on snapshots: one family asks the running engine, the other works on Snapshot objects in any state. */
import {
  generatedName,
  objectNameProblem,
  type RestSchemaId,
  type Snapshot,
  type Volume,
} from '@longhorn/shared-types';
import { byName, settingsOf, type ApiContext } from './api-context.ts';
import {
  engineOf,
  listSnapshots,
  purgeSnapshots,
  refuseDuringMigration,
  removeSnapshot,
  revertToSnapshot,
  takeSnapshot,
} from './engine-calls.ts';
import { checkedName, createObject } from './object-writes.ts';
import { snapshotCrView, snapshotView } from './resource-views.ts';
import { notFound, RestFault, wrapped } from './rest-fault.ts';
import { readInput } from './rest-input.ts';
import { render, type Rendered } from './rest-output.ts';

/** What an action answers: the volume, nothing, a resource or a list. */
export type SnapshotAnswer =
  | { kind: 'volume' }
  | { kind: 'nothing' }
  | { kind: 'resource'; resource: Rendered }
  | { kind: 'collection'; schema: RestSchemaId; items: Rendered[] };

export type SnapshotAction = (context: ApiContext, volume: Volume, body: unknown) => Promise<SnapshotAnswer>;

function checksumOf({ datastore }: ApiContext, name: string): string {
  return datastore.store('Snapshot').get(name)?.status.checksum ?? '';
}

function refuseStandby(volume: Volume, what: string): void {
  if (volume.status.isStandby)
    throw new RestFault(`failed to ${what} snapshot for standby volume ${volume.metadata.name}`);
}

/** A name under which a Snapshot object can be made. */
function newName(name: string): string {
  const problem = objectNameProblem(name);
  if (problem !== null) throw new RestFault(`snapshot name ${problem}`);
  return name;
}

function requireName(name: string): string {
  if (name === '') throw new RestFault('volume and snapshot name required');
  return checkedName('snapshot', name);
}

const snapshotList: SnapshotAction = async (context, volume) => {
  const disks = await wrapped('failed to list snapshot', () => listSnapshots(context, volume.metadata.name));
  const items = Object.values(disks).map((info) => snapshotView(info, checksumOf(context, info.name)));
  return { kind: 'collection', schema: 'snapshot', items };
};

async function oneSnapshot(context: ApiContext, volume: Volume, name: string): Promise<SnapshotAnswer> {
  const info = (await listSnapshots(context, volume.metadata.name))[name];
  if (info === undefined) throw new RestFault(`cannot find snapshot '${name}' for volume '${volume.metadata.name}'`);
  return { kind: 'resource', resource: snapshotView(info, checksumOf(context, name)) };
}

const snapshotGet: SnapshotAction = (context, volume, body) =>
  wrapped('failed to get snapshot', async () =>
    oneSnapshot(context, volume, requireName(readInput('snapshotInput', body).name)),
  );

const snapshotCreate: SnapshotAction = (context, volume, body) =>
  wrapped('failed to create snapshot', async () => {
    const { name, labels } = readInput('snapshotInput', body);
    refuseStandby(volume, 'create');
    refuseDuringMigration(volume);
    if (Object.entries(labels).some(([key, value]) => `${key}${value}`.includes('='))) {
      throw new RestFault("labels cannot contain '='");
    }
    const wanted = name === '' ? '' : newName(name);
    const taken = await takeSnapshot(context, volume.metadata.name, wanted, labels);
    return oneSnapshot(context, volume, taken);
  });

const snapshotDelete: SnapshotAction = (context, volume, body) =>
  wrapped('failed to delete snapshot', async () => {
    refuseStandby(volume, 'delete');
    refuseDuringMigration(volume);
    await removeSnapshot(context, volume.metadata.name, requireName(readInput('snapshotInput', body).name));
    return { kind: 'volume' };
  });

const snapshotRevert: SnapshotAction = (context, volume, body) =>
  wrapped('failed to revert snapshot', async () => {
    const name = requireName(readInput('snapshotInput', body).name);
    const volumeName = volume.metadata.name;
    refuseStandby(volume, 'revert');
    refuseDuringMigration(volume);
    const engine = await engineOf(context, volumeName);
    if (engine.spec.frontend !== '' && !engine.spec.disableFrontend) {
      throw new RestFault(
        `failed to revert snapshot for volume ${volumeName} with frontend enabled: detach it and attach it in maintenance mode (disableFrontend) first`,
      );
    }
    const info = (await listSnapshots(context, volumeName))[name];
    if (info === undefined) throw new RestFault(`not found snapshot '${name}', for volume '${volumeName}'`);
    if (info.removed)
      throw new RestFault(`not revert to snapshot '${name}' for volume '${volumeName}' since it's marked as Removed`);
    await revertToSnapshot(context, volumeName, name);
    return { kind: 'nothing' };
  });

const snapshotPurge: SnapshotAction = (context, volume) =>
  wrapped('failed to purge snapshot', async () => {
    if (settingsOf(context).get('disable-snapshot-purge')) {
      throw new RestFault('cannot purge snapshots while disable-snapshot-purge setting is true');
    }
    refuseDuringMigration(volume);
    await purgeSnapshots(context, volume.metadata.name);
    return { kind: 'volume' };
  });

const snapshotCrCreate: SnapshotAction = (context, volume, body) =>
  wrapped('failed to create snapshot CR', async () => {
    const { name, labels } = readInput('snapshotCRInput', body);
    refuseStandby(volume, 'create');
    refuseDuringMigration(volume);
    const wanted = name === '' ? generatedName('snap', context.randomHex(16)) : newName(name);
    const spec = { volume: volume.metadata.name, createSnapshot: true, labels };
    return { kind: 'resource', resource: snapshotCrView(await createObject(context, 'Snapshot', wanted, { spec })) };
  });

const snapshotCrList: SnapshotAction = async (context, volume) => {
  const snapshots = byName(context.datastore.store('Snapshot').byIndex('volume', volume.metadata.name));
  return { kind: 'collection', schema: 'snapshotCR', items: snapshots.map(snapshotCrView) };
};

/** A snapshot of this volume; one of another volume counts as not there. */
async function snapshotOf(context: ApiContext, volume: Volume, name: string): Promise<Snapshot | null> {
  const snapshot = context.datastore.store('Snapshot').get(name) ?? (await context.datastore.read('Snapshot', name));
  return snapshot?.spec.volume === volume.metadata.name ? snapshot : null;
}

const snapshotCrGet: SnapshotAction = (context, volume, body) =>
  wrapped('failed to get snapshot CR', async () => {
    const name = requireName(readInput('snapshotCRInput', body).name);
    const snapshot = await snapshotOf(context, volume, name);
    if (snapshot === null) throw notFound('snapshot', name);
    return { kind: 'resource', resource: snapshotCrView(snapshot) };
  });

const snapshotCrDelete: SnapshotAction = (context, volume, body) =>
  wrapped('failed to delete snapshot CR', async () => {
    const name = requireName(readInput('snapshotCRInput', body).name);
    if ((await snapshotOf(context, volume, name)) !== null) await context.datastore.delete('Snapshot', name);
    return { kind: 'resource', resource: render('empty', null, {}) };
  });

const recurringJobList: SnapshotAction = async (_context, volume) => {
  const items = Object.keys(volume.metadata.labels).flatMap((label) => {
    const [, group, name] = /^recurring-job(-group)?\.longhorn\.io\/(.+)$/.exec(label) ?? [];
    return name === undefined ? [] : [render('volumeRecurringJob', name, { name, isGroup: group !== undefined })];
  });
  return { kind: 'collection', schema: 'volumeRecurringJob', items };
};

/** Action name to what it does. */
export const SNAPSHOT_ACTIONS: Readonly<Record<string, SnapshotAction>> = {
  snapshotCreate,
  snapshotList,
  snapshotGet,
  snapshotDelete,
  snapshotRevert,
  snapshotPurge,
  snapshotCRCreate: snapshotCrCreate,
  snapshotCRList: snapshotCrList,
  snapshotCRGet: snapshotCrGet,
  snapshotCRDelete: snapshotCrDelete,
  recurringJobList,
};
