/** Custom resource BackingImageManager: the daemon that keeps the backing images of one disk. */
import type { Static } from 'typebox';
import { defineKind } from './define-kind.ts';
import type { KubernetesObject } from './kubernetes-object.ts';
import { int64, integer, map, object, text } from './schema-fragments.ts';

const spec = object(
  {
    backingImages: map(text(''), 'Backing image name to UUID.'),
    diskPath: text('Disk path.'),
    diskUUID: text('Disk.'),
    image: text('Manager image.'),
    nodeID: text('Node.'),
  },
  'What is wanted.',
);

const status = object(
  {
    apiMinVersion: integer('3 in v1.10.1.'),
    apiVersion: integer('3 in v1.10.1.'),
    backingImageFileMap: map(
      object(
        {
          currentChecksum: text('SHA-512.'),
          message: text('Message.'),
          name: text('Name.'),
          progress: integer('Percent done.'),
          realSize: int64('Bytes.'),
          senderManagerAddress: text('Peer.'),
          sendingReference: integer('Active outgoing syncs.'),
          size: int64('Bytes.'),
          state: text('State.'),
          uuid: text('UUID.'),
          virtualSize: int64('Bytes.'),
        },
        'One entry.',
      ),
      'Backing image name to file.',
      { nullable: true },
    ),
    currentState: text('running, stopped, starting, error, unknown.'),
    ip: text('Pod IP.'),
    ownerID: text('Node whose manager takes care of this object.'),
    storageIP: text('Data traffic IP.'),
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
