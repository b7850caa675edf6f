import { describe, expect, it } from 'vitest';
import { newObject, type Engine, type InstanceManager, type Node, type Replica } from '@longhorn/shared-types';
import { SettingsView } from '../settings-view.ts';
import { limits } from '../../limits.ts';
import { moveAttachment } from './attach.ts';
import { explain } from './blocked-by.ts';
import { newDraft, type VolumeDraft, type VolumeWorld } from './world.ts';

type BlockedBy = VolumeDraft['volume']['status']['blockedBy'];

function nodeOf(name: string): Node {
  const node = newObject('Node', 'ns', name);
  const times = { lastProbeTime: '', lastTransitionTime: '' };
  node.status.conditions.push({ type: 'Ready', status: 'True', reason: '', message: '', ...times });
  return node;
}

function managerOf(node: string): InstanceManager {
  const manager = newObject('InstanceManager', 'ns', `im-${node}`);
  manager.spec.nodeID = node;
  manager.status.currentState = 'running';
  return manager;
}

function engineWith(ioState: string, modes: Record<string, string>): Engine {
  const engine = newObject('Engine', 'ns', 'v-e-0');
  Object.assign(engine.spec, { volumeName: 'v', active: true, desireState: 'running', nodeID: 'node-1' });
  Object.assign(engine.status, { currentState: 'running', ioState, replicaModeMap: modes });
  return engine;
}

/** A replica whose process runs, as `failedAt` says failed or not. */
function replicaOf(name: string, failedAt: string): Replica {
  const replica = newObject('Replica', 'ns', name);
  Object.assign(replica.spec, {
    volumeName: 'v',
    engineName: 'v-e-0',
    nodeID: 'node-1',
    active: true,
    desireState: 'running',
    failedAt,
    healthyAt: '2026-01-01T00:00:00Z',
  });
  Object.assign(replica.status, { currentState: 'running', storageIP: '10.0.0.1', port: 10_000 });
  return replica;
}

function worldWith(engine: Engine, replicas: Replica[]): VolumeWorld {
  const volume = newObject('Volume', 'ns', 'v');
  volume.spec.nodeID = 'node-1';
  Object.assign(volume.status, { state: 'attached', currentNodeID: 'node-1' });
  return {
    nowMs: 0,
    hex: () => '00000000',
    volume,
    engines: [engine],
    replicas,
    attachment: null,
    device: null,
    outOfServiceNodes: new Set(),
    snapshotNames: [],
    cloneSource: null,
    nodes: new Map([['node-1', nodeOf('node-1')]]),
    instanceManagers: [managerOf('node-1')],
    engineImages: [],
    candidateNodes: [],
    settings: new SettingsView(() => null),
    reuseNotBeforeMs: new Map(),
  };
}

describe('the process of a failed replica', () => {
  const failed = '2026-01-01T00:00:01Z';
  it.each([
    ['runs while the engine does not serve: it may hold what counts', 'waiting', {}, 'running'],
    [
      'ends once the engine serves without it, so that its data can be brought up to date',
      'serving',
      { a: 'RW' },
      'stopped',
    ],
    ['runs while the engine has it', 'serving', { a: 'RW', b: 'WO' }, 'running'],
  ])('%s', (_text, ioState, modes, desireState) => {
    const world = worldWith(engineWith(ioState, modes), [replicaOf('a', ''), replicaOf('b', failed)]);
    const draft = newDraft(world);
    moveAttachment(world, draft);
    expect(draft.replicas.map(({ spec }) => spec.desireState)).toEqual(['running', desireState]);
  });
});

type Late = 'starting' | 'stopping' | 'stopped' | 'with a starting instance manager' | 'with a failing create';

