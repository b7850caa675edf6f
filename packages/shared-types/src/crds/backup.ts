/** Custom resource Backup: a backup in a backup store, or the policy that makes them. */
import type { Static } from 'typebox';
import { defineKind } from './define-kind.ts';
import type { KubernetesObject } from './kubernetes-object.ts';
import { choice, flag, int64Choice, integer, map, object, objectOrNull, text, time } from './schema-fragments.ts';

const spec = object(
  {
    backupBlockSize: int64Choice(
      ['-1', '2097152', '16777216'],
      '2097152',
      'Bytes per block, as a decimal string; -1: cannot be read.',
    ),
    backupTarget: objectOrNull(
      {
        bucket: text('Bucket, share or folder.', { required: true }),
        endpoint: text('Host of the store.', { required: true }),
        region: text('Region of the bucket.'),
        type: text('Kind of store, such as s3.', { required: true }),
      },
      'Of a policy: where its backups go.',
    ),
    backupMode: choice(['full', 'incremental', ''], 'full: every block is sent again; incremental: only what is new.'),
    encryption: flag('Of a policy: its backups are encrypted.'),
    labels: map(text(''), 'Labels that are stored with it.'),
    snapshotName: text('Non-empty = take a backup of this snapshot; empty = object mirrors a remote backup.'),
    syncInterval: text('Makes the object a policy: every volume is backed up so often, such as 1h.'),
    syncRequestedAt: time('Set to now to have it compared with the store.'),
  },
  'What is wanted.',
);

const status = object(
  {
    backupCreatedAt: text('When it was made, RFC 3339.'),
    backupTargetName: text('Backup target that it is in.'),
    compressionMethod: text('none, lz4 or gzip.'),
    error: text('What went wrong; empty when nothing did.'),
    failures: integer('Of a policy: failed runs since the last good one.'),
    labels: map(text(''), 'Labels that are stored with it.', { nullable: true }),
    lastRunAt: text('Of a policy: when it ran last, RFC 3339.'),
    lastSyncedAt: time('When it was last compared with the store.'),
    messages: map(text(''), 'Errors and remarks, under the keys error and info.', { nullable: true }),
    nextRunAt: text('Of a policy: when it runs next, RFC 3339.'),
    newlyUploadDataSize: text('Bytes that were new in the store, as a decimal string.'),
    ownerID: text('Node whose manager takes care of this object.'),
    progress: integer('Percent done.'),
    reUploadedDataSize: text('Bytes that were sent again, as a decimal string.'),
    replicaAddress: text('Replica doing the upload.'),
    size: text('Bytes that it holds, as a decimal string.'),
    snapshotCreatedAt: text('When its snapshot was taken, RFC 3339.'),
    snapshotName: text('Snapshot.'),
    state: text('Pending, InProgress, Completed, Error, Unknown or Deleting.'),
    url: text('URL in the store.'),
    volumeBackingImageName: text('Backing image of the volume.'),
    volumeCreated: text('When the volume was made, RFC 3339.'),
    volumeName: text('Volume that it is of.'),
    volumeSize: text('Bytes of the volume, as a decimal string.'),
  },
  'What is.',
);

/** Names, columns and schema of Backup. */
export const backupKind = defineKind({
  kind: 'Backup',
  plural: 'backups',
  shortName: 'lhb',
  description: 'A backup in a backup store, or the policy that makes them.',
  hasFinalizer: true,
  columns: [
    ['SnapshotName', 'string', '.status.snapshotName'],
    ['SnapshotSize', 'string', '.status.size'],
    ['SnapshotCreatedAt', 'string', '.status.snapshotCreatedAt'],
    ['BackupTarget', 'string', '.status.backupTargetName'],
    ['State', 'string', '.status.state'],
    ['LastSyncedAt', 'string', '.status.lastSyncedAt'],
  ],
  fields: { spec, status },
});

/** Wanted state of a Backup. */
export type BackupSpec = Static<typeof spec>;
/** Observed state of a Backup. */
export type BackupStatus = Static<typeof status>;
/** A backup in a backup store, or the policy that makes them. */
export type Backup = KubernetesObject<BackupSpec, BackupStatus, 'Backup'>;
