/** Custom resource BackingImage: an image that volumes can be based on. */
import type { Static } from 'typebox';
import { defineKind } from './define-kind.ts';
import type { KubernetesObject } from './kubernetes-object.ts';
import { DATA_ENGINES, choice, flag, int64, integer, list, map, object, text } from './schema-fragments.ts';

const spec = object(
  {
    checksum: text('SHA-512 of the file, in hex.'),
    dataEngine: choice(DATA_ENGINES, 'Data engine.', { default: 'v1' }),
    diskFileSpecMap: map(
      object(
        { dataEngine: choice(DATA_ENGINES, 'Data engine.'), evictionRequested: flag('The copy is to leave the disk.') },
        'One entry.',
      ),
      'Disk UUID to wanted copy. ',
    ),
    diskSelector: list(text(''), 'Copies go only to disks that have all of these tags.'),
    disks: map(text(''), 'No longer used; see diskFileSpecMap.'),
    minNumberOfCopies: integer('At least so many copies.'),
    nodeSelector: list(text(''), 'Copies go only to nodes that have all of these tags.'),
    secret: text('Name of the secret with the key.'),
    secretNamespace: text('Namespace of that secret.'),
    sourceParameters: map(text(''), 'What the source needs, such as url or volume-name.'),
    sourceType: choice(['download', 'upload', 'export-from-volume', 'restore', 'clone'], 'Where the image comes from.'),
  },
  'What is wanted.',
);

const status = object(
  {
    checksum: text('SHA-512 of the file, in hex.'),
    diskFileStatusMap: map(
      object(
        {
          dataEngine: choice(DATA_ENGINES, 'Data engine.'),
          lastStateTransitionTime: text('When the state changed last, RFC 3339.'),
          message: text('What is to be told about it.'),
          progress: integer('Percent done.'),
          state: text(
            'pending, starting, ready-for-transfer, ready, in-progress, failed, failed-and-cleanup, unknown.',
          ),
        },
        'One entry.',
      ),
      'Disk UUID to status.',
      { nullable: true },
    ),
    diskLastRefAtMap: map(text(''), 'Disk UUID to RFC 3339 time since the copy is unused.', { nullable: true }),
    ownerID: text('Node whose manager takes care of this object.'),
    realSize: int64('Bytes that it takes on the disk.'),
    size: int64('Bytes of the file.'),
    uuid: text('Part of the names of its folders.'),
    v2FirstCopyDisk: text('Disk UUID of the first v2 copy.'),
    v2FirstCopyStatus: text('Pending, in-progress, then ready / failed.'),
    virtualSize: int64('Bytes that a volume sees.'),
  },
  'What is.',
);

/** Names, columns and schema of BackingImage. */
export const backingImageKind = defineKind({
  kind: 'BackingImage',
  plural: 'backingimages',
  shortName: 'lhbi',
  description: 'An image that volumes can be based on.',
  hasFinalizer: true,
  columns: [
    ['UUID', 'string', '.status.uuid'],
    ['SourceType', 'string', '.spec.sourceType'],
    ['Size', 'string', '.status.size'],
    ['VirtualSize', 'string', '.status.virtualSize'],
    ['Age', 'date', '.metadata.creationTimestamp'],
  ],
  fields: { spec, status },
});

/** Wanted state of a BackingImage. */
export type BackingImageSpec = Static<typeof spec>;
/** Observed state of a BackingImage. */
export type BackingImageStatus = Static<typeof status>;
/** An image that volumes can be based on. */
export type BackingImage = KubernetesObject<BackingImageSpec, BackingImageStatus, 'BackingImage'>;
