/**
 * Keys to be brought in line, one after the other. A key that is added while it waits is handled once; one that fails is
 * tried again with growing delay.
 */
import type { After } from '../api/environment.ts';

const retryMsMin = 200;
const retryMsMax = 30_000;

export class WorkQueue {
  readonly #handle: (key: string) => Promise<void>;
  readonly #after: After;
  readonly #failed: (key: string, error: unknown) => void;
  readonly #waiting = new Set<string>();
  readonly #failures = new Map<string, number>();
  readonly #retries = new Map<string, () => void>();
  #busy: Promise<void> | null = null;
  #closed = false;

  constructor(handle: (key: string) => Promise<void>, after: After, failed: (key: string, error: unknown) => void) {
    this.#handle = handle;
    this.#after = after;
    this.#failed = failed;
  }

  add(key: string): void {
    if (this.#closed) return;
    this.#retries.get(key)?.();
    this.#retries.delete(key);
    this.#waiting.add(key);
    // Listeners run inside a write; the work starts after it.
    this.#busy ??= Promise.resolve().then(() => this.#run());
  }

  /** Adds a key later, unless it is added before. */
  addAfter(key: string, milliseconds: number): void {
    if (this.#closed || this.#waiting.has(key)) return;
    this.#retries.get(key)?.();
    this.#retries.set(
      key,
      this.#after(milliseconds, () => this.add(key)),
    );
  }

  async #run(): Promise<void> {
    for (const key of this.#waiting) {
      if (this.#closed) break;
      this.#waiting.delete(key);
      try {
        await this.#handle(key);
        this.#failures.delete(key);
      } catch (error) {
        const count = (this.#failures.get(key) ?? 0) + 1;
        this.#failures.set(key, count);
        // Conflicts with a concurrent writer are common and heal at the next try.
        if (count > 2) this.#failed(key, error);
        this.addAfter(key, Math.min(retryMsMax, retryMsMin * 2 ** Math.min(count, 10)));
      }
    }
    this.#busy = null;
    if (this.#waiting.size > 0 && !this.#closed) this.#busy = Promise.resolve().then(() => this.#run());
  }

  /** Resolves when nothing waits at the moment. */
  async idle(): Promise<void> {
    while (this.#busy !== null) await this.#busy;
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const cancel of this.#retries.values()) cancel();
    this.#retries.clear();
    this.#waiting.clear();
    await this.#busy;
  }
}
