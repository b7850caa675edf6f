/** Custom resource BackupVolume: a volume as a backup store knows it. */
import type { Static } from 'typebox';
import { defineKind } from './define-kind.ts';
import type { KubernetesObject } from './kubernetes-object.ts';
import { map, object, text, time } from './schema-fragments.ts';

const spec = object(
  {
    backupTargetName: text('Backup target that it is in.', { nullable: true }),
    syncRequestedAt: time('Set to now to have it compared with the store.'),
    volumeName: text('Name of the volume in the store.'),
  },
  'What is wanted.',
);

const status = object(
  {
    backingImageChecksum: text('SHA-512 of the backing image.'),
    backingImageName: text('Backing image of the volume.'),
    createdAt: text('When its first backup was made, RFC 3339.'),
    dataStored: text('Bytes that it takes in the store, as a decimal string.'),
    labels: map(text(''), 'Labels from the store.', { nullable: true }),
    lastBackupAt: text('When its last backup was made, RFC 3339.'),
    lastBackupName: text('Name of its last backup.'),
    lastModificationTime: time('When it changed last in the store.'),
    lastSyncedAt: time('When it was last compared with the store.'),
    messages: map(text(''), 'Errors and remarks, under the keys error and info.', { nullable: true }),
    ownerID: text('Node whose manager takes care of this object.'),
    size: text('Bytes of the volume, as a decimal string.'),
    storageClassName: text('Storage class of its claim.'),
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
