/** Takes a replica out that need not have failed: the record without it first, then its connection. */
import { settleMembership } from './membership-change.ts';
import { closeReplica, leave, refuse } from './replica-entry.ts';
import type { ReplicaEntry } from './replica-set.ts';
import type { VolumeContext } from './volume-context.ts';

/**
 * The replica becomes ERR. A member leaves by a change of the membership, which may wait for the control plane; it stays when no other
 * works any more.
 */
export async function dropMember(context: VolumeContext, entry: ReplicaEntry, reason: string): Promise<void> {
  if (entry.stage === 'joining') {
    const { memberId } = entry;
    refuse(entry, reason);
    entry.memberId = null;
    if (memberId !== null) context.core.removeMember(memberId);
  } else if (entry.stage === 'reading' || entry.stage === 'leaving') {
    leave(entry, reason);
    await context.memberLock.run(() => settleMembership(context, null));
  } else if (entry.stage === 'opening') {
    refuse(entry, reason);
  }
  context.changed();
}

/**
 * ReplicaDelete: an unknown address is already gone. A second call waits for the first: one that went on by itself could close
 * a replica that still counts, or take away the entry of one that has been added again under this address.
 */
export async function removeReplica(context: VolumeContext, address: string, isFrontendUp: boolean): Promise<void> {
  const entry = context.replicas.get(address);
  if (!entry) return;
  entry.removal ??= remove(context, entry, isFrontendUp).finally(() => {
    entry.removal = null;
  });
  await entry.removal;
}

async function remove(context: VolumeContext, entry: ReplicaEntry, isFrontendUp: boolean): Promise<void> {
  const { address } = entry;
  const others = context.replicas.inStage('reading').filter((other) => other !== entry);
  if (entry.stage === 'reading' && others.length === 0 && (isFrontendUp || context.keeper)) {
    throw new Error('cannot remove last replica if volume is up');
  }
  if (entry.stage === 'lost') {
    throw new Error(`replica ${address} is being taken out of the membership: ${context.io.reason}`);
  }
  await dropMember(context, entry, 'removed');
  if (isStillMember(entry)) throw new Error(`replica ${address} stays a member: the others have failed`);
  // Waited for, so that the replica can be added again as soon as this returns; a dead one answers at once or is given up soon.
  await closeReplica(context, entry);
  context.replicas.remove(address);
  context.changed();
}

/** Its stage has changed while the membership was settled. */
function isStillMember(entry: ReplicaEntry): boolean {
  return entry.stage === 'reading' || entry.stage === 'lost';
}
