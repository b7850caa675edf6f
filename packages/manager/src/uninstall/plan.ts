/** What the uninstaller may do, and what it does with one object. Pure. */
import { parseSetting } from '@longhorn/shared-types';
import { parseTime } from '../clock.ts';
import type { RawObject } from '../datastore/kube-transport.ts';

function record(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {};
}

const numberOf = (value: unknown): number => (typeof value === 'number' ? value : 0);

/** Why nothing may be removed; null: the flag is set. `flag`: the Setting object, if there is one. */
export function refusal(flag: RawObject | null): string | null {
  const value = flag === null ? null : flag['value'];
  if (parseSetting('deleting-confirmation-flag', typeof value === 'string' ? value : null)) return null;
  return (
    'cannot uninstall Longhorn because deleting-confirmation-flag is set to `false`. Please set it to `true` using ' +
    'Longhorn UI or kubectl -n longhorn-system edit settings.longhorn.io deleting-confirmation-flag '
  );
}

/** Whether managers run that can take things down in order. One node may be missing. */
export function managersAreReady(daemonSet: RawObject | null): boolean {
  if (daemonSet === null || typeof daemonSet.metadata['deletionTimestamp'] === 'string') return false;
  const status = record(daemonSet['status']);
  const ready = numberOf(status['numberReady']);
  return ready > 0 && ready >= numberOf(status['desiredNumberScheduled']) - 1;
}

/** Names of volumes that somebody uses. */
export function volumesInUse(volumes: readonly RawObject[]): string[] {
  return volumes
    .filter((volume) => ['attaching', 'attached'].includes(String(record(volume['status'])['state'])))
    .map(({ metadata }) => metadata.name);
}

/** What is done with an object that has to go. */
export type Removal = 'delete' | 'wait' | 'let go by force';

export function removalOf(object: RawObject, nowMs: number, graceMs: number): Removal {
  const deleted = object.metadata['deletionTimestamp'];
  if (typeof deleted !== 'string') return 'delete';
  const finalizers = object.metadata['finalizers'];
  if (!Array.isArray(finalizers) || finalizers.length === 0) return 'wait';
  return nowMs - (parseTime(deleted) ?? nowMs) >= graceMs ? 'let go by force' : 'wait';
}
