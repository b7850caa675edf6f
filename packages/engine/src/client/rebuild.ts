/**
 * The rebuild of one replica, driven from outside the engine.
 *
 *     engine: ControllerReplicaCreate   connects, takes a system snapshot on all, adds it WO: from here it gets all writes
 *     engine: ReplicaPrepareRebuild     tells the files below the head, removes foreign ones
 *     new replica's agent: FilesSync    copies them; files that exist are compared, only what differs is sent
 *     new replica: ReplicaReload, ReplicaSync
 *     engine: ReplicaVerifyRebuild      compares, admits (membership is the engine's affair), WO -> RW
 *
 * If the driver dies in between, the replica stays WO; whoever drives next removes and adds it again, and what was copied
 * is found equal then. Nothing here deletes data.
 */
import { dialAddress, splitHostPort } from '@longhorn/shared-types/grpc/address';
import { errorText, withPrefix } from '@longhorn/shared-types/grpc/rpc-error';
import {
  ReplicaMode,
  type Replica,
  type ReplicaRebuildStatusResponse,
  type SyncFileInfo,
  type Volume,
} from '@longhorn/shared-types/generated/ptypes';
import { isHeadFile } from './disk-names.ts';
import {
  controllerOf,
  getReplica,
  isUnimplemented,
  listReplicas,
  longCallOptions,
  modeName,
  replicaOf,
  syncAgentOf,
  type EngineFlow,
  type ListedReplica,
} from './flow.ts';

export interface ReplicaAddition {
  /** `tcp://HOST:PORT` */
  readonly address: string;
  /** replica CR name; "" = unknown */
  readonly instanceName: string;
  /** nominal volume size, for an engine that has no replica yet */
  readonly size: number;
  readonly currentSize: number;
  /** trust checksum files instead of comparing content */
  readonly fastSync: boolean;
  readonly fileSyncHttpTimeoutSeconds: number;
  /** 0 = a day */
  readonly grpcTimeoutSeconds: number;
  /** replica folders on one node, for a copy without network; null = none */
  readonly localSync: { readonly sourcePath: string; readonly targetPath: string } | null;
}

async function getVolume(flow: EngineFlow): Promise<Volume> {
  return withPrefix(`failed to get volume ${dialAddress(flow.address)}`, () => controllerOf(flow).VolumeGet({}));
}

/** Adds a replica and rebuilds it; ends when it is RW. An engine that has no replica is started with it. */
export async function addReplica(flow: EngineFlow, addition: ReplicaAddition): Promise<void> {
  const volume = await getVolume(flow);
  if (volume.replicaCount === 0) return startWithReplica(flow, addition);
  await expandToVolume(flow, volume, addition);
  await clearStaleRebuilding(flow, volume, addition);
  await createReplica(flow, addition.address, true);
  const source = await pickSource(flow, addition.address);
  const target = replicaOf(flow, addition.address, addition.instanceName);
  await withPrefix(`failed to set rebuilding for replica ${addition.address}`, () =>
    target.RebuildingSet({ rebuilding: true }),
  );
  const files = await prepareRebuild(flow, addition);
  await syncFiles(flow, source, addition, files);
  await reload(flow, addition);
  await verifyRebuild(flow, addition.address, addition.instanceName);
  await withPrefix(`failed to clear rebuilding for replica ${addition.address}`, () =>
    target.RebuildingSet({ rebuilding: false }),
  );
}

/** Adds a replica WO without data: its content comes from a restore, and `verifyRebuild` ends it. */
export async function addRestoreReplica(flow: EngineFlow, addition: ReplicaAddition): Promise<void> {
  const volume = await getVolume(flow);
  if (volume.replicaCount === 0) return startWithReplica(flow, addition);
  const replica = await getReplica(flow, addition.address, addition.instanceName);
  if (Number(replica.size) !== volume.size) {
    await replicaOf(flow, addition.address, addition.instanceName).ReplicaClose({});
    throw new Error(`rebuilding replica size ${replica.size} is not the same as volume size ${volume.size}`);
  }
  await createReplica(flow, addition.address, false);
}

