/** Time for tests. */
import type { Clock } from '../src/call/clock.ts';

/** Time that stands until it is moved. */
export class HandClock implements Clock {
  #nowMs = 0;
  #sleepers: { atMs: number; wake: () => void }[] = [];
  now(): number {
    return this.#nowMs;
  }
  sleep(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      signal.addEventListener('abort', () =>
        reject(signal.reason instanceof Error ? signal.reason : new Error('aborted')),
      );
      this.#sleepers.push({ atMs: this.#nowMs + ms, wake: resolve });
    });
  }
  async pass(ms: number): Promise<void> {
    this.#nowMs += ms;
    for (const { atMs, wake } of this.#sleepers) if (atMs <= this.#nowMs) wake();
    await new Promise((resolve) => setImmediate(resolve));
  }
}
