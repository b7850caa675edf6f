/** The actions on volumes that change the Volume, its tickets or its replicas. */
import {
  parseQuantity,
  roundVolumeSize,
  type RestSchemaId,
  type Volume,
  type VolumeAttachment,
  type VolumeSpec,
} from '@longhorn/shared-types';
import { engineImageName } from '@longhorn/shared-types';
import { imageIsReadyOn } from '../controllers/context.ts';
import { BLOCK_DEVICE_AVAILABLE } from '../controllers/node/environment.ts';
import { expansionProblem, spaceLimits } from '../controllers/volume/expansion.ts';
import { candidateDisk } from '../controllers/volume/observe.ts';
import { isAlreadyExists } from '../datastore/kube-transport.ts';
import { settingsOf, type ApiContext } from './api-context.ts';
import { createObject, updateVolumeSpec } from './object-writes.ts';
import { notFound, notSupported, RestFault, wrapped } from './rest-fault.ts';
import { readInput } from './rest-input.ts';
import { sizeText } from './volume-create.ts';

/** Does the action; throws RestFault. */
export type VolumeAction = (context: ApiContext, volume: Volume, body: unknown) => Promise<void>;

type Ticket = VolumeAttachment['spec']['attachmentTickets'][string];

/** Changes the tickets of a volume; the attachment is made when the controller has not done so yet. */
async function changeTickets(
  context: ApiContext,
  volume: string,
  change: (tickets: Record<string, Ticket>) => Record<string, Ticket>,
): Promise<void> {
  const { datastore } = context;
  const update = (): Promise<VolumeAttachment | null> =>
    datastore.update('VolumeAttachment', volume, (attachment) => {
      const attachmentTickets = change({ ...attachment.spec.attachmentTickets });
      return { ...attachment, spec: { ...attachment.spec, attachmentTickets } };
    });
  if ((await update()) !== null) return;
  if ((await datastore.read('VolumeAttachment', volume)) === null) {
    const attachmentTickets = change({});
    if (Object.keys(attachmentTickets).length === 0) return;
    try {
      await createObject(context, 'VolumeAttachment', volume, { spec: { volume, attachmentTickets } });
      return;
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
      await datastore.read('VolumeAttachment', volume);
    }
  }
  if ((await update()) === null) throw notFound('volume attachment', volume);
}

function checkAttachable({ datastore }: ApiContext, volume: Volume, nodeName: string): void {
  const { name } = volume.metadata;
  const node = datastore.store('Node').get(nodeName);
  if (node === null) {
    const known = datastore
      .store('Node')
      .list()
      .map((one) => one.metadata.name);
    throw new RestFault(`node ${JSON.stringify(nodeName)} does not exist, use one of ${known.toSorted().join(', ')}`);
  }
  const ready = node.status.conditions.find(({ type }) => type === 'Ready');
  if (ready?.status !== 'True')
    throw new RestFault(`node ${nodeName} is not ready, couldn't attach volume ${name} to it`);
  const image = datastore.store('EngineImage').get(engineImageName(volume.spec.image));
  const scheduled = datastore
    .store('Replica')
    .byIndex('volume', name)
    .filter((replica) => replica.spec.nodeID !== '');
  const isLocal = volume.spec.dataLocality !== 'disabled';
  const onReplicas =
    isLocal || scheduled.length === 0 || scheduled.some((replica) => imageIsReadyOn(image, replica.spec.nodeID));
  if (!imageIsReadyOn(image, nodeName) || !onReplicas) {
    throw new RestFault(
      `cannot attach volume ${name} because the data engine image ${volume.spec.image} is not deployed on at least one of the the replicas' nodes or the node that the volume is going to attach to`,
    );
  }
  const restore = volume.status.conditions.find(({ type }) => type === 'Restore');
  if (restore?.status === 'True') throw new RestFault(`volume ${name} is restoring data`);
  if (volume.status.restoreRequired) throw new RestFault(`volume ${name} is pending restoring`);
}

/** Pods need a block device; others can do without, on a node that has no way to make one. */
function checkUsableByPods({ datastore }: ApiContext, nodeName: string): void {
  const conditions = datastore.store('Node').get(nodeName)?.status.conditions ?? [];
  const found = conditions.find(({ type }) => type === BLOCK_DEVICE_AVAILABLE);
  if (found?.status === 'False') throw new RestFault(`no pod can use a volume on node ${nodeName}: ${found.message}`);
}

