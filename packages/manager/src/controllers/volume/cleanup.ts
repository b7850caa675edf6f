/**
 * Removes replicas that are of no more use. None goes that holds the newest data, nor the last good one: whatever a rule
 * says, `isDispensable` has the last word for those without a place in the engine, and for those in it there must be
 * enough others.
 */
import type { Replica } from '@longhorn/shared-types';
import { parseTime } from '../../clock.ts';
import { limits } from '../../limits.ts';
import { isDispensable } from './membership.ts';
import { autoBalance } from './placement.ts';
import { isDeleting, isGood, modeOf, requeue, type VolumeDraft, type VolumeWorld } from './world.ts';

export function cleanUpReplicas(world: VolumeWorld, draft: VolumeDraft): void {
  const { spec, status } = draft.volume;
  if (spec.migrationNodeID !== '' || status.currentMigrationNodeID !== '') return;
  removeStale(world, draft);
  removeUnplaced(draft);
  removeSurplus(world, draft);
}

function remove(draft: VolumeDraft, replica: Replica): void {
  draft.deletions.push({ kind: 'Replica', name: replica.metadata.name });
}

function remaining(draft: VolumeDraft): Replica[] {
  return draft.replicas.filter(
    (replica) => !isDeleting(replica) && !draft.deletions.some(({ name }) => name === replica.metadata.name),
  );
}

function removeStale(world: VolumeWorld, draft: VolumeDraft): void {
  const { spec, status } = draft.volume;
  for (const replica of remaining(draft)) {
    if (replica.spec.failedAt === '' || !isDispensable(draft, replica)) continue;
    const failedMs = parseTime(replica.spec.failedAt) ?? world.nowMs;
    const expiresMs = failedMs + spec.staleReplicaTimeout * 60_000;
    const expires = spec.staleReplicaTimeout > 0;
    const spent = replica.spec.rebuildRetryCount >= limits.rebuildRetriesMax;
    // All wanted replicas are good: this one has been replaced.
    const replaced = status.robustness === 'healthy';
    const outdated = replica.spec.image !== spec.image && status.currentImage === spec.image;
    if (spent || replaced || outdated || (expires && expiresMs <= world.nowMs)) remove(draft, replica);
    else if (expires) requeue(draft, expiresMs);
  }
}

function removeUnplaced(draft: VolumeDraft): void {
  const { spec, status } = draft.volume;
  if (draft.replicas.some((replica) => replica.spec.evictionRequested)) return;
  const good = draft.replicas.filter(isGood).length;
  for (const replica of remaining(draft)) {
    if (replica.spec.nodeID !== '' || replica.spec.healthyAt !== '') continue;
    const forLocality = spec.dataLocality === 'disabled' && replica.spec.hardNodeAffinity !== '';
    const notNeeded = good >= spec.numberOfReplicas && replica.spec.hardNodeAffinity !== status.currentNodeID;
    if (forLocality || (notNeeded && status.currentNodeID !== '')) remove(draft, replica);
  }
}

/** More good replicas than wanted: one goes per pass, and only while all of them are in the engine. */
function removeSurplus(world: VolumeWorld, draft: VolumeDraft): void {
  const { engine, volume } = draft;
  if (engine === null || volume.status.robustness !== 'healthy') return;
  const rw = remaining(draft).filter((replica) => isGood(replica) && modeOf(engine, replica.metadata.name) === 'RW');
  if (rw.length <= volume.spec.numberOfReplicas) return;
  // One that was deleted before must have left the engine first.
  if (draft.replicas.some((replica) => isDeleting(replica) && modeOf(engine, replica.metadata.name) !== '')) return;
  const chosen = surplusReplica(world, draft, rw);
  if (chosen !== null) remove(draft, chosen);
}

function surplusReplica(world: VolumeWorld, draft: VolumeDraft, rw: readonly Replica[]): Replica | null {
  const evicting = rw.filter((replica) => replica.spec.evictionRequested).toSorted(byName);
  if (evicting[0] !== undefined) return evicting[0];
  const node = draft.engine?.spec.nodeID ?? '';
  const preferred = crowded(rw);
  if (draft.volume.spec.dataLocality !== 'disabled' && rw.some((replica) => replica.spec.nodeID === node))
    return preferred.toSorted(byName).find((replica) => replica.spec.nodeID !== node) ?? null;
  if (autoBalance(world, draft) === 'disabled') return null;
  return preferred.toSorted((a, b) => available(world, a) - available(world, b) || byName(a, b))[0] ?? null;
}

function byName(a: Replica, b: Replica): number {
  return a.metadata.name.localeCompare(b.metadata.name);
}

/** Those that share a disk, else a node, else a zone is not told apart here: all. */
function crowded(replicas: readonly Replica[]): readonly Replica[] {
  for (const keyOf of [(r: Replica) => r.spec.diskID, (r: Replica) => r.spec.nodeID]) {
    const groups = Map.groupBy(replicas, keyOf);
    const largest = [...groups.values()].toSorted((a, b) => b.length - a.length)[0];
    if (largest !== undefined && largest.length > 1) return largest;
  }
  return replicas;
}

function available(world: VolumeWorld, replica: Replica): number {
  const node = world.candidateNodes.find(({ name }) => name === replica.spec.nodeID);
  return node?.disks.find(({ uuid }) => uuid === replica.spec.diskID)?.availableBytes ?? 0;
}
