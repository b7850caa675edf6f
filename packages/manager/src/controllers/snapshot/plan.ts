/** A Snapshot object against the engine of its volume: what its status is and what the engine is to do. Pure. */
import type { Engine, Snapshot, Volume } from '@longhorn/shared-types';

export interface SnapshotWorld {
  snapshot: Snapshot;
  /** Null or deleting: the snapshot just goes. */
  volume: Volume | null;
  engine: Engine | null;
  purgeDisabled: boolean;
  /** A volume is being copied from it. */
  isBeingCopied: boolean;
}

export type SnapshotAction =
  | { kind: 'none' }
  /** Let the object go. */
  | { kind: 'release' }
  | { kind: 'create' }
  /** Mark as removed, unless it is, and purge. */
  | { kind: 'remove'; mark: boolean };

export interface SnapshotPlan {
  status: Snapshot['status'];
  action: SnapshotAction;
  /** The volume must be attached for this. */
  needsTicket: boolean;
}

const LOST = 'lost track of the corresponding snapshot info inside volume engine';

export function planSnapshot(world: SnapshotWorld): SnapshotPlan {
  const { snapshot, volume, engine } = world;
  const status = structuredClone(snapshot.status);
  const deleting = snapshot.metadata.deletionTimestamp !== null;
  const plan: SnapshotPlan = { status, action: { kind: 'none' }, needsTicket: false };
  if (volume === null || volume.metadata.deletionTimestamp !== null) {
    if (deleting) plan.action = { kind: 'release' };
    return plan;
  }
  if (engine === null) return plan;
  const running = engine.status.currentState === 'running' && engine.status.snapshots['volume-head'] !== undefined;
  const listed = engine.status.snapshots[snapshot.metadata.name] ?? null;
  if (deleting) planRemoval(world, plan, running, engine);
  else if (snapshot.spec.createSnapshot && status.creationTime === '' && listed === null) {
    plan.needsTicket = true;
    if (running) plan.action = { kind: 'create' };
    else
      status.error = `failed to take snapshot because the volume engine ${engine.metadata.name} is not running. Waiting for the volume to be attached`;
    return plan;
  }
  if (listed !== null) copyFacts(status, listed, engine, deleting);
  else if (running && !deleting) {
    status.readyToUse = false;
    if (status.creationTime !== '') status.error = LOST;
  }
  return plan;
}

function planRemoval(
  { snapshot, purgeDisabled, isBeingCopied }: SnapshotWorld,
  plan: SnapshotPlan,
  running: boolean,
  engine: Engine,
): void {
  const listed = engine.status.snapshots[snapshot.metadata.name] ?? null;
  if (listed === null && running && engine.status.snapshotsError === '') {
    plan.action = { kind: 'release' };
    return;
  }
  // It cannot be merged while the head rests on it; a later snapshot changes that.
  if (listed !== null && listed.children['volume-head'] === true && listed.removed) return;
  if (purgeDisabled) return;
  if (isBeingCopied) {
    plan.status.error = 'a volume is being copied from it; it is deleted after that';
    return;
  }
  plan.needsTicket = true;
  if (!running) {
    plan.status.error = `failed to delete snapshot because the volume engine ${engine.metadata.name} is not running. Will reenqueue and retry later`;
    return;
  }
  const rebuilding = Object.values(engine.status.replicaModeMap).includes('WO');
  const purging = Object.values(engine.status.purgeStatus).some(({ isPurging }) => isPurging);
  if (!rebuilding && !purging && listed !== null) plan.action = { kind: 'remove', mark: !listed.removed };
}

function copyFacts(
  status: Snapshot['status'],
  listed: Engine['status']['snapshots'][string],
  engine: Engine,
  deleting: boolean,
): void {
  Object.assign(status, {
    parent: listed.parent,
    children: { ...listed.children },
    markRemoved: listed.removed,
    userCreated: listed.usercreated,
    creationTime: listed.created,
    size: Number(listed.size),
    labels: { ...listed.labels },
    restoreSize: Number(engine.spec.volumeSize),
    readyToUse: !listed.removed && !deleting,
    error: '',
  });
}
