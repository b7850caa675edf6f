/** Custom resource BackupBackingImage: the backup of a backing image. */
import type { Static } from 'typebox';
import { defineKind } from './define-kind.ts';
import type { KubernetesObject } from './kubernetes-object.ts';
import { flag, int64, integer, map, object, text, time } from './schema-fragments.ts';

const spec = object(
  {
    backingImage: text('Name of the backing image.', { required: true }),
    backupTargetName: text('Backup target that it is in.', { nullable: true }),
    labels: map(text(''), 'Labels that are stored with it.'),
    syncRequestedAt: time('Set to now to have it compared with the store.'),
    userCreated: flag('True = create a backup now; false = pulled from the store.', { required: true }),
  },
  'What is wanted.',
);

const status = object(
  {
    backingImage: text('Name of the backing image.'),
    backupCreatedAt: text('When it was made, RFC 3339.'),
    checksum: text('SHA-512 of the file.'),
    compressionMethod: text('none, lz4 or gzip.'),
    error: text('What went wrong; empty when nothing did.'),
    labels: map(text(''), 'Labels that are stored with it.', { nullable: true }),
    lastSyncedAt: time('When it was last compared with the store.'),
    managerAddress: text('Backing image manager doing the upload.'),
    messages: map(text(''), 'Errors and remarks, under the keys error and info.', { nullable: true }),
    ownerID: text('Node whose manager takes care of this object.'),
    progress: integer('Percent done.'),
    secret: text('Secret with the key of the image.'),
    secretNamespace: text('Namespace of that secret.'),
    size: int64('Bytes of the file.'),
    state: text('State, as of Backup.'),
    url: text('URL in the store.'),
  },
  'What is.',
);

/** Names, columns and schema of BackupBackingImage. */
export const backupBackingImageKind = defineKind({
  kind: 'BackupBackingImage',
  plural: 'backupbackingimages',
  shortName: 'lhbbi',
  description: 'The backup of a backing image.',
  hasFinalizer: true,
  columns: [
    ['BackingImage', 'string', '.status.backingImage'],
    ['Size', 'string', '.status.size'],
    ['BackupCreatedAt', 'string', '.status.backupCreatedAt'],
    ['State', 'string', '.status.state'],
    ['LastSyncedAt', 'string', '.status.lastSyncedAt'],
  ],
  fields: { spec, status },
});

/** Wanted state of a BackupBackingImage. */
export type BackupBackingImageSpec = Static<typeof spec>;
/** Observed state of a BackupBackingImage. */
export type BackupBackingImageStatus = Static<typeof status>;
/** The backup of a backing image. */
export type BackupBackingImage = KubernetesObject<
  BackupBackingImageSpec,
  BackupBackingImageStatus,
  'BackupBackingImage'
>;
