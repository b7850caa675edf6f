import { describe, expect, it } from 'vitest';
import { newObject, type Engine, type InstanceManager } from '@longhorn/shared-types';
import { ReplicaMode } from '@longhorn/shared-types/generated/ptypes';
import type { EngineVolume } from '../../instance-client/instance-managers.ts';
import { planEngine, type EngineAction, type EngineWorld } from './plan.ts';

const NOW_MS = Date.UTC(2026, 0, 1);
const OLD = 'tcp://10.0.0.1:10000';
const NEW = '10.0.0.1:10010';
const OTHER = '10.0.0.2:10000';

interface Given {
  /** of the engine's replicas, by address */
  modes: Record<string, ReplicaMode>;
  ioState?: 'serving' | 'held';
  heldForMs?: number;
  addresses?: Record<string, string>;
  adding?: string;
}

function runningEngine(addresses: Record<string, string>): Engine {
  const engine = newObject('Engine', 'ns', 'e');
  Object.assign(engine.spec, { volumeName: 'v', desireState: 'running', nodeID: 'n', replicaAddressMap: addresses });
  Object.assign(engine.status, { currentState: 'running', started: true, uuid: 'u', instanceManagerName: 'im' });
  return engine;
}

function managerWith(engine: string): InstanceManager {
  const im = newObject('InstanceManager', 'ns', 'im');
  im.spec.nodeID = 'n';
  Object.assign(im.status, { currentState: 'running', ip: '10.0.0.9' });
  const status = { state: 'running', type: 'engine', uuid: 'u', portStart: 10_000, portEnd: 10_000 };
  Object.assign(im.status.instanceEngines, { [engine]: { spec: { dataEngine: 'v1', name: engine }, status } });
  return im;
}

function volumeOf({ modes, ioState = 'held', heldForMs = 0 }: Given): EngineVolume {
  return {
    name: 'v',
    size: 0,
    replicaCount: 0,
    endpoint: '',
    frontend: '',
    frontendState: '',
    isExpanding: false,
    last_expansion_error: '',
    last_expansion_failed_at: '',
    unmap_mark_snap_chain_removed: false,
    snapshot_max_count: 0,
    snapshot_max_size: 0,
    replicas: Object.entries(modes).map(([address, mode]) => ({
      address: { address, instanceName: '' },
      mode,
      instanceName: '',
      reason: '',
    })),
    epoch: 0,
    highestEpochSeen: 0,
    ioState,
    ioReason: '',
    ioSince: new Date(NOW_MS - heldForMs).toISOString(),
    engineName: 'e',
    membership: null,
    membershipRequest: null,
  };
}

function actionsOf(given: Given): EngineAction[] {
  const engine = runningEngine(given.addresses ?? { a: NEW, b: OTHER });
  const world: EngineWorld = {
    nowMs: NOW_MS,
    engine,
    instanceManager: managerWith('e'),
    nodeIsDown: false,
    observation: {
      volume: volumeOf(given),
      snapshots: null,
      snapshotsError: '',
      rebuilds: {},
      purges: {},
      clones: null,
    },
    adding: given.adding ?? '',
    restartAtMs: 0,
    replicasComing: false,
    waitsUntilMs: 0,
    strandedSinceMs: null,
    hasCloneSource: false,
    cloning: false,
    cloneFailure: null,
  };
  return planEngine(world).actions;
}

const RESTART = { kind: 'instance', action: { kind: 'delete', keepDevice: true }, uuid: 'u' };

describe('an engine that holds I/O since no replica can be read', () => {
  it('is started again with the addresses that its replicas have now', () => {
    expect(actionsOf({ modes: { [OLD]: ReplicaMode.ERR }, heldForMs: 2_000 })).toEqual([RESTART]);
  });

  it('is started again also while a replica is being rebuilt, which does not end without the lost one', () => {
    const modes = { [OLD]: ReplicaMode.ERR, [`tcp://${OTHER}`]: ReplicaMode.WO };
    expect(actionsOf({ modes, heldForMs: 2_000, adding: 'b' })).toEqual([RESTART]);
  });

  it('is left alone at first: the connection may come back', () => {
    const modes = { [OLD]: ReplicaMode.ERR, [`tcp://${OTHER}`]: ReplicaMode.WO };
    expect(actionsOf({ modes, heldForMs: 1_999, adding: 'b' })).toEqual([]);
  });

  it('is left alone until a replica runs', () => {
    expect(actionsOf({ modes: { [OLD]: ReplicaMode.ERR }, heldForMs: 60_000, addresses: {} })).toEqual([]);
  });
});

describe('an engine that holds I/O while its membership changes', () => {
  it('is not started again as long as a replica can be read', () => {
    const modes = { [OLD]: ReplicaMode.ERR, [`tcp://${OTHER}`]: ReplicaMode.RW };
    expect(actionsOf({ modes, heldForMs: 60_000 }).filter(({ kind }) => kind === 'instance')).toEqual([]);
  });
});
