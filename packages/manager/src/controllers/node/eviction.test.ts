import { describe, expect, it } from 'vitest';
import { decideEviction, type EvictionFacts } from './eviction.ts';

const drained = (policy: string, change: Partial<EvictionFacts> = {}): boolean =>
  decideEviction({ isRequested: false, isCordoned: true, policy, hasProtectedTwin: false, ...change }).isWanted;

describe('a replica', () => {
  it.each([
    ['block-for-eviction', true, true],
    ['block-for-eviction-if-contains-last-replica', true, false],
    ['block-if-contains-last-replica', false, false],
    ['allow-if-replica-is-stopped', false, false],
    ['always-allow', false, false],
  ])('leaves a cordoned node by the policy %s: the last one %s, one of several %s', (policy, last, other) => {
    expect(drained(policy)).toBe(last);
    expect(drained(policy, { hasProtectedTwin: true })).toBe(other);
    expect(drained(policy, { isCordoned: false })).toBe(false);
  });

  it('leaves when a person wants it, whatever the policy, and stays when its node is gone', () => {
    const facts: EvictionFacts = {
      isRequested: true,
      isCordoned: false,
      policy: 'always-allow',
      hasProtectedTwin: true,
    };
    expect(decideEviction(facts)).toEqual({ isWanted: true, reason: 'EvictionUserRequested' });
    expect(decideEviction({ ...facts, isCordoned: null })).toEqual({ isWanted: false, reason: 'KubernetesNodeGone' });
  });
});
