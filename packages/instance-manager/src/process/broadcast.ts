/** Sends updates to any number of watchers; each has a bounded queue of its own. */

export class Broadcast<T> {
  private readonly watchers = new Set<Watcher<T>>();
  private readonly queueMax: number;

  /** A watcher with `queueMax` updates waiting is ended: it lists and watches anew. */
  constructor(queueMax: number) {
    this.queueMax = queueMax;
  }

  /** Number of watchers. */
  get size(): number {
    return this.watchers.size;
  }

  send(update: T): void {
    for (const watcher of this.watchers) {
      if (watcher.queue.length >= this.queueMax) this.drop(watcher);
      else {
        watcher.queue.push(update);
        watcher.wake();
      }
    }
  }

  /** Updates from now on; subscribed at the call, not at the first read. Ends with `signal`. */
  watch(signal: AbortSignal): AsyncIterable<T> {
    const watcher: Watcher<T> = { queue: [], ended: false, wake: () => undefined };
    if (signal.aborted) watcher.ended = true;
    else this.watchers.add(watcher);
    signal.addEventListener('abort', () => this.drop(watcher), { once: true });
    return this.read(watcher);
  }

  private async *read(watcher: Watcher<T>): AsyncGenerator<T> {
    try {
      for (;;) {
        const update = watcher.queue.shift();
        if (update !== undefined) yield update;
        else if (watcher.ended) return;
        else {
          await new Promise<void>((resolve) => {
            watcher.wake = resolve;
          });
        }
      }
    } finally {
      this.drop(watcher);
    }
  }

  private drop(watcher: Watcher<T>): void {
    watcher.ended = true;
    this.watchers.delete(watcher);
    watcher.wake();
  }

  /** Ends all watchers. */
  close(): void {
    for (const watcher of this.watchers) this.drop(watcher);
  }
}

interface Watcher<T> {
  readonly queue: T[];
  ended: boolean;
  wake: () => void;
}
