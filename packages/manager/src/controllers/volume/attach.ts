/**
 * The state machine of attaching and detaching. `spec.nodeID` is where the volume is wanted, `status.currentNodeID`
 * where it is.
 *
 *   opening:  every replica whose process can run is started, then the engine with all that run, the last of which are
 *             waited for a while: it decides by their records which count. A volume is attached once its engine serves;
 *             an engine that waits for a replica gets it as soon as it is there.
 *   closing:  the engine first, then the replicas.
 *   an engine that dies while attached is started again in place by its own controller; the device stays.
 */
import { strict as assert } from 'node:assert';
import type { Engine, Replica } from '@longhorn/shared-types';
import { parseTime, rfc3339 } from '../../clock.ts';
import { limits } from '../../limits.ts';
import { findCondition } from '../conditions.ts';
import { setRobustness } from './replica-modes.ts';
import {
  block,
  engineServes,
  isDeleting,
  launchability,
  markFailed,
  modeOf,
  requeue,
  type VolumeDraft,
  type VolumeWorld,
} from './world.ts';

export function moveAttachment(world: VolumeWorld, draft: VolumeDraft): void {
  const { spec, status } = draft.volume;
  const wanted = spec.nodeID;
  const current = status.currentNodeID;
  if (wanted !== '' && (current === '' || current === wanted)) {
    if (status.state === 'detached' && current === '') status.state = 'attaching';
    if (status.state === 'attaching' && current === '') {
      if (open(world, draft)) {
        status.currentNodeID = wanted;
        status.state = 'attached';
        draft.events.push({
          type: 'Normal',
          reason: 'Attached',
          message: `volume ${draft.volume.metadata.name} has been attached to ${wanted}`,
        });
      }
      return;
    }
    if (status.state === 'attached' && current === wanted) {
      open(world, draft);
      return;
    }
  }
  closeStep(world, draft);
}

function closeStep(world: VolumeWorld, draft: VolumeDraft): void {
  const { status } = draft.volume;
  const stopped = close(world, draft);
  if (status.state === 'detached' && status.currentNodeID === '') return;
  if (status.state !== 'detaching') {
    status.state = 'detaching';
    return;
  }
  if (!stopped) return;
  status.currentNodeID = '';
  status.state = 'detached';
  draft.events.push({
    type: 'Normal',
    reason: 'Detached',
    message: `volume ${draft.volume.metadata.name} has been detached`,
  });
}

/** True once the engine serves. */
function open(world: VolumeWorld, draft: VolumeDraft): boolean {
  const { volume, engine } = draft;
  assert(engine !== null, 'a volume past creating has an engine');
  if (volume.status.currentImage !== volume.spec.image && volume.status.state !== 'attached') {
    block(
      draft,
      'EngineImage',
      volume.spec.image,
      'the engine image of the volume is being changed',
      'attaches once all replicas have the image',
    );
    return false;
  }
  const serves = engineServes(engine);
  const usable = draft.replicas.filter((replica) => isUsable(draft, engine, replica));
  for (const replica of usable) wantProcess(world, draft, replica, serves);
  if (engine.spec.nodeID !== '' && engine.spec.nodeID !== volume.spec.nodeID) {
    block(draft, 'Engine', engine.metadata.name, `the engine is on node ${engine.spec.nodeID}`, 'detaches first');
    return false;
  }
  const map = addressMap(engine, usable, serves);
  const hasOne = Object.keys(map).length > 0;
  if (engine.spec.desireState !== 'running' && mustWait(world, draft, usable, hasOne)) return false;
  if (engine.spec.desireState !== 'running' && !hasOne) {
    if (usable.length === 0)
      block(draft, 'Volume', volume.metadata.name, 'no replica is scheduled', 'attaches once a replica has a place');
    return false;
  }
  Object.assign(engine.spec, {
    nodeID: volume.spec.nodeID,
    replicaAddressMap: map,
    desireState: 'running',
    disableFrontend: volume.status.frontendDisabled,
    frontend: volume.spec.frontend,
  });
  return serves;
}

function isUsable(draft: VolumeDraft, engine: Engine, replica: Replica): boolean {
  return (
    replica.spec.nodeID !== '' &&
    replica.spec.active &&
    !isDeleting(replica) &&
    !draft.deletions.some(({ name }) => name === replica.metadata.name) &&
    replica.spec.image === draft.volume.status.currentImage &&
    replica.spec.engineName === engine.metadata.name
  );
}

/**
 * While the engine does not serve, all replicas are wanted, failed ones too: only the engine can tell by their records.
 * Once it serves, the failed ones are brought back one by one (replenish.ts), which begins with a stopped process: one
 * that came up too late to be among those that the engine started with ends again.
 */
function wantProcess(world: VolumeWorld, draft: VolumeDraft, replica: Replica, serves: boolean): void {
  if (serves) {
    if (replica.spec.failedAt === '') replica.spec.desireState = 'running';
    else if (modeOf(draft.engine, replica.metadata.name) === '') replica.spec.desireState = 'stopped';
    return;
  }
  if (launchability(world, replica) === 'never') return;
  if (replica.status.currentState !== 'error') {
    const failedMs = parseTime(replica.spec.failedAt);
    const retryMs =
      replica.spec.desireState === 'running' || failedMs === null ? 0 : failedMs + limits.replicaStartRetryMs;
    if (retryMs <= world.nowMs) replica.spec.desireState = 'running';
    else requeue(draft, retryMs);
    return;
  }
  // Its process is gone. Stopped first, it is started again: at once if its instance manager went, later if it failed.
  if (replica.spec.desireState !== 'running') return;
  replica.spec.desireState = 'stopped';
  if (findCondition(replica.status.conditions, 'InstanceCreation')?.status !== 'False') return;
  replica.spec.failedAt = '';
  markFailed(replica, world.nowMs);
}

