/** Which actions a volume offers in which state. Clients call only what is offered, so this is part of the contract. */

const ALWAYS = ['attach', 'detach'];
const FAULTED = ['salvage'];
const SNAPSHOT_OBJECTS = ['snapshotCRCreate', 'snapshotCRGet', 'snapshotCRList', 'snapshotCRDelete', 'snapshotBackup'];
const SETTLED = [
  'cancelExpansion',
  'offlineReplicaRebuilding',
  'recurringJobAdd',
  'recurringJobDelete',
  'recurringJobList',
];
const CHANGES = [
  'activate',
  'expand',
  'replicaRemove',
  'engineUpgrade',
  'pvCreate',
  'pvcCreate',
  'updateDataLocality',
  'updateReplicaAutoBalance',
  'updateUnmapMarkSnapChainRemoved',
  'updateSnapshotDataIntegrity',
  'updateSnapshotMaxCount',
  'updateSnapshotMaxSize',
  'updateReplicaRebuildingBandwidthLimit',
  'updateBackupCompressionMethod',
  'updateReplicaSoftAntiAffinity',
  'updateReplicaZoneSoftAntiAffinity',
  'updateReplicaDiskSoftAntiAffinity',
  'updateFreezeFilesystemForSnapshot',
  'updateBackupTargetName',
];
const ATTACHED = [
  'updateReplicaCount',
  'trimFilesystem',
  'snapshotPurge',
  'snapshotCreate',
  'snapshotList',
  'snapshotGet',
  'snapshotDelete',
  'snapshotRevert',
];

/** Names of the offered actions. */
export function offeredVolumeActions(state: string, robustness: string): string[] {
  if (robustness === 'faulted') return [...ALWAYS, ...FAULTED];
  switch (state) {
    case 'detached':
      return [...ALWAYS, ...SNAPSHOT_OBJECTS, ...SETTLED, ...CHANGES, 'updateAccessMode'];
    case 'attaching':
      return [...ALWAYS, ...SNAPSHOT_OBJECTS, ...SETTLED];
    case 'attached':
      return [...ALWAYS, ...SNAPSHOT_OBJECTS, ...SETTLED, ...CHANGES, ...ATTACHED];
    default:
      return [...ALWAYS, ...SNAPSHOT_OBJECTS];
  }
}
