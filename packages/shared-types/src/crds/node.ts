/** Custom resource Node: a Kubernetes node as storage: its disks, tags and free space. */
import type { Static } from 'typebox';
import { defineKind } from './define-kind.ts';
import type { KubernetesObject } from './kubernetes-object.ts';
import {
  choice,
  conditions,
  flag,
  int64,
  integer,
  list,
  map,
  object,
  text,
  timeOrMissing,
} from './schema-fragments.ts';

const spec = object(
  {
    allowScheduling: flag('New replicas may be placed on it.'),
    disks: map(
      object(
        {
          allowScheduling: flag('New replicas may be placed on it.'),
          diskDriver: choice(['', 'auto', 'aio', 'nvme'], 'Driver of a block disk; empty for filesystem disks.'),
          diskType: choice(['filesystem', 'block'], 'filesystem for data engine v1, block for v2. Cannot be changed.'),
          evictionRequested: flag('Move all replicas off it; needs allowScheduling false.'),
          path: text('Directory (filesystem), or block device or PCI address (block).'),
          storageReserved: int64('Bytes that are never given to replicas.'),
          tags: list(text(''), 'Tags that diskSelector of volumes asks for.'),
        },
        'One entry.',
      ),
      'Disks by name.',
    ),
    evictionRequested: flag('Move all replicas off the node; needs allowScheduling false.'),
    instanceManagerCPURequest: integer('Thousandths of a CPU that instance managers ask for; 0: as the setting.'),
    name: text('Name of the Kubernetes node.'),
    tags: list(text(''), 'Tags that nodeSelector of volumes asks for.'),
  },
  'What is wanted.',
);

const status = object(
  {
    autoEvicting: flag('Replicas are moved off it because the node is drained.'),
    conditions: conditions('Ready, Schedulable, MountPropagation, RequiredPackages and others.'),
    diskStatus: map(
      object(
        {
          conditions: conditions('Ready and Schedulable.'),
          diskDriver: text('Driver in use.'),
          diskName: text('Name that the disk has in the data engine (v2).'),
          diskPath: text('Path of the disk.'),
          diskType: text('filesystem or block.'),
          diskUUID: text('UUID that is stored on the disk.'),
          filesystemType: text('Type of its file system, such as ext2/ext3 or xfs.'),
          instanceManagerName: text('Instance manager that owns the disk (v2).'),
          scheduledBackingImage: map(int64(''), 'Backing image name to bytes.', { nullable: true }),
          scheduledReplica: map(int64(''), 'Replica name to bytes.', { nullable: true }),
          storageAvailable: int64('Free bytes; rounded down to 100 MiB for filesystem disks.'),
          storageMaximum: int64('Bytes of the whole disk.'),
          storageScheduled: int64('Bytes promised to replicas and taken by backing images.'),
        },
        'One entry.',
      ),
      'Observed state of each disk, by name.',
      { nullable: true },
    ),
    region: text('Region, from label topology.kubernetes.io/region.'),
    snapshotCheckStatus: object(
      { lastPeriodicCheckedAt: timeOrMissing('When snapshots were last checked.') },
      'Regular check of snapshots.',
    ),
    zone: text('Zone, from label topology.kubernetes.io/zone.'),
  },
  'What is.',
);

/** Names, columns and schema of Node. */
export const nodeKind = defineKind({
  kind: 'Node',
  plural: 'nodes',
  shortName: 'lhn',
  description: 'A Kubernetes node as storage: its disks, tags and free space.',
  hasFinalizer: true,
  columns: [
    ['Ready', 'string', ".status.conditions[?(@.type=='Ready')].status"],
    ['AllowScheduling', 'boolean', '.spec.allowScheduling'],
    ['Schedulable', 'string', ".status.conditions[?(@.type=='Schedulable')].status"],
    ['Age', 'date', '.metadata.creationTimestamp'],
  ],
  fields: { spec, status },
});

/** Wanted state of a Node. */
export type NodeSpec = Static<typeof spec>;
/** Observed state of a Node. */
export type NodeStatus = Static<typeof status>;
/** A Kubernetes node as storage: its disks, tags and free space. */
export type Node = KubernetesObject<NodeSpec, NodeStatus, 'Node'>;