describe('a start with replicas that do not come up', () => {
  const beginMs = Date.UTC(2026, 0, 2);
  const untilMs = beginMs + limits.startWaitsForReplicasMs;

  /** `a` runs, or not; `b` is late in one way or another. */
  function worldAt(nowMs: number, late: Late, blockedBy: BlockedBy, a = 'running'): VolumeWorld {
    const engine = engineWith('', {});
    Object.assign(engine.spec, { desireState: 'stopped', nodeID: '' });
    engine.status.currentState = 'stopped';
    engine.status.membership = { epoch: 1, count: 1, members: ['a', 'b'], decided: false };
    const replicas = [replicaOf('a', ''), replicaOf('b', '')];
    const [first, second] = replicas;
    if (first !== undefined) first.status.currentState = a === 'running' ? 'running' : 'starting';
    if (second !== undefined) {
      Object.assign(second.spec, { nodeID: 'node-2' });
      Object.assign(second.status, { currentState: late.includes(' ') ? 'stopped' : late, storageIP: '', port: 0 });
      second.status.starting = late === 'with a failing create';
    }
    const world = worldWith(engine, replicas);
    Object.assign(world.volume.status, { state: 'attaching', currentNodeID: '', blockedBy });
    const other = managerOf('node-2');
    if (late === 'with a starting instance manager') other.status.currentState = 'starting';
    return {
      ...world,
      nowMs,
      nodes: new Map(['node-1', 'node-2'].map((name) => [name, nodeOf(name)])),
      instanceManagers: [managerOf('node-1'), other],
    };
  }

  function passAt(...given: Parameters<typeof worldAt>): VolumeDraft {
    const world = worldAt(...given);
    const draft = newDraft(world);
    moveAttachment(world, draft);
    explain(world, draft);
    return draft;
  }

  const kinds: Late[] = [
    'starting',
    'stopping',
    'stopped',
    'with a starting instance manager',
    'with a failing create',
  ];

  it.each(kinds)('waits for one %s, for a while', (late) => {
    const first = passAt(beginMs, late, []);
    expect(first.engine?.spec.desireState).toBe('stopped');
    expect(first.requeueAtMs).toBe(untilMs);
    const { blockedBy } = first.volume.status;
    expect(blockedBy).toEqual([
      {
        kind: 'Replica',
        name: 'b',
        reason:
          late === 'with a starting instance manager'
            ? 'the instance manager of node node-2 is starting'
            : 'its process is being started on node node-2',
        next: 'the engine starts with it, or without it at 2026-01-02T00:00:20Z',
        since: '2026-01-02T00:00:00Z',
      },
      {
        kind: 'Engine',
        name: 'v-e-0',
        reason: 'replicas are waited for',
        next: 'it starts once all replicas that can run do, or with those that do at 2026-01-02T00:00:20Z',
        since: '2026-01-02T00:00:00Z',
      },
    ]);
    const last = passAt(untilMs - 1, late, blockedBy);
    expect(last.engine?.spec.desireState).toBe('stopped');
    expect(last.volume.status.blockedBy).toEqual(blockedBy);
  });

  it.each(kinds)('goes on without one %s after that, and leaves it to be brought up to date', (late) => {
    const { blockedBy } = passAt(beginMs, late, []).volume.status;
    const draft = passAt(untilMs, late, blockedBy);
    expect(draft.engine?.spec).toMatchObject({ desireState: 'running', replicaAddressMap: { a: '10.0.0.1:10000' } });
    expect(draft.replicas.map(({ spec }) => [spec.failedAt, spec.desireState])).toEqual([
      ['', 'running'],
      ['2026-01-02T00:00:20Z', 'running'],
    ]);
  });

  it('leaves those that are to be in the first record as they are', () => {
    const { blockedBy } = passAt(beginMs, 'starting', []).volume.status;
    const world = worldAt(untilMs, 'starting', blockedBy);
    for (const { status } of world.engines) status.membership = null;
    const draft = newDraft(world);
    moveAttachment(world, draft);
    expect(draft.engine?.spec.desireState).toBe('running');
    expect(draft.replicas.map(({ spec }) => spec.failedAt)).toEqual(['', '']);
  });

  it('does not begin to count before a replica runs', () => {
    const first = passAt(beginMs, 'starting', [], 'starting');
    expect(first.volume.status.blockedBy.map(({ kind, name }) => `${kind} ${name}`)).toEqual([
      'Replica a',
      'Replica b',
    ]);
    const later = passAt(untilMs, 'starting', first.volume.status.blockedBy);
    expect(later.engine?.spec.desireState).toBe('stopped');
    expect(later.requeueAtMs).toBe(untilMs + limits.startWaitsForReplicasMs);
  });

  it('waits for nothing when all run', () => {
    const world = worldAt(beginMs, 'starting', []);
    for (const { status } of world.replicas)
      Object.assign(status, { currentState: 'running', storageIP: '10.0.0.1', port: 10_000 });
    const draft = newDraft(world);
    moveAttachment(world, draft);
    expect(draft.engine?.spec.desireState).toBe('running');
    expect(draft.replicas.map(({ spec }) => spec.failedAt)).toEqual(['', '']);
  });
});
