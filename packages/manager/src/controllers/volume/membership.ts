/**
 * Which replicas may go for good. The membership record names the replicas that hold the newest data; one that it names
 * is deleted only when the record can first be written without it: by the running engine, or, with the volume detached
 * and its last engine known to be gone, by this controller (a `decided` record). The last holder stays.
 */
import type { Engine, Replica } from '@longhorn/shared-types';
import { OWN_ANNOTATION } from '../../own-annotations.ts';
import { nodeIsDeleted, nodeIsDownOrDeleted } from '../ownership.ts';
import { block, engineServes, hasHadData, isDeleting, modeOf, type VolumeDraft, type VolumeWorld } from './world.ts';

export type Membership = NonNullable<Engine['status']['membership']>;

/** The record names the replica, or the engine uses it. */
export function holdsNewestData(engine: Engine | null, replica: Replica): boolean {
  const { name } = replica.metadata;
  if (['RW', 'WO'].includes(modeOf(engine, name))) return true;
  const membership = engine?.status.membership ?? null;
  return membership === null ? hasHadData(replica) : membership.members.includes(name);
}

/** Deleting the replica on our own loses nothing: others serve without it, or it never had data. */
export function isDispensable(draft: VolumeDraft, replica: Replica): boolean {
  const { engine } = draft;
  if (holdsNewestData(engine, replica)) return false;
  if (!hasHadData(replica) && replica.spec.failedAt === '') return true;
  return engineServes(engine) && goodElsewhere(draft, replica) > 0;
}

/** Good replicas of the serving engine besides this one. */
export function goodElsewhere(draft: VolumeDraft, replica: Replica): number {
  return draft.replicas.filter(
    (other) =>
      other.metadata.name !== replica.metadata.name &&
      !isDeleting(other) &&
      modeOf(draft.engine, other.metadata.name) === 'RW' &&
      !draft.deletions.some(({ name }) => name === other.metadata.name),
  ).length;
}

/** The last engine cannot be running any more. */
function engineIsKnownStopped(world: VolumeWorld, engine: Engine): boolean {
  const { currentState, started, starting } = engine.status;
  if (engine.spec.desireState !== 'stopped' || started || starting) return false;
  if (currentState !== 'stopped' && currentState !== '') return false;
  const unconfirmed = engine.metadata.annotations[OWN_ANNOTATION.unconfirmedStop] ?? '';
  if (unconfirmed === '') return true;
  const node = world.nodes.get(unconfirmed) ?? null;
  // The word of a person, unless the node itself says otherwise.
  return nodeIsDeleted(node) || (world.outOfServiceNodes.has(unconfirmed) && nodeIsDownOrDeleted(node));
}

/**
 * Somebody deleted replicas of a detached volume: the record that goes without them, or null if nothing is to be
 * written. What cannot be let go is said in the volume's blockers; its object then stays, deleting.
 */
export function decideDeletedMembers(world: VolumeWorld, draft: VolumeDraft): Membership | null {
  const { engine, volume } = draft;
  const membership = engine?.status.membership ?? null;
  if (engine === null || membership === null || volume.status.state !== 'detached') return null;
  const going = draft.replicas.filter(
    (replica) => isDeleting(replica) && membership.members.includes(replica.metadata.name),
  );
  if (going.length === 0) return null;
  if (!engineIsKnownStopped(world, engine)) {
    for (const replica of going) {
      block(
        draft,
        'Replica',
        replica.metadata.name,
        'it is to be deleted, but the last engine of the volume may still run',
        'deleted once the node of that engine is back, removed or tainted out-of-service',
      );
    }
    return null;
  }
  // Of an engine whose end nobody saw, the newest record may be known to the replicas alone.
  const isRecordKnown = (engine.metadata.annotations[OWN_ANNOTATION.unconfirmedStop] ?? '') === '';
  const forced = going.filter((replica) => replica.metadata.annotations[OWN_ANNOTATION.forceDelete] === 'true');
  const names = new Set(going.map((replica) => replica.metadata.name));
  const others = draft.replicas.filter(
    ({ metadata }) => membership.members.includes(metadata.name) && !names.has(metadata.name),
  );
  const isHeldElsewhere = others.some(({ spec }) => !nodeIsDownOrDeleted(world.nodes.get(spec.nodeID) ?? null));
  const removable = isRecordKnown && isHeldElsewhere ? going : forced;
  if (removable.length === 0) {
    for (const { metadata } of going) blockDeletion(draft, metadata.name, others.length > 0, isRecordKnown);
    return null;
  }
  const gone = new Set(removable.map((replica) => replica.metadata.name));
  return decidedRecord(
    nextEpoch(engine),
    membership.members.filter((name) => !gone.has(name)),
  );
}

