/**
 * Keeps one cache equal to the API server: list, then watch from there, for ever. A closed or failed watch goes on from
 * the last version seen; a version that is too old (410) leads to a new list. Lists that fail and watches that do not
 * live back off. It never gives up.
 */
import type { Logger } from 'pino';
import { backoffMs, pause, type Clock } from '../clock.ts';
import { limits } from '../limits.ts';
import type { KubeTransport, RawObject, Resource, WatchEvent } from './kube-transport.ts';
import type { ObjectStore, StoredObject } from './object-store.ts';

export interface ReflectorOptions<T extends StoredObject> {
  transport: KubeTransport;
  resource: Resource;
  namespace: string;
  store: ObjectStore<T>;
  /** Null: this object is of no interest, whichever version of it, and is not kept. */
  decode: (raw: RawObject) => T | null;
  clock: Clock;
  log: Logger;
  signal: AbortSignal;
  /** Called once, after the first list. */
  onSynced: () => void;
}

/** Runs until the signal aborts. */
export async function reflect<T extends StoredObject>(options: ReflectorOptions<T>): Promise<void> {
  const { clock, log, signal, resource } = options;
  /** Since a watch lived: one list that succeeds between watches that do not is no sign that the server is well. */
  let failures = 0;
  let version = '';
  while (!signal.aborted) {
    try {
      if (version === '') version = await listOnce(options);
    } catch (error) {
      failures += 1;
      log.warn({ kind: resource.kind, err: error, failures }, 'list failed, trying again');
      await pause(clock, backoffMs(limits.watchRetryMinMs, limits.watchRetryMaxMs, failures), signal);
      continue;
    }
    const startedMs = clock.now();
    let hasTold = false;
    const end = await watchOnce(options, version, (seen) => {
      version = seen;
      hasTold = true;
    });
    if (end.kind === 'gone') version = '';
    const lastedMs = clock.now() - startedMs;
    const hasLived = hasTold || lastedMs >= limits.watchLivedMs;
    failures = hasLived ? 0 : failures + 1;
    if (end.kind === 'failed')
      log.debug({ kind: resource.kind, err: end.error, failures }, 'watch failed, trying again');
    // A server that closes every watch at once must not be asked in a tight loop.
    if (end.kind !== 'closed' || !hasLived || lastedMs < limits.watchRetryMinMs) {
      await pause(clock, backoffMs(limits.watchRetryMinMs, limits.watchRetryMaxMs, Math.max(1, failures)), signal);
    }
  }
}

async function listOnce<T extends StoredObject>(options: ReflectorOptions<T>): Promise<string> {
  const { transport, resource, namespace, store, onSynced } = options;
  const objects: T[] = [];
  const onObject = (raw: RawObject): void => void objects.push(...tryDecode(options, raw));
  const { resourceVersion } = await transport.list(resource, namespace, { onObject });
  store.replaceAll(objects, resourceVersion);
  onSynced();
  return resourceVersion;
}

function watchOnce<T extends StoredObject>(
  options: ReflectorOptions<T>,
  fromVersion: string,
  onVersion: (version: string) => void,
): ReturnType<KubeTransport['watch']> {
  const { transport, resource, namespace, store, signal } = options;
  const receive = (event: WatchEvent): void => {
    const version = event.object.metadata.resourceVersion;
    if (event.type === 'DELETED') store.remove(store.keyOf(event.object.metadata), event.object.metadata.uid ?? '');
    else if (event.type !== 'BOOKMARK') for (const object of tryDecode(options, event.object)) store.apply(object);
    if (version !== undefined && version !== '') onVersion(version);
  };
  return transport.watch(resource, namespace, fromVersion, receive, signal);
}

/** An object that cannot be read is left out with a word in the log; the others go on. */
function tryDecode<T extends StoredObject>(options: ReflectorOptions<T>, raw: RawObject): T[] {
  try {
    const object = options.decode(raw);
    return object === null ? [] : [object];
  } catch (error) {
    options.log.error({ kind: options.resource.kind, name: raw.metadata.name, err: error }, 'object cannot be read');
    return [];
  }
}
