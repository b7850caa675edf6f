import { describe, expect, it } from 'vitest';
import type { MembershipRecord } from './record.ts';
import { decideStart, type SeenReplica, type StartInput } from './start.ts';

const SIZE = 1 << 20;

function record(generation: string, members: string, bases: MembershipRecord[] = [], chain: string[] = []) {
  const [epoch, count] = generation.split('.').map(Number);
  return {
    epoch: epoch ?? 0,
    count: count ?? 0,
    members: members.split(''),
    sizeBytes: SIZE,
    chain,
    bases,
    decided: false,
  } satisfies MembershipRecord;
}

function known(generation: string, members: string, decided = false): MembershipRecord {
  return { ...record(generation, members), sizeBytes: 0, decided };
}

function seen(name: string, held: MembershipRecord | null, changes: Partial<SeenReplica> = {}): SeenReplica {
  return { name, record: held, keptMemory: true, hostRestarted: false, sizeBytes: SIZE, chain: [], ...changes };
}

function decide(replicas: SeenReplica[], more: Partial<StartInput> = {}) {
  const decision = decideStart({ epoch: 9, seen: replicas, known: null, deviceLive: false, ...more });
  if (decision.kind === 'serve') return `${decision.agreement}: ${decision.members.join('')}`;
  return decision.kind === 'wait' ? `wait: ${decision.replicas.join('')}` : decision.kind;
}

const abc = record('1.1', 'abc');
const ab = record('1.2', 'ab', [abc]);
const restarted = { hostRestarted: true, keptMemory: false };

describe('decideStart: who counts', () => {
  it.each<[string, string, SeenReplica[], Partial<StartInput>]>([
    ['no replica at all names those that are known', 'wait: ab', [], { known: known('1.2', 'ab') }],
    ['all members with one record go on', 'own: abc', [seen('a', abc), seen('b', abc), seen('c', abc)], {}],
    ['two of three go on without the third', 'own: bc', [seen('b', abc), seen('c', abc)], {}],
    ['one of three waits for the others', 'wait: bc', [seen('a', abc)], {}],
    ['one of two asks', 'ask: a', [seen('a', record('1.1', 'ab'))], {}],
    ['an older member does not come along', 'own: ab', [seen('a', ab), seen('b', ab), seen('c', abc)], {}],
    [
      'a record that a member lacks was never active, and its holder counts by what was before',
      'own: abc',
      [seen('a', ab), seen('b', abc), seen('c', abc)],
      {},
    ],
    [
      'of two proposals in a row each reached another member: both count by what was before',
      'own: abc',
      [
        seen('a', record('1.3', 'abc', [abc])),
        seen('b', record('1.2', 'abcd', [abc])),
        seen('c', abc),
        seen('d', record('1.3', 'abcd', [abc])),
      ],
      {},
    ],
    [
      'the only member stored the proposal that came before the one its new partner has',
      'own: b',
      [seen('a', record('3.5', 'ab', [record('3.2', 'b')])), seen('b', record('3.3', 'ab', [record('3.2', 'b')]))],
      {},
    ],
    ['an incomplete record asks both itself and its base', 'wait: bc', [seen('a', ab), seen('c', abc)], {}],
    [
      'two failed beside a running engine, and only older replicas return',
      'wait: a',
      [seen('b', record('1.2', 'ab')), seen('c', abc)],
      { known: known('1.3', 'a') },
    ],
    [
      'the control plane stored a record that its member never got',
      'ask: a',
      [seen('a', record('1.2', 'ab'))],
      { known: known('1.3', 'a') },
    ],
    [
      'of two records that the control plane confirmed one was stored, not the last: it is to hear of that',
      'ask: b',
      [seen('a', record('2.4', 'ab')), seen('b', record('3.2', 'b', [record('2.4', 'ab')]))],
      { known: known('3.4', 'a') },
    ],
    ['nobody has a record and none is known', 'wait: ', [seen('a', null)], {}],
  ])('%s', (_name, expected, replicas, more) => {
    expect(decide(replicas, more)).toBe(expected);
  });
});

describe('decideStart: records that the control plane wrote by itself', () => {
  it.each<[string, string, SeenReplica[], Partial<StartInput>]>([
    [
      'a new volume starts from its first record',
      'own: abc',
      ['a', 'b', 'c'].map((name) => seen(name, null)),
      { known: known('0.1', 'abc') },
    ],
    [
      'a proposal that somebody else lacks keeps no member of the decided record out',
      'own: bcd',
      [
        seen('a', record('0.0', 'abcd')),
        seen('b', record('2.1', 'ab', [record('0.0', 'abcd')])),
        seen('c', record('1.1', 'bcd', [record('0.0', 'abcd')])),
        seen('d', record('1.1', 'bcd', [record('0.0', 'abcd')])),
      ],
      { known: known('2.2', 'bcd', true) },
    ],
    [
      'a first start with one replica missing',
      'own: ab',
      [seen('a', null), seen('b', null)],
      { known: known('0.1', 'abc', true) },
    ],
    ['a first start with one of three', 'wait: bc', [seen('a', null)], { known: known('0.1', 'abc', true) }],
    [
      'a first start that died after one replica had its record',
      'own: abc',
      [seen('a', record('1.1', 'abc', [known('0.1', 'abc')])), seen('b', null), seen('c', null)],
      { known: known('0.1', 'abc') },
    ],
    [
      'a replica that was removed while detached is not waited for',
      'own: a',
      [seen('a', ab)],
      { known: known('1.3', 'a', true) },
    ],
    [
      'a member that the decision did not know to be out of date does not count',
      'ask: a',
      [seen('a', record('1.2', 'ab')), seen('c', abc)],
      { known: known('1.3', 'ac', true) },
    ],
    [
      'a decision that replicas outran is void',
      'own: ab',
      [seen('a', ab), seen('b', ab)],
      { known: known('1.1', 'ac', true) },
    ],
    [
      'a replica without a record beside others is out',
      'own: ab',
      [seen('a', abc), seen('b', abc), seen('c', null)],
      { known: known('1.1', 'abc') },
    ],
    [
      'a lost record proves nothing about the record that others hold',
      'wait: bc',
      [seen('a', record('2.1', 'abc', [record('1.1', 'ab')])), seen('c', null)],
      {},
    ],
  ])('%s', (_name, expected, replicas, more) => {
    expect(decide(replicas, more)).toBe(expected);
  });
});

