/**
 * Keeps I/O and changes of the chain apart: while the gate is closed no I/O starts, and closing waits for what runs.
 * I/O that is done within one call needs no entry; only what goes on later (a cold read, a flush) is counted.
 */
export class IoGate {
  private running = 0;
  private closedBy = 0;
  private onIdle: (() => void)[] = [];
  private onOpen: (() => void)[] = [];

  get isClosed(): boolean {
    return this.closedBy > 0;
  }

  /** I/O that outlives the present call starts. */
  enter(): void {
    this.running++;
  }

  /** As {@link enter}, once the gate is open. */
  async enterWhenOpen(): Promise<void> {
    while (this.isClosed) await new Promise<void>((resolve) => this.whenOpen(resolve));
    this.enter();
  }

  leave(): void {
    this.running--;
    if (this.running > 0) return;
    const waiting = this.onIdle;
    this.onIdle = [];
    for (const resolve of waiting) resolve();
  }

  /** Runs `work` while no I/O runs. */
  async exclusive<T>(work: () => Promise<T>): Promise<T> {
    this.closedBy++;
    try {
      if (this.running > 0) await new Promise<void>((resolve) => this.onIdle.push(resolve));
      return await work();
    } finally {
      this.closedBy--;
      if (this.closedBy === 0) this.open();
    }
  }

  private open(): void {
    const waiting = this.onOpen;
    this.onOpen = [];
    for (const resume of waiting) resume();
  }

  /** Calls `resume` once when the gate is open again. */
  whenOpen(resume: () => void): void {
    this.onOpen.push(resume);
  }
}
