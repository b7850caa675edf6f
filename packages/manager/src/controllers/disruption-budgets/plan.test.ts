import { describe, expect, it } from 'vitest';
import { mayBeEvicted, planBudget, type BudgetFacts, type ReplicaOnNode } from './plan.ts';

const replica = (change: Partial<ReplicaOnNode> = {}): ReplicaOnNode => ({
  isStopped: false,
  isUnused: false,
  hasProtectedTwin: true,
  ...change,
});
const facts = (change: Partial<BudgetFacts> = {}): BudgetFacts => ({
  isCordoned: true,
  autoscaler: false,
  policy: 'block-if-contains-last-replica',
  enginesOnNode: 0,
  replicas: [replica()],
  ...change,
});
const last = replica({ hasProtectedTwin: false });
const lastStopped = replica({ hasProtectedTwin: false, isStopped: true });
const unused = replica({ hasProtectedTwin: false, isUnused: true });

describe('an instance manager may be evicted', () => {
  const policies = [
    'block-if-contains-last-replica',
    'block-for-eviction',
    'block-for-eviction-if-contains-last-replica',
    'allow-if-replica-is-stopped',
    'always-allow',
  ];
  it.each<[string, Partial<BudgetFacts>, boolean[]]>([
    ['never with an engine on the node', { enginesOnNode: 1, replicas: [] }, [false, false, false, false, false]],
    ['without replicas', { replicas: [] }, [true, true, true, true, true]],
    ['with replicas that others have, too', {}, [true, false, true, true, true]],
    ['with a last replica', { replicas: [replica(), last] }, [false, false, false, false, true]],
    ['with a last replica that is stopped', { replicas: [lastStopped] }, [false, false, false, true, true]],
    ['with a replica that never held data', { replicas: [unused] }, [true, false, true, true, true]],
  ])('%s, by policy', (_case, change, expected) => {
    expect(policies.map((policy) => mayBeEvicted(facts({ ...change, policy })))).toEqual(expected);
  });
});

describe('the budget', () => {
  const safe = {};
  const unsafe = { replicas: [last] };
  it.each<[string, Partial<BudgetFacts>, ReturnType<typeof planBudget>, ReturnType<typeof planBudget>]>([
    ['of a node in use', { isCordoned: false, ...safe }, 'nothing', 'create'],
    ['of a node in use with a last replica', { isCordoned: false, ...unsafe }, 'nothing', 'create'],
    ['of a cordoned node that can go', safe, 'delete', 'nothing'],
    ['of a cordoned node that cannot', unsafe, 'nothing', 'nothing'],
    ['of a node that an autoscaler may take', { isCordoned: false, autoscaler: true }, 'delete', 'nothing'],
    ['of one that it may not', { isCordoned: false, autoscaler: true, ...unsafe }, 'nothing', 'create'],
  ])('%s', (_case, change, whenPresent, whenAbsent) => {
    expect([planBudget(true, facts(change)), planBudget(false, facts(change))]).toEqual([whenPresent, whenAbsent]);
  });
});
