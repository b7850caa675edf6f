/** `snapshots …`: create, list, info, remove, revert, purge, clone, hash. */
import { ReplicaMode } from '@longhorn/shared-types/generated/ptypes';
import { ClientCache } from '@longhorn/shared-types/grpc/client-cache';
import { dialAddress } from '@longhorn/shared-types/grpc/address';
import { errorText } from '@longhorn/shared-types/grpc/rpc-error';
import { cloneSnapshot, cloneStatus } from '../client/clone.ts';
import { snapshotNameOf, VOLUME_HEAD } from '../client/disk-names.ts';
import { controllerOf, getReplica, listReplicas } from '../client/flow.ts';
import { cancelHash, hashSnapshot, hashStatus } from '../client/hash.ts';
import { listSnapshots, purgeSnapshots, purgeStatus, removeSnapshots } from '../client/snapshot.ts';
import { withEngine, type GlobalFlags } from './engine-flow.ts';
import { goJson, sortedMap } from './go-output.ts';
import { parseLabels } from './parse-flags.ts';

export async function create(
  flags: GlobalFlags,
  name: string | undefined,
  options: { label?: readonly string[]; freezeFs: boolean },
): Promise<string> {
  const labels = parseLabels(options.label ?? []);
  const request = { name: name ?? '', labels, freezeFilesystem: options.freezeFs };
  return withEngine(flags, async (flow) => (await controllerOf(flow).VolumeSnapshot(request)).name);
}

export async function revert(flags: GlobalFlags, name: string | undefined): Promise<void> {
  const snapshot = required(name);
  await withEngine(flags, (flow) => controllerOf(flow).VolumeRevert({ name: snapshot }));
}

/** Those of the first RW replica's chain that every other RW replica has too, newest first. */
export async function list(flags: GlobalFlags): Promise<string> {
  return withEngine(flags, async (flow) => {
    const rw = (await listReplicas(flow)).filter(({ mode }) => mode === ReplicaMode.RW);
    const chains = await Promise.all(rw.map(async ({ address }) => (await getReplica(flow, address)).chain.slice(1)));
    const [first = [], ...others] = chains;
    const names = first
      .filter((disk) => others.every((chain) => chain.includes(disk)))
      .map((disk) => snapshotNameOf(disk))
      .filter((name) => name !== null && name !== VOLUME_HEAD);
    return ['ID', ...names].join('\n');
  });
}

/** Every name is tried; answers whether all succeeded. */
export async function remove(flags: GlobalFlags, names: readonly string[]): Promise<boolean> {
  return withEngine(flags, async (flow) => {
    let succeeded = true;
    for (const name of names) {
      try {
        await removeSnapshots(flow, [name]);
      } catch (error) {
        succeeded = false;
        process.stderr.write(`Failed to delete ${name}: ${errorText(error)}\n`);
      }
    }
    return succeeded;
  });
}

export async function info(flags: GlobalFlags): Promise<string> {
  return withEngine(flags, async (flow) => {
    const snapshots = await listSnapshots(flow);
    const shown = Object.values(snapshots).map((disk) => [
      disk.name,
      {
        name: disk.name,
        parent: disk.parent,
        children: sortedMap(disk.children),
        removed: disk.removed,
        usercreated: disk.user_created,
        created: disk.created,
        size: disk.size,
        labels: sortedMap(disk.labels),
      },
    ]);
    return goJson(sortedMap(Object.fromEntries(shown)));
  });
}

export async function purge(flags: GlobalFlags, skipIfInProgress: boolean): Promise<void> {
  await withEngine(flags, (flow) => purgeSnapshots(flow, skipIfInProgress));
}

export async function showPurgeStatus(flags: GlobalFlags): Promise<string> {
  return withEngine(flags, async (flow) => {
    const statuses = Object.entries(await purgeStatus(flow)).map(([address, status]) => [
      address,
      { error: status.error, isPurging: status.is_purging, progress: status.progress, state: status.state },
    ]);
    return goJson(sortedMap(Object.fromEntries(statuses)));
  });
}

export interface CloneFlags {
  readonly snapshotName: string;
  readonly fromControllerAddress: string;
  readonly fromVolumeName: string;
  readonly fromControllerInstanceName: string;
  readonly exportBackingImageIfExist: boolean;
  readonly fileSyncHttpClientTimeout: number;
  readonly grpcTimeoutSeconds: number;
}

export async function clone(flags: GlobalFlags, options: CloneFlags): Promise<void> {
  if (options.snapshotName === '') throw new Error('missing required parameter --snapshot-name');
  if (options.fromControllerAddress === '') throw new Error('missing required parameter --from-controller-address');
  const connections = new ClientCache();
  const source = {
    connections,
    address: dialAddress(options.fromControllerAddress),
    volumeName: options.fromVolumeName,
    engineName: options.fromControllerInstanceName,
  };
  try {
    await withEngine(flags, (flow) =>
      cloneSnapshot(flow, {
        source,
        snapshotName: options.snapshotName,
        exportBackingImageIfExist: options.exportBackingImageIfExist,
        fileSyncHttpTimeoutSeconds: options.fileSyncHttpClientTimeout,
        grpcTimeoutSeconds: options.grpcTimeoutSeconds,
      }),
    );
  } finally {
    connections.close();
  }
}

export async function showCloneStatus(flags: GlobalFlags): Promise<string> {
  return withEngine(flags, async (flow) => {
    const statuses = Object.entries(await cloneStatus(flow)).map(([address, status]) => [
      address,
      {
        isCloning: status.is_cloning,
        error: status.error,
        progress: status.progress,
        state: status.state,
        fromReplicaAddress: status.from_replica_address,
        snapshotName: status.snapshot_name,
      },
    ]);
    return goJson(sortedMap(Object.fromEntries(statuses)));
  });
}

export async function hash(flags: GlobalFlags, name: string | undefined, rehash: boolean): Promise<void> {
  const snapshot = required(name);
  await withEngine(flags, (flow) => hashSnapshot(flow, snapshot, rehash));
}

export async function hashCancel(flags: GlobalFlags, name: string | undefined): Promise<void> {
  const snapshot = required(name);
  await withEngine(flags, (flow) => cancelHash(flow, snapshot));
}

export async function showHashStatus(flags: GlobalFlags, name: string | undefined): Promise<string> {
  const snapshot = required(name);
  return withEngine(flags, async (flow) => {
    const statuses = Object.entries(await hashStatus(flow, snapshot)).map(([address, status]) => [
      address,
      {
        state: status.state,
        checksum: status.checksum,
        error: status.error,
        silentlyCorrupted: status.silently_corrupted,
      },
    ]);
    return goJson(sortedMap(Object.fromEntries(statuses)));
  });
}

function required(name: string | undefined): string {
  if (name === undefined || name === '') throw new Error('snapshot name is required');
  return name;
}