/** Lets the engine compare a WO replica and turn it RW; RW already is success. */
export async function verifyRebuild(flow: EngineFlow, address: string, instanceName: string): Promise<void> {
  await withPrefix(`failed to verify rebuild for replica ${address}`, () =>
    controllerOf(flow).ReplicaVerifyRebuild({ address, instanceName }),
  );
}

async function startWithReplica(flow: EngineFlow, addition: ReplicaAddition): Promise<void> {
  const { size, currentSize } = addition;
  await withPrefix(`failed to start volume ${dialAddress(flow.address)}`, () =>
    controllerOf(flow).VolumeStart({ replicaAddresses: [addition.address], size, currentSize }),
  );
}

/** Opens a closed replica: with the engine's epoch where both know epochs, so that a newer engine's replica refuses. */
async function openReplica(
  flow: EngineFlow,
  volume: Volume,
  replica: Replica,
  { address, instanceName }: ReplicaAddition,
): Promise<void> {
  const calls = replicaOf(flow, address, instanceName);
  // An engine of an earlier build does not tell its name; a caller need not know it.
  const engineName = volume.engineName === '' ? flow.engineName : volume.engineName;
  await withPrefix(`failed to open replica ${address}`, () =>
    volume.epoch > 0 && replica.capabilities.includes('epoch')
      ? calls.ReplicaOpenEpoch({ epoch: volume.epoch, engineName })
      : calls.ReplicaOpen({}),
  );
}

async function expandToVolume(flow: EngineFlow, volume: Volume, addition: ReplicaAddition): Promise<void> {
  const { address, instanceName } = addition;
  const replica = await getReplica(flow, address, instanceName);
  const size = Number(replica.size);
  if (size > volume.size) throw new Error(`cannot add new replica larger than size ${volume.size}`);
  if (size === volume.size) return;
  const calls = replicaOf(flow, address, instanceName);
  const wasClosed = replica.state === 'closed';
  if (wasClosed) await openReplica(flow, volume, replica, addition);
  try {
    await withPrefix(`failed to expand replica ${address}`, () => calls.ReplicaExpand({ size: volume.size }));
  } finally {
    if (wasClosed) await calls.ReplicaClose({});
  }
}

/** A replica that a rebuild left behind cannot be opened as a member before its mark is taken off. */
async function clearStaleRebuilding(flow: EngineFlow, volume: Volume, addition: ReplicaAddition): Promise<void> {
  const { address, instanceName } = addition;
  const replica = await getReplica(flow, address, instanceName);
  if (replica.state !== 'closed' || !replica.rebuilding) return;
  const calls = replicaOf(flow, address, instanceName);
  await openReplica(flow, volume, replica, addition);
  try {
    await calls.RebuildingSet({ rebuilding: false });
  } finally {
    await calls.ReplicaClose({});
  }
}

async function createReplica(flow: EngineFlow, address: string, snapshotRequired: boolean): Promise<void> {
  await withPrefix(`failed to create replica ${address} for volume ${dialAddress(flow.address)}`, () =>
    controllerOf(flow).ControllerReplicaCreate({ address, snapshot_required: snapshotRequired, mode: ReplicaMode.WO }),
  );
}

/** First RW replica whose agent answers and is not purging. */
async function pickSource(flow: EngineFlow, targetAddress: string): Promise<ListedReplica> {
  const replicas = await listReplicas(flow);
  const target = replicas.find(({ address }) => address === targetAddress);
  if (!target) throw new Error(`cannot find replica ${targetAddress}`);
  if (target.mode !== ReplicaMode.WO) {
    throw new Error(`replica ${targetAddress} is not in mode WO, got ${modeName(target.mode)}`);
  }
  let lastFailure: unknown;
  for (const replica of replicas.filter(({ mode }) => mode === ReplicaMode.RW)) {
    try {
      const { is_purging: isPurging } = await syncAgentOf(flow, replica.address).SnapshotPurgeStatus({});
      if (!isPurging) return replica;
    } catch (error) {
      lastFailure = error;
    }
  }
  throw new Error('failed to find good replica to copy from', { cause: lastFailure });
}

