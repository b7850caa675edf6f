import { describe, expect, it } from 'vitest';
import { fakeVolume, type FakeVolume } from '../../../test/fake-resources.ts';
import { sortRows } from '../../components/column.ts';
import { decodeResource } from '../../data/decode.ts';
import type { Snapshot, Volume } from '../../data/resources.ts';
import { fieldOfMessage } from './field-of-message.ts';
import { HEAD, snapshotTree } from './snapshot-tree.ts';
import { healthChanges } from './volume-announcements.ts';
import { volumeColumns } from './volume-columns.tsx';
import { replicaHealth, replicasByNode, replicaSummary, volumeHealth, volumeReasons } from './volume-health.ts';
import { attachRefusal, detachRefusal, revertRefusal, revertToRefusal, takeSnapshotRefusal } from './volume-permits.ts';

function volume(change: (fake: FakeVolume) => void = () => undefined, fields: object = {}): Volume {
  const fake = fakeVolume('data', 2 ** 31, 3);
  change(fake);
  return decodeResource('volume', { ...fake.toJson(), ...fields });
}

const attach = (fake: FakeVolume): void => fake.attach('node-a', false, 'longhorn-ui');
const maintain = (fake: FakeVolume): void => fake.attach('node-a', true, 'longhorn-ui');

function degrade(fake: FakeVolume): void {
  attach(fake);
  fake.failedReplicas['data-r-2'] = 'the disk is full';
}

describe('volumeHealth', () => {
  const io = (ioState: string) => ({ controllers: [{ running: true, ioState, ioReason: 'waits for b' }] });
  it.each([
    ['Detached', 'idle', volume()],
    ['Healthy', 'good', volume(attach)],
    ['Degraded', 'warn', volume(degrade)],
    ['Faulted', 'bad', volume(undefined, { robustness: 'faulted' })],
    ['Attaching', 'busy', volume(undefined, { state: 'attaching' })],
    ['Starting', 'busy', volume(undefined, { state: '' })],
    ['Deleting', 'busy', volume(attach, { state: 'deleting' })],
    ['I/O waits', 'bad', volume(attach, io('held'))],
    ['I/O waits', 'bad', volume(attach, io('waiting'))],
    ['I/O failed', 'bad', volume(attach, io('failed'))],
    ['Attached', 'busy', volume(attach, { robustness: 'unknown' })],
  ])('says %s (%s)', (label, tone, one) => {
    expect(volumeHealth(one)).toEqual({ label, tone });
  });
});

describe('volumeReasons', () => {
  it('tells what blocks, and conditions that say more', () => {
    const conditions = {
      Scheduled: { type: 'Scheduled', status: 'False', message: 'no disk has room', lastTransitionTime: 't' },
      TooManySnapshots: { type: 'TooManySnapshots', status: 'False', message: '' },
    };
    expect(volumeReasons(volume(degrade, { conditions }))).toEqual([
      {
        about: 'Replica data-r-2',
        text: 'the disk is full',
        next: 'rebuilt as soon as its node is back',
        since: '2025-11-20T10:11:12Z',
      },
      { about: 'Scheduled', text: 'no disk has room', next: '', since: 't' },
    ]);
  });

  it('says nothing twice and nothing of a healthy volume', () => {
    const same = { Scheduled: { type: 'Scheduled', status: 'False', message: 'the disk is full' } };
    expect(volumeReasons(volume(degrade, { conditions: same }))).toHaveLength(1);
    expect(volumeReasons(volume(attach))).toEqual([]);
  });
});

describe('replicas', () => {
  it('are healthy, failed, rebuilding or stopped', () => {
    const labels = (one: Volume) => one.replicas.map((replica) => replicaHealth(replica, one).label);
    expect(labels(volume(degrade))).toEqual(['Healthy', 'Failed', 'Healthy']);
    expect(labels(volume())).toEqual(['Stopped', 'Stopped', 'Stopped']);
    const rebuilding = volume((fake) => {
      degrade(fake);
      fake.rebuildProgress['data-r-2'] = 7;
    });
    expect(labels(rebuilding)).toEqual(['Healthy', 'Rebuilding 7 %', 'Healthy']);
  });

  it('are counted', () => {
    expect(replicaSummary(volume(degrade))).toBe('2 of 3 healthy');
    expect(replicaSummary(volume())).toBe('3 of 3 there');
  });

  it('are grouped by node, those without one last', () => {
    const [one] = volume().replicas;
    if (one === undefined) throw new Error('no replica');
    const places = ['b', '', 'a', 'b'].map((hostId, index) => ({ ...one, hostId, name: `r-${index}` }));
    expect(replicasByNode(places).map(([node, list]) => [node, list.length])).toEqual([
      ['a', 1],
      ['b', 2],
      ['', 1],
    ]);
  });
});

