/**
 * One pass over an engine: the wanted status and what is to be done. Pure; the shell in controller.ts carries it out.
 *
 *   not running, wanted     -> start: epoch raised and stored, then the process is created with it
 *   ended by itself         -> the rest of it is deleted, the device stays, started again after a back-off
 *   fenced (epoch too low)  -> as ended; the next epoch is above every one seen
 *   holds without a replica -> as ended, once replicas are there again
 *   waits for replicas      -> those that came meanwhile are handed over
 *   serves                  -> replicas that it should not have are removed, missing ones added (rebuilt), one at a time
 */
import type { Engine, InstanceManager, Replica } from '@longhorn/shared-types';
import { ReplicaMode } from '@longhorn/shared-types/generated/ptypes';
import { OWN_ANNOTATION } from '../../own-annotations.ts';
import { parseTime } from '../../clock.ts';
import { planClone } from './clone-plan.ts';
import { planInstance, type InstanceAction } from '../instance/instance-plan.ts';
import { applyObservation, clearObservation, type EngineObservation, type Membership } from './observation.ts';

export interface EngineWorld {
  nowMs: number;
  engine: Engine;
  instanceManager: InstanceManager | null;
  nodeIsDown: boolean;
  /** Of the process that runs now; null: nothing heard yet. */
  observation: EngineObservation | null;
  /** Replica that is being added by us right now; '' = none. */
  adding: string;
  /** Not started again before; 0 = at once. */
  restartAtMs: number;
  /** Replicas whose processes are coming up: a start without them would leave them behind. */
  replicasComing: boolean;
  /** Until when a start waits for those. */
  waitsUntilMs: number;
  /** Since when a replica is WO although nobody works on it; null = none. */
  strandedSinceMs: number | null;
  /** The engine that `spec.requestedDataSource` names can be asked. */
  hasCloneSource: boolean;
  /** A copy for this engine is being made by a call of ours. */
  cloning: boolean;
  /** Why the last such call failed; null: it did not. */
  cloneFailure: string | null;
}

export type EngineAction =
  | { kind: 'instance'; action: InstanceAction; uuid: string }
  | { kind: 'raise-epoch'; above: number }
  | { kind: 'remove-replica'; name: string; url: string; reason: string }
  | { kind: 'add-replica'; name: string; address: string }
  | { kind: 'clone' }
  | { kind: 'expand'; size: number }
  | { kind: 'set-unmap'; enabled: boolean }
  | { kind: 'set-snapshot-max-count'; count: number }
  | { kind: 'set-snapshot-max-size'; size: number };

export interface EnginePlan {
  engine: Engine;
  actions: EngineAction[];
  requeueAtMs: number | null;
}

const HELD_RESTART_AFTER_MS = 2_000;
const HELD_RECHECK_MS = 1_000;
const STRANDED_AFTER_MS = 15_000;

export function planEngine(world: EngineWorld): EnginePlan {
  const engine = structuredClone(world.engine);
  const plan: EnginePlan = { engine, actions: [], requeueAtMs: null };
  planProcess(world, plan);
  const { observation } = world;
  copySnapshot(world, plan);
  if (engine.status.currentState !== 'running') {
    if (engine.status.currentState !== 'unknown') clearObservation(engine.status);
    return plan;
  }
  if (observation === null) return plan;
  applyObservation(engine.status, observation, world.nowMs);
  if (engine.spec.desireState !== 'running') return plan;
  if (mustRestart(world, observation, plan)) {
    restart(world, plan);
    return plan;
  }
  planReplicas(world, observation, plan);
  planFlags(observation, plan);
  return plan;
}

/** What is not asked for any more is forgotten also by an engine that does not run. */
function copySnapshot(world: EngineWorld, { engine, actions }: EnginePlan): void {
  const { status, spec } = engine;
  const volume = status.currentState === 'running' ? (world.observation?.volume ?? null) : null;
  const modes = volume?.replicas.map(({ mode }) => mode) ?? [];
  const clone = planClone({
    requested: spec.requestedDataSource,
    stored: status.cloneStatus ?? {},
    observed: volume === null ? null : (world.observation?.clones ?? null),
    canCopy: volume?.ioState === 'serving' && modes.length > 0 && modes.every((mode) => mode === ReplicaMode.RW),
    hasSource: world.hasCloneSource,
    isRunning: world.cloning,
    failure: world.cloneFailure,
  });
  if (status.cloneStatus !== null || Object.keys(clone.status).length > 0) status.cloneStatus = clone.status;
  if (clone.starts) actions.push({ kind: 'clone' });
}

