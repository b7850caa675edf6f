/** How a volume looks through the API: the Volume with its engines, replicas and tickets. */
import { posix } from 'node:path';
import type { Condition, Engine, Replica, RestContent, Volume, VolumeAttachment } from '@longhorn/shared-types';
import type { ApiContext } from './api-context.ts';
import { byName } from './api-context.ts';
import { render, type Rendered } from './rest-output.ts';
import { offeredVolumeActions } from './volume-actions-offered.ts';

/** A volume and what belongs to it. */
export interface VolumeFamily {
  volume: Volume;
  engines: readonly Engine[];
  replicas: readonly Replica[];
  attachment: VolumeAttachment | null;
}

/** Everything of a volume that the caches have; null when there is no such volume. */
export function volumeFamily({ datastore }: ApiContext, name: string): VolumeFamily | null {
  const volume = datastore.store('Volume').get(name);
  if (volume === null) return null;
  return {
    volume,
    engines: byName(datastore.store('Engine').byIndex('volume', name)),
    replicas: byName(datastore.store('Replica').byIndex('volume', name)),
    attachment: datastore.store('VolumeAttachment').get(name),
  };
}

/** `2025-11-20 10:11:12 +0000 UTC`: how upstream prints the times of objects. */
export function goTime(rfc3339: string | null): string {
  if (rfc3339 === null) return '';
  return `${new Date(rfc3339).toISOString().slice(0, 19).replace('T', ' ')} +0000 UTC`;
}

/** Conditions by type. */
export function conditionMap(conditions: readonly Condition[]): Record<string, Condition> {
  return Object.fromEntries(conditions.map((condition) => [condition.type, condition]));
}

function replicaView(replica: Replica, mode: string): RestContent<'replica'> {
  const { metadata, spec, status } = replica;
  return {
    name: metadata.name,
    hostId: spec.nodeID,
    address: status.ip,
    running: status.currentState === 'running',
    image: spec.image,
    currentImage: status.currentImage,
    instanceManagerName: status.instanceManagerName,
    diskID: spec.diskID,
    diskPath: spec.diskPath,
    dataPath: posix.join(spec.diskPath, 'replicas', spec.dataDirectoryName),
    mode,
    failedAt: spec.failedAt,
    dataEngine: spec.dataEngine,
  };
}

function engineView(engine: Engine): RestContent<'controller'> {
  const { metadata, spec, status } = engine;
  const sizes = Object.values(status.snapshots).map(({ size }) => (/^[0-9]{1,19}$/.test(size) ? BigInt(size) : 0n));
  return {
    name: metadata.name,
    hostId: spec.nodeID,
    address: status.ip,
    running: status.currentState === 'running',
    image: spec.image,
    currentImage: status.currentImage,
    instanceManagerName: status.instanceManagerName,
    size: status.currentSize,
    actualSize: String(sizes.reduce((sum, size) => sum + size, 0n)),
    endpoint: status.endpoint,
    lastRestoredBackup: status.lastRestoredBackup,
    requestedBackupRestore: spec.requestedBackupRestore,
    isExpanding: status.isExpanding,
    lastExpansionError: status.lastExpansionError,
    lastExpansionFailedAt: status.lastExpansionFailedAt,
    unmapMarkSnapChainRemovedEnabled: status.unmapMarkSnapChainRemovedEnabled,
    ioState: status.ioState,
    ioReason: status.ioReason,
    ioSince: status.ioSince,
  };
}

/** The tickets of a volume. */
export function attachmentView(volume: string, attachment: VolumeAttachment | null): RestContent<'volumeAttachment'> {
  const attachments = Object.entries(attachment?.spec.attachmentTickets ?? {}).map(
    ([id, ticket]): [string, RestContent<'attachment'>] => {
      const status = attachment?.status.attachmentTicketStatuses[id];
      return [
        id,
        {
          attachmentID: ticket.id,
          attachmentType: ticket.type,
          nodeID: ticket.nodeID,
          parameters: ticket.parameters,
          satisfied: status?.satisfied ?? false,
          conditions: status?.conditions ?? [],
        },
      ];
    },
  );
  return { volume, attachments: Object.fromEntries(attachments) };
}

/** Whether a workload can use the volume. */
export function isReady({ volume, replicas }: VolumeFamily): boolean {
  const { spec, status } = volume;
  const scheduled = status.conditions.find(({ type }) => type === 'Scheduled');
  if (status.state !== 'detached' && spec.nodeID === '') return false;
  if (status.state === 'detached' && scheduled?.status !== 'True' && replicas.some((r) => r.spec.nodeID === ''))
    return false;
  if (status.robustness === 'faulted' || status.restoreRequired) return false;
  return spec.dataSource === '' || status.cloneStatus.state === 'completed';
}