function blockDeletion(draft: VolumeDraft, name: string, hasOthers: boolean, isRecordKnown: boolean): void {
  const force = `set the annotation ${OWN_ANNOTATION.forceDelete}=true on it to lose what it holds`;
  if (!hasOthers) {
    const reason = 'it is to be deleted, but it is the last that holds the newest data';
    block(draft, 'Replica', name, reason, `kept; ${force}`);
  } else if (!isRecordKnown) {
    const reason =
      'it is to be deleted, but the node of the last engine was lost, and which replicas are newest is not sure';
    block(draft, 'Replica', name, reason, `deleted once the volume was attached; ${force}`);
  } else {
    const reason = 'it is to be deleted, but the nodes of all others that hold the newest data are down';
    block(draft, 'Replica', name, reason, `deleted once one of them is back; ${force}`);
  }
}

/**
 * The epoch of a record above every one that any engine may have written: one that none was given. The control plane's
 * copy may lag behind the replicas', so a higher count in a known epoch would not do.
 */
function nextEpoch(engine: Engine): number {
  return Math.max(engine.spec.epoch, engine.status.currentEpoch, engine.status.membership?.epoch ?? 0) + 1;
}

function decidedRecord(epoch: number, members: readonly string[]): Membership {
  return { epoch, count: 1, members: members.toSorted(), decided: true };
}

/** A person wants the volume to start from these replicas, whatever the others hold. Null if nothing is asked or can be. */
export function decideForcedStart(world: VolumeWorld, draft: VolumeDraft): Membership | null {
  const { engine, volume } = draft;
  const wish = volume.metadata.annotations[OWN_ANNOTATION.forceStartFrom] ?? '';
  if (engine === null) return null;
  if (wish === '') {
    delete engine.metadata.annotations[OWN_ANNOTATION.forcedStart];
    return null;
  }
  const { name } = volume.metadata;
  const names = wish
    .split(',')
    .map((text) => text.trim())
    .filter((text) => text !== '');
  const before = carriedOutIn(engine, wish);
  if (before !== null) {
    delete volume.metadata.annotations[OWN_ANNOTATION.forceStartFrom];
    // Only the epoch was stored, not the record; nothing else has been started since.
    const isHalfDone = engine.spec.epoch === before && (engine.status.membership?.epoch ?? 0) < before;
    return isHalfDone ? decidedRecord(before, names) : null;
  }
  const unknown = names.filter((text) => !draft.replicas.some(({ metadata }) => metadata.name === text));
  if (names.length === 0 || unknown.length > 0) {
    block(
      draft,
      'Volume',
      name,
      `the annotation ${OWN_ANNOTATION.forceStartFrom} names no replica of it: ${unknown.join(', ')}`,
      'correct or remove the annotation',
    );
    return null;
  }
  if (volume.status.state !== 'detached' || !engineIsKnownStopped(world, engine)) {
    block(
      draft,
      'Volume',
      name,
      `it is to start from ${names.join(', ')}, but it is not detached, or its last engine may still run`,
      'decided once it is detached and the engine is known to be gone',
    );
    return null;
  }
  delete volume.metadata.annotations[OWN_ANNOTATION.forceStartFrom];
  const record = decidedRecord(nextEpoch(engine), names);
  engine.metadata.annotations[OWN_ANNOTATION.forcedStart] = `${wish}@${record.epoch}`;
  return record;
}

/** The epoch of the record that was decided by this very wish; null: it was not carried out. */
function carriedOutIn(engine: Engine, wish: string): number | null {
  const done = engine.metadata.annotations[OWN_ANNOTATION.forcedStart] ?? '';
  return done.startsWith(`${wish}@`) ? Number(done.slice(wish.length + 1)) : null;
}
