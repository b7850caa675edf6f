/** Conditions of our objects: `lastTransitionTime` moves only with the status. */
import type { Condition } from '@longhorn/shared-types';
import { rfc3339 } from '../clock.ts';

export type ConditionStatus = 'True' | 'False' | 'Unknown';

export interface WantedCondition {
  type: string;
  status: ConditionStatus;
  reason?: string;
  message?: string;
}

export function findCondition(conditions: readonly Condition[], type: string): Condition | null {
  return conditions.find((condition) => condition.type === type) ?? null;
}

export function isTrue(conditions: readonly Condition[], type: string): boolean {
  return findCondition(conditions, type)?.status === 'True';
}

/** Replaces the condition of that type in place of the list; true if its status changed. */
export function setCondition(conditions: Condition[], wanted: WantedCondition, nowMs: number): boolean {
  const { type, status, reason = '', message = '' } = wanted;
  const present = findCondition(conditions, type);
  if (present === null) {
    conditions.push({ type, status, reason, message, lastProbeTime: '', lastTransitionTime: rfc3339(nowMs) });
    return true;
  }
  const changed = present.status !== status;
  if (changed) present.lastTransitionTime = rfc3339(nowMs);
  Object.assign(present, { status, reason, message });
  return changed;
}
