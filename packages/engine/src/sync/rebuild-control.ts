/** Holds the rebuild of a replica back: paused altogether, or to so many bytes a second. */
import type { ReplicaClock } from '../io/replica-clock.ts';

const SECOND_MS = 1000;

/** What a receiver asks before it takes data and before it answers. */
export interface Pace {
  /** resolves at once, or when the rebuild goes on again */
  whenGoing(): Promise<void>;
  /** resolves when so many more bytes may have been written */
  take(count: number): Promise<void>;
}

/** As fast as it comes. */
export const FULL_SPEED: Pace = { whenGoing: () => Promise.resolve(), take: () => Promise.resolve() };

export class RebuildControl implements Pace {
  private readonly clock: ReplicaClock;
  private bytesPerSecond = 0;
  private pausing: PromiseWithResolvers<void> | null = null;
  /** those that were taken before have been waited for */
  private last: Promise<void> = Promise.resolve();
  private cutShort: () => void = () => undefined;

  constructor(clock: ReplicaClock) {
    this.clock = clock;
  }

  get isPaused(): boolean {
    return this.pausing !== null;
  }

  /** 0: no limit */
  get limit(): number {
    return this.bytesPerSecond;
  }

  pause(): void {
    this.pausing ??= Promise.withResolvers();
  }

  resume(): void {
    this.pausing?.resolve();
    this.pausing = null;
  }

  /** From now on; what waits for the limit before goes on. */
  setLimit(bytesPerSecond: number): void {
    this.bytesPerSecond = bytesPerSecond;
    this.cutShort();
  }

  async whenGoing(): Promise<void> {
    while (this.pausing !== null) await this.pausing.promise;
  }

  take(count: number): Promise<void> {
    if (this.bytesPerSecond === 0) return Promise.resolve();
    this.last = this.last.then(() => this.wait(count));
    return this.last;
  }

  private wait(count: number): Promise<void> {
    if (this.bytesPerSecond === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const cancel = this.clock.after(Math.ceil((count * SECOND_MS) / this.bytesPerSecond), resolve);
      this.cutShort = () => {
        cancel();
        resolve();
      };
    });
  }
}
