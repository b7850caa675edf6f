/**
 * What a pass over one volume sees (`VolumeWorld`, never changed) and what it wants (`VolumeDraft`: copies that the
 * steps change, and objects to create and delete). The steps are pure: same world, same draft.
 */
import type {
  Engine,
  EngineImage,
  InstanceManager,
  Node,
  Replica,
  Snapshot,
  Volume,
  VolumeAttachment,
} from '@longhorn/shared-types';
import type { EventRecord } from '../../datastore/event-recorder.ts';
import type { BlockDevice } from '../../io/block-device.ts';
import type { CandidateNode } from '../../scheduler/scheduling-world.ts';
import { rfc3339 } from '../../clock.ts';
import { nodeIsDownOrDeleted } from '../ownership.ts';
import type { SettingsView } from '../settings-view.ts';

/** What a copy is made from, as far as it is there. */
export interface CloneSource {
  volume: Volume | null;
  engine: Engine | null;
  /** Snapshots of that volume. */
  snapshots: readonly Snapshot[];
}

export interface VolumeWorld {
  nowMs: number;
  /** 8 random hex digits at each call. */
  hex: () => string;
  volume: Volume;
  engines: readonly Engine[];
  replicas: readonly Replica[];
  attachment: VolumeAttachment | null;
  /** The block device that the volume is served by; null: not served, by no device, or not to be seen from here. */
  device: BlockDevice | null;
  snapshotNames: readonly string[];
  /** Null for a volume that is no copy. */
  cloneSource: CloneSource | null;
  nodes: ReadonlyMap<string, Node>;
  /** Nodes that somebody says are shut down. */
  outOfServiceNodes: ReadonlySet<string>;
  instanceManagers: readonly InstanceManager[];
  engineImages: readonly EngineImage[];
  candidateNodes: readonly CandidateNode[];
  settings: SettingsView;
  /** Failed replicas that were tried lately, and when they may be tried again. */
  reuseNotBeforeMs: ReadonlyMap<string, number>;
}

/** Something that keeps the volume from being healthy, without its time. */
export interface Blocker {
  kind: string;
  name: string;
  reason: string;
  next: string;
}

export interface Deletion {
  kind: 'Engine' | 'Replica' | 'Snapshot' | 'VolumeAttachment';
  name: string;
}

export interface VolumeDraft {
  volume: Volume;
  /** The current engine; null before there is one. */
  engine: Engine | null;
  replicas: Replica[];
  newEngine: Engine | null;
  newReplicas: Replica[];
  /** Of another volume, which is copied. */
  newSnapshot: Snapshot | null;
  createsAttachment: boolean;
  deletions: Deletion[];
  events: EventRecord[];
  blockers: Blocker[];
  /** Failed replicas whose data is tried again in this pass. */
  reused: string[];
  requeueAtMs: number | null;
  removesFinalizer: boolean;
}

export function newDraft(world: VolumeWorld): VolumeDraft {
  return {
    volume: structuredClone(world.volume),
    engine: structuredClone(currentEngine(world)),
    replicas: structuredClone([...world.replicas]),
    newEngine: null,
    newReplicas: [],
    newSnapshot: null,
    createsAttachment: false,
    deletions: [],
    events: [],
    blockers: [],
    reused: [],
    requeueAtMs: null,
    removesFinalizer: false,
  };
}

export function currentEngine({ engines, volume }: VolumeWorld): Engine | null {
  const active = engines.filter((engine) => engine.spec.active);
  if (active.length > 0) return active.toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))[0] ?? null;
  const nodes = [volume.spec.nodeID, volume.status.currentNodeID].filter((node) => node !== '');
  return engines.find((engine) => nodes.includes(engine.spec.nodeID)) ?? engines[0] ?? null;
}

export function requeue(draft: VolumeDraft, atMs: number): void {
  draft.requeueAtMs = draft.requeueAtMs === null ? atMs : Math.min(draft.requeueAtMs, atMs);
}

export function block(draft: VolumeDraft, kind: string, name: string, reason: string, next: string): void {
  draft.blockers.push({ kind, name, reason, next });
}

export function isDeleting(object: { metadata: { deletionTimestamp: string | null } }): boolean {
  return object.metadata.deletionTimestamp !== null;
}

/** RW replicas of the running engine, by name. */
export function modeOf(engine: Engine | null, replica: string): string {
  return engine?.status.replicaModeMap[replica] ?? '';
}

/**
 * The engine serves I/O, or holds it only for a moment. An engine without our additions (upstream's) serves once it has
 * a replica.
 */
export function engineServes(engine: Engine | null): boolean {
  if (engine === null || engine.status.currentState !== 'running') return false;
  const hasGood = Object.values(engine.status.replicaModeMap).some((mode) => mode === 'RW');
  return ['serving', 'held', ''].includes(engine.status.ioState) && hasGood;
}

/** The engine gave I/O up: only a new attachment helps. */
export function engineFailedIo(engine: Engine | null): boolean {
  return engine !== null && engine.status.currentState === 'running' && engine.status.ioState === 'failed';
}

/** Writes the failure; the time of the last one stays when it is cleared later. */
export function markFailed(replica: Replica, nowMs: number): void {
  if (replica.spec.failedAt === '') {
    replica.spec.failedAt = rfc3339(nowMs);
    replica.spec.lastFailedAt = replica.spec.failedAt;
  }
  replica.spec.desireState = 'stopped';
}

/** The instance manager that runs the replica or would run it. */
export function instanceManagerFor(world: VolumeWorld, replica: Replica): InstanceManager | null {
  const named = world.instanceManagers.find((im) => im.metadata.name === replica.status.instanceManagerName);
  if (named !== undefined) return named;
  const image = world.settings.get('default-instance-manager-image');
  const onNode = world.instanceManagers.filter(
    (im) => im.spec.nodeID === replica.spec.nodeID && im.spec.dataEngine !== 'v2',
  );
  return onNode.find((im) => im.spec.image === image) ?? onNode[0] ?? null;
}

export type Launchability = 'ready' | 'soon' | 'never';

/** Whether a process of the replica can be started: now, once its instance manager is up, or not as things are. */
export function launchability(world: VolumeWorld, replica: Replica): Launchability {
  if (replica.spec.nodeID === '' || nodeIsDownOrDeleted(world.nodes.get(replica.spec.nodeID) ?? null)) return 'never';
  const manager = instanceManagerFor(world, replica);
  if (manager === null) return 'never';
  if (manager.status.currentState === 'running') return 'ready';
  return manager.status.currentState === 'starting' ? 'soon' : 'never';
}

/** Failed replicas have data, unless they never were good. */
export function hasHadData(replica: Replica): boolean {
  return replica.spec.healthyAt !== '' || replica.spec.lastHealthyAt !== '';
}

export function isGood(replica: Replica): boolean {
  return replica.spec.failedAt === '' && replica.spec.healthyAt !== '' && replica.spec.active && !isDeleting(replica);
}
