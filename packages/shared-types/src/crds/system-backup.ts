/** Custom resource SystemBackup: a backup of the system's own objects. */
import type { Static } from 'typebox';
import { defineKind } from './define-kind.ts';
import type { KubernetesObject } from './kubernetes-object.ts';
import { conditions, object, text, time, timeOrMissing } from './schema-fragments.ts';

const spec = object(
  {
    volumeBackupPolicy: text('if-not-present, always or disabled: whether volumes are backed up, too.', {
      nullable: true,
    }),
  },
  'What is wanted.',
);

const status = object(
  {
    conditions: conditions('Error: what went wrong.'),
    createdAt: timeOrMissing('When it was made.'),
    gitCommit: text('Commit of the manager that made it.', { nullable: true }),
    lastSyncedAt: time('When it was last compared with the store.'),
    managerImage: text('Image of the manager that made it.'),
    ownerID: text('Node whose manager takes care of this object.'),
    state: text(
      'CreatingVolumeBackups, CreatingBackingImageBackups, Generating, Uploading, Syncing, Ready, Error or Deleting.',
    ),
    version: text('Version of the system that made it.', { nullable: true }),
  },
  'What is.',
);

/** Names, columns and schema of SystemBackup. */
export const systemBackupKind = defineKind({
  kind: 'SystemBackup',
  plural: 'systembackups',
  shortName: 'lhsb',
  description: "A backup of the system's own objects.",
  hasFinalizer: true,
  columns: [
    ['Version', 'string', '.status.version'],
    ['State', 'string', '.status.state'],
    ['Created', 'string', '.status.createdAt'],
    ['LastSyncedAt', 'string', '.status.lastSyncedAt'],
  ],
  fields: { spec, status },
});

/** Wanted state of a SystemBackup. */
export type SystemBackupSpec = Static<typeof spec>;
/** Observed state of a SystemBackup. */
export type SystemBackupStatus = Static<typeof status>;
/** A backup of the system's own objects. */
export type SystemBackup = KubernetesObject<SystemBackupSpec, SystemBackupStatus, 'SystemBackup'>;