function processUuid({ engine, instanceManager }: EngineWorld): string {
  return instanceManager?.status.instanceEngines[engine.metadata.name]?.status.uuid ?? '';
}

function planProcess(world: EngineWorld, plan: EnginePlan): void {
  const { engine } = plan;
  const { status, spec } = engine;
  const mayHaveRun = status.started || status.starting;
  const reachable = world.instanceManager?.status.currentState === 'running' && !world.nodeIsDown;
  const nodeBefore = world.instanceManager?.spec.nodeID ?? '';
  const action = planInstance({
    name: engine.metadata.name,
    desireState: spec.desireState,
    nodeId: spec.nodeID,
    image: spec.image,
    status,
    instanceManager: world.instanceManager,
    nodeIsDown: world.nodeIsDown,
    restarts: true,
    nowMs: world.nowMs,
  });
  if (spec.desireState !== 'running' && mayHaveRun && !reachable && nodeBefore !== '')
    // Nobody saw it end: until the next start fences it, it may still be writing.
    engine.metadata.annotations[OWN_ANNOTATION.unconfirmedStop] = nodeBefore;
  if (action.kind === 'create' && !mayStart(world, plan)) return;
  if (action.kind !== 'none') plan.actions.push({ kind: 'instance', action, uuid: processUuid(world) });
}

/** A start without replicas, too early, or just before some more come up, is none. */
function mayStart(world: EngineWorld, plan: EnginePlan): boolean {
  if (Object.keys(plan.engine.spec.replicaAddressMap).length === 0) return false;
  const notBeforeMs = Math.max(world.restartAtMs, world.replicasComing ? world.waitsUntilMs : 0);
  if (notBeforeMs <= world.nowMs) return true;
  plan.requeueAtMs = notBeforeMs;
  return false;
}

/** One that is being rebuilt serves nothing, and without the one that it is rebuilt from its rebuild does not end. */
function hasGoodReplica(engine: Engine): boolean {
  return Object.values(engine.status.replicaModeMap).includes('RW');
}

function mustRestart(world: EngineWorld, { volume }: EngineObservation, { engine, actions }: EnginePlan): boolean {
  const fenced = volume.highestEpochSeen > volume.epoch && volume.epoch > 0;
  if (fenced && volume.highestEpochSeen > engine.spec.epoch)
    actions.push({ kind: 'raise-epoch', above: volume.highestEpochSeen });
  const outdated = volume.epoch > 0 && volume.epoch < engine.spec.epoch;
  if (fenced || outdated) return true;
  const heldSinceMs = parseTime(volume.ioSince);
  return (
    volume.ioState === 'held' &&
    !hasGoodReplica(engine) &&
    Object.keys(engine.spec.replicaAddressMap).length > 0 &&
    heldSinceMs !== null &&
    world.nowMs - heldSinceMs >= HELD_RESTART_AFTER_MS
  );
}

function restart(world: EngineWorld, plan: EnginePlan): void {
  if (world.restartAtMs > world.nowMs) plan.requeueAtMs = world.restartAtMs;
  else plan.actions.push({ kind: 'instance', action: { kind: 'delete', keepDevice: true }, uuid: processUuid(world) });
}

function planReplicas(world: EngineWorld, { volume }: EngineObservation, plan: EnginePlan): void {
  const { status, spec } = plan.engine;
  if (volume.ioState === 'held' && !hasGoodReplica(plan.engine)) {
    const sinceMs = parseTime(volume.ioSince) ?? world.nowMs;
    plan.requeueAtMs = Math.max(world.nowMs + HELD_RECHECK_MS, sinceMs + HELD_RESTART_AFTER_MS);
    return;
  }
  if (volume.ioState === 'waiting' || volume.ioState === 'starting' || volume.ioState === 'failed') {
    if (volume.ioState !== 'failed') handOver(world, plan);
    return;
  }
  // What the engine should have is stored first; its answers are read with it.
  if (!sameMap(status.currentReplicaAddressMap, spec.replicaAddressMap)) {
    status.currentReplicaAddressMap = { ...spec.replicaAddressMap };
    applyObservation(status, world.observation ?? raise(), world.nowMs);
  }
  removeUnwanted(world, volume, plan);
  addMissing(world, plan);
}

