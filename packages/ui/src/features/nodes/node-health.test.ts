import { describe, expect, it } from 'vitest';
import { fakeNode } from '../../../test/fake-resources.ts';
import { decodeResource } from '../../data/decode.ts';
import type { Node } from '../../data/resources.ts';
import { diskHealth, nodeHealth, replicaCount, space, troubles } from './node-health.ts';

type FakeNode = ReturnType<typeof fakeNode>;

function node(change: (fake: FakeNode) => void = () => undefined): Node {
  const fake = fakeNode('node-a');
  change(fake);
  return decodeResource('node', fake);
}

const cases: [string, string, (fake: FakeNode) => void][] = [
  ['Schedulable', 'Schedulable', () => undefined],
  ['Down', 'Out of reach', (fake) => (fake.conditions.Ready.status = 'False')],
  ['Disabled', 'Disabled', (fake) => (fake.allowScheduling = false)],
  ['Disabled', 'Disabled', (fake) => (fake.disks['default-disk'].allowScheduling = false)],
  ['Unschedulable', 'Unschedulable', (fake) => (fake.conditions.Schedulable.status = 'False')],
  ['Unschedulable', 'Unschedulable', (fake) => (fake.disks['default-disk'].conditions.Schedulable.status = 'False')],
  ['Unschedulable', 'Not ready', (fake) => (fake.disks['default-disk'].conditions.Ready.status = 'False')],
];

describe('a node and its disk', () => {
  it.each(cases)('are %s and %s', (nodeLabel, diskLabel, change) => {
    const one = node(change);
    const disk = one.disks['default-disk'];
    if (disk === undefined) throw new Error('no disk');
    expect([nodeHealth(one).label, diskHealth(disk, one).label]).toEqual([nodeLabel, diskLabel]);
  });

  it('are unknown before the first condition', () => {
    expect(nodeHealth({ ...node(), conditions: {} })).toEqual({ tone: 'busy', label: 'Unknown' });
  });

  it('say what is wrong', () => {
    const one = node((fake) => {
      fake.conditions.Ready.status = 'False';
      fake.conditions.Ready.message = 'its manager is gone';
    });
    expect(troubles(one.conditions)).toEqual(['Ready: its manager is gone']);
    expect(troubles(node().conditions)).toEqual([]);
  });

  it('add up', () => {
    const disks = Object.values(node().disks);
    const gib = 2 ** 30;
    expect(space([...disks, ...disks])).toEqual({
      usedBytes: 20 * gib,
      maximumBytes: 80 * gib,
      scheduledBytes: 12 * gib,
      usableBytes: 72 * gib,
    });
    expect(replicaCount(disks)).toBe(2);
  });
});
