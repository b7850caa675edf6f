/** What changed, for those who do not see it change: said politely, one after the other. */
import { useSyncExternalStore } from 'react';

const LINES_MAX = 5;

interface Line {
  id: number;
  text: string;
}

let lines: readonly Line[] = [];
let lastId = 0;
const listeners = new Set<() => void>();

/** Says a sentence. */
export function announce(text: string): void {
  lastId += 1;
  lines = [...lines, { id: lastId, text }].slice(-LINES_MAX);
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function useAnnouncements(): readonly Line[] {
  return useSyncExternalStore(subscribe, () => lines);
}
