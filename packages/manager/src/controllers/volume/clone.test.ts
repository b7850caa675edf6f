import { describe, expect, it } from 'vitest';
import { newObject, type Engine, type Snapshot, type Volume } from '@longhorn/shared-types';
import { cloneSnapshotName } from '../../clone-stage.ts';
import { SettingsView } from '../settings-view.ts';
import { planClone } from './clone.ts';
import { replenishCount, wantedReplicas } from './replenish.ts';
import { newDraft, type VolumeDraft, type VolumeWorld } from './world.ts';

const NOW = Date.parse('2026-01-01T00:00:00Z');

type CloneStatus = Volume['status']['cloneStatus'];
type Said = NonNullable<Engine['status']['cloneStatus']>;

interface Given {
  dataSource?: string;
  clone?: Partial<CloneStatus>;
  said?: { state: string; error?: string; progress?: number };
  requested?: string;
  robustness?: Volume['status']['robustness'];
  scheduled?: 'True' | 'False';
  ageS?: number;
  source?: {
    state?: Volume['status']['state'];
    deleting?: boolean;
    dataSource?: string;
    /** names of the engine's list */
    listed?: string[];
    snapshots?: Snapshot[];
  } | null;
}

function engineOf(volume: string, modes: Record<string, string>, listed: readonly string[]): Engine {
  const engine = newObject('Engine', 'ns', `${volume}-e-0`);
  engine.spec.active = true;
  const entry = {
    name: '',
    parent: '',
    children: {},
    removed: false,
    usercreated: true,
    created: '',
    size: '0',
    labels: {},
  };
  const snapshots = Object.fromEntries(listed.map((name) => [name, { ...entry, name }]));
  Object.assign(engine.status, { currentState: 'running', ioState: 'serving', replicaModeMap: modes, snapshots });
  return engine;
}

function snapshot(name: string, readyToUse: boolean, error = ''): Snapshot {
  const made = newObject('Snapshot', 'ns', name);
  made.spec.volume = 'origin';
  Object.assign(made.status, { readyToUse, error });
  return made;
}

function make(given: Given): [VolumeWorld, VolumeDraft] {
  const volume = newObject('Volume', 'ns', 'copy');
  volume.metadata.uid = 'uid-copy';
  volume.metadata.creationTimestamp = new Date(NOW - (given.ageS ?? 0) * 1000).toISOString();
  volume.spec.dataSource = given.dataSource ?? 'snap://origin/s';
  volume.spec.numberOfReplicas = 3;
  Object.assign(volume.status.cloneStatus, given.clone);
  volume.status.robustness = given.robustness ?? 'degraded';
  const condition = { type: 'Scheduled', reason: '', message: '', lastProbeTime: '', lastTransitionTime: '' };
  volume.status.conditions.push({ ...condition, status: given.scheduled ?? 'True' });
  const engine = engineOf('copy', { r: 'RW' }, []);
  engine.spec.requestedDataSource = given.requested ?? '';
  if (given.said !== undefined) {
    const said: Said[string] = {
      error: '',
      fromReplicaAddress: '',
      isCloning: false,
      progress: 0,
      snapshotName: 's',
      ...given.said,
    };
    engine.status.cloneStatus = { 'tcp://1': said };
  }
  const replica = newObject('Replica', 'ns', 'r');
  Object.assign(replica.spec, { active: true, nodeID: 'n' });
  const origin = newObject('Volume', 'ns', 'origin');
  origin.metadata.uid = 'uid-origin';
  const {
    state = 'attached',
    deleting,
    dataSource = '',
    listed = ['volume-head', 's'],
    snapshots,
  } = given.source ?? {};
  if (deleting === true) origin.metadata.deletionTimestamp = '2026-01-01T00:00:00Z';
  origin.status.state = state;
  origin.spec.dataSource = dataSource;
  const source = {
    volume: origin,
    engine: engineOf('origin', { o: 'RW' }, listed),
    snapshots: snapshots ?? [snapshot('s', true)],
  };
  const world: VolumeWorld = {
    nowMs: NOW,
    hex: () => '00000000',
    volume,
    engines: [engine],
    replicas: [replica],
    attachment: null,
    device: null,
    outOfServiceNodes: new Set(),
    snapshotNames: [],
    cloneSource: given.source === null ? { volume: null, engine: null, snapshots: [] } : source,
    nodes: new Map(),
    instanceManagers: [],
    engineImages: [],
    candidateNodes: [],
    settings: new SettingsView(() => null),
    reuseNotBeforeMs: new Map(),
  };
  return [world, newDraft(world)];
}

function outline(given: Given): Record<string, unknown> {
  const [world, draft] = make(given);
  planClone(world, draft);
  const { state, attemptCount, nextAllowedAttemptAt } = draft.volume.status.cloneStatus;
  return {
    state,
    attempts: attemptCount,
    next: nextAllowedAttemptAt,
    requested: draft.engine?.spec.requestedDataSource,
    events: draft.events.map(({ reason }) => reason),
    blocked: draft.blockers.map(({ reason }) => reason).join(),
  };
}

const FRESH = { state: '', attempts: 0, next: '', requested: '', events: [] };
const INITIATED: Partial<CloneStatus> = {
  sourceVolume: 'origin',
  snapshot: 's',
  state: 'initiated',
  attemptCount: 1,
  nextAllowedAttemptAt: '2026-01-01T00:00:30Z',
};
const REQUESTED = 'snap://origin/s';
const going = { state: 'initiated', attempts: 1, next: '2026-01-01T00:00:30Z', requested: REQUESTED, events: [] };