/** Progress lists: one entry per address, named after its replica where that is known. */
function progressLists(
  family: VolumeFamily,
): Pick<RestContent<'volume'>, 'restoreStatus' | 'purgeStatus' | 'rebuildStatus'> {
  const names = new Map(
    family.replicas.map(({ metadata, status }) => {
      const host = status.storageIP.includes(':') ? `[${status.storageIP}]` : status.storageIP;
      return [`tcp://${host}:${status.port}`, metadata.name];
    }),
  );
  const nameOf = (address: string): string => names.get(address) ?? address;
  const sorted = <T>(map: Record<string, T>): [string, T][] =>
    Object.entries(map).toSorted(([a], [b]) => (a < b ? -1 : 1));
  const statuses = family.engines.map(({ status }) => status);
  return {
    restoreStatus: statuses.flatMap((status) =>
      sorted(status.restoreStatus).map(([address, { currentRestoringBackup: _current, ...entry }]) => ({
        replica: nameOf(address),
        ...entry,
      })),
    ),
    purgeStatus: statuses.flatMap((status) =>
      sorted(status.purgeStatus).map(([address, entry]) => ({ replica: nameOf(address), ...entry })),
    ),
    rebuildStatus: statuses.flatMap((status) =>
      sorted(status.rebuildStatus).map(([address, entry]) => ({
        replica: nameOf(address),
        fromReplica: nameOf(entry.fromReplicaAddress),
        error: entry.error,
        isRebuilding: entry.isRebuilding,
        progress: entry.progress,
        state: entry.state,
      })),
    ),
  };
}

function specFields(volume: Volume) {
  const { spec } = volume;
  return {
    size: spec.size,
    frontend: spec.frontend,
    disableFrontend: spec.disableFrontend,
    fromBackup: spec.fromBackup,
    restoreVolumeRecurringJob: spec.restoreVolumeRecurringJob,
    dataSource: spec.dataSource,
    cloneMode: spec.cloneMode,
    dataLocality: spec.dataLocality,
    staleReplicaTimeout: spec.staleReplicaTimeout,
    image: spec.image,
    backingImage: spec.backingImage,
    lastAttachedBy: spec.lastAttachedBy,
    standby: spec.Standby,
    revisionCounterDisabled: spec.revisionCounterDisabled,
    snapshotDataIntegrity: spec.snapshotDataIntegrity,
    unmapMarkSnapChainRemoved: spec.unmapMarkSnapChainRemoved,
    backupCompressionMethod: spec.backupCompressionMethod,
    backupBlockSize: spec.backupBlockSize,
    replicaSoftAntiAffinity: spec.replicaSoftAntiAffinity,
    replicaZoneSoftAntiAffinity: spec.replicaZoneSoftAntiAffinity,
    replicaDiskSoftAntiAffinity: spec.replicaDiskSoftAntiAffinity,
    dataEngine: spec.dataEngine,
    snapshotMaxCount: spec.snapshotMaxCount,
    snapshotMaxSize: spec.snapshotMaxSize,
    replicaRebuildingBandwidthLimit: spec.replicaRebuildingBandwidthLimit,
    freezeFilesystemForSnapshot: spec.freezeFilesystemForSnapshot,
    backupTargetName: spec.backupTargetName,
    diskSelector: spec.diskSelector,
    nodeSelector: spec.nodeSelector,
    numberOfReplicas: spec.numberOfReplicas,
    replicaAutoBalance: spec.replicaAutoBalance,
    accessMode: spec.accessMode,
    offlineRebuilding: spec.offlineRebuilding,
    migratable: spec.migratable,
    encrypted: spec.encrypted,
  };
}

function statusFields({ status }: Volume) {
  return {
    state: status.state,
    robustness: status.robustness,
    currentImage: status.currentImage,
    lastBackup: status.lastBackup,
    lastBackupAt: status.lastBackupAt,
    restoreRequired: status.restoreRequired,
    restoreInitiated: status.restoreInitiated,
    conditions: conditionMap(status.conditions),
    kubernetesStatus: status.kubernetesStatus,
    cloneStatus: status.cloneStatus,
    shareEndpoint: status.shareEndpoint,
    shareState: status.shareState,
    blockedBy: status.blockedBy,
  };
}

/** The volume as a resource, with the actions that its state offers. */
export function volumeView(family: VolumeFamily): Rendered<'volume'> {
  const { volume, engines, replicas, attachment } = family;
  const { name, creationTimestamp, deletionTimestamp } = volume.metadata;
  const current = engines.find((engine) => engine.spec.nodeID === volume.status.currentNodeID) ?? engines[0];
  const state = deletionTimestamp === null ? volume.status.state : 'deleting';
  return render(
    'volume',
    name,
    {
      name,
      created: goTime(creationTimestamp),
      ...specFields(volume),
      ...statusFields(volume),
      state,
      ready: isReady(family),
      recurringJobSelector: [],
      replicas: replicas.map((replica) =>
        replicaView(replica, current?.status.replicaModeMap[replica.metadata.name] ?? ''),
      ),
      controllers: engines.map(engineView),
      backupStatus: [],
      ...progressLists(family),
      volumeAttachment: attachmentView(name, attachment),
    },
    offeredVolumeActions(state, volume.status.robustness),
  );
}
