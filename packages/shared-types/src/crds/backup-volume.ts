/** Custom resource BackupVolume: a volume as a backup store knows it. */
import type { Static } from 'typebox';
import { defineKind } from './define-kind.ts';
import type { KubernetesObject } from './kubernetes-object.ts';
import { map, object, text, time } from './schema-fragments.ts';

const spec = object(
  {
    backupTargetName: text('Target; must not be empty.', { nullable: true }),
    syncRequestedAt: time('Ask for a re-read.'),
    volumeName: text('Volume name in the store; must not be empty.'),
  },
  'What is wanted.',
);

const status = object(
  {
    backingImageChecksum: text('SHA-512.'),
    backingImageName: text('Backing image.'),
    createdAt: text('Time, RFC 3339.'),
    dataStored: text('Bytes stored, string.'),
    labels: map(text(''), 'Labels from the store.', { nullable: true }),
    lastBackupAt: text('Time, RFC 3339.'),
    lastBackupName: text('Latest backup.'),
    lastModificationTime: time('Modification time of volume.cfg.'),
    lastSyncedAt: time('Time.'),
    messages: map(text(''), 'Keys error, info.', { nullable: true }),
    ownerID: text('Node whose manager takes care of this object.'),
    size: text('Bytes, as a decimal string.'),
    storageClassName: text('StorageClass of the source PVC.'),
  },
  'What is.',
);

/** Names, columns and schema of BackupVolume. */
export const backupVolumeKind = defineKind({
  kind: 'BackupVolume',
  plural: 'backupvolumes',
  shortName: 'lhbv',
  description: 'A volume as a backup store knows it.',
  hasFinalizer: true,
  columns: [
    ['BackupTarget', 'string', '.spec.backupTargetName'],
    ['CreatedAt', 'string', '.status.createdAt'],
    ['LastBackupName', 'string', '.status.lastBackupName'],
    ['LastBackupAt', 'string', '.status.lastBackupAt'],
    ['LastSyncedAt', 'string', '.status.lastSyncedAt'],
  ],
  fields: { spec, status },
});

/** Wanted state of a BackupVolume. */
export type BackupVolumeSpec = Static<typeof spec>;
/** Observed state of a BackupVolume. */
export type BackupVolumeStatus = Static<typeof status>;
/** A volume as a backup store knows it. */
export type BackupVolume = KubernetesObject<BackupVolumeSpec, BackupVolumeStatus, 'BackupVolume'>;
