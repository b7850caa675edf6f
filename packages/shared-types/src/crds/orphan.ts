/** Custom resource Orphan: data or a process on a node that no object owns. */
import type { Static } from 'typebox';
import { defineKind } from './define-kind.ts';
import type { KubernetesObject } from './kubernetes-object.ts';
import { DATA_ENGINES, choice, conditions, map, object, text } from './schema-fragments.ts';

const spec = object(
  {
    dataEngine: choice(DATA_ENGINES, 'Data engine of a process.'),
    nodeID: text('Node that it is on.'),
    orphanType: text('replica, engine-instance or replica-instance.'),
    parameters: map(
      text(''),
      'What it is: DataName, DiskName, DiskUUID, DiskPath, DiskType, or InstanceName, InstanceUUID, InstanceManager.',
    ),
  },
  'What is wanted.',
);

const status = object(
  {
    conditions: conditions('Error, DataCleanable and InstanceExist.'),
    ownerID: text('Node whose manager takes care of this object.'),
  },
  'What is.',
);

/** Names, columns and schema of Orphan. */
export const orphanKind = defineKind({
  kind: 'Orphan',
  plural: 'orphans',
  shortName: 'lho',
  description: 'Data or a process on a node that no object owns.',
  hasFinalizer: true,
  columns: [
    ['Type', 'string', '.spec.orphanType'],
    ['Node', 'string', '.spec.nodeID'],
  ],
  fields: { spec, status },
});

/** Wanted state of an Orphan. */
export type OrphanSpec = Static<typeof spec>;
/** Observed state of an Orphan. */
export type OrphanStatus = Static<typeof status>;
/** Data or a process on a node that no object owns. */
export type Orphan = KubernetesObject<OrphanSpec, OrphanStatus, 'Orphan'>;
