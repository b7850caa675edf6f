import { describe, expect, it } from 'vitest';
import { newObject, type Engine, type InstanceManager } from '@longhorn/shared-types';
import { isLeftOver } from './leftovers.ts';

interface Given {
  /** Of the engine's object; null = there is none. */
  engine: {
    named?: string;
    wanted?: 'running' | 'stopped';
    node?: string;
    state?: Engine['status']['currentState'];
    starting?: boolean;
    started?: boolean;
    uuid?: string;
    deleting?: boolean;
  } | null;
  /** Node of another engine of the volume. */
  siblingOn?: string;
  volumeOn?: string;
  otherState?: InstanceManager['status']['currentState'];
  otherNode?: string;
  uuid?: string;
}

function managerOf(name: string, node: string, state: InstanceManager['status']['currentState']): InstanceManager {
  const manager = newObject('InstanceManager', 'ns', name);
  manager.spec.nodeID = node;
  manager.status.currentState = state;
  return manager;
}

function engineOf(given: NonNullable<Given['engine']>): Engine {
  const engine = newObject('Engine', 'ns', 'v-e-0');
  Object.assign(engine.spec, { nodeID: given.node ?? '', desireState: given.wanted ?? 'stopped' });
  Object.assign(engine.status, {
    instanceManagerName: given.named ?? '',
    currentState: given.state ?? 'stopped',
    started: given.started ?? false,
    starting: given.starting ?? false,
    uuid: given.uuid ?? '',
  });
  if (given.deleting === true) engine.metadata.deletionTimestamp = '2026-01-01T00:00:00Z';
  return engine;
}

/** A process on node-1, in the instance manager `here`; `other` is another one, on node-2 if not told otherwise. */
function decide(given: Given): boolean {
  const engine = given.engine === null ? null : engineOf(given.engine);
  const sibling = newObject('Engine', 'ns', 'v-e-1');
  sibling.spec.nodeID = given.siblingOn ?? '';
  const volume = newObject('Volume', 'ns', 'v');
  volume.spec.nodeID = given.volumeOn ?? '';
  const here = managerOf('here', 'node-1', 'running');
  const other = managerOf('other', given.otherNode ?? 'node-2', given.otherState ?? 'running');
  return isLeftOver(
    { name: 'v-e-0', uuid: given.uuid ?? 'old', manager: here },
    {
      engine,
      siblings: engine === null ? [sibling] : [engine, sibling],
      volume,
      named: [here, other].find(({ metadata }) => metadata.name === given.engine?.named) ?? null,
    },
  );
}

const elsewhere = { named: 'other', node: 'node-2', wanted: 'running', state: 'running', uuid: 'new' } as const;

describe('an engine process', () => {
  it.each<[string, Given, boolean]>([
    ['without an object is left over', { engine: null }, true],
    ['whose engine runs on another node is left over', { engine: elsewhere, volumeOn: 'node-2' }, true],
    ['whose engine is started on another node is left over', { engine: { ...elsewhere, state: 'stopped' } }, true],
    ['whose engine is stopped and its volume detached is left over', { engine: {} }, true],
    ['that its engine names is not', { engine: { named: 'here', node: 'node-1', wanted: 'running' } }, false],
    ['that its engine is about to leave is not', { engine: { named: 'here', state: 'running' } }, false],
    ['whose engine is wanted on its node is not', { engine: { ...elsewhere, node: 'node-1' } }, false],
    ['whose engine knows it is not', { engine: { ...elsewhere, uuid: 'old' } }, false],
    [
      'whose engine is in another instance manager of its node is not',
      { engine: elsewhere, otherNode: 'node-1' },
      false,
    ],
    ['whose engine may have no other is not', { engine: elsewhere, otherState: 'unknown' }, false],
    ['whose engine names one that is gone is not', { engine: { ...elsewhere, named: 'gone' } }, false],
    ['whose engine is being deleted is not', { engine: { ...elsewhere, deleting: true } }, false],
    ['whose engine is about to start is not', { engine: { wanted: 'running' } }, false],
    ['whose engine is on its way is not', { engine: { starting: true } }, false],
    ['whose engine is not known to have ended is not', { engine: { state: 'unknown', started: true } }, false],
    ['whose volume is about to be attached is not', { engine: {}, volumeOn: 'node-1' }, false],
    ['beside another engine of its volume on its node is not', { engine: null, siblingOn: 'node-1' }, false],
    ['that cannot be told from a later one is not', { engine: null, uuid: '' }, false],
  ])('%s', (_case, given, expected) => {
    expect(decide(given)).toBe(expected);
  });
});
