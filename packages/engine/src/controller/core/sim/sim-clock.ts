/** Virtual time: events in the order of their time, calls asked for `soon` after the event that asked. */
import type { CoreClock } from '../member-link.ts';

interface Event {
  readonly atMs: number;
  readonly serial: number;
  readonly run: () => void;
}

export class SimClock implements CoreClock {
  private timeMs = 0;
  private serial = 0;
  private readonly events: Event[] = [];
  private readonly soonQueue: (() => void)[] = [];

  nowMs(): number {
    return this.timeMs;
  }

  soon(run: () => void): void {
    this.soonQueue.push(run);
  }

  every(intervalMs: number, run: () => void): () => void {
    let isStopped = false;
    const again = (): void => {
      if (isStopped) return;
      run();
      this.after(intervalMs, again);
    };
    this.after(intervalMs, again);
    return () => {
      isStopped = true;
    };
  }

  after(delayMs: number, run: () => void): void {
    this.events.push({ atMs: this.timeMs + delayMs, serial: this.serial++, run });
  }

  /** The process does not run for a while: time goes on, what is due comes late. */
  jump(byMs: number): void {
    this.timeMs += byMs;
  }

  /** Runs until `isDone`, then true, or until virtual time is up. */
  async run(untilMs: number, isDone: () => boolean): Promise<boolean> {
    this.runSoon();
    while (!isDone()) {
      this.runSoon();
      let first = 0;
      for (let i = 1; i < this.events.length; i++) if (this.isBefore(i, first)) first = i;
      const event = this.events[first];
      if (event === undefined || event.atMs > untilMs) return false;
      this.events.splice(first, 1);
      this.timeMs = Math.max(this.timeMs, event.atMs);
      event.run();
      this.runSoon();
      // What waits for a promise goes on.
      await Promise.resolve();
      this.runSoon();
    }
    return true;
  }

  private isBefore(a: number, b: number): boolean {
    const [x, y] = [this.events[a], this.events[b]];
    if (!x || !y) return false;
    return x.atMs < y.atMs || (x.atMs === y.atMs && x.serial < y.serial);
  }

  private runSoon(): void {
    for (let run = this.soonQueue.shift(); run; run = this.soonQueue.shift()) run();
  }
}
