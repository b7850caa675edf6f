/**
 * Notices a process that stands still: the kernel goes on accepting connections for it, and nothing ever answers.
 *
 * A process that refuses or closes a connection is on its way out, or starting to serve: that is not standing still.
 */
import { setTimeout as delay } from 'node:timers/promises';

/** `silent`: no answer within the time of the call. */
export type Liveness = 'answers' | 'silent' | 'refuses';

export interface HangWatch {
  /** One health check. */
  check: (signal: AbortSignal) => Promise<Liveness>;
  pauseMs: number;
  /** pause after a silent check */
  retryMs: number;
  /** so many silent checks in a row */
  checksMax: number;
  /** Called once, when it stands still. */
  hangs: () => void;
}

/** Watches until `signal` is aborted or the process stands still. */
export async function watchForHang(
  { check, pauseMs, retryMs, checksMax, hangs }: HangWatch,
  signal: AbortSignal,
): Promise<void> {
  for (let silent = 0; silent < checksMax;) {
    await delay(silent === 0 ? pauseMs : retryMs, undefined, { signal, ref: false }).catch(() => undefined);
    if (signal.aborted) return;
    const answer = await check(signal);
    if (signal.aborted) return;
    silent = answer === 'silent' ? silent + 1 : 0;
  }
  hangs();
}
