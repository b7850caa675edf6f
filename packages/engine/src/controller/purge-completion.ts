/**
 * Ends purges that not every member has done.
 *
 * Each replica purges by itself, and who asks them for it asks one after the other: if it dies in between, or a replica does,
 * the members have different layers, and nobody is at it. No snapshot could be taken then, and without a snapshot no replica
 * be rebuilt.
 */
import { errorText } from '@longhorn/shared-types/grpc/rpc-error';
import { PURGE_CALL_TIMEOUT_MS } from './control-limits.ts';
import type { ReplicaEntry } from './replica-set.ts';
import type { VolumeContext } from './volume-context.ts';

const CALL = { timeoutMs: PURGE_CALL_TIMEOUT_MS };

/** Has every reading replica purge, unless one is at it or a replica is being rebuilt. Never rejects. */
export async function completePurges(context: VolumeContext): Promise<void> {
  if (context.isCompletingPurges) return;
  context.isCompletingPurges = true;
  const readers = context.replicas.inStage('reading');
  try {
    for (const { syncAgent } of readers) if ((await syncAgent.SnapshotPurgeStatus({}, CALL)).is_purging) return;
    if (context.replicas.inStage('joining').length > 0) return;
    context.log.info('the members have different layers: an unfinished purge is done again');
    await Promise.all(readers.map((entry) => startPurge(context, entry)));
  } catch (error) {
    context.log.warn('cannot ask the replicas for their purges', { reason: errorText(error) });
  } finally {
    context.isCompletingPurges = false;
  }
}

async function startPurge(context: VolumeContext, { address, syncAgent }: ReplicaEntry): Promise<void> {
  try {
    await syncAgent.SnapshotPurge({}, CALL);
  } catch (error) {
    context.log.warn('a replica does not purge', { replica: address, reason: errorText(error) });
  }
}
