/**
 * What a reconcile pass says about its key. Decided where the situation is met, turned into a requeue in one place
 * (queue.ts).
 */
export type Outcome =
  /** As wanted; the next event brings the key back. */
  | { kind: 'done' }
  /** Nothing to do before this time (milliseconds since the epoch), unless an event comes. */
  | { kind: 'waiting'; untilMs: number }
  /** Failed in a way that may pass: again after a back-off. */
  | { kind: 'retry'; reason: string }
  /** Only a change of the object (or of its relatives) helps. */
  | { kind: 'stalled'; reason: string };

export const done: Outcome = { kind: 'done' };

/** The one of two outcomes that brings the key back earlier. */
export function earlier(a: Outcome, b: Outcome): Outcome {
  const rank = (outcome: Outcome): number =>
    outcome.kind === 'retry' ? 0 : outcome.kind === 'waiting' ? 1 : outcome.kind === 'stalled' ? 2 : 3;
  if (a.kind === 'waiting' && b.kind === 'waiting') return a.untilMs <= b.untilMs ? a : b;
  return rank(a) <= rank(b) ? a : b;
}
