import { describe, expect, it } from 'vitest';
import { decodeResource } from '../api/rest-decoder.ts';
import { nodeCapacity, nodeOf, wishOf } from './topology.ts';

const isTrue = { status: 'True' };
const rules = { overProvisioningPercentage: 200, allowEmptyNodeSelector: true, allowEmptyDiskSelector: true };

function disk(fields: object = {}): object {
  return {
    allowScheduling: true,
    conditions: { Schedulable: isTrue },
    diskType: 'filesystem',
    storageMaximum: 100,
    storageReserved: 30,
    storageScheduled: 40,
    tags: ['ssd'],
    ...fields,
  };
}

function node(fields: object = {}, disks: object = { a: disk(), b: disk({ storageScheduled: 120 }) }) {
  return decodeResource('node', {
    id: 'n',
    name: 'n',
    allowScheduling: true,
    conditions: { Ready: isTrue, Schedulable: isTrue },
    tags: ['fast'],
    disks,
    ...fields,
  });
}

describe('the capacity of a node', () => {
  it.each([
    ['is that of its emptiest disk', node(), {}, rules, 100n],
    ['is nothing while it is not ready', node({ conditions: { Schedulable: isTrue } }), {}, rules, 0n],
    ['is nothing when it is cordoned', node({ conditions: { Ready: isTrue } }), {}, rules, 0n],
    ['is nothing when scheduling is off', node({ allowScheduling: false }), {}, rules, 0n],
    ['is nothing while it is emptied', node({ evictionRequested: true }), {}, rules, 0n],
    ['is nothing without the tag', node(), { nodeSelector: 'fast,big' }, rules, 0n],
    ['counts with the tag', node(), { nodeSelector: 'fast', diskSelector: 'ssd' }, rules, 100n],
    ['is nothing without a disk of the tag', node(), { diskSelector: 'nvme' }, rules, 0n],
    ['is kept for those who name a tag', node(), {}, { ...rules, allowEmptyDiskSelector: false }, 0n],
    ['is nothing for the other engine', node(), { dataEngine: 'v2' }, rules, 0n],
    ['is never negative', node({}, { a: disk({ storageScheduled: 500 }) }), {}, rules, 0n],
    [
      'leaves out a disk that is full or being emptied',
      node({}, { a: disk({ evictionRequested: true }), b: disk({ conditions: {} }) }),
      {},
      rules,
      0n,
    ],
  ])('%s', (_name, present, parameters, given, expected) => {
    expect(nodeCapacity(present, wishOf(parameters), given)).toBe(expected);
  });

  it('is asked for by its name', () => {
    expect(nodeOf({ segments: { 'Kubernetes.io/Hostname': 'n' } })).toBe('n');
    expect(nodeOf({ segments: { zone: 'z' } })).toBeNull();
    expect(() => wishOf({ dataEngine: 'v3' })).toThrow(/v3/);
  });
});
