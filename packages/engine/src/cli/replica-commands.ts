/** `add-replica`, `rm-replica`, `update-replica`, `ls-replica`, `verify-rebuild-replica`, `replica-rebuild-status`, `replica-rebuild-control`, `sync-agent-server-reset`. */
import { ReplicaMode } from '@longhorn/shared-types/generated/ptypes';
import { controllerOf, getReplica, listReplicas, modeName, syncAgentOf } from '../client/flow.ts';
import { addReplica, addRestoreReplica, changeRebuilds, rebuildingStatus, verifyRebuild } from '../client/rebuild.ts';
import { withEngine, type GlobalFlags } from './engine-flow.ts';
import { goJson, sortedMap, table } from './go-output.ts';

export interface AddFlags {
  readonly size?: number;
  readonly currentSize?: number;
  readonly restore: boolean;
  readonly fastSync: boolean;
  readonly fileSyncHttpClientTimeout: number;
  readonly grpcTimeoutSeconds: number;
  readonly replicaInstanceName: string;
}

/** Ends when the replica is RW (with `--restore`: when it is WO). */
export async function add(flags: GlobalFlags, address: string | undefined, options: AddFlags): Promise<void> {
  const { size, currentSize } = options;
  if (address === undefined || address === '') throw new Error('replica address is required');
  if (size === undefined) throw new Error('size is required');
  if (currentSize === undefined) throw new Error('current-size is required');
  const addition = {
    address,
    instanceName: options.replicaInstanceName,
    size,
    currentSize,
    fastSync: options.fastSync,
    fileSyncHttpTimeoutSeconds: options.fileSyncHttpClientTimeout,
    grpcTimeoutSeconds: options.grpcTimeoutSeconds,
    localSync: null,
  };
  await withEngine(flags, (flow) => (options.restore ? addRestoreReplica(flow, addition) : addReplica(flow, addition)));
}

export async function verify(flags: GlobalFlags, address: string | undefined, instanceName: string): Promise<void> {
  if (address === undefined || address === '') throw new Error('replica address is required');
  await withEngine(flags, (flow) => verifyRebuild(flow, address, instanceName));
}

/** Columns ADDRESS, MODE and CHAIN; a replica that cannot be read has no chain. */
export async function list(flags: GlobalFlags): Promise<string> {
  return withEngine(flags, async (flow) => {
    const rows = [['ADDRESS', 'MODE', 'CHAIN']];
    for (const { address, mode } of await listReplicas(flow)) {
      rows.push([address, modeName(mode), mode === ReplicaMode.ERR ? '' : await chainOf(address)]);
    }
    return table(rows);

    async function chainOf(address: string): Promise<string> {
      try {
        return `[${(await getReplica(flow, address)).chain.join(' ')}]`;
      } catch {
        // The listing shows what the engine knows; a replica that does not answer has its own commands.
        return '';
      }
    }
  });
}

export async function remove(flags: GlobalFlags, address: string | undefined): Promise<void> {
  if (address === undefined || address === '') throw new Error('replica address is required');
  await withEngine(flags, (flow) => controllerOf(flow).ReplicaDelete({ address }));
}

export async function update(flags: GlobalFlags, address: string | undefined, mode: string): Promise<void> {
  if (address === undefined || address === '') throw new Error('replica address is required');
  const found = Object.entries(ReplicaMode).find(([name]) => name === mode);
  if (!found) throw new Error(`unsupported replica mode: ${mode}`);
  await withEngine(flags, (flow) =>
    controllerOf(flow).ReplicaUpdate({ address: { address, instanceName: '' }, mode: found[1] }),
  );
}

export async function rebuildStatus(flags: GlobalFlags): Promise<string> {
  return withEngine(flags, async (flow) => {
    const statuses = await rebuildingStatus(flow);
    const shown = Object.entries(statuses).map(([address, status]) => [
      address,
      {
        error: status.error,
        isRebuilding: status.is_rebuilding,
        progress: status.progress,
        state: status.state,
        fromReplicaAddress: status.from_replica_address,
        bytesDone: status.bytes_done,
        bytesTotal: status.bytes_total,
        bytesWritten: status.bytes_written,
        bytesPerSecondMax: status.bytes_per_second_max,
        isPaused: status.paused,
      },
    ]);
    return goJson(sortedMap(Object.fromEntries(shown)));
  });
}

export interface RebuildFlags {
  readonly pause: boolean;
  readonly resume: boolean;
  /** bytes a second */
  readonly bandwidthLimit?: number;
}

export async function changeRebuild(
  flags: GlobalFlags,
  address: string | undefined,
  { pause, resume, bandwidthLimit }: RebuildFlags,
): Promise<void> {
  if (pause && resume) throw new Error('--pause and --resume: only one of them');
  if (!pause && !resume && bandwidthLimit === undefined) {
    throw new Error('one of --pause, --resume and --bandwidth-limit is required');
  }
  const change = { isPaused: pause ? true : resume ? false : null, bytesPerSecond: bandwidthLimit ?? null };
  const changed = await withEngine(flags, (flow) => changeRebuilds(flow, address ?? '', change));
  if (changed.length > 0) return;
  throw new Error(address === undefined ? 'no replica is being rebuilt' : `replica ${address} is not being rebuilt`);
}

export async function resetSyncAgents(flags: GlobalFlags): Promise<void> {
  await withEngine(flags, async (flow) => {
    const replicas = await listReplicas(flow);
    for (const { address } of replicas) {
      if ((await getReplica(flow, address)).rebuilding) {
        throw new Error(`cannot reset Restore info as replica(${address}) is rebuilding`);
      }
    }
    for (const { address } of replicas) await syncAgentOf(flow, address).Reset({});
  });
}
