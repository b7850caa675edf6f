/** Checksums of snapshots on all replicas. */
import { ReplicaMode, type SnapshotHashStatusResponse } from '@longhorn/shared-types/generated/ptypes';
import {
  getReplica,
  listReplicas,
  modeName,
  onEveryReplica,
  statusOfEvery,
  syncAgentOf,
  type EngineFlow,
} from './flow.ts';

/** Starts hashing a snapshot everywhere; refused (retry later) while a replica is busy or not RW. */
export async function hashSnapshot(flow: EngineFlow, snapshotName: string, rehash: boolean): Promise<void> {
  const replicas = await listReplicas(flow);
  const refuse = (address: string, reason: string): never => {
    throw new Error(`cannot request hashing snapshot because ${address} is ${reason}`);
  };
  for (const { address, mode } of replicas) {
    if (mode !== ReplicaMode.RW) refuse(address, `in ${modeName(mode)} mode`);
    if ((await getReplica(flow, address)).rebuilding) refuse(address, 'rebuilding');
    const { is_locked: isLocked } = await syncAgentOf(flow, address).SnapshotHashLockState({});
    if (isLocked) refuse(address, 'hashing snapshot');
  }
  await onEveryReplica(replicas, async ({ address }) => {
    await syncAgentOf(flow, address).SnapshotHash({ snapshot_name: snapshotName, rehash });
  });
}

/** Cancels the job on all replicas; none running is success. */
export async function cancelHash(flow: EngineFlow, snapshotName: string): Promise<void> {
  await onEveryReplica(await listReplicas(flow), async ({ address }) => {
    await syncAgentOf(flow, address).SnapshotHashCancel({ snapshot_name: snapshotName });
  });
}

/** Hash state of every replica by address, silent corruption included. */
export async function hashStatus(
  flow: EngineFlow,
  snapshotName: string,
): Promise<Record<string, SnapshotHashStatusResponse>> {
  const failed = (error: string): SnapshotHashStatusResponse => ({
    state: 'error',
    checksum: '',
    error,
    silently_corrupted: false,
  });
  return statusOfEvery(
    await listReplicas(flow),
    async ({ address, mode }) => {
      if (mode !== ReplicaMode.RW) return failed(`replica ${address} since it is in ${modeName(mode)} mode`);
      return syncAgentOf(flow, address).SnapshotHashStatus({ snapshot_name: snapshotName });
    },
    ({ address }, text) => failed(`failed to get snapshot hashing status of ${address}: ${text}`),
  );
}
