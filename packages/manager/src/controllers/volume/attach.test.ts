import { describe, expect, it } from 'vitest';
import { newObject, type Engine, type InstanceManager, type Node, type Replica } from '@longhorn/shared-types';
import { SettingsView } from '../settings-view.ts';
import { moveAttachment } from './attach.ts';
import { newDraft, type VolumeWorld } from './world.ts';

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