describe('columns', () => {
  it('sort by number and by name with numbers in it, equal rows always alike', () => {
    const rows = [10, 9, 2].map((index) =>
      decodeResource('volume', fakeVolume(`v-${index}`, index % 2 === 0 ? 1 : 2, 1).toJson()),
    );
    const names = (columnId: string, direction: 'ascending' | 'descending') =>
      sortRows(rows, volumeColumns, { columnId, direction }).map(({ name }) => name);
    expect(names('name', 'ascending')).toEqual(['v-2', 'v-9', 'v-10']);
    expect(names('size', 'descending')).toEqual(['v-9', 'v-2', 'v-10']);
  });

  it('put what needs care first', () => {
    const rows = [volume(attach), volume(degrade, { id: 'b', name: 'b' }), volume(undefined, { id: 'c', name: 'c' })];
    const order = { columnId: 'health', direction: 'ascending' } as const;
    expect(sortRows(rows, volumeColumns, order).map(({ id }) => id)).toEqual(['b', 'c', 'data']);
  });
});

describe('permits', () => {
  const snapshot: Snapshot = decodeResource('snapshot', { name: 's', removed: false });

  it('follow the state of the volume', () => {
    expect(attachRefusal(volume())).toBeNull();
    expect(attachRefusal(volume(attach))).toMatch(/only a detached one/);
    expect(detachRefusal(volume())).toMatch(/is detached/);
    expect(detachRefusal(volume(attach))).toBeNull();
    expect(takeSnapshotRefusal(volume())).toMatch(/Attach the volume first/);
    expect(takeSnapshotRefusal(volume(attach))).toBeNull();
  });

  it('let a volume be reverted in maintenance mode only', () => {
    expect(revertToRefusal(volume(maintain), snapshot)).toBeNull();
    expect(revertRefusal(volume(attach))).toMatch(/maintenance mode/);
    expect(revertRefusal(volume())).toMatch(/Attach the volume in maintenance mode/);
    expect(revertToRefusal(volume(maintain), { ...snapshot, removed: true })).toMatch(/being removed/);
  });
});

describe('snapshotTree', () => {
  const snapshot = (name: string, parent: string, fields: object = {}): Snapshot =>
    decodeResource('snapshot', { id: name, name, parent, usercreated: true, created: name, ...fields });
  const shown = (rows: ReturnType<typeof snapshotTree>) =>
    rows.map(({ snapshot: { name }, level, isLive }) => [name, level, isLive]);

  it('shows a chain at one level, the head last', () => {
    const list = [snapshot(HEAD, 'b'), snapshot('b', 'a'), snapshot('a', '')];
    expect(shown(snapshotTree(list, false))).toEqual([
      ['a', 1, true],
      ['b', 1, true],
      [HEAD, 1, true],
    ]);
  });

  it('indents what was left by a revert and keeps the live branch straight', () => {
    const list = [snapshot('a', ''), snapshot('b', 'a'), snapshot('c', 'b'), snapshot(HEAD, 'a')];
    expect(shown(snapshotTree(list, false))).toEqual([
      ['a', 1, true],
      ['b', 2, false],
      ['c', 2, false],
      [HEAD, 1, true],
    ]);
  });

  it('hangs children of hidden snapshots on the nearest that is shown', () => {
    const list = [
      snapshot('a', ''),
      snapshot('sys', 'a', { usercreated: false }),
      snapshot('gone', 'sys', { removed: true }),
      snapshot(HEAD, 'gone'),
    ];
    expect(shown(snapshotTree(list, false)).map(([name]) => name)).toEqual(['a', HEAD]);
    expect(snapshotTree(list, true)).toHaveLength(4);
  });

  it('shows several roots, lost parents, and ends in circles', () => {
    expect(shown(snapshotTree([snapshot('a', ''), snapshot('b', 'lost'), snapshot(HEAD, 'b')], false))).toEqual([
      ['a', 1, false],
      ['b', 1, true],
      [HEAD, 1, true],
    ]);
    const circle = [snapshot('x', 'y', { removed: true }), snapshot('y', 'x', { removed: true }), snapshot(HEAD, 'x')];
    expect(shown(snapshotTree(circle, false))).toEqual([[HEAD, 1, true]]);
  });
});

describe('fieldOfMessage', () => {
  const failed = 'failed to create volume: unable to create volume data: ';
  it.each([
    [`${failed}invalid name Bad_Name: metadata.name must be lower case letters`, 'name'],
    ['failed to create volume: unable to create volume : volume name "" is not valid: it must be letters', 'name'],
    [`${failed}volumes.longhorn.io "data" already exists`, 'name'],
    ['failed to parse size 2 apples: size must be a whole number of bytes', 'size'],
    [`${failed}spec.size must be below 2^63 bytes after rounding up to a multiple of 2 MiB`, 'size'],
    [`${failed}replica count value 21 must between 1 to 20`, 'numberOfReplicas'],
    ['the manager does not answer', null],
  ])('%s', (message, field) => {
    expect(fieldOfMessage(message)).toBe(field);
  });
});

describe('healthChanges', () => {
  it('says what changed, and not more than a few sentences', () => {
    expect(healthChanges(undefined, [volume()])).toEqual([]);
    expect(healthChanges([volume(attach)], [volume(degrade)])).toEqual(['Volume data: Degraded']);
    expect(healthChanges([volume()], [])).toEqual(['Volume data is gone']);
    const many = Array.from({ length: 9 }, (_, index) => volume(attach, { id: `v${index}`, name: `v${index}` }));
    expect(healthChanges([], many)).toEqual([
      'Volume v0: new, Healthy',
      'Volume v1: new, Healthy',
      'Volume v2: new, Healthy',
      'and 6 more changes',
    ]);
  });
});
