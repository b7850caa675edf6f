/**
 * When an instance manager may be evicted. A budget of one protects its pod as long as a drain would take the last
 * healthy replica of a volume, or an engine, along. Pure.
 */

/** A replica on the node, as far as it decides. */
export interface ReplicaOnNode {
  isStopped: boolean;
  /** It never held data: neither healthy nor failed. */
  isUnused: boolean;
  /** Another node has a healthy replica of its volume that a budget protects. */
  hasProtectedTwin: boolean;
}

export interface BudgetFacts {
  /** The Kubernetes node is cordoned. */
  isCordoned: boolean;
  /** The setting kubernetes-cluster-autoscaler-enabled. */
  autoscaler: boolean;
  /** The setting node-drain-policy. */
  policy: string;
  enginesOnNode: number;
  replicas: readonly ReplicaOnNode[];
}

export type BudgetStep = 'nothing' | 'create' | 'delete';

/** Whether the node may lose its instance manager. */
export function mayBeEvicted({ policy, enginesOnNode, replicas }: BudgetFacts): boolean {
  if (enginesOnNode > 0) return false;
  if (policy === 'always-allow' || replicas.length === 0) return true;
  if (policy === 'block-for-eviction') return false;
  const considered =
    policy === 'allow-if-replica-is-stopped' ? replicas.filter(({ isStopped }) => !isStopped) : replicas;
  return considered.every(({ isUnused, hasProtectedTwin }) => isUnused || hasProtectedTwin);
}

/** On a node that is cordoned a budget is only ever taken away. */
export function planBudget(isPresent: boolean, facts: BudgetFacts): BudgetStep {
  const protect = isPresent ? 'nothing' : 'create';
  if (!facts.isCordoned && !facts.autoscaler) return protect;
  if (mayBeEvicted(facts)) return isPresent ? 'delete' : 'nothing';
  return facts.isCordoned ? 'nothing' : protect;
}