describe('decideStart: hosts that restarted', () => {
  it.each<[string, string, SeenReplica[], Partial<StartInput>]>([
    ['one of three is left out', 'own: ab', [seen('a', abc), seen('b', abc), seen('c', abc, restarted)], {}],
    [
      'two of three are left out once it is confirmed',
      'ask: a',
      [seen('a', abc), seen('b', abc, restarted), seen('c', abc, restarted)],
      {},
    ],
    [
      'all of them serve together after a total power loss',
      'own: ab',
      [seen('a', record('1.1', 'ab'), restarted), seen('b', record('1.1', 'ab'), restarted)],
      {},
    ],
    [
      'all of them under a live device fail it',
      'fail',
      [seen('a', record('1.1', 'a'), restarted)],
      { deviceLive: true },
    ],
    [
      'a live device goes on with a replica whose process restarted',
      'own: a',
      [seen('a', record('1.1', 'a'), { keptMemory: false })],
      { deviceLive: true },
    ],
  ])('%s', (_name, expected, replicas, more) => {
    expect(decide(replicas, more)).toBe(expected);
  });
});

describe('decideStart: layouts', () => {
  const before = record('1.1', 'abc', [], ['s2', 's1']);
  const reverting = record('1.2', 'abc', [before], ['s1']);
  const snapshotting = record('1.2', 'abc', [before], ['s3', 's2', 's1']);
  const on = (name: string, held: MembershipRecord, ...chain: string[]): SeenReplica => seen(name, held, { chain });

  it.each<[string, string, SeenReplica[]]>([
    ['another size is out of date', 'own: bc', [seen('a', abc, { sizeBytes: 4096 }), seen('b', abc), seen('c', abc)]],
    ['a foreign layer is out of date', 'own: bc', [on('a', abc, 'x'), seen('b', abc), seen('c', abc)]],
    [
      'a purge that got further on one member changes nothing',
      'own: abc',
      [on('a', before, 's1'), on('b', before, 's2', 's1'), on('c', before, 's2', 's1')],
    ],
    [
      'a revert that one replica had done is not done',
      'own: bc',
      [on('a', reverting, 's1'), on('b', reverting, 's2', 's1'), on('c', reverting, 's2', 's1')],
    ],
    [
      'a revert that two replicas had done is done',
      'own: ac',
      [on('a', reverting, 's1'), on('b', reverting, 's2', 's1'), on('c', reverting, 's1')],
    ],
    [
      'a snapshot of which one replica is seen on each side needs the word of the control plane',
      'ask: a',
      [on('a', snapshotting, 's3', 's2', 's1'), on('b', snapshotting, 's2', 's1')],
    ],
    [
      'a snapshot that was announced to one replica only was not begun',
      'own: abc',
      [on('a', snapshotting, 's2', 's1'), on('b', before, 's2', 's1'), on('c', before, 's2', 's1')],
    ],
  ])('%s', (_name, expected, replicas) => {
    expect(decide(replicas)).toBe(expected);
  });

  it('tells people why each replica was left out, and the layout to go on with', () => {
    const decision = decideStart({
      epoch: 9,
      seen: [
        on('a', before, 's2', 's1'),
        on('b', before, 's1'),
        on('c', before, 'x'),
        on('d', record('1.0', 'abcd')),
        seen('e', null),
      ],
      known: null,
      deviceLive: false,
    });
    expect(decision).toEqual({
      kind: 'serve',
      members: ['a', 'b'],
      bases: [before],
      agreement: 'own',
      leftOut: [
        { name: 'c', reason: 'its size or its chain of snapshots is not that of the members' },
        { name: 'd', reason: 'it is out of date: the members went on without it' },
        { name: 'e', reason: 'it has no membership record' },
      ],
      layout: { sizeBytes: SIZE, chain: ['s2', 's1'] },
    });
  });

  it('names in its reason which replicas it waits for', () => {
    const decision = decideStart({ epoch: 9, seen: [seen('b', abc)], known: null, deviceLive: false });
    expect(decision.kind === 'wait' && decision.reason).toBe(
      "Waiting for replicas a, c. Of the members of generation 1.1 (a, b, c) only b can be used; more than half of them, or half of them and the control plane's word, are needed.",
    );
  });
});
