/**
 * The web sockets: each shows one list, at once and again whenever it has changed, always as a whole. Changes that come
 * close together go out as one message. A client that does not read is cut off, so that memory stays bounded.
 */
import { parseDuration } from '@longhorn/shared-types';
import { CACHED_KINDS, type CachedKind } from '../datastore/datastore.ts';
import type { ApiContext } from './api-context.ts';
import { apiLimits } from './api-limits.ts';
import { LISTS, STREAMS, type RestList } from './lists.ts';
import type { RequestUrl } from './request-url.ts';
import { collectionJson, toJsonText } from './rest-output.ts';

/** What a stream needs of a web socket. */
export interface StreamSocket {
  readonly bufferedAmount: number;
  on(event: 'pong' | 'close', listener: () => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  send(text: string): void;
  ping(): void;
  close(code: number, reason: string): void;
  terminate(): void;
}

const GOING_AWAY = 1001;
const TRY_AGAIN_LATER = 1013;
const INTERNAL_ERROR = 1011;

/** Least time between two messages, from the path; what is no duration counts as 0. */
export function streamPeriodMs(text: string): number {
  return Math.min(parseDuration(text) ?? 0, apiLimits.streamPeriodMaxMs);
}

class Subscriber {
  readonly list: RestList;
  readonly #context: ApiContext;
  readonly #socket: StreamSocket;
  readonly #url: RequestUrl;
  readonly #periodMs: number;
  readonly #onClose: () => void;
  #lastText = '';
  #lastSentMs = 0;
  #cancelPush: (() => void) | null = null;
  #cancelPing: (() => void) | null = null;
  #alive = true;
  #closed = false;

  constructor(
    context: ApiContext,
    socket: StreamSocket,
    list: RestList,
    url: RequestUrl,
    periodMs: number,
    onClose: () => void,
  ) {
    this.#context = context;
    this.#socket = socket;
    this.list = list;
    this.#url = url;
    this.#periodMs = Math.max(periodMs, apiLimits.streamCoalesceMs);
    this.#onClose = onClose;
  }

  start(): void {
    this.#socket.on('pong', () => (this.#alive = true));
    this.#socket.on('close', () => this.#end());
    this.#socket.on('error', (error) => this.#context.log.debug({ err: error }, 'web socket failed'));
    this.#push();
    this.#schedulePing();
  }

  /** The list may have changed. */
  wake(): void {
    if (this.#closed || this.#cancelPush !== null) return;
    const dueMs = this.#lastSentMs + this.#periodMs - this.#context.clock.now();
    this.#cancelPush = this.#context.clock.after(Math.max(dueMs, apiLimits.streamCoalesceMs), () => {
      this.#cancelPush = null;
      this.#push();
    });
  }

  close(code: number, reason: string): void {
    this.#socket.close(code, reason);
    this.#end();
  }

  #push(): void {
    this.#send().catch((error: unknown) => {
      this.#context.log.warn({ err: error, stream: this.list.schema }, 'cannot compute the list of a web socket');
      this.close(INTERNAL_ERROR, 'the list cannot be computed now');
    });
  }

  async #send(): Promise<void> {
    const items = await this.list.items(this.#context);
    const text = toJsonText(collectionJson(this.list.schema, items, this.#url));
    if (this.#closed || text === this.#lastText) return;
    if (this.#socket.bufferedAmount > apiLimits.streamBacklogBytesMax) {
      this.close(TRY_AGAIN_LATER, 'the client does not read its messages');
      return;
    }
    this.#lastText = text;
    this.#lastSentMs = this.#context.clock.now();
    this.#socket.send(text);
  }

  #schedulePing(): void {
    this.#cancelPing = this.#context.clock.after(apiLimits.streamPingMs, () => {
      if (!this.#alive) {
        this.#socket.terminate();
        this.#end();
        return;
      }
      this.#alive = false;
      this.#socket.ping();
      // Lists without a source of changes are looked at again now.
      if (this.list.sources.length === 0) this.wake();
      this.#schedulePing();
    });
  }

  #end(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#cancelPush?.();
    this.#cancelPing?.();
    this.#onClose();
  }
}

/** All web sockets of a server. */
export class StreamHub {
  readonly #context: ApiContext;
  readonly #subscribers = new Set<Subscriber>();
  #stopped = false;

  constructor(context: ApiContext) {
    this.#context = context;
    for (const kind of CACHED_KINDS) context.datastore.store(kind).onChange(() => this.#changed(kind));
  }

  #changed(kind: CachedKind): void {
    for (const subscriber of this.#subscribers) if (subscriber.list.sources.includes(kind)) subscriber.wake();
  }

  /** Takes a socket over; one for a stream that does not exist is closed with a word. */
  accept(socket: StreamSocket, stream: string, period: string, url: RequestUrl): void {
    const list = STREAMS.includes(stream) ? LISTS.get(stream) : undefined;
    if (list === undefined) {
      socket.close(INTERNAL_ERROR, `no stream ${stream.slice(0, 40)}`);
      return;
    }
    if (this.#stopped || this.#subscribers.size >= apiLimits.streamClientsMax) {
      socket.close(TRY_AGAIN_LATER, 'too many web sockets');
      return;
    }
    const subscriber: Subscriber = new Subscriber(this.#context, socket, list, url, streamPeriodMs(period), () =>
      this.#subscribers.delete(subscriber),
    );
    this.#subscribers.add(subscriber);
    subscriber.start();
  }

  stop(): void {
    this.#stopped = true;
    for (const subscriber of this.#subscribers) subscriber.close(GOING_AWAY, 'the manager is stopping');
  }
}
