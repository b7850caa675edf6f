/** What a running engine said last, and writing it into the Engine's status. Pure. */
import type { Engine } from '@longhorn/shared-types';
import type {
  ReplicaRebuildStatusResponse,
  SnapshotCloneStatusResponse,
  SnapshotPurgeStatusResponse,
} from '@longhorn/shared-types/generated/ptypes';
import { ReplicaMode } from '@longhorn/shared-types/generated/ptypes';
import type { EngineSnapshotDiskInfo } from '@longhorn/shared-types/generated/imrpc';
import { rfc3339 } from '../../clock.ts';
import type { EngineVolume, MembershipRecord } from '../../instance-client/instance-managers.ts';

type EngineStatus = Engine['status'];
export type Membership = NonNullable<EngineStatus['membership']>;

export interface EngineObservation {
  volume: EngineVolume;
  /** Null until the first list. */
  snapshots: Record<string, EngineSnapshotDiskInfo> | null;
  snapshotsError: string;
  rebuilds: Record<string, ReplicaRebuildStatusResponse>;
  purges: Record<string, SnapshotPurgeStatusResponse>;
  /** Null unless a copy is asked for and was looked at. */
  clones: Record<string, SnapshotCloneStatusResponse> | null;
}

/** Negative when `left` is older. */
export function compareGenerations(
  left: { epoch: number; count: number },
  right: { epoch: number; count: number },
): number {
  return left.epoch - right.epoch || left.count - right.count;
}

export function asMembership(record: MembershipRecord): Membership {
  return { epoch: record.epoch, count: record.count, members: record.members.toSorted(), decided: record.decided };
}

function modeName(mode: number): 'WO' | 'RW' | 'ERR' {
  if (mode === ReplicaMode.RW) return 'RW';
  return mode === ReplicaMode.WO ? 'WO' : 'ERR';
}

/** `tcp://10.0.0.1:10000` -> `10.0.0.1:10000`. */
export function bareAddress(url: string): string {
  return url.replace(/^tcp:\/\//, '');
}

/** Name of a replica of the engine that the address map does not know. */
export function unknownName(url: string): string {
  return `UNKNOWN-${url}`;
}

/** Replica names to modes; an address that is not in the map is `UNKNOWN-<url>`. */
export function modesOf(volume: EngineVolume, addressMap: Readonly<Record<string, string>>): Record<string, string> {
  const names = new Map(Object.entries(addressMap).map(([name, address]) => [address, name]));
  const entries = volume.replicas.map((replica): [string, string] => {
    const url = replica.address?.address ?? '';
    return [names.get(bareAddress(url)) ?? unknownName(url), modeName(replica.mode)];
  });
  return Object.fromEntries(entries.toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

/** Changes the status in place. */
export function applyObservation(status: EngineStatus, observation: EngineObservation, nowMs: number): void {
  const { volume } = observation;
  applyModes(status, volume, nowMs);
  Object.assign(status, {
    currentEpoch: volume.epoch,
    ioState: volume.ioState,
    ioReason: volume.ioReason,
    ioSince: volume.ioSince,
    endpoint: volume.endpoint,
    currentSize: String(volume.size),
    isExpanding: volume.isExpanding,
    lastExpansionError: volume.last_expansion_error,
    lastExpansionFailedAt: volume.last_expansion_failed_at,
    unmapMarkSnapChainRemovedEnabled: volume.unmap_mark_snap_chain_removed,
    snapshotMaxCount: volume.snapshot_max_count,
    snapshotMaxSize: String(volume.snapshot_max_size),
    snapshotsError: observation.snapshotsError,
  });
  const record = volume.membership;
  if (record !== null && (status.membership === null || compareGenerations(record, status.membership) > 0))
    status.membership = asMembership(record);
  if (observation.snapshots !== null) status.snapshots = snapshotsOf(observation.snapshots);
  status.rebuildStatus = Object.fromEntries(
    Object.entries(observation.rebuilds).map(([url, rebuild]) => [
      url,
      {
        appliedRebuildingMBps: 0,
        error: rebuild.error,
        fromReplicaAddress: rebuild.from_replica_address,
        isRebuilding: rebuild.is_rebuilding,
        progress: rebuild.progress,
        state: rebuild.state,
      },
    ]),
  );
  status.purgeStatus = Object.fromEntries(
    Object.entries(observation.purges).map(([url, purge]) => [
      url,
      { error: purge.error, isPurging: purge.is_purging, progress: purge.progress, state: purge.state },
    ]),
  );
}

function applyModes(status: EngineStatus, volume: EngineVolume, nowMs: number): void {
  const modes = modesOf(volume, status.currentReplicaAddressMap);
  const times: Record<string, string> = {};
  for (const [name, mode] of Object.entries(modes)) {
    const known = status.replicaModeMap[name] === mode ? status.replicaTransitionTimeMap[name] : undefined;
    times[name] = known ?? rfc3339(nowMs);
  }
  status.replicaModeMap = modes;
  status.replicaTransitionTimeMap = times;
}

function snapshotsOf(disks: Record<string, EngineSnapshotDiskInfo>): EngineStatus['snapshots'] {
  return Object.fromEntries(
    Object.entries(disks)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, disk]) => [
        name,
        {
          name: disk.name,
          parent: disk.parent,
          children: Object.fromEntries(Object.entries(disk.children).toSorted(([a], [b]) => (a < b ? -1 : 1))),
          removed: disk.removed,
          usercreated: disk.user_created,
          created: disk.created,
          size: disk.size,
          labels: disk.labels,
        },
      ]),
  );
}

/** Nothing is known of an engine that does not run; what the volume needs to be told later stays. */
export function clearObservation(status: EngineStatus): void {
  Object.assign(status, {
    endpoint: '',
    lastRestoredBackup: '',
    replicaModeMap: {},
    replicaTransitionTimeMap: {},
    restoreStatus: {},
    purgeStatus: {},
    rebuildStatus: {},
    lastExpansionError: '',
    lastExpansionFailedAt: '',
    isExpanding: false,
    ioState: '',
    ioReason: '',
    ioSince: '',
  });
}

/** Growth of the head alone is written only in steps: it changes all the time. */
export function isMaterialGrowth(before: Engine, after: Engine): boolean {
  const head = (engine: Engine): number => Number(engine.status.snapshots['volume-head']?.size ?? 0);
  const volumeBytes = Number(after.spec.volumeSize);
  const step = Math.min(volumeBytes / 1024, 100 * 1024 * 1024);
  return Math.abs(head(after) - head(before)) >= step;
}