async function prepareRebuild(flow: EngineFlow, { address, instanceName }: ReplicaAddition): Promise<SyncFileInfo[]> {
  const answer = await withPrefix(`failed to prepare rebuild for replica ${address}`, () =>
    controllerOf(flow).ReplicaPrepareRebuild({ address, instanceName }),
  );
  const files = answer.sync_file_info_list;
  if (files.some((file) => isHeadFile(file.from_file_name) || isHeadFile(file.to_file_name))) {
    throw new Error("sync file list shouldn't contain volume head");
  }
  return files;
}

async function syncFiles(
  flow: EngineFlow,
  source: ListedReplica,
  addition: ReplicaAddition,
  files: SyncFileInfo[],
): Promise<void> {
  const { localSync } = addition;
  const agent = syncAgentOf(
    flow,
    addition.address,
    addition.instanceName,
    longCallOptions(addition.grpcTimeoutSeconds),
  );
  await withPrefix(`failed to sync files from ${source.address} to ${addition.address}`, () =>
    agent.FilesSync({
      from_address: source.address,
      to_host: splitHostPort(addition.address).host,
      sync_file_info_list: files,
      fast_sync: addition.fastSync,
      file_sync_http_client_timeout: addition.fileSyncHttpTimeoutSeconds,
      grpc_timeout_seconds: addition.grpcTimeoutSeconds,
      local_sync: localSync ? { source_path: localSync.sourcePath, target_path: localSync.targetPath } : null,
    }),
  );
}

/** Loads the copied chain, and has it on stable storage before the engine may count on it. */
async function reload(flow: EngineFlow, { address, instanceName }: ReplicaAddition): Promise<void> {
  const calls = replicaOf(flow, address, instanceName);
  await withPrefix(`failed to reload replica ${address}`, async () => {
    const { replica } = await calls.ReplicaReload({});
    if (replica?.capabilities.includes('epoch')) await calls.ReplicaSync({});
  });
}

/** Progress of WO replicas by address; empty for a volume whose content comes from a restore. */
export async function rebuildingStatus(flow: EngineFlow): Promise<Record<string, ReplicaRebuildStatusResponse>> {
  const status: Record<string, ReplicaRebuildStatusResponse> = {};
  for (const { address, mode } of await listReplicas(flow)) {
    if (mode !== ReplicaMode.WO) continue;
    try {
      if (await isRestoreTarget(flow, address)) return status;
      status[address] = await syncAgentOf(flow, address).ReplicaRebuildStatus({});
    } catch (error) {
      status[address] = {
        is_rebuilding: false,
        error: `failed to get replica rebuild status of ${address}: ${errorText(error)}`,
        progress: 0,
        state: '',
        from_replica_address: '',
        bytes_done: 0,
        bytes_total: 0,
        bytes_written: 0,
        paused: false,
        bytes_per_second_max: 0,
      };
    }
  }
  return status;
}

export interface RebuildChange {
  /** null: as it is */
  readonly isPaused: boolean | null;
  /** of what a rebuild writes; 0 = no limit; null: as it is */
  readonly bytesPerSecond: number | null;
}

/**
 * Holds the rebuilds of a volume back, or one of them by the replica's address ("" = all), until told otherwise or until they end.
 * Returns the addresses of those that there were.
 */
export async function changeRebuilds(flow: EngineFlow, only: string, change: RebuildChange): Promise<string[]> {
  const rebuilt = (await listReplicas(flow)).filter(({ mode }) => mode === ReplicaMode.WO);
  const meant = rebuilt.map(({ address }) => address).filter((address) => only === '' || address === only);
  for (const address of meant) {
    const agent = syncAgentOf(flow, address);
    await withPrefix(`failed to change the rebuild of ${address}`, async () => {
      if (change.bytesPerSecond !== null) await agent.ReplicaRebuildLimit({ bytes_per_second: change.bytesPerSecond });
      if (change.isPaused !== null) await agent.ReplicaRebuildPause({ paused: change.isPaused });
    });
  }
  return meant;
}

async function isRestoreTarget(flow: EngineFlow, address: string): Promise<boolean> {
  try {
    const { dest_file_name: destination } = await syncAgentOf(flow, address).RestoreStatus({});
    return destination !== '';
  } catch (error) {
    // An agent without backup support restores nothing.
    if (isUnimplemented(error)) return false;
    throw error;
  }
}