/** Reason of the blocker whose time tells since when further replicas are waited for. */
const REPLICAS_WAITED_FOR = 'replicas are waited for';

/**
 * A start with all replicas is better than one that has to wait for them or rebuild them; one that may never come must
 * not keep the others from serving. `hasOne`: the engine could start with what runs.
 */
function mustWait(world: VolumeWorld, draft: VolumeDraft, usable: readonly Replica[], hasOne: boolean): boolean {
  const coming = usable.filter(
    (replica) =>
      replica.spec.desireState === 'running' &&
      ['', 'stopped', 'starting', 'stopping'].includes(replica.status.currentState) &&
      launchability(world, replica) !== 'never',
  );
  if (coming.length === 0) return false;
  const untilMs = hasOne ? waitedForSinceMs(world) + limits.startWaitsForReplicasMs : null;
  if (untilMs !== null && untilMs <= world.nowMs) {
    for (const replica of coming) leaveBehind(world, draft, replica);
    return false;
  }
  for (const replica of coming) explainWait(world, draft, replica, untilMs);
  if (untilMs === null) return true;
  const next = `it starts once all replicas that can run do, or with those that do at ${rfc3339(untilMs)}`;
  block(draft, 'Engine', draft.engine?.metadata.name ?? '', REPLICAS_WAITED_FOR, next);
  requeue(draft, untilMs);
  return true;
}

/** Kept with the volume, so that another manager that takes it over does not begin anew. Whole seconds. */
function waitedForSinceMs({ volume, nowMs }: VolumeWorld): number {
  const blocker = volume.status.blockedBy.find(
    ({ kind, reason }) => kind === 'Engine' && reason === REPLICAS_WAITED_FOR,
  );
  return parseTime(blocker?.since ?? '') ?? parseTime(rfc3339(nowMs)) ?? nowMs;
}

/**
 * The engine starts without it. Its process is still wanted, in case the engine cannot serve without what it holds; if
 * it can, the replica is brought up to date or replaced as any that failed.
 */
function leaveBehind(world: VolumeWorld, draft: VolumeDraft, replica: Replica): void {
  // The first record is made of those that have not failed.
  if ((draft.engine?.status.membership ?? null) === null) return;
  markFailed(replica, world.nowMs);
  replica.spec.desireState = 'running';
}

function explainWait(world: VolumeWorld, draft: VolumeDraft, replica: Replica, untilMs: number | null): void {
  const { nodeID } = replica.spec;
  const isSoon = launchability(world, replica) === 'soon';
  block(
    draft,
    'Replica',
    replica.metadata.name,
    isSoon ? `the instance manager of node ${nodeID} is starting` : `its process is being started on node ${nodeID}`,
    untilMs === null
      ? 'the engine starts once all replicas that can run do'
      : `the engine starts with it, or without it at ${rfc3339(untilMs)}`,
  );
}

function addressMap(engine: Engine, usable: readonly Replica[], serves: boolean): Record<string, string> {
  const entries = usable.flatMap((replica): [string, string][] => {
    const { name } = replica.metadata;
    const mode = modeOf(engine, name);
    const known = engine.spec.replicaAddressMap[name];
    // The data path decides when a replica that it uses is gone, not what a node's heartbeat says.
    if (serves && known !== undefined && (mode === 'RW' || mode === 'WO')) return [[name, known]];
    const { storageIP, port, currentState } = replica.status;
    if (replica.spec.desireState !== 'running' || currentState !== 'running' || storageIP === '' || port === 0)
      return [];
    if (serves && (replica.spec.failedAt !== '' || mode === 'ERR')) return [];
    return [[name, formatAddress(storageIP, port)]];
  });
  return Object.fromEntries(entries.toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

export function formatAddress(ip: string, port: number): string {
  return ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`;
}

/** True once the engine and all replicas are stopped. */
export function close(world: VolumeWorld, draft: VolumeDraft): boolean {
  const { volume, engine } = draft;
  if (volume.status.robustness !== 'faulted') setRobustness(draft, 'unknown', world.nowMs);
  if (engine !== null) {
    Object.assign(engine.spec, { nodeID: '', desireState: 'stopped', replicaAddressMap: {} });
    if (!isStopped(engine)) {
      block(
        draft,
        'Engine',
        engine.metadata.name,
        `it is ${engine.status.currentState}`,
        'the replicas are stopped after it',
      );
      return false;
    }
  }
  const dataExists = draft.replicas.some((replica) => replica.spec.healthyAt !== '');
  for (const replica of draft.replicas) {
    if (dataExists && replica.spec.healthyAt === '' && replica.spec.failedAt === '') {
      // It was being rebuilt.
      markFailed(replica, world.nowMs);
      if (replica.spec.nodeID === '' || replica.spec.diskID === '')
        replica.spec.rebuildRetryCount = limits.rebuildRetriesMax;
    }
    replica.spec.desireState = 'stopped';
  }
  const running = draft.replicas.filter((replica) => !isStopped(replica));
  for (const replica of running) {
    block(
      draft,
      'Replica',
      replica.metadata.name,
      `it is ${replica.status.currentState}`,
      'the volume is detached once it has stopped',
    );
  }
  return running.length === 0;
}

function isStopped(instance: Engine | Replica): boolean {
  return instance.status.currentState === 'stopped' || instance.status.currentState === '';
}
