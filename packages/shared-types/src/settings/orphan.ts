/** Settings of the category orphan. */
import { defineSetting } from './define-setting.ts';

/** Name to definition. */
export const orphanSettings = {
  'orphan-resource-auto-deletion': defineSetting({
    displayName: 'Orphan Resource Auto-Deletion',
    type: 'string',
    category: 'orphan',
    default: '',
    description: 'Orphans that are deleted by themselves: replica-data, instance, separated by a semicolon.',
  }),
  'orphan-resource-auto-deletion-grace-period': defineSetting({
    displayName: 'Orphan Resource Auto-Deletion Grace Period',
    type: 'int',
    category: 'orphan',
    required: true,
    default: '300',
    range: { minimum: 0 },
    description: 'Seconds an orphan object must exist before automatic deletion.',
  }),
};
