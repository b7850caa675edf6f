/** Custom resource SupportBundle: a collection of logs and objects for a bug report. */
import type { Static } from 'typebox';
import { defineKind } from './define-kind.ts';
import type { KubernetesObject } from './kubernetes-object.ts';
import { conditions, int64, integer, object, text } from './schema-fragments.ts';

const spec = object(
  {
    description: text('What the bundle is for.', { required: true }),
    issueURL: text('Link to the issue.', { nullable: true }),
    nodeID: text('Node that should make it.'),
  },
  'What is wanted.',
);

const status = object(
  {
    conditions: conditions('Error and Manager.', {}),
    filename: text('Name of the file.'),
    filesize: int64('Bytes of the file.'),
    image: text('Image that collects it.'),
    managerIP: text('IP of the pod that collects it.'),
    ownerID: text('Node whose manager takes care of this object.'),
    progress: integer('Percent done.'),
    state: text('Started, Generating, ReadyForDownload, Error, Replaced, Purging, Deleting or Unknown.'),
  },
  'What is.',
);

/** Names, columns and schema of SupportBundle. */
export const supportBundleKind = defineKind({
  kind: 'SupportBundle',
  plural: 'supportbundles',
  shortName: 'lhbundle',
  description: 'A collection of logs and objects for a bug report.',
  hasFinalizer: true,
  columns: [
    ['State', 'string', '.status.state'],
    ['Issue', 'string', '.spec.issueURL'],
    ['Description', 'string', '.spec.description'],
    ['Age', 'date', '.metadata.creationTimestamp'],
  ],
  fields: { spec, status },
});

/** Wanted state of a SupportBundle. */
export type SupportBundleSpec = Static<typeof spec>;
/** Observed state of a SupportBundle. */
export type SupportBundleStatus = Static<typeof status>;
/** A collection of logs and objects for a bug report. */
export type SupportBundle = KubernetesObject<SupportBundleSpec, SupportBundleStatus, 'SupportBundle'>;
