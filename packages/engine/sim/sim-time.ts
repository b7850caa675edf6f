/**
 * Virtual time for a world of processes.
 *
 * Events run in the order of their time, then of their making. After each event everything that waits for a promise
 * goes on until nothing moves any more, and only then does time go on: so a run depends on its seed alone.
 */
import type { ControlClock } from '../src/controller/control-clock.ts';
import type { CoreClock } from '../src/controller/core/member-link.ts';
import type { ReplicaClock } from '../src/io/replica-clock.ts';

interface Event {
  readonly atMs: number;
  readonly serial: number;
  readonly run: () => void;
}

/** 2026-01-01: where virtual wall time begins. */
const WALL_START_MS = 1_767_225_600_000;
/** Turns of the real event loop after an event: replicas yield to others inside one piece of work. */
const DRAIN_TURNS = 2;

export class SimTime {
  private timeMs = 0;
  private serial = 0;
  /** binary heap by time and serial */
  private readonly heap: Event[] = [];

  nowMs(): number {
    return this.timeMs;
  }

  at(delayMs: number, run: () => void): void {
    const { heap } = this;
    heap.push({ atMs: this.timeMs + delayMs, serial: this.serial++, run });
    let child = heap.length - 1;
    while (child > 0) {
      const parent = (child - 1) >> 1;
      if (!this.isBefore(child, parent)) break;
      this.swap(child, parent);
      child = parent;
    }
  }

  /** Runs until `untilMs` of virtual time, or until `isDone`. */
  async run(untilMs: number, isDone: () => boolean = () => false): Promise<void> {
    for (;;) {
      await drain();
      if (isDone()) return;
      const [first] = this.heap;
      if (!first || first.atMs > untilMs) break;
      this.pop();
      this.timeMs = Math.max(this.timeMs, first.atMs);
      first.run();
    }
    this.timeMs = Math.max(this.timeMs, untilMs);
  }

  private pop(): void {
    const { heap } = this;
    const last = heap.pop();
    if (!last || heap.length === 0) return;
    heap[0] = last;
    let parent = 0;
    for (;;) {
      const left = parent * 2 + 1;
      const right = left + 1;
      let least = parent;
      if (left < heap.length && this.isBefore(left, least)) least = left;
      if (right < heap.length && this.isBefore(right, least)) least = right;
      if (least === parent) return;
      this.swap(parent, least);
      parent = least;
    }
  }

  private isBefore(left: number, right: number): boolean {
    const one = this.heap[left];
    const other = this.heap[right];
    if (!one || !other) return false;
    return one.atMs < other.atMs || (one.atMs === other.atMs && one.serial < other.serial);
  }

  private swap(left: number, right: number): void {
    const one = this.heap[left];
    const other = this.heap[right];
    if (!one || !other) throw new Error('heap index out of range');
    this.heap[left] = other;
    this.heap[right] = one;
  }
}

async function drain(): Promise<void> {
  for (let turn = 0; turn < DRAIN_TURNS; turn++) {
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
  }
}

/** The wall clock of a node: how far it is set off. */
export interface WallClock {
  shiftMs: number;
}

/** The clocks of one process: nothing fires after its death. */
export class ProcessClock implements ControlClock, CoreClock, ReplicaClock {
  private readonly time: SimTime;
  private readonly wall: WallClock;
  private isDead = false;
  /** while stopped (SIGSTOP), what is due waits here */
  private stopped: (() => void)[] | null = null;

  constructor(time: SimTime, wall: WallClock = { shiftMs: 0 }) {
    this.time = time;
    this.wall = wall;
  }

  get isAlive(): boolean {
    return !this.isDead;
  }

  get isStopped(): boolean {
    return this.stopped !== null;
  }

  kill(): void {
    this.isDead = true;
    this.stopped = null;
  }

  stop(): void {
    this.stopped ??= [];
  }

  resume(): void {
    const due = this.stopped ?? [];
    this.stopped = null;
    for (const run of due) this.whenRunning(run);
  }

  /** Runs it now, later when stopped, never when dead. */
  whenRunning(run: () => void): void {
    if (this.isDead) return;
    if (this.stopped) this.stopped.push(run);
    else run();
  }

  nowMs(): number {
    return this.time.nowMs();
  }

  date(): Date {
    return new Date(WALL_START_MS + this.time.nowMs() + this.wall.shiftMs);
  }

  now(): Date {
    return this.date();
  }

  after(delayMs: number, run: () => void): () => void {
    let isCanceled = false;
    this.time.at(delayMs, () => {
      if (!isCanceled) this.whenRunning(() => (isCanceled ? undefined : run()));
    });
    return () => {
      isCanceled = true;
    };
  }

  every(intervalMs: number, run: () => void): () => void {
    let isCanceled = false;
    const again = (): void => {
      if (isCanceled || this.isDead) return;
      run();
      this.after(intervalMs, again);
    };
    this.after(intervalMs, again);
    return () => {
      isCanceled = true;
    };
  }

  soon(run: () => void): void {
    queueMicrotask(() => this.whenRunning(run));
  }

  /** Never goes on when the process dies meanwhile. */
  pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.after(delayMs, resolve);
    });
  }
}