const attach: VolumeAction = async (context, volume, body) => {
  const input = readInput('attachInput', body);
  const { name } = volume.metadata;
  await wrapped(`unable to attach volume ${name} to ${input.hostId}`, async () => {
    checkAttachable(context, volume, input.hostId);
    if (volume.spec.migrationNodeID !== '' && volume.spec.migrationNodeID === input.hostId) return;
    const id = input.attachmentID;
    const type = input.attacherType || 'longhorn-api';
    if (type === 'csi-attacher') checkUsableByPods(context, input.hostId);
    const parameters = { disableFrontend: String(input.disableFrontend), lastAttachedBy: input.attachedBy };
    await changeTickets(context, name, (tickets) => ({
      ...tickets,
      [id]: { id, type, nodeID: input.hostId, parameters, generation: tickets[id]?.generation ?? 0 },
    }));
  });
};

const detach: VolumeAction = async (context, volume, body) => {
  const { name } = volume.metadata;
  const text = typeof body === 'string' ? body.trim() : '';
  const input = readInput('detachInput', text.startsWith('{') ? text : '{}');
  await wrapped(`unable to detach volume ${name}`, async () => {
    if (volume.status.isStandby) throw new RestFault(`cannot detach standby volume ${name}`);
    await changeTickets(context, name, (tickets) => {
      if (input.forceDetach) return {};
      const { [input.attachmentID]: _removed, ...others } = tickets;
      return others;
    });
  });
};

const salvage: VolumeAction = async (context, volume, body) => {
  const { names } = readInput('salvageInput', body);
  const { name } = volume.metadata;
  const { datastore } = context;
  await wrapped(`unable to salvage volume ${name}`, async () => {
    const { state, robustness } = volume.status;
    if (state !== 'detached') throw new RestFault(`invalid volume state to salvage: ${state}`);
    if (robustness !== 'faulted') throw new RestFault(`invalid robustness state to salvage: ${robustness}`);
    for (const replicaName of names) {
      const replica = datastore.store('Replica').get(replicaName);
      if (replica === null) throw notFound('replica', replicaName);
      if (replica.spec.volumeName !== name)
        throw new RestFault(`replica ${replicaName} doesn't belong to volume ${name}`);
      const node = datastore.store('Node').get(replica.spec.nodeID);
      const ready = node?.status.conditions.find(({ type }) => type === 'Ready');
      if (ready?.status !== 'True') {
        throw new RestFault(
          `unable to check if the related node ${replica.spec.nodeID} is down or deleted for replica ${replicaName}`,
        );
      }
    }
    await updateVolumeSpec(context, name, { nodeID: '' });
    for (const replicaName of names) {
      await datastore.update('Replica', replicaName, (replica) => ({
        ...replica,
        spec: { ...replica.spec, failedAt: '' },
      }));
    }
  });
};

/** Every disk with a replica must have room for what is added. */
function checkRoomToGrow(context: ApiContext, volume: Volume, toBytes: number): void {
  const { datastore } = context;
  const replicas = datastore.store('Replica').byIndex('volume', volume.metadata.name);
  const disks = datastore
    .store('Node')
    .list()
    .flatMap((node) => Object.keys(node.spec.disks).flatMap((disk) => candidateDisk(datastore, node, disk)));
  const diskIds = replicas.map(({ spec }) => spec.diskID);
  const growth = { fromBytes: Number(volume.spec.size), toBytes, diskIds };
  const problem = expansionProblem(growth, disks, spaceLimits({ settings: settingsOf(context) }));
  if (problem !== null) throw new RestFault(problem);
}

const expand: VolumeAction = async (context, volume, body) => {
  const { name } = volume.metadata;
  const wanted = sizeText('size', readInput('expandInput', body).size) ?? '0';
  if (volume.spec.Standby) throw new RestFault(`failed to manually expand standby volume ${name}`);
  await wrapped(`unable to expand volume ${name}`, async () => {
    const { state, conditions } = volume.status;
    if (state !== 'detached' && state !== 'attached') throw new RestFault(`invalid volume state to expand: ${state}`);
    if (conditions.find(({ type }) => type === 'Scheduled')?.status !== 'True') {
      throw new RestFault('cannot expand volume before replica scheduling success');
    }
    const rounded = roundVolumeSize(BigInt(wanted));
    if (rounded === null) throw new RestFault(`size must be below 2^63 bytes, it is ${wanted}`);
    if (rounded <= BigInt(volume.spec.size)) return;
    checkRoomToGrow(context, volume, Number(rounded));
    await updateVolumeSpec(context, name, { size: String(rounded) });
  });
};

