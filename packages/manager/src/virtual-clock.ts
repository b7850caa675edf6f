/** A clock that stands still until a test moves it. */
import type { Clock } from './clock.ts';

export class VirtualClock implements Clock {
  #nowMs: number;
  #timers: { atMs: number; call: () => void }[] = [];

  constructor(startMs = Date.UTC(2026, 0, 1)) {
    this.#nowMs = startMs;
  }

  now(): number {
    return this.#nowMs;
  }

  after(delayMs: number, call: () => void): () => void {
    const timer = { atMs: this.#nowMs + Math.max(0, delayMs), call };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  /** When the next timer is due, or null. */
  nextMs(): number | null {
    return this.#timers.reduce<number | null>(
      (least, { atMs }) => (least === null || atMs < least ? atMs : least),
      null,
    );
  }

  /** Moves on, running what becomes due in order. */
  advance(byMs: number): void {
    const untilMs = this.#nowMs + byMs;
    for (;;) {
      const due = this.#timers.filter((timer) => timer.atMs <= untilMs).toSorted((a, b) => a.atMs - b.atMs)[0];
      if (due === undefined) break;
      this.#timers = this.#timers.filter((timer) => timer !== due);
      this.#nowMs = Math.max(this.#nowMs, due.atMs);
      due.call();
    }
    this.#nowMs = untilMs;
  }
}
