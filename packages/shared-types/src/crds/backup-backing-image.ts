/** Custom resource BackupBackingImage: the backup of a backing image. */
import type { Static } from 'typebox';
import { defineKind } from './define-kind.ts';
import type { KubernetesObject } from './kubernetes-object.ts';
import { flag, int64, integer, map, object, text, time } from './schema-fragments.ts';

const spec = object(
  {
    backingImage: text('Backing image name.', { required: true }),
    backupTargetName: text('Target.', { nullable: true }),
    labels: map(text(''), 'Labels.'),
    syncRequestedAt: time('Ask for a re-read.'),
    userCreated: flag('True = create a backup now; false = pulled from the store.', { required: true }),
  },
  'What is wanted.',
);

const status = object(
  {
    backingImage: text('Name.'),
    backupCreatedAt: text('Time, RFC 3339.'),
    checksum: text('SHA-512.'),
    compressionMethod: text('none, lz4, gzip.'),
    error: text('What went wrong; empty when nothing did.'),
    labels: map(text(''), 'Labels.', { nullable: true }),
    lastSyncedAt: time('Time.'),
    managerAddress: text('Backing image manager doing the upload.'),
    messages: map(text(''), 'Keys error, info.', { nullable: true }),
    ownerID: text('Node whose manager takes care of this object.'),
    progress: integer('Percent done.'),
    secret: text('Encryption secret of the source.'),
    secretNamespace: text('Its namespace.'),
    size: int64('Bytes.'),
    state: text('Same values as Backup.'),
    url: text('<target>?backingImage=<name>.'),
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