describe('a copy that begins', () => {
  it.each<[string, Given, Record<string, unknown>]>([
    ['is asked for', {}, { ...going, events: ['VolumeCloneInitiated'] }],
    ['waits for its source to be attached', { source: { state: 'detached' } }, FRESH],
    ['waits for a source that is a copy itself', { source: { dataSource: 'vol://x' } }, FRESH],
    ['waits for its snapshot', { source: { snapshots: [snapshot('s', false, 'too many')] } }, FRESH],
    ['waits for the list of its source', { source: { listed: ['volume-head'] } }, FRESH],
    [
      'is asked for without a snapshot object',
      { source: { snapshots: [] } },
      { ...going, events: ['VolumeCloneInitiated'] },
    ],
    ['waits until the last try is forgotten', { said: { state: 'error' } }, FRESH],
    ['waits a moment for a source that is not known', { source: null, ageS: 10 }, FRESH],
    ['has no source', { source: null, ageS: 31 }, { ...FRESH, state: 'failed', events: ['VolumeCloneFailed'] }],
    [
      'has a source that is leaving',
      { source: { deleting: true } },
      { ...FRESH, state: 'failed', events: ['VolumeCloneFailed'] },
    ],
    [
      'has no such snapshot',
      { source: { snapshots: [], listed: ['volume-head'] } },
      { ...FRESH, state: 'failed', attempts: 1, next: '2026-01-01T00:00:30Z', events: ['VolumeCloneFailed'] },
    ],
    [
      'begins again after a failure, and waits longer after the next',
      { clone: { ...INITIATED, state: 'failed', attemptCount: 3, nextAllowedAttemptAt: '2025-12-31T00:00:00Z' } },
      { ...going, attempts: 4, next: '2026-01-01T00:04:00Z', events: ['VolumeCloneInitiated'] },
    ],
  ])('%s', (_name, given, expected) => {
    expect(outline(given)).toMatchObject(expected);
  });

  it('of a whole volume has a snapshot taken, and takes it away when it has the data', () => {
    const whole = { dataSource: 'vol://origin', source: { snapshots: [] } };
    const [world, draft] = make(whole);
    planClone(world, draft);
    const name = cloneSnapshotName(world.cloneSource?.volume ?? world.volume, world.volume);
    expect(draft.newSnapshot).toMatchObject({
      metadata: { name },
      spec: { volume: 'origin', createSnapshot: true, labels: { 'longhorn.io/for-cloning-volume': 'copy' } },
    });
    expect(draft.volume.status.cloneStatus.state).toBe('');
    for (const [state, next, isDeleted] of [
      ['copy-completed-awaiting-healthy', '', true],
      ['failed', '', true],
      ['failed', '2026-01-01T01:00:00Z', false],
    ] as const) {
      const clone = { ...INITIATED, snapshot: name, state, nextAllowedAttemptAt: next };
      const [later, wanted] = make({ ...whole, clone, source: { snapshots: [snapshot(name, true)] } });
      planClone(later, wanted);
      expect(wanted.deletions).toEqual(isDeleted ? [{ kind: 'Snapshot', name }] : []);
    }
  });
});

describe('a copy that is being made', () => {
  const given = { clone: INITIATED, requested: REQUESTED };
  it.each<[string, Given, Record<string, unknown>]>([
    ['says so', { ...given, said: { state: 'in_progress', progress: 40 } }, going],
    ['is asked for again if nobody has heard', { clone: INITIATED, said: { state: 'error' } }, going],
    [
      'has its data',
      { ...given, said: { state: 'complete' } },
      {
        ...going,
        state: 'copy-completed-awaiting-healthy',
        requested: '',
        events: ['VolumeCloneCopyCompleteAwaitingHealthy'],
      },
    ],
    [
      'failed',
      { ...given, said: { state: 'error', error: 'no space' } },
      {
        ...going,
        state: 'failed',
        requested: '',
        events: ['VolumeCloneFailed'],
        blocked: expect.stringContaining('no space'),
      },
    ],
    [
      'waits for a source that was detached',
      { ...given, source: { state: 'detached' } },
      { ...going, blocked: 'its source volume origin is detached, it has to be attached' },
    ],
    [
      'has lost its source',
      { ...given, source: { deleting: true } },
      { ...going, state: 'failed', next: '', requested: '', events: ['VolumeCloneFailed'] },
    ],
    [
      'goes on though its source is leaving',
      { ...given, said: { state: 'in_progress' }, source: { deleting: true } },
      going,
    ],
    [
      'failed for the last time',
      { ...given, clone: { ...INITIATED, attemptCount: 10 }, said: { state: 'error', error: 'x' } },
      { ...going, state: 'failed', attempts: 10, next: '', requested: '', events: ['VolumeCloneFailed'] },
    ],
  ])('%s', (_name, what, expected) => {
    expect(outline(what)).toMatchObject(expected);
  });

  it('has one replica until its data is there', () => {
    for (const [state, wanted, missing] of [
      ['initiated', 1, 0],
      ['failed', 1, 0],
      ['copy-completed-awaiting-healthy', 3, 2],
      ['completed', 3, 2],
    ] as const) {
      const [world, draft] = make({ clone: { ...INITIATED, state } });
      expect([wantedReplicas(world, draft), replenishCount(world, draft)]).toEqual([wanted, missing]);
    }
  });
});

describe('a copy that has its data', () => {
  const clone: Partial<CloneStatus> = { ...INITIATED, state: 'copy-completed-awaiting-healthy' };
  it.each<[string, Given, string]>([
    ['waits for its replicas', { clone }, 'copy-completed-awaiting-healthy'],
    ['is complete once it is healthy', { clone, robustness: 'healthy' }, 'completed'],
    ['is complete when there is no place for more', { clone, scheduled: 'False' }, 'completed'],
  ])('%s', (_name, given, state) => {
    expect(outline(given)).toMatchObject({ state, requested: '' });
  });
});
