/** Custom resource BackingImageDataSource: the preparation of the first copy of a backing image. */
import type { Static } from 'typebox';
import { defineKind } from './define-kind.ts';
import type { KubernetesObject } from './kubernetes-object.ts';
import { choice, flag, int64, integer, map, object, text } from './schema-fragments.ts';

const spec = object(
  {
    checksum: text('SHA-512 that the file must have, or has.'),
    diskPath: text('Path of the disk.'),
    diskUUID: text('UUID of the disk.'),
    fileTransferred: flag('The manager of the disk has taken the file over.'),
    nodeID: text('Node that prepares the first copy.'),
    parameters: map(text(''), 'Copied from spec.sourceParameters.'),
    sourceType: choice(['download', 'upload', 'export-from-volume', 'restore', 'clone'], 'Where the image comes from.'),
    uuid: text('UUID of the backing image.'),
  },
  'What is wanted.',
);

const status = object(
  {
    checksum: text('SHA-512 that the file must have, or has.'),
    currentState: text('State of the preparation.'),
    ip: text('IP of its pod.'),
    message: text('What is to be told about it.'),
    ownerID: text('Node whose manager takes care of this object.'),
    progress: integer('Percent done.'),
    runningParameters: map(
      text(''),
      'Parameters plus resolved values (sender address, snapshot name, volume size, http timeout, uuid).',
      { nullable: true },
    ),
    size: int64('Bytes of the file.'),
    storageIP: text('IP that carries the data traffic.'),
  },
  'What is.',
);

/** Names, columns and schema of BackingImageDataSource. */
export const backingImageDataSourceKind = defineKind({
  kind: 'BackingImageDataSource',
  plural: 'backingimagedatasources',
  shortName: 'lhbids',
  description: 'The preparation of the first copy of a backing image.',
  hasFinalizer: true,
  columns: [
    ['UUID', 'string', '.spec.uuid'],
    ['State', 'string', '.status.currentState'],
    ['SourceType', 'string', '.spec.sourceType'],
    ['Size', 'string', '.status.size'],
    ['Node', 'string', '.spec.nodeID'],
    ['DiskUUID', 'string', '.spec.diskUUID'],
    ['Age', 'date', '.metadata.creationTimestamp'],
  ],
  fields: { spec, status },
});

/** Wanted state of a BackingImageDataSource. */
export type BackingImageDataSourceSpec = Static<typeof spec>;
/** Observed state of a BackingImageDataSource. */
export type BackingImageDataSourceStatus = Static<typeof status>;
/** The preparation of the first copy of a backing image. */
export type BackingImageDataSource = KubernetesObject<
  BackingImageDataSourceSpec,
  BackingImageDataSourceStatus,
  'BackingImageDataSource'
>;
