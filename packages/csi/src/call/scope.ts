/** What the work of one call gets: its end, time, and a way to wait for the manager. */
import { Code, rpcError } from '@longhorn/shared-types/grpc/rpc-error';
import { POLL_FIRST_MS, POLL_LAST_MS } from '../limits.ts';
import type { Clock } from './clock.ts';

export interface CallScope {
  /** aborted when the caller is gone or its time is over */
  readonly signal: AbortSignal;
  readonly clock: Clock;
  /** Tells something that is no error but that people should see. */
  readonly warn: (text: string) => void;
}

/** What a look at an object said: done with a result, or what is being waited for. */
export type Look<T> = { done: true; value: T } | { done: false; waitingFor: string };

/** Looks again and again until it is done; DeadlineExceeded says what was waited for. */
export async function waitUntil<T>(
  scope: CallScope,
  timeoutMs: number,
  failure: string,
  look: (elapsedMs: number) => Promise<Look<T>>,
): Promise<T> {
  const { clock, signal } = scope;
  const start = clock.now();
  for (let pauseMs = POLL_FIRST_MS; ; pauseMs = Math.min(pauseMs * 1.5, POLL_LAST_MS)) {
    const seen = await look(clock.now() - start);
    if (seen.done) return seen.value;
    if (clock.now() - start + pauseMs > timeoutMs) {
      throw rpcError(Code.DeadlineExceeded, `${failure}: ${seen.waitingFor}`);
    }
    await clock.sleep(pauseMs, signal);
  }
}
