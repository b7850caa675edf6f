/**
 * Keeps operations back that depend on a region in doubt until it is settled: reads, and writes of a part of it. A write of
 * the whole region needs none of its content.
 */
import assert from 'node:assert/strict';
import { REGION_BYTES } from './core-limits.ts';
import { ENOSPC } from './errno.ts';
import type { OpRunner } from './op-runner.ts';
import { FLAG_PINNED, FLAG_STARTED, KIND_READ, KIND_WRITE, STATE_WAITING } from './op-table.ts';

export class DoubtGate {
  private readonly runner: OpRunner;

  constructor(runner: OpRunner) {
    this.runner = runner;
  }

  /** Every region that the operation depends on is out of doubt; else asks for settling. */
  isOpen(i: number, kind: number, offset: number, length: number): boolean {
    const { ops, doubt, sizeBytes, options } = this.runner;
    // All that is pinned is served by one member, which agrees with itself. What was sent once was settled then.
    if (((ops.flags[i] ?? 0) & (FLAG_PINNED | FLAG_STARTED)) !== 0) return true;
    let isOpen = true;
    const last = Math.floor((offset + length - 1) / REGION_BYTES);
    for (let region = Math.floor(offset / REGION_BYTES); region <= last; region++) {
      if (!doubt.has(region)) continue;
      const start = region * REGION_BYTES;
      const end = Math.min(start + REGION_BYTES, sizeBytes);
      if (kind === KIND_WRITE && offset <= start && offset + length >= end) continue;
      if (doubt.isUnsettleable(region)) {
        ops.flags[i] = (ops.flags[i] ?? 0) | FLAG_PINNED;
        continue;
      }
      isOpen = false;
      if (doubt.settlingCount() >= options.limits.copiesMax) return false;
      if (doubt.startSettling(region)) this.settle(region);
    }
    return isOpen;
  }

  /** A range has no one content any more; `order`: writes sent later make it whole. */
  close(offset: number, length: number, order: number): void {
    const last = Math.floor((offset + length - 1) / REGION_BYTES);
    for (let region = Math.floor(offset / REGION_BYTES); region <= last; region++) {
      this.runner.doubt.addOwn(region, order);
    }
    this.runner.recompute();
  }

  private settle(region: number): void {
    const { runner } = this;
    let isDone = false;
    runner.call(() =>
      runner.options.settle(region, (errno) => {
        assert(!isDone, 'a region is settled once');
        isDone = true;
        runner.doubt.endSettling(region);
        if (errno === 0) runner.doubt.clear(region);
        else if (errno === ENOSPC) runner.doubt.noteUnsettleable(region);
        else this.failWaitingIn(region, errno);
        runner.recompute();
        runner.kick();
      }),
    );
  }

  /** Those that wait for the region end with this errno when they are tried next. */
  private failWaitingIn(region: number, errno: number): void {
    const { ops } = this.runner;
    const waiting = ops.inOrder(
      (i) => ops.state[i] === STATE_WAITING && ops.overlaps(i, region * REGION_BYTES, REGION_BYTES),
    );
    for (const i of waiting) {
      if (ops.kind[i] === KIND_READ || ops.kind[i] === KIND_WRITE) ops.errno[i] = errno;
    }
  }
}
