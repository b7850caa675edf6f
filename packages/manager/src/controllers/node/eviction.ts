/** Whether a replica is to leave its disk: since a person wants it, or since a drain of its node waits for it. Pure. */

export interface EvictionFacts {
  /** The node's or the disk's `evictionRequested`. */
  isRequested: boolean;
  /** The Kubernetes node is cordoned; null: there is none. */
  isCordoned: boolean | null;
  /** The setting node-drain-policy. */
  policy: string;
  /** Another node has a healthy replica of its volume that a PodDisruptionBudget protects. */
  hasProtectedTwin: boolean;
}

export interface Eviction {
  isWanted: boolean;
  reason: 'KubernetesNodeGone' | 'EvictionUserRequested' | 'EvictionAutomatic' | 'EvictionCanceled';
}

export function decideEviction({ isRequested, isCordoned, policy, hasProtectedTwin }: EvictionFacts): Eviction {
  if (isCordoned === null) return { isWanted: false, reason: 'KubernetesNodeGone' };
  if (isRequested) return { isWanted: true, reason: 'EvictionUserRequested' };
  const isBlocking =
    policy === 'block-for-eviction' || (policy === 'block-for-eviction-if-contains-last-replica' && !hasProtectedTwin);
  return isCordoned && isBlocking
    ? { isWanted: true, reason: 'EvictionAutomatic' }
    : { isWanted: false, reason: 'EvictionCanceled' };
}
