/** Lets a loop sleep until something happened or time passed. An event before the sleep is not missed. */
import type { ControlClock } from './control-clock.ts';

export class Wakeup {
  private readonly clock: ControlClock;
  private pending = false;
  private resume: (() => void) | null = null;

  constructor(clock: ControlClock) {
    this.clock = clock;
  }

  wake(): void {
    this.pending = true;
    this.resume?.();
  }

  /** One sleeper at a time. */
  async sleep(delayMs: number): Promise<void> {
    if (!this.pending) {
      await new Promise<void>((resolve) => {
        const cancel = this.clock.after(delayMs, resolve);
        this.resume = () => {
          cancel();
          resolve();
        };
      });
      this.resume = null;
    }
    this.pending = false;
  }
}
