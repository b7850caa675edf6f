/** Custom resource BackingImage: an image that volumes can be based on. */
import type { Static } from 'typebox';
import { defineKind } from './define-kind.ts';
import type { KubernetesObject } from './kubernetes-object.ts';
import { DATA_ENGINES, choice, flag, int64, integer, list, map, object, text } from './schema-fragments.ts';

const spec = object(
  {
    checksum: text('Expected SHA-512, 128 lower case hex digits, or empty.'),
    dataEngine: choice(DATA_ENGINES, 'Data engine.', { default: 'v1' }),
    diskFileSpecMap: map(
      object(
        { dataEngine: choice(DATA_ENGINES, 'Engine of the disk.'), evictionRequested: flag('Copy should move away.') },
        'One entry.',
      ),
      'Disk UUID to wanted copy. ',
    ),
    diskSelector: list(text(''), 'Disk tags.'),
    disks: map(text(''), 'Replaced by diskFileSpecMap; emptied by the upgrade code. '),
    minNumberOfCopies: integer('>= 1.'),
    nodeSelector: list(text(''), 'Node tags.'),
    secret: text('Encryption secret name.'),
    secretNamespace: text('Encryption secret namespace.'),
    sourceParameters: map(text(''), 'See parameter table.'),
    sourceType: choice(['download', 'upload', 'export-from-volume', 'restore', 'clone'], 'How the image is obtained.'),
  },
  'What is wanted.',
);

const status = object(
  {
    checksum: text('SHA-512 of the first ready copy.'),
    diskFileStatusMap: map(
      object(
        {
          dataEngine: choice(DATA_ENGINES, 'Engine.'),
          lastStateTransitionTime: text('Time, RFC 3339.'),
          message: text('Message.'),
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
    realSize: int64('Allocated bytes, used for disk accounting.'),
    size: int64('File size in bytes.'),
    uuid: text('8 hex digits; part of the directory name <name>-<uuid>.'),
    v2FirstCopyDisk: text('Disk UUID of the first v2 copy.'),
    v2FirstCopyStatus: text('Pending, in-progress, then ready / failed.'),
    virtualSize: int64('qcow2 virtual size, >= size.'),
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
