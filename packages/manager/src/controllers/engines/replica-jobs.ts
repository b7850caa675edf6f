/**
 * Adding a replica to a running engine: a call that lasts as long as the rebuild, so it runs beside the passes, one per
 * engine. Whatever it leaves behind when it fails is taken out of the engine and marked failed.
 */
import type { Engine } from '@longhorn/shared-types';
import { rfc3339 } from '../../clock.ts';
import type { EngineTarget } from '../../instance-client/instance-managers.ts';
import { replicaFolder } from '../../instance-client/process-arguments.ts';
import { limits } from '../../limits.ts';
import { findCondition, setCondition } from '../conditions.ts';
import { isNoSpaceText, NO_SPACE, noteFailure, REBUILD_FAILED } from '../replica-failure.ts';
import { nodeOf, settingsOf, type ControllerContext } from '../context.ts';

const COMPONENT = 'longhorn-engine-controller';
const REMOVE_LIMIT = { timeoutMs: limits.instanceCallTimeoutMs };

export interface ReplicaJob {
  replica: string;
  address: string;
  /** of the engine's process that was called */
  engineUuid: string;
  /** Ends the call and leaves everything else as it is. */
  cancel: () => void;
}

export function addReplica(
  context: ControllerContext,
  engine: Engine,
  target: EngineTarget,
  { name, address }: { name: string; address: string },
  onEnd: () => void,
  onPurge: () => void,
): ReplicaJob {
  const abort = new AbortController();
  runJob(context, engine, target, name, address, abort.signal, onPurge)
    .catch((error: unknown) => notNoted(context, engine, name, error))
    .finally(onEnd);
  return { replica: name, address, engineUuid: engine.status.uuid, cancel: () => abort.abort() };
}

/** The API server cannot be reached, for one: what was to be noted is seen, and noted, by a later pass. */
function notNoted({ log }: ControllerContext, engine: Engine, replica: string, error: unknown): void {
  log.warn({ engine: engine.metadata.name, replica, err: error }, 'what became of a replica could not be noted');
}

async function runJob(
  context: ControllerContext,
  engine: Engine,
  target: EngineTarget,
  replica: string,
  address: string,
  signal: AbortSignal,
  onPurge: () => void,
): Promise<void> {
  const { events, log } = context;
  const waiting = engine.status.ioState === 'waiting';
  const volume = engine.spec.volumeName;
  const url = `tcp://${address}`;
  try {
    if (waiting) log.info({ engine: engine.metadata.name, replica }, 'handing a replica to the waiting engine');
    else
      events.record(COMPONENT, engine, {
        type: 'Normal',
        reason: 'Rebuilding',
        message: `Start rebuilding replica ${replica} with Address ${address} for normal engine ${engine.metadata.name} and volume ${volume}`,
      });
    await callAdd(context, engine, target, replica, url, signal);
    if (waiting) {
      await noteAddress(context, engine, replica, address);
      return;
    }
    events.record(COMPONENT, engine, {
      type: 'Normal',
      reason: 'Rebuilt',
      message: `Replica ${replica} with Address ${address} has been rebuilt for volume ${volume}`,
    });
    await purgeAfter(context, engine, target, onPurge);
  } catch (error) {
    if (signal.aborted) return;
    const text = error instanceof Error ? error.message : String(error);
    log.warn({ engine: engine.metadata.name, replica, err: error }, 'replica could not be added');
    if (waiting) return;
    events.record(COMPONENT, engine, {
      type: 'Warning',
      reason: 'FailedRebuilding',
      message: `Failed rebuilding replica with Address ${address}: ${text}`,
    });
    await giveUp(context, engine, target, replica, url, text);
  }
}

async function callAdd(
  context: ControllerContext,
  engine: Engine,
  target: EngineTarget,
  replica: string,
  url: string,
  signal: AbortSignal,
): Promise<void> {
  const settings = settingsOf(context);
  const { managers } = context;
  const timeoutS = settings.get('long-grpc-timeout');
  const localSync = localSyncOf(context, engine, replica);
  await managers.proxy(target).ReplicaAdd(
    {
      ...managers.request(target),
      replica_address: url,
      replica_name: replica,
      restore: false,
      size: Number(engine.spec.volumeSize),
      current_size: Number(engine.status.currentSize === '0' ? engine.spec.volumeSize : engine.status.currentSize),
      fast_sync: settings.get('fast-replica-rebuild-enabled'),
      file_sync_http_client_timeout: settings.get('replica-file-sync-http-client-timeout'),
      grpc_timeout_seconds: timeoutS,
      ...(localSync === null ? {} : { local_sync: localSync }),
    },
    { timeoutMs: timeoutS * 1000, signal },
  );
}

/** Another running replica of the volume on the same node: files are copied without the network. */
function localSyncOf(
  context: ControllerContext,
  engine: Engine,
  name: string,
): { source_path: string; target_path: string } | null {
  const { datastore, environment } = context;
  const target = datastore.stores.Replica.get(name);
  if (target === null) return null;
  const source = datastore.stores.Replica.byIndex('volume', engine.spec.volumeName).find(
    (other) =>
      other.metadata.name !== name &&
      other.spec.nodeID === target.spec.nodeID &&
      other.metadata.deletionTimestamp === null &&
      engine.status.replicaModeMap[other.metadata.name] === 'RW',
  );
  if (source === undefined) return null;
  return {
    source_path: replicaFolder(source, environment.hostRoot),
    target_path: replicaFolder(target, environment.hostRoot),
  };
}

