/** Copies a snapshot of one volume into the replicas of another. */
import { splitHostPort } from '@longhorn/shared-types/grpc/address';
import { ReplicaMode, type SnapshotCloneStatusResponse } from '@longhorn/shared-types/generated/ptypes';
import {
  listReplicas,
  longCallOptions,
  modeName,
  onEveryReplica,
  statusOfEvery,
  syncAgentOf,
  type EngineFlow,
} from './flow.ts';

export interface CloneRequest {
  /** the engine that has the snapshot */
  readonly source: EngineFlow;
  readonly snapshotName: string;
  readonly exportBackingImageIfExist: boolean;
  readonly fileSyncHttpTimeoutSeconds: number;
  /** 0 = a day */
  readonly grpcTimeoutSeconds: number;
}

/** Every replica of `flow` pulls the snapshot from one replica of the source; ends when all have it. */
export async function cloneSnapshot(flow: EngineFlow, request: CloneRequest): Promise<void> {
  if (request.snapshotName === '') throw new Error('missing required parameter snapshot name');
  const from = (await listReplicas(request.source)).find(({ mode }) => mode === ReplicaMode.RW);
  if (!from) throw new Error('cannot find a RW replica in the source volume for cloning');
  const replicas = await listReplicas(flow);
  for (const { address, mode } of replicas) {
    if (mode !== ReplicaMode.RW) {
      const rule = 'All replicas in the target volume must be in RW mode';
      throw new Error(`cannot do snapshot clone because replica ${address} in ${modeName(mode)} mode. ${rule}`);
    }
  }
  const limits = longCallOptions(request.grpcTimeoutSeconds);
  await onEveryReplica(replicas, async ({ address }) => {
    await syncAgentOf(flow, address, '', limits).SnapshotClone({
      from_address: from.address,
      to_host: splitHostPort(address).host,
      snapshot_file_name: request.snapshotName,
      export_backing_image_if_exist: request.exportBackingImageIfExist,
      file_sync_http_client_timeout: request.fileSyncHttpTimeoutSeconds,
      from_volume_name: request.source.volumeName,
    });
  });
}

/** Clone state of every replica, in any mode, by address. */
export async function cloneStatus(flow: EngineFlow): Promise<Record<string, SnapshotCloneStatusResponse>> {
  return statusOfEvery(
    await listReplicas(flow),
    ({ address }) => syncAgentOf(flow, address).SnapshotCloneStatus({}),
    ({ address }, text) => ({
      is_cloning: false,
      error: `failed to get snapshot clone status of ${address}: ${text}`,
      progress: 0,
      state: '',
      from_replica_address: '',
      snapshot_name: '',
    }),
  );
}