const cancelExpansion: VolumeAction = async (context, volume) => {
  const { name } = volume.metadata;
  await wrapped(`unable to cancel expansion for volume ${name}`, async () => {
    if (!volume.status.expansionRequired) throw new RestFault('volume expansion is not started');
    if (volume.status.isStandby) throw new RestFault('canceling expansion for standby volume is not supported');
    const engines = context.datastore.store('Engine').byIndex('volume', name);
    const [engine] = engines;
    if (engines.length > 1) throw new RestFault(`found more than 1 engines for volume ${name}`);
    if (engine === undefined) throw new RestFault(`cannot find engine of volume ${name}`);
    if (engine.status.isExpanding) throw new RestFault('the engine expansion is in progress');
    if (engine.status.currentSize === volume.spec.size) throw new RestFault('the engine expansion is already complete');
    await updateVolumeSpec(context, name, { size: engine.status.currentSize });
  });
};

const updateReplicaCount: VolumeAction = async (context, volume, body) => {
  const { replicaCount } = readInput('UpdateReplicaCountInput', body);
  const { name } = volume.metadata;
  await wrapped(`unable to update replica count for volume ${name}`, () =>
    updateVolumeSpec(context, name, { numberOfReplicas: replicaCount }, ({ spec, status }) => {
      if (spec.nodeID === '' || status.state !== 'attached') {
        throw new RestFault(`invalid volume state to update replica count${status.state}`);
      }
      if (spec.image !== status.currentImage) throw new RestFault('upgrading in process, cannot update replica count');
      if (spec.migrationNodeID !== '') throw new RestFault('migration in process, cannot update replica count');
    }),
  );
};

const updateAccessMode: VolumeAction = async (context, volume, body) => {
  const { accessMode } = readInput('UpdateAccessModeInput', body);
  const { name } = volume.metadata;
  await wrapped(`unable to update access mode for volume ${name}`, () =>
    updateVolumeSpec(
      context,
      name,
      { accessMode: oneOf(['rwo', 'rwx'], 'accessMode', accessMode) },
      ({ spec, status }) => {
        if (spec.nodeID !== '' || status.state !== 'detached') {
          throw new RestFault('can only update volume access mode while volume is detached');
        }
      },
    ),
  );
};

const replicaRemove: VolumeAction = async (context, volume, body) => {
  const { name } = readInput('replicaRemoveInput', body);
  await wrapped('failed to remove replica', async () => {
    const replica = context.datastore.store('Replica').get(name);
    if (replica === null) throw notFound('replica', name);
    if (replica.spec.volumeName !== volume.metadata.name) {
      throw new RestFault(`replica ${name} doesn't belong to volume ${volume.metadata.name}`);
    }
    await context.datastore.delete('Replica', name);
  });
};

const updateSnapshotMaxSize: VolumeAction = async (context, volume, body) => {
  const text = readInput('UpdateSnapshotMaxSizeInput', body).snapshotMaxSize;
  const bytes = parseQuantity(text.trim());
  if (bytes === null || bytes < 0n)
    throw new RestFault(
      `failed to parse snapshot max size ${text.slice(0, 60)}: snapshotMaxSize must be a size such as 10Gi, or 0`,
    );
  const { name } = volume.metadata;
  await wrapped(`unable to update field SnapshotMaxSize for volume ${name}`, () =>
    updateVolumeSpec(context, name, { snapshotMaxSize: String(bytes) }),
  );
};

const updateSnapshotMaxCount: VolumeAction = async (context, volume, body) => {
  const { snapshotMaxCount } = readInput('UpdateSnapshotMaxCountInput', body);
  const { name } = volume.metadata;
  await wrapped(`unable to update field SnapshotMaxCount for volume ${name}`, () =>
    updateVolumeSpec(context, name, { snapshotMaxCount }),
  );
};

function oneOf<const T extends string>(values: readonly T[], field: string, value: string): T {
  const found = values.find((candidate) => candidate === value);
  if (found !== undefined) return found;
  throw new RestFault(`invalid ${field} ${JSON.stringify(value.slice(0, 60))}, must be one of ${values.join(', ')}`);
}

type TextField = {
  [K in keyof VolumeSpec]: VolumeSpec[K] extends string ? K : never;
}[keyof VolumeSpec];

