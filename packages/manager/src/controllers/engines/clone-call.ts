/**
 * Copying a snapshot into an engine's volume: one call that lasts as long as the copy, so it runs beside the passes. The
 * engine of the source only tells its replicas; the data goes from replica to replica.
 */
import { parseDataSource, type Engine } from '@longhorn/shared-types';
import { pause } from '../../clock.ts';
import { engineTarget, type EngineTarget } from '../../instance-client/instance-managers.ts';
import { limits } from '../../limits.ts';
import { instanceManagerOf, settingsOf, type ControllerContext } from '../context.ts';

export interface CloneCall {
  cancel: () => void;
}

/** The running engine of the volume that is to be copied; null while there is none, or more than one. */
export function cloneSourceOf(context: ControllerContext, engine: Engine): EngineTarget | null {
  const source = parseDataSource(engine.spec.requestedDataSource);
  if (source === null) return null;
  const [only, ...others] = context.datastore.stores.Engine.byIndex('volume', source.volume);
  if (only === undefined || others.length > 0) return null;
  return engineTarget(only, instanceManagerOf(context, only));
}

/** `onEnd` gets why it failed, null when it did not. Not called after `cancel`. */
export function cloneInto(
  context: ControllerContext,
  engine: Engine,
  target: EngineTarget,
  onEnd: (failure: string | null) => void,
): CloneCall {
  const abort = new AbortController();
  void run(context, engine, target, abort.signal).then((failure) => {
    if (!abort.signal.aborted) onEnd(failure);
  });
  return { cancel: () => abort.abort() };
}

async function run(
  context: ControllerContext,
  engine: Engine,
  target: EngineTarget,
  signal: AbortSignal,
): Promise<string | null> {
  const { managers, clock, log } = context;
  const source = cloneSourceOf(context, engine);
  const snapshot = parseDataSource(engine.spec.requestedDataSource)?.snapshot ?? null;
  if (source === null || snapshot === null) return null;
  const settings = settingsOf(context);
  const timeoutS = settings.get('long-grpc-timeout');
  log.info({ engine: engine.metadata.name, source: engine.spec.requestedDataSource }, 'copying a snapshot');
  try {
    await managers.proxy(target).SnapshotClone(
      {
        ...managers.request(target),
        from_engine_address: source.address,
        from_engine_name: source.engineName,
        from_volume_name: source.volumeName,
        snapshot_name: snapshot,
        export_backing_image_if_exist: false,
        file_sync_http_client_timeout: settings.get('replica-file-sync-http-client-timeout'),
        grpc_timeout_seconds: timeoutS,
      },
      { timeoutMs: timeoutS * 1000, signal },
    );
    return null;
  } catch (error) {
    log.warn({ engine: engine.metadata.name, err: error }, 'a snapshot could not be copied');
    await pause(clock, limits.cloneFailureSettlesMs, signal);
    return error instanceof Error ? error.message : String(error);
  }
}
