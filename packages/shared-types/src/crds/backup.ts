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
      'Bytes as string; -1 = unreadable, cannot be restored.',
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
    backupMode: choice(['full', 'incremental', ''], 'full re-uploads every block.'),
    encryption: flag('Of a policy: its backups are encrypted.'),
    labels: map(text(''), 'Labels stored in the backup config.'),
    snapshotName: text('Non-empty = take a backup of this snapshot; empty = object mirrors a remote backup.'),
    syncInterval: text('Makes the object a policy: every volume is backed up so often, such as 1h.'),
    syncRequestedAt: time('Ask for a re-read from the store.'),
  },
  'What is wanted.',
);

const status = object(
  {
    backupCreatedAt: text('Time, RFC 3339.'),
    backupTargetName: text('Target.'),
    compressionMethod: text('none, lz4, gzip .'),
    error: text('What went wrong; empty when nothing did.'),
    failures: integer('Of a policy: failed runs since the last good one.'),
    labels: map(text(''), 'Labels from the store.', { nullable: true }),
    lastRunAt: text('Of a policy: when it ran last, RFC 3339.'),
    lastSyncedAt: time('Time; non-null = synced with the store.'),
    messages: map(text(''), 'Keys error and info.', { nullable: true }),
    nextRunAt: text('Of a policy: when it runs next, RFC 3339.'),
    newlyUploadDataSize: text('Bytes that were new in the store, as a decimal string.'),
    ownerID: text('Node whose manager takes care of this object.'),
    progress: integer('Percent done.'),
    reUploadedDataSize: text('Bytes, as a decimal string.'),
    replicaAddress: text('Replica doing the upload.'),
    size: text('Bytes, as a decimal string.'),
    snapshotCreatedAt: text('Time, RFC 3339.'),
    snapshotName: text('Snapshot.'),
    state: text('"", Pending, InProgress, Completed, Error, Unknown, Deleting. The last four are final.'),
    url: text('Backup URL.'),
    volumeBackingImageName: text('Backing image.'),
    volumeCreated: text('Time, RFC 3339.'),
    volumeName: text('Volume.'),
    volumeSize: text('Bytes, as a decimal string.'),
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