async function noteAddress(
  { datastore }: ControllerContext,
  engine: Engine,
  replica: string,
  address: string,
): Promise<void> {
  await datastore.update('Engine', engine.metadata.name, (present) => {
    if (present.status.uuid !== engine.status.uuid) return null;
    present.status.currentReplicaAddressMap = { ...present.status.currentReplicaAddressMap, [replica]: address };
    return present;
  });
}

/** The system's own snapshots of the rebuild have done their service. */
async function purgeAfter(
  context: ControllerContext,
  engine: Engine,
  target: EngineTarget,
  onPurge: () => void,
): Promise<void> {
  if (!settingsOf(context).get('auto-cleanup-system-generated-snapshot')) return;
  const { managers, events, log } = context;
  try {
    await managers
      .proxy(target)
      .SnapshotPurge(
        { ...managers.request(target), skip_if_in_progress: true },
        { timeoutMs: limits.instanceCallTimeoutMs },
      );
    onPurge();
  } catch (error) {
    // The replica is good all the same; the next purge takes these snapshots too.
    const text = error instanceof Error ? error.message : String(error);
    log.warn({ engine: engine.metadata.name, err: error }, 'snapshots could not be purged after a rebuild');
    events.record(COMPONENT, engine, {
      type: 'Warning',
      reason: 'FailedStartingSnapshotPurge',
      message: `Failed to start snapshot purge for engine ${engine.metadata.name} and volume ${engine.spec.volumeName} after rebuilding: ${text}`,
    });
  }
}

function failureReason(context: ControllerContext, nodeName: string, text: string): string {
  if (isNoSpaceText(text)) return NO_SPACE;
  if (!/rpc error: code = (Canceled|DeadlineExceeded|Unavailable)/.test(text)) return 'General';
  const node = nodeOf(context, nodeName);
  const ready = node === null ? null : findCondition(node.status.conditions, 'Ready');
  const telling = ['ManagerPodDown', 'KubernetesNodeGone', 'KubernetesNodeNotReady'];
  return ready !== null && telling.includes(ready.reason) ? ready.reason : 'Disconnection';
}

async function giveUp(
  context: ControllerContext,
  engine: Engine,
  target: EngineTarget,
  replica: string,
  url: string,
  text: string,
): Promise<void> {
  const { managers, datastore, clock, log } = context;
  try {
    await managers
      .proxy(target)
      .ReplicaRemove({ ...managers.request(target), replica_address: url, replica_name: replica }, REMOVE_LIMIT);
  } catch (error) {
    // The passes see what is left in the engine and take it out.
    log.debug(
      { engine: engine.metadata.name, replica, err: error },
      'replica of a failed rebuild could not be removed',
    );
  }
  await datastore.update('Replica', replica, (present) => {
    if (present.spec.engineName !== engine.metadata.name || present.spec.healthyAt !== '') return null;
    present.spec.failedAt ||= rfc3339(clock.now());
    present.spec.lastFailedAt = present.spec.failedAt;
    present.spec.desireState = 'stopped';
    const reason = failureReason(context, present.spec.nodeID, text);
    setCondition(
      present.status.conditions,
      { type: REBUILD_FAILED, status: 'True', reason, message: text },
      clock.now(),
    );
    return present;
  });
}

/** Takes a replica that the engine should not have out of it; a failure is told, and tried again by a later pass. */
export async function removeReplica(
  context: ControllerContext,
  engine: Engine,
  target: EngineTarget,
  removal: { name: string; url: string; reason: string },
): Promise<void> {
  try {
    await noteAndRemove(context, engine, target, removal);
  } catch (error) {
    notNoted(context, engine, removal.name, error);
  }
}

async function noteAndRemove(
  context: ControllerContext,
  engine: Engine,
  target: EngineTarget,
  { name, url, reason }: { name: string; url: string; reason: string },
): Promise<void> {
  const { managers, events, log, datastore, clock } = context;
  const mode = engine.status.replicaModeMap[name] ?? 'ERR';
  const record = (type: 'Normal' | 'Warning', reason: string, message: string): void =>
    events.record(COMPONENT, engine, { type, reason, message });
  if (mode === 'ERR' && name !== '' && reason !== '')
    await datastore.update('Replica', name, (present) =>
      present.spec.healthyAt !== '' && noteFailure(present, reason, clock.now()) ? present : null,
    );
  try {
    await managers
      .proxy(target)
      .ReplicaRemove({ ...managers.request(target), replica_address: url, replica_name: name }, REMOVE_LIMIT);
    record('Normal', 'Delete', `Removed replica ${name || url} in mode ${mode} from engine`);
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    log.warn(
      { engine: engine.metadata.name, replica: name, err: error },
      'replica could not be removed from the engine',
    );
    record('Warning', 'FailedDeleting', `Failed to remove replica ${name || url} in mode ${mode} from engine: ${text}`);
  }
}
