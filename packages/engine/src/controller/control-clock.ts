/** Time as the control side sees it; the simulator has its own. */

export interface ControlClock {
  /** monotonic milliseconds */
  nowMs(): number;
  /** wall time */
  date(): Date;
  /** Calls `run` once after `delayMs`; the returned function takes that back. */
  after(delayMs: number, run: () => void): () => void;
}

/** The kernel's clock. Timers do not keep the process alive. */
export const systemClock: ControlClock = {
  nowMs: () => performance.now(),
  date: () => new Date(),
  after(delayMs, run) {
    const timer = setTimeout(run, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
};

/** Resolves after `delayMs`, or as soon as the signal is aborted. */
export function pauseFor(clock: ControlClock, delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = (): void => {
      cancel();
      signal.removeEventListener('abort', done);
      resolve();
    };
    const cancel = clock.after(delayMs, done);
    signal.addEventListener('abort', done, { once: true });
    return undefined;
  });
}

/** Seconds of RFC 3339, as upstream writes creation times. */
export function rfc3339(date: Date): string {
  return `${date.toISOString().slice(0, 19)}Z`;
}
