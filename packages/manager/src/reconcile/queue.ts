/**
 * A queue of keys for one controller. A key is worked on by one worker at a time; added again meanwhile, it comes once
 * more afterwards. A failing key backs off by itself and does not hold up others. One timer serves all delayed keys.
 */
import { strict as assert } from 'node:assert';
import type { Logger } from 'pino';
import { backoffMs, type Clock } from '../clock.ts';
import { limits } from '../limits.ts';
import { isConflict } from '../datastore/kube-transport.ts';
import type { Outcome } from './outcome.ts';

export type Reconcile = (key: string) => Promise<Outcome>;

export interface QueueOptions {
  name: string;
  clock: Clock;
  log: Logger;
  workers?: number;
  reconcile: Reconcile;
}

export class ReconcileQueue {
  readonly name: string;
  readonly #options: QueueOptions;
  readonly #workersMax: number;
  readonly #ready = new Set<string>();
  readonly #active = new Set<string>();
  readonly #again = new Set<string>();
  readonly #delayed = new Map<string, number>();
  readonly #failures = new Map<string, number>();
  #cancelTimer: (() => void) | null = null;
  #timerAtMs = Number.POSITIVE_INFINITY;
  #running = false;
  #idleWaiters: (() => void)[] = [];

  constructor(options: QueueOptions) {
    this.name = options.name;
    this.#options = options;
    this.#workersMax = options.workers ?? limits.workersPerController;
  }

  /** Looks at the key as soon as a worker is free. */
  add(key: string): void {
    assert(key !== '', `${this.name}: empty key`);
    assert(this.#ready.size < limits.queueKeysMax, `${this.name}: too many keys`);
    if (this.#active.has(key)) this.#again.add(key);
    else this.#ready.add(key);
    this.#dispatch();
  }

  /** Looks at the key at that time, or earlier if an event comes. */
  addAt(key: string, atMs: number): void {
    const present = this.#delayed.get(key);
    if (present !== undefined && present <= atMs) return;
    this.#delayed.set(key, atMs);
    this.#arm();
  }

  start(): void {
    this.#running = true;
    this.#dispatch();
  }

  /** No key is started any more; resolves when the running ones are through. */
  async stop(): Promise<void> {
    this.#running = false;
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    if (this.#active.size > 0) await new Promise<void>((resolve) => this.#idleWaiters.push(resolve));
  }

  /** Keys waiting or running, for metrics and tests. */
  get depth(): number {
    return this.#ready.size + this.#active.size;
  }

  #dispatch(): void {
    while (this.#running && this.#active.size < this.#workersMax) {
      const key = this.#ready.values().next().value;
      if (key === undefined) return;
      this.#ready.delete(key);
      this.#delayed.delete(key);
      this.#active.add(key);
      void this.#work(key);
    }
  }

  async #work(key: string): Promise<void> {
    const outcome = await this.#attempt(key);
    this.#active.delete(key);
    this.#settle(key, outcome);
    if (this.#again.delete(key)) this.#ready.add(key);
    if (this.#active.size === 0) for (const resolve of this.#idleWaiters.splice(0)) resolve();
    this.#dispatch();
  }

  async #attempt(key: string): Promise<Outcome> {
    const { reconcile, log } = this.#options;
    try {
      return await reconcile(key);
    } catch (error) {
      if (isConflict(error)) {
        log.debug({ key, error: error.message }, 'lost a write against somebody else, again');
        return { kind: 'waiting', untilMs: this.#options.clock.now() + limits.conflictDelayMs };
      }
      if (error instanceof assert.AssertionError) {
        log.error({ key, err: error }, 'invariant broken, this object is left alone');
        return { kind: 'stalled', reason: error.message };
      }
      log.warn({ key, err: error }, 'pass failed');
      return { kind: 'retry', reason: error instanceof Error ? error.message : String(error) };
    }
  }

  #settle(key: string, outcome: Outcome): void {
    const { clock } = this.#options;
    if (outcome.kind !== 'retry') this.#failures.delete(key);
    switch (outcome.kind) {
      case 'done':
        return;
      case 'waiting':
        this.addAt(key, outcome.untilMs);
        return;
      case 'stalled':
        this.addAt(key, clock.now() + limits.stalledRecheckMs);
        return;
      case 'retry': {
        const failures = (this.#failures.get(key) ?? 0) + 1;
        this.#failures.set(key, failures);
        this.addAt(key, clock.now() + backoffMs(limits.retryDelayMinMs, limits.retryDelayMaxMs, failures));
      }
    }
  }

  #arm(): void {
    let atMs = Number.POSITIVE_INFINITY;
    for (const time of this.#delayed.values()) atMs = Math.min(atMs, time);
    if (atMs === this.#timerAtMs && this.#cancelTimer !== null) return;
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    this.#timerAtMs = atMs;
    if (atMs === Number.POSITIVE_INFINITY) return;
    this.#cancelTimer = this.#options.clock.after(atMs - this.#options.clock.now(), () => this.#expire());
  }

  #expire(): void {
    this.#cancelTimer = null;
    const nowMs = this.#options.clock.now();
    for (const [key, atMs] of this.#delayed) {
      if (atMs > nowMs) continue;
      this.#delayed.delete(key);
      this.add(key);
    }
    this.#arm();
  }
}
