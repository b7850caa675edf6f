import { describe, expect, it } from 'vitest';
import { newObject, type Engine, type Node, type Replica } from '@longhorn/shared-types';
import { OWN_ANNOTATION } from '../../own-annotations.ts';
import { SettingsView } from '../settings-view.ts';
import { decideDeletedMembers, decideForcedStart, holdsNewestData, isDispensable } from './membership.ts';
import { newDraft, type VolumeDraft, type VolumeWorld } from './world.ts';

interface Given {
  members: string[];
  deleting?: string[];
  forced?: string[];
  modes?: Record<string, string>;
  state?: 'attached' | 'detached';
  engine?: 'running' | 'stopped' | 'unknown';
  unconfirmedOn?: string;
  nodes?: string[];
  /** The node `n` is known to be down, the others to be well. */
  down?: boolean;
  outOfService?: string[];
  forceStart?: string;
}

function node(name: string, isDown: boolean): Node {
  const object = newObject('Node', 'ns', name);
  object.status.conditions.push({
    type: 'Ready',
    status: isDown ? 'False' : 'True',
    reason: isDown ? 'KubernetesNodeNotReady' : '',
    message: '',
    lastProbeTime: '',
    lastTransitionTime: '',
  });
  return object;
}

function engineOf(given: Given): Engine {
  const engine = newObject('Engine', 'ns', 'v-e-0');
  const currentState = given.engine ?? 'stopped';
  Object.assign(engine.spec, {
    volumeName: 'v',
    active: true,
    epoch: 5,
    desireState: currentState === 'stopped' ? 'stopped' : 'running',
  });
  Object.assign(engine.status, {
    currentState,
    ioState: currentState === 'running' ? 'serving' : '',
    started: currentState === 'unknown',
    replicaModeMap: given.modes ?? {},
    membership: { epoch: 5, count: 2, members: given.members, decided: false },
  });
  if (given.unconfirmedOn !== undefined)
    engine.metadata.annotations[OWN_ANNOTATION.unconfirmedStop] = given.unconfirmedOn;
  return engine;
}

function replicaOf(name: string, given: Given): Replica {
  const replica = newObject('Replica', 'ns', name);
  Object.assign(replica.spec, {
    volumeName: 'v',
    engineName: 'v-e-0',
    nodeID: 'n',
    active: true,
    lastHealthyAt: '2026-01-01T00:00:00Z',
  });
  if (given.deleting?.includes(name) === true) replica.metadata.deletionTimestamp = '2026-01-01T00:00:00Z';
  if (given.forced?.includes(name) === true) replica.metadata.annotations[OWN_ANNOTATION.forceDelete] = 'true';
  return replica;
}

function make(given: Given): [VolumeWorld, VolumeDraft] {
  const volume = newObject('Volume', 'ns', 'v');
  volume.status.state = given.state ?? 'detached';
  if (given.forceStart !== undefined) volume.metadata.annotations[OWN_ANNOTATION.forceStartFrom] = given.forceStart;
  const world: VolumeWorld = {
    nowMs: 0,
    hex: () => '00000000',
    volume,
    engines: [engineOf(given)],
    replicas: ['a', 'b', 'c'].map((name) => replicaOf(name, given)),
    attachment: null,
    device: null,
    snapshotNames: [],
    cloneSource: null,
    nodes: new Map((given.nodes ?? ['n']).map((name) => [name, node(name, given.down === true && name === 'n')])),
    outOfServiceNodes: new Set(given.outOfService),
    instanceManagers: [],
    engineImages: [],
    candidateNodes: [],
    settings: new SettingsView(() => null),
    reuseNotBeforeMs: new Map(),
  };
  return [world, newDraft(world)];
}

