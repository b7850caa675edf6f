/** Calls to the running engine of a volume, through the instance manager of its node. */
import type { Engine, Volume } from '@longhorn/shared-types';
import type { EngineSnapshotDiskInfo } from '@longhorn/shared-types/generated/imrpc';
import { RpcError } from '@longhorn/shared-types/grpc/rpc-error';
import { engineTarget, type EngineTarget } from '../instance-client/instance-managers.ts';
import type { ApiContext } from './api-context.ts';
import { apiLimits } from './api-limits.ts';
import { RestFault } from './rest-fault.ts';

const CALL = { timeoutMs: apiLimits.engineCallTimeoutMs };

/**
 * The engine of a volume, from the API server: what a client has seen through one manager counts for all, and another
 * manager's cache may be behind it. Throws when there is none.
 */
export async function engineOf({ datastore }: ApiContext, volume: string): Promise<Engine> {
  const engines = datastore.store('Engine').byIndex('volume', volume);
  const words = `cannot get ${volume} volume engine`;
  if (engines.length > 1) throw new RestFault(`${words}: more than one engine exists`);
  const [cached] = engines;
  const engine = cached === undefined ? null : await datastore.read('Engine', cached.metadata.name);
  if (engine === null) throw new RestFault(`${words}: cannot find engine`);
  return engine;
}

/** Where to ask the engine. Throws when it does not run. */
async function runningEngine(context: ApiContext, volume: string): Promise<EngineTarget> {
  const engine = await engineOf(context, volume);
  const { instanceManagerName } = engine.status;
  const { datastore } = context;
  const manager =
    instanceManagerName === ''
      ? null
      : (datastore.store('InstanceManager').get(instanceManagerName) ??
        (await datastore.read('InstanceManager', instanceManagerName)));
  const target = engineTarget(engine, manager);
  if (target === null)
    throw new RestFault(`cannot get ${volume} volume engine: engine is not running, attach the volume first`);
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
  const target = await runningEngine(context, volume);
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
  const target = await runningEngine(context, volume);
  const { managers } = context;
  const request = { ...managers.request(target), snapshot_volume: { name, labels } };
  const { snapshot } = await asked(managers.proxy(target).VolumeSnapshot(request, CALL));
  return snapshot?.name ?? name;
}

/** Marks a snapshot as removed. */
export async function removeSnapshot(context: ApiContext, volume: string, name: string): Promise<void> {
  const target = await runningEngine(context, volume);
  const { managers } = context;
  await asked(managers.proxy(target).SnapshotRemove({ ...managers.request(target), names: [name] }, CALL));
}

/** Takes the volume back to a snapshot. */
export async function revertToSnapshot(context: ApiContext, volume: string, name: string): Promise<void> {
  const target = await runningEngine(context, volume);
  const { managers } = context;
  await asked(managers.proxy(target).SnapshotRevert({ ...managers.request(target), name }, CALL));
}

/** Starts to purge removed snapshots. */
export async function purgeSnapshots(context: ApiContext, volume: string): Promise<void> {
  const target = await runningEngine(context, volume);
  const { managers } = context;
  const request = { ...managers.request(target), skip_if_in_progress: true };
  await asked(managers.proxy(target).SnapshotPurge(request, CALL));
}

/** Refuses what must not happen while a volume moves. */
export function refuseDuringMigration({ spec, status }: Volume): void {
  if (spec.migrationNodeID !== '' || status.currentMigrationNodeID !== '')
    throw new RestFault('cannot operate during migration');
}
