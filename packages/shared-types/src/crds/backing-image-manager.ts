/** Custom resource BackingImageManager: the daemon that keeps the backing images of one disk. */
import type { Static } from 'typebox';
import { defineKind } from './define-kind.ts';
import type { KubernetesObject } from './kubernetes-object.ts';
import { int64, integer, map, object, text } from './schema-fragments.ts';

const spec = object(
  {
    backingImages: map(text(''), 'Backing images that are to be on the disk, by name, with their UUID.'),
    diskPath: text('Path of the disk.'),
    diskUUID: text('UUID of the disk.'),
    image: text('Image that it runs.'),
    nodeID: text('Node of the disk.'),
  },
  'What is wanted.',
);

const status = object(
  {
    apiMinVersion: integer('Lowest version of its API that it serves.'),
    apiVersion: integer('Version of its API.'),
    backingImageFileMap: map(
      object(
        {
          currentChecksum: text('SHA-512 of the file.'),
          message: text('What is to be told about it.'),
          name: text('Name of the backing image.'),
          progress: integer('Percent done.'),
          realSize: int64('Bytes that it takes on the disk.'),
          senderManagerAddress: text('Address of the manager that sends it.'),
          sendingReference: integer('How many transfers to other disks are going on.'),
          size: int64('Bytes of the file.'),
          state: text('State of the copy.'),
          uuid: text('UUID of the backing image.'),
          virtualSize: int64('Bytes that a volume sees.'),
        },
        'One entry.',
      ),
      'Backing image name to file.',
      { nullable: true },
    ),
    currentState: text('running, stopped, starting, error, unknown.'),
    ip: text('IP of its pod.'),
    ownerID: text('Node whose manager takes care of this object.'),
    storageIP: text('IP that carries the data traffic.'),
  },
  'What is.',
);

/** Names, columns and schema of BackingImageManager. */
export const backingImageManagerKind = defineKind({
  kind: 'BackingImageManager',
  plural: 'backingimagemanagers',
  shortName: 'lhbim',
  description: 'The daemon that keeps the backing images of one disk.',
  hasFinalizer: true,
  columns: [
    ['State', 'string', '.status.currentState'],
    ['Image', 'string', '.spec.image'],
    ['Node', 'string', '.spec.nodeID'],
    ['DiskUUID', 'string', '.spec.diskUUID'],
    ['DiskPath', 'string', '.spec.diskPath'],
    ['Age', 'date', '.metadata.creationTimestamp'],
  ],
  fields: { spec, status },
});

/** Wanted state of a BackingImageManager. */
export type BackingImageManagerSpec = Static<typeof spec>;
/** Observed state of a BackingImageManager. */
export type BackingImageManagerStatus = Static<typeof status>;
/** The daemon that keeps the backing images of one disk. */
export type BackingImageManager = KubernetesObject<
  BackingImageManagerSpec,
  BackingImageManagerStatus,
  'BackingImageManager'
>;
