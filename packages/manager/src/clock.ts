/** Time as a parameter: the real clock here, a virtual one in tests. */

export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Calls once after the delay; the returned function takes it back. */
  after(delayMs: number, call: () => void): () => void;
}

/** The machine's clock; its timers do not keep the process alive. */
export const systemClock: Clock = {
  now: () => Date.now(),
  after(delayMs, call) {
    const timer = setTimeout(call, Math.max(0, delayMs));
    timer.unref();
    return () => clearTimeout(timer);
  },
};

/** Waits, or returns early when the signal aborts. */
export function pause(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const cancel = clock.after(delayMs, done);
    function done(): void {
      cancel();
      signal.removeEventListener('abort', done);
      resolve();
    }
    signal.addEventListener('abort', done);
  });
}

/** Seconds precision, as all times in spec and status. */
export function rfc3339(nowMs: number): string {
  return new Date(nowMs).toISOString().replace(/\.\d{3}Z$/, 'Z');
}

/** Null for an unset or unreadable time. */
export function parseTime(value: string): number | null {
  const ms = value === '' ? Number.NaN : Date.parse(value);
  return Number.isNaN(ms) ? null : ms;
}

/** Doubles from min to max with each failure (1 = first). */
export function backoffMs(minMs: number, maxMs: number, failures: number): number {
  return Math.min(maxMs, minMs * 2 ** Math.min(30, Math.max(0, failures - 1)));
}
