/**
 * Watch streams.
 *
 * Each change is sent once, in the order of resourceVersions, seen through the selectors: an object that begins to
 * match is ADDED, one that ceases to match is DELETED. A version that history no longer reaches is answered 410.
 */
import type { ServerResponse } from 'node:http';
import { bookmarkIntervalMs, watchBacklogBytesMax, watchMsMax } from '../limits.ts';
import type { JsonObject } from './json.ts';
import { matcher, type ListRequest } from './listing.ts';
import type { KubeObject } from './object.ts';
import { apiVersionOf } from './resource-type.ts';
import type { Match } from './selectors.ts';
import { badRequest, causes, expired, invalidOptions } from './status-error.ts';
import type { Store, StoreEvent } from './store.ts';

/** How objects are written into a stream: as themselves, as tables, as metadata only. */
export type Encode = (object: KubeObject) => string;

type Sent = { type: 'ADDED' | 'MODIFIED' | 'DELETED'; object: KubeObject };

/** What a watcher with this selection hears of a change. */
export function seenThrough(matches: Match, event: StoreEvent): Sent | null {
  const now = event.type !== 'DELETED' && matches(event.object);
  const before = event.previous !== null && matches(event.previous);
  if (now) return { type: before ? 'MODIFIED' : 'ADDED', object: event.object };
  if (!before || event.previous === null) return null;
  if (event.type === 'DELETED') return { type: 'DELETED', object: event.object };
  const { metadata } = event.previous;
  const last = { ...event.previous, metadata: { ...metadata, resourceVersion: event.object.metadata.resourceVersion } };
  return { type: 'DELETED', object: last };
}

interface Start {
  /** objects to send first, as ADDED */
  initial: KubeObject[];
  missed: StoreEvent[];
  version: number;
}

function startOf(store: Store, request: ListRequest, initialEvents: boolean): Start {
  const { type, parameters } = request;
  const text = parameters.get('resourceVersion') ?? '';
  const version = Number(text === '' ? '0' : text);
  if (!Number.isSafeInteger(version) || version < 0)
    throw badRequest(`Invalid value: ${JSON.stringify(text)}: resourceVersion`);
  const fromNow = version === 0;
  if (fromNow || initialEvents) {
    const matches = matcher(request);
    const wanted = !(fromNow && parameters.get('sendInitialEvents') === 'false');
    const initial = wanted ? store.list(type.storage, request.namespace).filter(matches) : [];
    return { initial, missed: [], version: store.version };
  }
  const missed = store.since(type.storage, version);
  if (missed === null) throw expired(`too old resource version: ${version} (${store.version})`);
  return { initial: [], missed, version };
}

function bookmark(request: ListRequest, version: number, endOfList: boolean): string {
  const object: JsonObject = {
    kind: request.type.kind,
    apiVersion: apiVersionOf(request.type),
    metadata: {
      resourceVersion: String(version),
      ...(endOfList ? { annotations: { 'k8s.io/initial-events-end': 'true' } } : {}),
    },
  };
  return `{"type":"BOOKMARK","object":${JSON.stringify(object)}}\n`;
}

function timeoutMs(parameters: URLSearchParams): number {
  const seconds = Number(parameters.get('timeoutSeconds') ?? '0');
  return seconds > 0 ? Math.min(seconds * 1000, watchMsMax) : watchMsMax;
}

/** Serves one watch until the client leaves, its time is over or it reads too slowly. */
export function serveWatch(store: Store, request: ListRequest, encode: Encode, response: ServerResponse): void {
  const { parameters, type } = request;
  const bookmarks = ['true', '1'].includes(parameters.get('allowWatchBookmarks') ?? '');
  const initialEvents = parameters.get('sendInitialEvents') === 'true';
  if (initialEvents && (!bookmarks || parameters.get('resourceVersionMatch') !== 'NotOlderThan'))
    throw invalidOptions('ListOptions', [
      causes.forbidden(
        'resourceVersionMatch',
        bookmarks
          ? 'sendInitialEvents requires setting resourceVersionMatch to NotOlderThan'
          : 'sendInitialEvents requires setting resourceVersionMatch to NotOlderThan and allowWatchBookmarks to true',
      ),
    ]);
  const matches = matcher(request);
  const start = startOf(store, request, initialEvents);
  response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-cache, private' });
  response.flushHeaders();
  const send = (sent: Sent | null): void => {
    if (sent === null) return;
    response.write(`{"type":"${sent.type}","object":${encode(sent.object)}}\n`);
    if (response.writableLength > watchBacklogBytesMax) response.destroy();
  };
  for (const object of start.initial) send({ type: 'ADDED', object });
  for (const event of start.missed) send(seenThrough(matches, event));
  if (initialEvents) response.write(bookmark(request, store.version, true));
  const unsubscribe = store.subscribe(type.storage, (event) => send(seenThrough(matches, event)));
  const ticking = bookmarks
    ? setInterval(() => response.write(bookmark(request, store.version, false)), bookmarkIntervalMs)
    : null;
  const ending = setTimeout(() => {
    if (bookmarks) response.write(bookmark(request, store.version, false));
    response.end();
  }, timeoutMs(parameters));
  response.once('close', () => {
    unsubscribe();
    if (ticking !== null) clearInterval(ticking);
    clearTimeout(ending);
  });
}
