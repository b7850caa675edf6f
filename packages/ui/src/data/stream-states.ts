/** The states of all open streams, for the line that says that the connection is lost. */
import { useSyncExternalStore } from 'react';
import type { StreamName } from './keys.ts';
import type { StreamState } from './live-stream.ts';

let states: ReadonlyMap<StreamName, StreamState> = new Map();
const listeners = new Set<() => void>();

/** Notes the state of a stream; null: it is closed. */
export function noteStreamState(stream: StreamName, state: StreamState | null): void {
  const next = new Map(states);
  if (state === null) next.delete(stream);
  else next.set(stream, state);
  states = next;
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** `open`: all is live; `lost`: some stream is gone and tried again. */
export type Connection = 'connecting' | 'open' | 'lost';

/** The worst state of all. */
export function connectionOf(all: ReadonlyMap<StreamName, StreamState>): Connection {
  const found = new Set([...all.values()].map(({ state }) => state));
  if (found.has('lost')) return 'lost';
  return found.has('connecting') ? 'connecting' : 'open';
}

/** The worst state, live. */
export function useConnection(): Connection {
  return useSyncExternalStore(subscribe, () => connectionOf(states));
}