function raise(): never {
  throw new Error('an engine that was not observed has no replicas');
}

function sameMap(a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}

/** An engine that waits tries again with every further replica. */
function handOver(world: EngineWorld, { engine, actions }: EnginePlan): void {
  if (world.adding !== '') return;
  const known = engine.status.currentReplicaAddressMap;
  const next = Object.entries(engine.spec.replicaAddressMap).find(([name, address]) => known[name] !== address);
  if (next !== undefined) actions.push({ kind: 'add-replica', name: next[0], address: next[1] });
}

function removeUnwanted(
  world: EngineWorld,
  volume: EngineObservation['volume'],
  { engine, actions }: EnginePlan,
): void {
  const wanted = new Set(Object.values(engine.status.currentReplicaAddressMap).map((address) => `tcp://${address}`));
  for (const replica of volume.replicas) {
    const url = replica.address?.address ?? '';
    const name = Object.entries(engine.status.currentReplicaAddressMap).find(
      ([, address]) => `tcp://${address}` === url,
    )?.[0];
    if (!wanted.has(url)) {
      actions.push({ kind: 'remove-replica', name: name ?? replica.instanceName, url, reason: replica.reason });
      continue;
    }
    const mode = engine.status.replicaModeMap[name ?? ''];
    const stranded = mode === 'WO' && name !== world.adding && world.strandedSinceMs !== null;
    const busy = engine.status.rebuildStatus[url]?.isRebuilding ?? false;
    if (stranded && !busy && world.nowMs - (world.strandedSinceMs ?? world.nowMs) >= STRANDED_AFTER_MS)
      actions.push({ kind: 'remove-replica', name: name ?? '', url, reason: replica.reason });
  }
}

function addMissing(world: EngineWorld, { engine, actions }: EnginePlan): void {
  const modes = engine.status.replicaModeMap;
  if (world.adding !== '' || Object.values(modes).includes('WO')) return;
  if (actions.some(({ kind }) => kind === 'remove-replica')) return;
  const missing = Object.entries(engine.status.currentReplicaAddressMap).find(([name]) => modes[name] === undefined);
  if (missing !== undefined) actions.push({ kind: 'add-replica', name: missing[0], address: missing[1] });
}

function planFlags({ volume }: EngineObservation, { engine, actions }: EnginePlan): void {
  const { spec } = engine;
  if (volume.ioState !== 'serving') return;
  const size = Number(spec.volumeSize);
  if (size > volume.size && !volume.isExpanding) actions.push({ kind: 'expand', size });
  if (volume.unmap_mark_snap_chain_removed !== spec.unmapMarkSnapChainRemovedEnabled)
    actions.push({ kind: 'set-unmap', enabled: spec.unmapMarkSnapChainRemovedEnabled });
  if (volume.snapshot_max_count !== spec.snapshotMaxCount)
    actions.push({ kind: 'set-snapshot-max-count', count: spec.snapshotMaxCount });
  if (volume.snapshot_max_size !== Number(spec.snapshotMaxSize))
    actions.push({ kind: 'set-snapshot-max-size', size: Number(spec.snapshotMaxSize) });
}

/**
 * The first record of a volume, made before its first start: all replicas that have a place. Of a volume that upstream
 * ran, those that it calls good.
 */
export function firstMembership(replicas: readonly Replica[]): Membership {
  const placed = replicas.filter((replica) => replica.spec.nodeID !== '' && replica.spec.active);
  const good = placed.filter((replica) => replica.spec.healthyAt !== '' && replica.spec.failedAt === '');
  const members = (good.length > 0 ? good : placed).map((replica) => replica.metadata.name).toSorted();
  return { epoch: 0, count: 0, members, decided: false };
}