/** An action that sets one field to one of some words. */
function setting<F extends TextField>(
  input: RestSchemaId,
  field: F,
  values: readonly VolumeSpec[F][],
  words: (volume: string) => string,
): VolumeAction {
  return async (context, volume, body) => {
    const given = readInput(input, body);
    const sent: unknown = Reflect.get(given, field);
    const { name } = volume.metadata;
    await wrapped(words(name), async () => {
      const value = values.find((candidate) => candidate === sent);
      if (value === undefined) {
        throw new RestFault(`invalid ${field} ${JSON.stringify(sent)}, must be one of ${values.join(', ')}`);
      }
      const changes: Partial<VolumeSpec> = {};
      changes[field] = value;
      await updateVolumeSpec(context, name, changes);
    });
  };
}

const SWITCH = ['ignored', 'enabled', 'disabled'] as const;
const ofField = (field: string) => (name: string) => `unable to update field ${field} for volume ${name}`;

function notBuilt(action: string): VolumeAction {
  return () => Promise.reject(notSupported(`action ${action}`));
}

/** Action name to what it does. */
export const VOLUME_ACTIONS: Readonly<Record<string, VolumeAction>> = {
  attach,
  detach,
  salvage,
  expand,
  cancelExpansion,
  updateReplicaCount,
  updateAccessMode,
  replicaRemove,
  updateSnapshotMaxSize,
  updateSnapshotMaxCount,
  updateDataLocality: setting(
    'UpdateDataLocalityInput',
    'dataLocality',
    ['disabled', 'best-effort', 'strict-local'],
    (name) => `unable to update data locality for volume ${name}`,
  ),
  updateReplicaAutoBalance: setting(
    'UpdateReplicaAutoBalanceInput',
    'replicaAutoBalance',
    ['ignored', 'disabled', 'least-effort', 'best-effort'],
    (name) => `unable to update replica auto-balance for volume ${name}`,
  ),
  updateUnmapMarkSnapChainRemoved: setting(
    'UpdateUnmapMarkSnapChainRemovedInput',
    'unmapMarkSnapChainRemoved',
    SWITCH,
    ofField('UnmapMarkSnapChainRemoved'),
  ),
  updateReplicaSoftAntiAffinity: setting(
    'UpdateReplicaSoftAntiAffinityInput',
    'replicaSoftAntiAffinity',
    SWITCH,
    ofField('ReplicaSoftAntiAffinity'),
  ),
  updateReplicaZoneSoftAntiAffinity: setting(
    'UpdateReplicaZoneSoftAntiAffinityInput',
    'replicaZoneSoftAntiAffinity',
    SWITCH,
    ofField('ReplicaZoneSoftAntiAffinity'),
  ),
  updateReplicaDiskSoftAntiAffinity: setting(
    'UpdateReplicaDiskSoftAntiAffinityInput',
    'replicaDiskSoftAntiAffinity',
    SWITCH,
    ofField('ReplicaDiskSoftAntiAffinity'),
  ),
  updateFreezeFilesystemForSnapshot: setting(
    'UpdateFreezeFilesystemForSnapshotInput',
    'freezeFilesystemForSnapshot',
    SWITCH,
    ofField('FreezeFilesystemForSnapshot'),
  ),
  updateSnapshotDataIntegrity: setting(
    'UpdateSnapshotDataIntegrityInput',
    'snapshotDataIntegrity',
    ['ignored', 'disabled', 'enabled', 'fast-check'],
    (name) => `unable to update snapshot data integrity for volume ${name}`,
  ),
  updateBackupCompressionMethod: setting(
    'UpdateBackupCompressionInput',
    'backupCompressionMethod',
    ['none', 'lz4', 'gzip'],
    (name) => `unable to update backup compression method for volume ${name}`,
  ),
  offlineReplicaRebuilding: setting(
    'UpdateOfflineRebuildingInput',
    'offlineRebuilding',
    SWITCH,
    (name) => `unable to rebuild the offline volume ${name}`,
  ),
  activate: notBuilt('activate'),
  engineUpgrade: notBuilt('engineUpgrade'),
  trimFilesystem: notBuilt('trimFilesystem'),
  pvCreate: notBuilt('pvCreate'),
  pvcCreate: notBuilt('pvcCreate'),
  snapshotBackup: notBuilt('snapshotBackup'),
  recurringJobAdd: notBuilt('recurringJobAdd'),
  recurringJobDelete: notBuilt('recurringJobDelete'),
  updateBackupTargetName: notBuilt('updateBackupTargetName'),
  updateReplicaRebuildingBandwidthLimit: notBuilt('updateReplicaRebuildingBandwidthLimit'),
};
