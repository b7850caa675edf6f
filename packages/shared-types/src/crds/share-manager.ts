/** Custom resource ShareManager: the NFS server of a volume that is shared by many pods. */
import type { Static } from 'typebox';
import { defineKind } from './define-kind.ts';
import type { KubernetesObject } from './kubernetes-object.ts';
import { object, text } from './schema-fragments.ts';

const spec = object({ image: text('Image that it runs.') }, 'What is wanted.');

const status = object(
  {
    endpoint: text('Where it serves, such as nfs://10.43.0.9/VOLUME.'),
    ownerID: text('Node whose manager takes care of this object.'),
    state: text('unknown, starting, running, stopping, stopped or error.'),
  },
  'What is.',
);

/** Names, columns and schema of ShareManager. */
export const shareManagerKind = defineKind({
  kind: 'ShareManager',
  plural: 'sharemanagers',
  shortName: 'lhsm',
  description: 'The NFS server of a volume that is shared by many pods.',
  hasFinalizer: true,
  columns: [
    ['State', 'string', '.status.state'],
    ['Node', 'string', '.status.ownerID'],
    ['Age', 'date', '.metadata.creationTimestamp'],
  ],
  fields: { spec, status },
});

/** Wanted state of a ShareManager. */
export type ShareManagerSpec = Static<typeof spec>;
/** Observed state of a ShareManager. */
export type ShareManagerStatus = Static<typeof status>;
/** The NFS server of a volume that is shared by many pods. */
export type ShareManager = KubernetesObject<ShareManagerSpec, ShareManagerStatus, 'ShareManager'>;
