/** Custom resource SystemRestore: a restore of the system's own objects. */
import type { Static } from 'typebox';
import { defineKind } from './define-kind.ts';
import type { KubernetesObject } from './kubernetes-object.ts';
import { conditions, object, text } from './schema-fragments.ts';

const spec = object({ systemBackup: text('SystemBackup to restore.', { required: true }) }, 'What is wanted.');

const status = object(
  {
    conditions: conditions('Error: what went wrong.'),
    ownerID: text('Node whose manager takes care of this object.'),
    sourceURL: text('URL of the system backup in the store.'),
    state: text(
      'Pending, Downloading, Unpacking, Initializing, Restoring, InProgress, Completed, Error, Deleting or Unknown.',
    ),
  },
  'What is.',
);

/** Names, columns and schema of SystemRestore. */
export const systemRestoreKind = defineKind({
  kind: 'SystemRestore',
  plural: 'systemrestores',
  shortName: 'lhsr',
  description: "A restore of the system's own objects.",
  hasFinalizer: false,
  columns: [
    ['State', 'string', '.status.state'],
    ['Age', 'date', '.metadata.creationTimestamp'],
  ],
  fields: { spec, status },
});

/** Wanted state of a SystemRestore. */
export type SystemRestoreSpec = Static<typeof spec>;
/** Observed state of a SystemRestore. */
export type SystemRestoreStatus = Static<typeof status>;
/** A restore of the system's own objects. */
export type SystemRestore = KubernetesObject<SystemRestoreSpec, SystemRestoreStatus, 'SystemRestore'>;
