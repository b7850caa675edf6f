import { describe, expect, it } from 'vitest';
import { newObject, type InstanceManager } from '@longhorn/shared-types';
import { planInstance, type InstanceAction } from './instance-plan.ts';

const NOW_MS = Date.UTC(2026, 0, 1);

function manager(state: string, process: string | null): InstanceManager {
  const im = newObject('InstanceManager', 'ns', 'im');
  im.spec.nodeID = 'node-1';
  Object.assign(im.status, { currentState: state, ip: '10.0.0.1' });
  if (process !== null) {
    im.status.instanceReplicas['r'] = {
      spec: { dataEngine: 'v1', name: 'r' },
      status: {
        conditions: {},
        endpoint: '',
        errorMsg: process === 'error' ? 'exit status 1' : '',
        listen: '',
        portStart: 10000,
        portEnd: 10009,
        resourceVersion: 0,
        state:
          process === 'error'
            ? 'error'
            : process === 'starting'
              ? 'starting'
              : process === 'stopping'
                ? 'stopping'
                : process === 'stopped'
                  ? 'stopped'
                  : 'running',
        targetPortStart: 0,
        targetPortEnd: 0,
        type: 'replica',
        ublkID: 0,
        uuid: 'u',
      },
    };
  }
  return im;
}

interface Given {
  desire?: 'running' | 'stopped';
  im: string | null;
  process?: string;
  started?: boolean;
  starting?: boolean;
  state?: 'running' | 'stopped' | 'error';
  restarts?: boolean;
  down?: boolean;
  /** Where the instance is wanted; the instance manager is on node-1. */
  node?: string;
  /** Name that the status has; 'im' is that of the given instance manager. */
  named?: string;
}

interface Result {
  state: string;
  action: InstanceAction;
  started: boolean;
  ip: string;
  named: string;
}

function run(given: Given): Result {
  const replica = newObject('Replica', 'ns', 'r');
  Object.assign(replica.status, {
    started: given.started ?? false,
    starting: given.starting ?? false,
    currentState: given.state ?? 'stopped',
    instanceManagerName: given.named ?? 'im',
  });
  const action = planInstance({
    name: 'r',
    desireState: given.desire ?? 'running',
    nodeId: given.node ?? 'node-1',
    image: 'image',
    status: replica.status,
    instanceManager: given.im === null ? null : manager(given.im, given.process ?? null),
    nodeIsDown: given.down ?? false,
    restarts: given.restarts ?? false,
    nowMs: NOW_MS,
  });
  const { currentState, started, ip, instanceManagerName } = replica.status;
  return { state: currentState, action, started, ip, named: instanceManagerName };
}

const none: InstanceAction = { kind: 'none' };

describe('the state of a process', () => {
  const cells: [string, Given, string][] = [
    ['no instance manager, was running', { im: null, started: true }, 'unknown'],
    ['no instance manager, was not', { im: null }, 'stopped'],
    ['unknown instance manager, was running', { im: 'unknown', started: true }, 'unknown'],
    ['failed instance manager, was running', { im: 'error', started: true }, 'error'],
    ['failed instance manager, was not', { im: 'error' }, 'stopped'],
    ['starting instance manager, was running', { im: 'starting', started: true }, 'error'],
    ['starting instance manager, was not', { im: 'starting' }, 'stopped'],
    ['not listed, was running', { im: 'running', started: true }, 'error'],
    ['not listed, was not', { im: 'running' }, 'stopped'],
    ['starting', { im: 'running', process: 'starting' }, 'starting'],
    ['running', { im: 'running', process: 'running' }, 'running'],
    ['stopping although it ran', { im: 'running', process: 'stopping', started: true }, 'error'],
    ['stopping', { im: 'running', process: 'stopping' }, 'stopping'],
    ['stopped although it ran', { im: 'running', process: 'stopped', started: true }, 'error'],
    ['stopped', { im: 'running', process: 'stopped' }, 'stopped'],
    ['failed', { im: 'running', process: 'error' }, 'error'],
  ];
  it.each(cells)('%s', (_name, given, state) => {
    expect(run(given).state).toBe(state);
  });

  it('has an address exactly while it runs', () => {
    for (const [, given] of cells) {
      const { state, ip } = run(given);
      expect(ip !== '').toBe(state === 'running');
    }
  });
});

describe('what is done about it', () => {
  const cases: [string, Given, InstanceAction][] = [
    ['created when it is wanted and not there', { im: 'running' }, { kind: 'create' }],
    ['not created while the instance manager starts', { im: 'starting' }, none],
    ['not created on a node that is down', { im: 'running', down: true }, none],
    ['not created again while its state is not stopped', { im: 'running', state: 'error' }, none],
    [
      'a replica that failed is left for its volume to decide',
      { im: 'running', process: 'error', started: true },
      none,
    ],
    [
      'an engine that failed is cleared, its device stays',
      { im: 'running', process: 'error', started: true, restarts: true },
      { kind: 'delete', keepDevice: true },
    ],
    ['an engine whose list entry is gone needs no clearing', { im: 'running', started: true, restarts: true }, none],
    [
      'stopped when it is not wanted',
      { desire: 'stopped', im: 'running', process: 'running' },
      { kind: 'delete', keepDevice: false },
    ],
    [
      'stopped when a create may be on its way',
      { desire: 'stopped', im: 'running', starting: true },
      { kind: 'delete', keepDevice: false },
    ],
    ['nothing to stop', { desire: 'stopped', im: 'running' }, none],
    [
      'cannot be stopped where nobody answers',
      { desire: 'stopped', im: 'unknown', process: 'running', started: true },
      none,
    ],
  ];
  it.each(cases)('%s', (_name, given, action) => {
    expect(run(given).action).toEqual(action);
  });

  it('counts as stopped once it is not wanted and cannot be reached', () => {
    expect(run({ desire: 'stopped', im: 'unknown', process: 'running', started: true, state: 'running' }).state).toBe(
      'stopped',
    );
  });

  it('is ready for the next start after an engine was cleared', () => {
    expect(run({ im: 'running', started: true, restarts: true })).toMatchObject({ state: 'stopped', started: false });
  });
});

describe('the instance manager of an engine', () => {
  const ended: Given = { im: 'running', started: true, restarts: true };
  const cases: [string, Given, string][] = [
    ['is kept between two processes: it holds the device', ended, 'im'],
    ['is kept when nobody can say how it is', { im: 'unknown', restarts: true }, 'im'],
    ['is kept while a create may be on its way', { im: 'running', starting: true, restarts: true }, 'im'],
    ['is given up when it is not wanted any more', { ...ended, desire: 'stopped' }, ''],
    ['is given up when it went, and the device with it', { im: 'error', restarts: true }, ''],
    ['is given up when it went while a create was on its way', { im: 'error', starting: true, restarts: true }, ''],
    ['is given up when another node is to have the engine', { im: 'running', restarts: true, node: 'node-2' }, ''],
    ['is given up when it is another one than before', { im: 'running', restarts: true, named: 'gone' }, ''],
    ['is given up by a replica: it has no device', { im: 'running' }, ''],
  ];
  it.each(cases)('%s', (_name, given, named) => {
    expect(run(given).named).toBe(named);
  });

  it('starts nothing on a node where nothing is wanted', () => {
    expect(run({ im: 'running', restarts: true, node: 'node-2' }).action).toEqual(none);
  });
});
