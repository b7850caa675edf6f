/** Snapshots across replicas: list, marking for removal, purge. */
import { errorText, withPrefix } from '@longhorn/shared-types/grpc/rpc-error';
import { ReplicaMode, type DiskInfo, type SnapshotPurgeStatusResponse } from '@longhorn/shared-types/generated/ptypes';
import { snapshotNameOf } from './disk-names.ts';
import {
  getReplica,
  isUnimplemented,
  listReplicas,
  modeName,
  onEveryReplica,
  replicaOf,
  statusOfEvery,
  syncAgentOf,
  type EngineFlow,
  type ListedReplica,
} from './flow.ts';

/** A disk in terms of snapshots: its name, parent and children are snapshot names; the head is `volume-head`. */
export type SnapshotInfo = DiskInfo;

/** Snapshots of the RW replica that has most of them, by name; empty without an RW replica. */
export async function listSnapshots(flow: EngineFlow): Promise<Record<string, SnapshotInfo>> {
  return withPrefix('BUG: cannot get snapshot info', async () => {
    const rw = (await listReplicas(flow)).filter(({ mode }) => mode === ReplicaMode.RW);
    const answers = await Promise.allSettled(rw.map(({ address }) => getReplica(flow, address)));
    let largest: Record<string, SnapshotInfo> | null = null;
    for (const answer of answers) {
      if (answer.status === 'rejected') continue;
      const snapshots = snapshotsOf(answer.value.disks);
      if (!largest || Object.keys(snapshots).length > Object.keys(largest).length) largest = snapshots;
    }
    const failed = answers.find((answer) => answer.status === 'rejected');
    if (!largest && failed) throw failed.reason;
    return largest ?? {};
  });
}

/** Disks by snapshot name; files that are neither snapshot nor head (the backing file) are left out. */
export function snapshotsOf(disks: Record<string, DiskInfo>): Record<string, SnapshotInfo> {
  const snapshots: Record<string, SnapshotInfo> = {};
  for (const [file, disk] of Object.entries(disks)) {
    const name = snapshotNameOf(file);
    if (name === null) continue;
    const children = Object.entries(disk.children).flatMap(([child, present]): [string, boolean][] => {
      const childName = snapshotNameOf(child);
      return childName === null ? [] : [[childName, present]];
    });
    snapshots[name] = {
      ...disk,
      name,
      parent: snapshotNameOf(disk.parent) ?? '',
      children: Object.fromEntries(children),
    };
  }
  return snapshots;
}

/** Marks snapshots as removed on all replicas; every name is tried, the last failure is thrown. */
export async function removeSnapshots(flow: EngineFlow, names: readonly string[]): Promise<void> {
  let lastFailure: Error | null = null;
  for (const name of names) {
    try {
      await removeSnapshot(flow, name);
    } catch (error) {
      lastFailure = error instanceof Error ? error : new Error(errorText(error));
    }
  }
  if (lastFailure) throw lastFailure;
}

async function removeSnapshot(flow: EngineFlow, name: string): Promise<void> {
  const replicas = await listReplicas(flow);
  for (const { address } of replicas) {
    if ((await getReplica(flow, address)).rebuilding) {
      throw new Error(`cannot remove a snapshot because ${address} is rebuilding`);
    }
  }
  // All modes are looked at first, so that a replica in error leaves the others unchanged.
  for (const { mode } of replicas) {
    if (mode !== ReplicaMode.RW) {
      throw new Error(`can only mark snapshot as removed from replica in mode RW, got ${modeName(mode)}`);
    }
  }
  for (const { address } of replicas) {
    await withPrefix(`failed to mark snapshot ${name} as removed on ${address}`, async () => {
      const { replica } = await replicaOf(flow, address).DiskMarkAsRemoved({ name });
      // Success is what a process answers too that nobody has opened; it has done nothing.
      if (replica?.state === 'closed') throw new Error('the replica is not open; try again');
    });
    await cancelHash(flow, address, name);
  }
}

async function cancelHash(flow: EngineFlow, address: string, name: string): Promise<void> {
  try {
    await syncAgentOf(flow, address).SnapshotHashCancel({ snapshot_name: name });
  } catch (error) {
    if (isUnimplemented(error) || errorText(error).includes('not found')) return;
    throw error;
  }
}

/**
 * Starts the purge of removed snapshots on all replicas. With `skipIfInProgress` a replica that purges already
 * is left alone, without it that is an error.
 */
export async function purgeSnapshots(flow: EngineFlow, skipIfInProgress: boolean): Promise<void> {
  const replicas = await listReplicas(flow);
  for (const { address, mode } of replicas) {
    if (mode === ReplicaMode.ERR) continue;
    if ((await getReplica(flow, address)).rebuilding) {
      throw new Error(`cannot purge snapshots because ${address} is rebuilding`);
    }
    const { is_purging: isPurging } = await syncAgentOf(flow, address).SnapshotPurgeStatus({});
    if (!isPurging || skipIfInProgress) continue;
    throw new Error(`cannot purge snapshots because ${address} is already purging snapshots`);
  }
  await onEveryReplica(withoutFailed(replicas), async ({ address }) => {
    try {
      await syncAgentOf(flow, address).SnapshotPurge({});
    } catch (error) {
      if (!(skipIfInProgress && errorText(error).includes('already purging'))) throw error;
    }
  });
}

/** Purge state of every replica that is not ERR, by address. */
export async function purgeStatus(flow: EngineFlow): Promise<Record<string, SnapshotPurgeStatusResponse>> {
  return statusOfEvery(
    withoutFailed(await listReplicas(flow)),
    ({ address }) => syncAgentOf(flow, address).SnapshotPurgeStatus({}),
    ({ address }, text) => ({
      is_purging: false,
      error: `failed to get snapshot purge status of ${address}: ${text}`,
      progress: 0,
      state: '',
    }),
  );
}

function withoutFailed(replicas: readonly ListedReplica[]): ListedReplica[] {
  return replicas.filter(({ mode }) => mode !== ReplicaMode.ERR);
}
