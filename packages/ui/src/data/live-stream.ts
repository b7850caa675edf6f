/**
 * One web socket that always comes back. Its state is told; what was shown stays on screen while it is lost. Silence is no
 * failure: the server sends only when something changed.
 */
import { dataLimits } from './limits.ts';
import { reconnectDelayMs } from './reconnect.ts';

export type StreamState = { state: 'connecting' } | { state: 'open' } | { state: 'lost'; attempt: number };

/** What the page wants to hear. */
export interface StreamListener {
  onMessage(message: unknown): void;
  onState(state: StreamState): void;
  /** A message that cannot be read; the stream goes on. */
  onProblem(error: unknown): void;
}

/** Opens the stream; the answer closes it for good. */
export function openStream(url: string, listener: StreamListener, random: () => number): () => void {
  let socket: WebSocket | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let attempt = 0;
  let isClosed = false;

  function connect(): void {
    if (isClosed) return;
    clearTimeout(timer);
    const current = new WebSocket(url);
    socket = current;
    timer = setTimeout(() => current.close(), dataLimits.openMsMax);
    current.addEventListener('open', () => {
      clearTimeout(timer);
      attempt = 0;
      listener.onState({ state: 'open' });
    });
    current.addEventListener('message', ({ data }: MessageEvent<unknown>) => {
      if (current !== socket || isClosed) return;
      try {
        listener.onMessage(JSON.parse(String(data)));
      } catch (error) {
        listener.onProblem(error);
      }
    });
    current.addEventListener('close', () => lost(current));
  }

  function lost(from: WebSocket): void {
    if (isClosed || from !== socket) return;
    clearTimeout(timer);
    listener.onState({ state: 'lost', attempt });
    timer = setTimeout(connect, reconnectDelayMs(attempt, random()));
    attempt += 1;
  }

  function nowOnline(): void {
    if (socket?.readyState === WebSocket.OPEN || socket?.readyState === WebSocket.CONNECTING) return;
    attempt = 0;
    connect();
  }

  window.addEventListener('online', nowOnline);
  listener.onState({ state: 'connecting' });
  connect();
  return () => {
    isClosed = true;
    clearTimeout(timer);
    window.removeEventListener('online', nowOnline);
    socket?.close();
  };
}
