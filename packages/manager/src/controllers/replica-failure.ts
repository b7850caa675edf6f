/** Why an engine gave a replica up, kept with the replica: the engine forgets it together with the replica. */
import type { Replica } from '@longhorn/shared-types';
import { isTrue, setCondition } from './conditions.ts';

/** True from the moment that the engine took it out until it holds everything again; the message is the engine's. */
export const FAILED = 'Failed';
export const REBUILD_FAILED = 'RebuildFailed';
/** Reason of both for a disk that was full: not the fault of the replica's data. */
export const NO_SPACE = 'NoSpace';

export function isNoSpaceText(text: string): boolean {
  return /no space left on device|^no-space/.test(text);
}

/** True if it was not known already. */
export function noteFailure(replica: Replica, text: string, nowMs: number): boolean {
  const reason = isNoSpaceText(text) ? NO_SPACE : 'General';
  const message = text.replace(/^no-space: /, '');
  return setCondition(replica.status.conditions, { type: FAILED, status: 'True', reason, message }, nowMs);
}

/** A replica that is good again has no failures. */
export function clearFailures(replica: Replica, nowMs: number): void {
  if (replica.spec.healthyAt === '' || replica.spec.failedAt !== '') return;
  for (const type of [FAILED, REBUILD_FAILED])
    if (isTrue(replica.status.conditions, type))
      setCondition(replica.status.conditions, { type, status: 'False' }, nowMs);
}
