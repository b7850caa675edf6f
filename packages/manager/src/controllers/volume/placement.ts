/** The scheduler's view of one volume, and writing a chosen place into a replica. */
import { engineImageName, replicaDataDirectoryName, type Replica } from '@longhorn/shared-types';
import { parseTime } from '../../clock.ts';
import { limits } from '../../limits.ts';
import { findCandidates, type Candidate, type CandidateSearch, type SearchResult } from '../../scheduler/candidates.ts';
import type { PlacedReplica, PlacementRules } from '../../scheduler/scheduling-world.ts';
import { isDeleting, type VolumeDraft, type VolumeWorld } from './world.ts';

function choice(ofVolume: string, setting: boolean): boolean {
  if (ofVolume === 'enabled') return true;
  return ofVolume === 'disabled' ? false : setting;
}

export function placementRules(world: VolumeWorld, draft: VolumeDraft): PlacementRules {
  const { spec, status } = draft.volume;
  const { settings } = world;
  return {
    sizeBytes: Number(spec.size),
    actualBytes: status.actualSize,
    imageName: engineImageName(status.currentImage),
    diskSelector: spec.diskSelector,
    nodeSelector: spec.nodeSelector,
    allowEmptyDiskSelector: settings.get('allow-empty-disk-selector-volume'),
    allowEmptyNodeSelector: settings.get('allow-empty-node-selector-volume'),
    nodeSoft: choice(spec.replicaSoftAntiAffinity, settings.get('replica-soft-anti-affinity')),
    zoneSoft: choice(spec.replicaZoneSoftAntiAffinity, settings.get('replica-zone-soft-anti-affinity')),
    diskSoft: choice(spec.replicaDiskSoftAntiAffinity, settings.get('replica-disk-soft-anti-affinity')),
    balancesBestEffort: autoBalance(world, draft) === 'best-effort',
    space: {
      overProvisioningPercentage: settings.get('storage-over-provisioning-percentage'),
      minimalAvailablePercentage: settings.get('storage-minimal-available-percentage'),
    },
  };
}

export function autoBalance(world: VolumeWorld, draft: VolumeDraft): string {
  const own = draft.volume.spec.replicaAutoBalance;
  return own === 'ignored' ? world.settings.get('replica-auto-balance') : own;
}

/** Failed, but its data is there and may be brought up to date. */
export function isPotentiallyReusable(replica: Replica): boolean {
  const { failedAt, nodeID, diskID, rebuildRetryCount, evictionRequested, active } = replica.spec;
  return (
    failedAt !== '' &&
    nodeID !== '' &&
    diskID !== '' &&
    rebuildRetryCount < limits.rebuildRetriesMax &&
    !evictionRequested &&
    active &&
    !isDeleting(replica)
  );
}

/** When a new replica may replace those that are away; null = at once. */
export function replacementAtMs(world: VolumeWorld, draft: VolumeDraft): number | null {
  const { robustness, lastDegradedAt } = draft.volume.status;
  if (robustness !== 'degraded' || !draft.replicas.some(isPotentiallyReusable)) return null;
  const sinceMs = parseTime(lastDegradedAt);
  if (sinceMs === null) return null;
  const atMs = sinceMs + world.settings.get('replica-replenishment-wait-interval') * 1000;
  return atMs > world.nowMs ? atMs : null;
}

function placed(draft: VolumeDraft, replica: Replica): PlacedReplica {
  return {
    name: replica.metadata.name,
    nodeId: replica.spec.nodeID,
    diskId: replica.spec.diskID,
    sizeBytes: Number(replica.spec.volumeSize),
    failed: replica.spec.failedAt !== '',
    deleting: isDeleting(replica) || draft.deletions.some(({ name }) => name === replica.metadata.name),
    evicting: replica.spec.evictionRequested,
    reusable: isPotentiallyReusable(replica),
    active: replica.spec.active,
  };
}

export function searchPlaces(
  world: VolumeWorld,
  draft: VolumeDraft,
  options: { hardNodeAffinity: string; onlyDisks?: readonly string[]; except?: string },
): SearchResult {
  const search: CandidateSearch = {
    nodes: world.candidateNodes,
    replicas: [...draft.replicas, ...draft.newReplicas]
      .filter((replica) => replica.metadata.name !== options.except)
      .map((replica) => placed(draft, replica)),
    rules: placementRules(world, draft),
    hardNodeAffinity: options.hardNodeAffinity,
    replacementDue: draft.volume.status.robustness === 'degraded' && replacementAtMs(world, draft) === null,
    onlyDisks: options.onlyDisks ?? null,
    ignoreFailed: options.onlyDisks !== undefined,
  };
  return findCandidates(search);
}

/** Gives the replica its place; the disk counts it from now on in this pass. */
export function place(world: VolumeWorld, replica: Replica, { node, disk }: Candidate): void {
  Object.assign(replica.spec, {
    nodeID: node.name,
    diskID: disk.uuid,
    diskPath: disk.path,
    dataDirectoryName: replica.spec.dataDirectoryName || replicaDataDirectoryName(replica.spec.volumeName, world.hex()),
  });
  disk.scheduledBytes += Number(replica.spec.volumeSize);
}
