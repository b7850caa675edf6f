/** Copies a snapshot of one volume into the replicas of another. */
import { splitHostPort } from '@longhorn/shared-types/grpc/address';
import { ReplicaMode, type SnapshotCloneStatusResponse } from '@longhorn/shared-types/generated/ptypes';
import { snapshotDisk } from './disk-names.ts';
import {
  controllerOf,
  getReplica,
  listReplicas,
  longCallOptions,
  modeName,
  onEveryReplica,
  statusOfEvery,
  syncAgentOf,
  type EngineFlow,
  type ListedReplica,
} from './flow.ts';
import { CLONE_SOURCES_MAX, REVERT_TIMEOUT_MS } from './limits.ts';

export interface CloneRequest {
  /** the engine that has the snapshot */
  readonly source: EngineFlow;
  readonly snapshotName: string;
  readonly exportBackingImageIfExist: boolean;
  readonly fileSyncHttpTimeoutSeconds: number;
  /** 0 = a day */
  readonly grpcTimeoutSeconds: number;
}

async function sourcesOf(source: EngineFlow): Promise<ListedReplica[]> {
  return (await listReplicas(source)).filter(({ mode }) => mode === ReplicaMode.RW);
}

async function targetsOf(flow: EngineFlow): Promise<ListedReplica[]> {
  const replicas = await listReplicas(flow);
  for (const { address, mode } of replicas) {
    if (mode !== ReplicaMode.RW) {
      const rule = 'All replicas in the target volume must be in RW mode';
      throw new Error(`cannot do snapshot clone because replica ${address} in ${modeName(mode)} mode. ${rule}`);
    }
  }
  return replicas;
}

/**
 * Every replica of `flow` pulls the snapshot from one replica of the source; ends when all have it and it is what the
 * volume reads. A source replica that fails is followed by another one, which goes on from what is there.
 *
 * An engine with an epoch reverts to the copy itself, so that its membership record names it (its frontend must be
 * down); in upstream's, each replica does.
 */
export async function cloneSnapshot(flow: EngineFlow, request: CloneRequest): Promise<void> {
  if (request.snapshotName === '') throw new Error('missing required parameter snapshot name');
  const sources = await sourcesOf(request.source);
  if (sources.length === 0) throw new Error('cannot find a RW replica in the source volume for cloning');
  const replicas = await targetsOf(flow);
  const engineReverts = (await controllerOf(flow).VolumeGet({})).epoch > 0;
  const tried: string[] = [];
  let failure: unknown = null;
  for (let from = sources[0]; from !== undefined && tried.length < CLONE_SOURCES_MAX;) {
    tried.push(from.address);
    try {
      await pullAll(flow, request, replicas, from.address, engineReverts);
      failure = null;
      break;
    } catch (error) {
      failure = error;
      const left = await sourcesOf(request.source);
      from = left.find(({ address }) => !tried.includes(address));
    }
  }
  if (failure !== null) throw failure;
  if (engineReverts) await revert(flow, replicas, request.snapshotName);
}

async function pullAll(
  flow: EngineFlow,
  request: CloneRequest,
  replicas: readonly ListedReplica[],
  fromAddress: string,
  engineReverts: boolean,
): Promise<void> {
  const limits = longCallOptions(request.grpcTimeoutSeconds);
  await onEveryReplica(replicas, async ({ address }) => {
    await syncAgentOf(flow, address, '', limits).SnapshotClone({
      from_address: fromAddress,
      to_host: splitHostPort(address).host,
      snapshot_file_name: request.snapshotName,
      export_backing_image_if_exist: request.exportBackingImageIfExist,
      file_sync_http_client_timeout: request.fileSyncHttpTimeoutSeconds,
      from_volume_name: request.source.volumeName,
      engine_reverts: engineReverts,
    });
  });
}

/** The engine takes the copy for what is below its head, unless it has; every replica then says that it is complete. */
async function revert(flow: EngineFlow, replicas: readonly ListedReplica[], name: string): Promise<void> {
  const isLive = async ({ address }: ListedReplica): Promise<boolean> =>
    (await getReplica(flow, address)).chain.includes(snapshotDisk(name));
  if (!(await Promise.all(replicas.map(isLive))).every(Boolean)) {
    await controllerOf(flow, { timeoutMs: REVERT_TIMEOUT_MS }).VolumeRevert({ name });
  }
  await onEveryReplica(replicas, async ({ address }) => {
    const { state, error } = await syncAgentOf(flow, address).SnapshotCloneStatus({});
    if (state !== 'complete') throw new Error(`the copy of ${name} is ${state} after the engine reverted: ${error}`);
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
