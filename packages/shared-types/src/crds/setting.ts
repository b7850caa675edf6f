/** Custom resource Setting: a setting of the whole system. */
import type { Static } from 'typebox';
import { defineKind } from './define-kind.ts';
import type { ObjectMeta } from './kubernetes-object.ts';
import { flag, object, objectOrNull, qosFields, text } from './schema-fragments.ts';

const status = object({ applied: flag('The value is in force everywhere.', { required: true }) }, 'What is.');

/** Names, columns and schema of Setting. */
export const settingKind = defineKind({
  kind: 'Setting',
  plural: 'settings',
  shortName: 'lhs',
  description: 'A setting of the whole system.',
  hasFinalizer: false,
  columns: [
    ['Value', 'string', '.value'],
    ['Applied', 'boolean', '.status.applied'],
    ['Age', 'date', '.metadata.creationTimestamp'],
  ],
  fields: {
    spec: objectOrNull(qosFields, 'Limits of every volume; only in the setting volume-qos.'),
    value: text('The value; a JSON object {"v1":…,"v2":…} where it differs by data engine.'),
    status,
  },
});

/** Observed state of a Setting. */
export type SettingStatus = Static<typeof status>;
/** A setting of the whole system. */
export interface Setting {
  apiVersion: string;
  kind: 'Setting';
  metadata: ObjectMeta;
  /** Only in the setting `volume-qos`: default limits of every volume. */
  spec: { guaranteedIops: number; iopsLimit: number; throughputLimit: string } | null;
  /** Plain string, or a JSON object string where the value differs by data engine. */
  value: string;
  status: SettingStatus;
}
