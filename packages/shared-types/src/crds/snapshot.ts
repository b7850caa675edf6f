/** Custom resource Snapshot: a snapshot of a volume. */
import type { Static } from 'typebox';
import { defineKind } from './define-kind.ts';
import type { KubernetesObject } from './kubernetes-object.ts';
import { flag, int64, map, object, text } from './schema-fragments.ts';

const spec = object(
  {
    createSnapshot: flag('true: take a snapshot; false: stands for one that is there.'),
    labels: map(text(''), 'Labels that are stored with the snapshot.', { nullable: true }),
    volume: text('Volume to take it of. Cannot be changed.', { required: true }),
  },
  'What is wanted.',
);

const status = object(
  {
    checksum: text('Checksum of its data (v1: CRC64).'),
    children: map(flag(''), 'Names of the snapshots after it; values are true.', { nullable: true }),
    creationTime: text('When it was taken, RFC 3339.'),
    error: text('What went wrong; empty when nothing did.'),
    labels: map(text(''), 'Labels that are stored with the snapshot.', { nullable: true }),
    markRemoved: flag('Marked for removal; its data goes with the next purge.'),
    ownerID: text('Not maintained.'),
    parent: text('Snapshot before it.'),
    readyToUse: flag('Can be reverted to, cloned and backed up.'),
    restoreSize: int64('Bytes of the volume when it was taken.'),
    size: int64('Bytes that the snapshot takes.'),
    userCreated: flag('Taken by a user, not by the system.'),
  },
  'What is.',
);

/** Names, columns and schema of Snapshot. */
export const snapshotKind = defineKind({
  kind: 'Snapshot',
  plural: 'snapshots',
  shortName: 'lhsnap',
  description: 'A snapshot of a volume.',
  hasFinalizer: true,
  columns: [
    ['Volume', 'string', '.spec.volume'],
    ['CreationTime', 'string', '.status.creationTime'],
    ['ReadyToUse', 'boolean', '.status.readyToUse'],
    ['RestoreSize', 'string', '.status.restoreSize'],
    ['Size', 'string', '.status.size'],
    ['Age', 'date', '.metadata.creationTimestamp'],
  ],
  fields: { spec, status },
});

/** Wanted state of a Snapshot. */
export type SnapshotSpec = Static<typeof spec>;
/** Observed state of a Snapshot. */
export type SnapshotStatus = Static<typeof status>;
/** A snapshot of a volume. */
export type Snapshot = KubernetesObject<SnapshotSpec, SnapshotStatus, 'Snapshot'>;
