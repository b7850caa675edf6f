/** Custom resource BackupTarget: a backup store and its credentials. */
import type { Static } from 'typebox';
import { defineKind } from './define-kind.ts';
import type { KubernetesObject } from './kubernetes-object.ts';
import { conditions, flag, object, text, time } from './schema-fragments.ts';

const spec = object(
  {
    backupTargetURL: text('URL of the store; empty: switched off.'),
    credentialSecret: text('Secret with the credentials.'),
    pollInterval: text('How often the store is looked at, such as 5m0s; 0s: never.'),
    syncRequestedAt: time('Set to now to have the store looked at.'),
  },
  'What is wanted.',
);

const status = object(
  {
    available: flag('The store can be reached.'),
    conditions: conditions('Unavailable: why the store cannot be reached.'),
    lastSyncedAt: time('When the store was last looked at.'),
    ownerID: text('Node whose manager takes care of this object.'),
  },
  'What is.',
);

/** Names, columns and schema of BackupTarget. */
export const backupTargetKind = defineKind({
  kind: 'BackupTarget',
  plural: 'backuptargets',
  shortName: 'lhbt',
  description: 'A backup store and its credentials.',
  hasFinalizer: true,
  columns: [
    ['URL', 'string', '.spec.backupTargetURL'],
    ['Credential', 'string', '.spec.credentialSecret'],
    ['LastBackupAt', 'string', '.spec.pollInterval'],
    ['Available', 'boolean', '.status.available'],
    ['LastSyncedAt', 'string', '.status.lastSyncedAt'],
  ],
  fields: { spec, status },
});

/** Wanted state of a BackupTarget. */
export type BackupTargetSpec = Static<typeof spec>;
/** Observed state of a BackupTarget. */
export type BackupTargetStatus = Static<typeof status>;
/** A backup store and its credentials. */
export type BackupTarget = KubernetesObject<BackupTargetSpec, BackupTargetStatus, 'BackupTarget'>;