describe('replicas that a person deletes from a detached volume', () => {
  const decided = (members: string[]): object => ({ epoch: 6, count: 1, members, decided: true });
  const cases: [string, Given, object | null, string][] = [
    ['nothing is deleted', { members: ['a', 'b'] }, null, ''],
    ['one of two holders goes', { members: ['a', 'b'], deleting: ['a'] }, decided(['b']), ''],
    ['one that held nothing goes without a word', { members: ['a', 'b'], deleting: ['c'] }, null, ''],
    [
      'the last holder stays',
      { members: ['a'], deleting: ['a'] },
      null,
      'it is to be deleted, but it is the last that holds the newest data',
    ],
    [
      'all holders stay',
      { members: ['a', 'b'], deleting: ['a', 'b'] },
      null,
      'it is to be deleted, but it is the last that holds the newest data',
    ],
    ['the last holder goes when it is forced', { members: ['a'], deleting: ['a'], forced: ['a'] }, decided([]), ''],
    [
      'of all holders only the forced one goes',
      { members: ['a', 'b'], deleting: ['a', 'b'], forced: ['a'] },
      decided(['b']),
      '',
    ],
    [
      'the last engine may still run',
      { members: ['a', 'b'], deleting: ['a'], unconfirmedOn: 'n' },
      null,
      'it is to be deleted, but the last engine of the volume may still run',
    ],
    [
      'the node of the last engine was removed',
      { members: ['a', 'b'], deleting: ['a'], unconfirmedOn: 'gone' },
      null,
      'it is to be deleted, but the node of the last engine was lost, and which replicas are newest is not sure',
    ],
    [
      'the node of the last engine was removed, and it is forced',
      { members: ['a', 'b'], deleting: ['a'], forced: ['a'], unconfirmedOn: 'gone' },
      decided(['b']),
      '',
    ],
    [
      'the node of the last engine is down and out of service, and it is forced',
      { members: ['a'], deleting: ['a'], forced: ['a'], unconfirmedOn: 'n', down: true, outOfService: ['n'] },
      decided([]),
      '',
    ],
    [
      'the node of the last engine is only down, and it is forced',
      { members: ['a'], deleting: ['a'], forced: ['a'], unconfirmedOn: 'n', down: true },
      null,
      'it is to be deleted, but the last engine of the volume may still run',
    ],
    [
      'the node of the last engine is tainted but works, and it is forced',
      { members: ['a'], deleting: ['a'], forced: ['a'], unconfirmedOn: 'n', outOfService: ['n'] },
      null,
      'it is to be deleted, but the last engine of the volume may still run',
    ],
    [
      'another node is out of service, and it is forced',
      { members: ['a'], deleting: ['a'], forced: ['a'], unconfirmedOn: 'n', down: true, outOfService: ['m'] },
      null,
      'it is to be deleted, but the last engine of the volume may still run',
    ],
    [
      'the nodes of the others are down',
      { members: ['a', 'b'], deleting: ['a'], nodes: [] },
      null,
      'it is to be deleted, but the nodes of all others that hold the newest data are down',
    ],
    [
      'the engine is not known to be stopped',
      { members: ['a', 'b'], deleting: ['a'], engine: 'unknown' },
      null,
      'it is to be deleted, but the last engine of the volume may still run',
    ],
    ['the volume is in use', { members: ['a', 'b'], deleting: ['a'], state: 'attached', engine: 'running' }, null, ''],
  ];
  it.each(cases)('%s', (_name, given, expected, reason) => {
    const [world, draft] = make(given);
    expect(decideDeletedMembers(world, draft)).toEqual(expected);
    expect(draft.blockers[0]?.reason ?? '').toBe(reason);
  });
});

