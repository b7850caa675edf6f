/** Custom resource Replica: one copy of a volume on a disk of a node, and its process. */
import type { Static } from 'typebox';
import { defineKind } from './define-kind.ts';
import type { KubernetesObject } from './kubernetes-object.ts';
import {
  conditions,
  flag,
  instanceSpecFields,
  instanceStatusFields,
  int64Text,
  integer,
  object,
  text,
} from './schema-fragments.ts';

const spec = object(
  {
    ...instanceSpecFields,
    active: flag('False for the process of the other image during a live upgrade.'),
    backingImage: text('Backing image that the volume is based on.'),
    dataDirectoryName: text('Name of its folder under DISKPATH/replicas (v1) or of its logical volume (v2).'),
    diskID: text('UUID of the disk that it is on.'),
    diskPath: text('Path of that disk on the node.'),
    engineName: text('Engine that uses it.'),
    evictionRequested: flag('To be moved off this disk.'),
    failedAt: text('When it failed; cleared before a rebuild or salvage. RFC 3339.'),
    hardNodeAffinity: text('Node that it must be on, for data locality.'),
    healthyAt: text('When it got all data; cleared before a rebuild. RFC 3339.'),
    lastFailedAt: text('As failedAt, but never cleared.'),
    lastHealthyAt: text('As healthyAt, but never cleared.'),
    migrationEngineName: text('Engine that takes over during live migration (v2).'),
    rebuildRetryCount: integer('How often reuse of its data failed; after 5 it is replaced.'),
    revisionCounterDisabled: flag('Keeps no revision counter.'),
    snapshotMaxCount: integer('At most so many snapshots.'),
    snapshotMaxSize: int64Text('At most so many bytes in snapshots; 0: no limit.'),
    unmapMarkDiskChainRemovedEnabled: flag('Trimming may remove snapshots.'),
  },
  'What is wanted.',
);

const status = object(
  {
    ...instanceStatusFields,
    conditions: conditions('InstanceCreation, RebuildFailed, WaitForBackingImage, FilesystemReadOnly.'),
  },
  'What is.',
);

/** Names, columns and schema of Replica. */
export const replicaKind = defineKind({
  kind: 'Replica',
  plural: 'replicas',
  shortName: 'lhr',
  description: 'One copy of a volume on a disk of a node, and its process.',
  hasFinalizer: true,
  columns: [
    ['Data Engine', 'string', '.spec.dataEngine'],
    ['State', 'string', '.status.currentState'],
    ['Node', 'string', '.spec.nodeID'],
    ['Disk', 'string', '.spec.diskID'],
    ['InstanceManager', 'string', '.status.instanceManagerName'],
    ['Image', 'string', '.status.currentImage'],
    ['Age', 'date', '.metadata.creationTimestamp'],
  ],
  fields: { spec, status },
});

/** Wanted state of a Replica. */
export type ReplicaSpec = Static<typeof spec>;
/** Observed state of a Replica. */
export type ReplicaStatus = Static<typeof status>;
/** One copy of a volume on a disk of a node, and its process. */
export type Replica = KubernetesObject<ReplicaSpec, ReplicaStatus, 'Replica'>;
