/** Custom resource SupportBundle: a collection of logs and objects for a bug report. */
import type { Static } from 'typebox';
import { defineKind } from './define-kind.ts';
import type { KubernetesObject } from './kubernetes-object.ts';
import { conditions, int64, integer, object, text } from './schema-fragments.ts';

const spec = object(
  {
    description: text('Text; the key is required.', { required: true }),
    issueURL: text('Issue link.', { nullable: true }),
    nodeID: text('Preferred controller node.'),
  },
  'What is wanted.',
);

const status = object(
  {
    conditions: conditions('Error, Manager. Not nullable, omitted when empty.', {}),
    filename: text('Zip name.'),
    filesize: int64('Bytes.'),
    image: text('Support bundle manager image.'),
    managerIP: text('Pod IP.'),
    ownerID: text('Node whose manager takes care of this object.'),
    progress: integer('Percent done.'),
    state: text('"", Started, Generating, ReadyForDownload, Error, Replaced, Purging, Deleting, Unknown.'),
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
