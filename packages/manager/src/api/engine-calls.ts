/** Calls to the running engine of a volume, through the instance manager of its node. */
import type { Volume } from '@longhorn/shared-types';
import type { EngineSnapshotDiskInfo } from '@longhorn/shared-types/generated/imrpc';
import { RpcError } from '@longhorn/shared-types/grpc/rpc-error';
import { engineTarget, type EngineTarget } from '../instance-client/instance-managers.ts';
import type { ApiContext } from './api-context.ts';
import { apiLimits } from './api-limits.ts';
import { RestFault } from './rest-fault.ts';

const CALL = { timeoutMs: apiLimits.engineCallTimeoutMs };

/** The engine to ask. Throws when there is none that runs. */
export function runningEngine({ datastore }: ApiContext, volume: string): EngineTarget {
  const engines = datastore.store('Engine').byIndex('volume', volume);
  const words = `cannot get ${volume} volume engine`;
  if (engines.length > 1) throw new RestFault(`${words}: more than one engine exists`);
  const [engine] = engines;
  if (engine === undefined) throw new RestFault(`${words}: cannot find engine`);
  const manager = datastore.store('InstanceManager').get(engine.status.instanceManagerName);
  const target = engineTarget(engine, manager);
  if (target === null) throw new RestFault(`${words}: engine is not running, attach the volume first`);
  return target;
}

/** A call to an engine; what it answers as an error is the client's to see. */
async function asked<T>(call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    if (error instanceof RpcError) throw new RestFault(error.message, 500, { cause: error });
    throw error;
  }
}

/** All snapshots by name, with `volume-head`. */
export async function listSnapshots(
  context: ApiContext,
  volume: string,
): Promise<Record<string, EngineSnapshotDiskInfo>> {
  const target = runningEngine(context, volume);
  const { managers } = context;
  return (await asked(managers.proxy(target).SnapshotList(managers.plainRequest(target), CALL))).disks;
}

/** Takes a snapshot; the engine makes up a name for ''. Returns the name. */
export async function takeSnapshot(
  context: ApiContext,
  volume: string,
  name: string,
  labels: Record<string, string>,
): Promise<string> {
  const target = runningEngine(context, volume);
  const { managers } = context;
  const request = { ...managers.request(target), snapshot_volume: { name, labels } };
  const { snapshot } = await asked(managers.proxy(target).VolumeSnapshot(request, CALL));
  return snapshot?.name ?? name;
}

/** Marks a snapshot as removed. */
export async function removeSnapshot(context: ApiContext, volume: string, name: string): Promise<void> {
  const target = runningEngine(context, volume);
  const { managers } = context;
  await asked(managers.proxy(target).SnapshotRemove({ ...managers.request(target), names: [name] }, CALL));
}

/** Takes the volume back to a snapshot. */
export async function revertToSnapshot(context: ApiContext, volume: string, name: string): Promise<void> {
  const target = runningEngine(context, volume);
  const { managers } = context;
  await asked(managers.proxy(target).SnapshotRevert({ ...managers.request(target), name }, CALL));
}

/** Starts to purge removed snapshots. */
export async function purgeSnapshots(context: ApiContext, volume: string): Promise<void> {
  const target = runningEngine(context, volume);
  const { managers } = context;
  const request = { ...managers.request(target), skip_if_in_progress: true };
  await asked(managers.proxy(target).SnapshotPurge(request, CALL));
}

/** Refuses what must not happen while a volume moves. */
export function refuseDuringMigration({ spec, status }: Volume): void {
  if (spec.migrationNodeID !== '' || status.currentMigrationNodeID !== '')
    throw new RestFault('cannot operate during migration');
}
