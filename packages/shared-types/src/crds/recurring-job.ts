/** Custom resource RecurringJob: a task that runs on volumes by a schedule. */
import type { Static } from 'typebox';
import { defineKind } from './define-kind.ts';
import type { KubernetesObject } from './kubernetes-object.ts';
import { choice, integer, list, map, object, text } from './schema-fragments.ts';

const spec = object(
  {
    concurrency: integer('How many volumes are worked on at the same time.'),
    cron: text('When it runs: five cron fields.'),
    groups: list(text(''), 'Groups of volumes that it is for; default: those without a job.'),
    labels: map(text(''), 'Labels of the snapshots and backups that it makes.'),
    name: text('Name of the job.'),
    parameters: map(
      text(''),
      'full-backup-interval (integer) and volume-backup-policy (always, if-not-present, disabled).',
    ),
    retain: integer('How many snapshots or backups are kept.'),
    task: choice(
      [
        'snapshot',
        'snapshot-force-create',
        'snapshot-cleanup',
        'snapshot-delete',
        'backup',
        'backup-force-create',
        'filesystem-trim',
        'system-backup',
      ],
      'What it does.',
    ),
  },
  'What is wanted.',
);

const status = object(
  { executionCount: integer('How often it ran.'), ownerID: text('Node whose manager takes care of this object.') },
  'What is.',
);

/** Names, columns and schema of RecurringJob. */
export const recurringJobKind = defineKind({
  kind: 'RecurringJob',
  plural: 'recurringjobs',
  shortName: 'lhrj',
  description: 'A task that runs on volumes by a schedule.',
  hasFinalizer: false,
  columns: [
    ['Groups', 'string', '.spec.groups'],
    ['Task', 'string', '.spec.task'],
    ['Cron', 'string', '.spec.cron'],
    ['Retain', 'integer', '.spec.retain'],
    ['Concurrency', 'integer', '.spec.concurrency'],
    ['Age', 'date', '.metadata.creationTimestamp'],
    ['Labels', 'string', '.spec.labels'],
  ],
  fields: { spec, status },
});

/** Wanted state of a RecurringJob. */
export type RecurringJobSpec = Static<typeof spec>;
/** Observed state of a RecurringJob. */
export type RecurringJobStatus = Static<typeof status>;
/** A task that runs on volumes by a schedule. */
export type RecurringJob = KubernetesObject<RecurringJobSpec, RecurringJobStatus, 'RecurringJob'>;