describe('a start that is forced from older data', () => {
  const cases: [string, Given, object | null][] = [
    ['nobody asks', { members: ['a'] }, null],
    [
      'from a named replica',
      { members: ['a'], forceStart: 'b' },
      { epoch: 6, count: 1, members: ['b'], decided: true },
    ],
    [
      'from several',
      { members: ['a'], forceStart: 'c, b' },
      { epoch: 6, count: 1, members: ['b', 'c'], decided: true },
    ],
    ['from one that does not exist', { members: ['a'], forceStart: 'x' }, null],
    ['while the last engine may run', { members: ['a'], forceStart: 'b', unconfirmedOn: 'n' }, null],
    [
      'once the node of the last engine is out of service',
      { members: ['a'], forceStart: 'b', unconfirmedOn: 'n', down: true, outOfService: ['n'] },
      { epoch: 6, count: 1, members: ['b'], decided: true },
    ],
    ['while it is attached', { members: ['a'], forceStart: 'b', state: 'attached', engine: 'running' }, null],
  ];
  it.each(cases)('%s', (_name, given, expected) => {
    const [world, draft] = make(given);
    expect(decideForcedStart(world, draft)).toEqual(expected);
    const kept = given.forceStart !== undefined && expected === null;
    expect(OWN_ANNOTATION.forceStartFrom in draft.volume.metadata.annotations).toBe(kept);
  });
});

describe('a wish for a forced start whose removal was not stored', () => {
  const cases: [string, string, number, number, object | null][] = [
    ['is not carried out again', 'b@6', 7, 7, null],
    ['is not carried out again while nothing was started', 'b@6', 6, 6, null],
    ['is carried out to its end', 'b@6', 6, 5, { epoch: 6, count: 1, members: ['b'], decided: true }],
    ['is carried out when it is another one', 'c@6', 6, 6, { epoch: 7, count: 1, members: ['b'], decided: true }],
  ];
  it.each(cases)('%s', (_name, before, epoch, known, expected) => {
    const [world, draft] = make({ members: ['a'], forceStart: 'b' });
    const { spec, status, metadata } = draft.engine!;
    spec.epoch = epoch;
    status.membership!.epoch = known;
    metadata.annotations[OWN_ANNOTATION.forcedStart] = before;
    expect(decideForcedStart(world, draft)).toEqual(expected);
    expect(OWN_ANNOTATION.forceStartFrom in draft.volume.metadata.annotations).toBe(false);
  });

  it('is forgotten once it is gone, so that the same may be wished again', () => {
    const [world, draft] = make({ members: ['a'] });
    draft.engine!.metadata.annotations[OWN_ANNOTATION.forcedStart] = 'b@6';
    expect(decideForcedStart(world, draft)).toBeNull();
    expect(draft.engine!.metadata.annotations).toEqual({});
  });
});

describe('what may be deleted without being asked', () => {
  const serving = { members: ['a', 'b'], state: 'attached', engine: 'running' } as const;
  const cases: [string, Given, string, boolean][] = [
    [
      'one that the serving engine does without',
      { ...serving, members: ['a', 'b'], modes: { a: 'RW', b: 'RW' } },
      'c',
      true,
    ],
    [
      'not one that the engine uses',
      { ...serving, members: ['a', 'b'], modes: { a: 'RW', b: 'RW', c: 'WO' } },
      'c',
      false,
    ],
    [
      'not one that the record still names',
      { ...serving, members: ['a', 'b', 'c'], modes: { a: 'RW', b: 'RW', c: 'ERR' } },
      'c',
      false,
    ],
    ['not while no engine serves', { members: ['a', 'b'] }, 'c', false],
    ['not while no other is good', { ...serving, members: ['a'], modes: { a: 'ERR' } }, 'c', false],
  ];
  it.each(cases)('%s', (_name, given, name, expected) => {
    const [, draft] = make(given);
    const replica = draft.replicas.find(({ metadata }) => metadata.name === name)!;
    expect(isDispensable(draft, replica)).toBe(expected);
  });

  it('takes one with data for a holder while there is no record', () => {
    const [, draft] = make({ members: [] });
    draft.engine!.status.membership = null;
    expect(holdsNewestData(draft.engine, draft.replicas[0]!)).toBe(true);
  });
});
