import { describe, expect, it } from 'vitest';
import { decodeResource } from '../api/rest-decoder.ts';
import { hostnameIn, nodeAt, nodeCapacity, wishOf } from './topology.ts';

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

  it.each([
    ['its label', 'host-1.example', 'node-1'],
    ['its name where it has no label', 'node-2', 'node-2'],
    ['its name where no label is so', 'node-1', 'node-1'],
    ['a label before a name', 'node-4', 'node-3'],
    ['nothing', 'node-9', null],
  ])('is found by %s', (_name, hostname, expected) => {
    const labels = { 'node-1': 'host-1.example', 'node-2': '', 'node-3': 'node-4', 'node-4': 'node-3' };
    const nodes = Object.entries(labels).map(([name, hostnameLabel]) => node({ id: name, name, hostnameLabel }));
    expect(nodeAt(nodes, hostname)?.name ?? null).toBe(expected);
  });

  it('is asked for by what a topology says', () => {
    expect(hostnameIn({ segments: { 'Kubernetes.io/Hostname': 'n' } })).toBe('n');
    expect(hostnameIn({ segments: { zone: 'z' } })).toBeNull();
    expect(() => wishOf({ dataEngine: 'v3' })).toThrow(/v3/);
  });
});
