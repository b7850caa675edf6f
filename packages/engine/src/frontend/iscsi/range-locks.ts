/**
 * Ranges of the volume that one command has to itself: COMPARE AND WRITE, ORWRITE, WRITE SAME, UNMAP. Writes of all
 * connections keep off a locked range, and a lock is given only once the overlapping writes in progress have ended. Locks are
 * given in the order in which they were asked for, as far as they overlap.
 */
import assert from 'node:assert/strict';
import { RANGE_LOCKS_MAX } from './limits.ts';

/** A connection, as its plain writes stand in the way. */
export interface WriteHolder {
  overlapsWrite(start: number, end: number): boolean;
  /** A locked range has become free: a stalled write may go on. */
  unlocked(): void;
}

export interface RangeLock {
  readonly start: number;
  readonly end: number;
  isHeld: boolean;
  readonly granted: () => void;
}

export class RangeLocks {
  private readonly holders: ReadonlySet<WriteHolder>;
  /** In the order in which they were asked for. */
  private readonly locks: RangeLock[] = [];

  constructor(holders: ReadonlySet<WriteHolder>) {
    this.holders = holders;
  }

  /** Whether anything is locked or waits: looked at before each plain write. */
  get isActive(): boolean {
    return this.locks.length > 0;
  }

  /** Whether a plain write of this range has to wait. Also for a lock that waits: or it would wait for ever. */
  isLocked(start: number, end: number): boolean {
    return this.locks.some((lock) => lock.start < end && start < lock.end);
  }

  /** Resolves when the range is the caller's, until `unlock`. */
  lock(start: number, end: number): Promise<RangeLock> {
    assert(this.locks.length < RANGE_LOCKS_MAX, 'no more locks than commands');
    return new Promise((resolve) => {
      const lock: RangeLock = { start, end, isHeld: false, granted: () => resolve(lock) };
      this.locks.push(lock);
      this.grant();
    });
  }

  unlock(lock: RangeLock): void {
    const at = this.locks.indexOf(lock);
    assert(at >= 0, 'a lock is given back once');
    this.locks.splice(at, 1);
    this.grant();
    for (const holder of this.holders) holder.unlocked();
  }

  /** Called when a plain write has ended while `isActive`, or a connection with all of its. */
  grant(): void {
    for (const [i, lock] of this.locks.entries()) {
      if (lock.isHeld || this.hasEarlier(i, lock) || this.hasWrites(lock)) continue;
      lock.isHeld = true;
      lock.granted();
    }
  }

  private hasEarlier(index: number, { start, end }: RangeLock): boolean {
    return this.locks.some((other, i) => i < index && other.start < end && start < other.end);
  }

  private hasWrites({ start, end }: RangeLock): boolean {
    for (const holder of this.holders) {
      if (holder.overlapsWrite(start, end)) return true;
    }
    return false;
  }
}
