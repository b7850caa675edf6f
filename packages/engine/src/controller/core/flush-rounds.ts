/**
 * Flushes in rounds: one at a time is on its way; what asks for a flush meanwhile shares the next. A round starts after
 * all that joined it, so it covers every write that was acknowledged before any of them was submitted.
 */
import { FRAME_FLUSHED } from '../../protocol/replica-frame.ts';
import type { OpRunner } from './op-runner.ts';
import { FLAG_INTERNAL, KIND_ROUND, STATE_FLUSHING } from './op-table.ts';

/** A bit that no member has: a round without anybody to ask (0 would mean everybody). */
const NOBODY = 1 << 31;

export class FlushRounds {
  /** Operations that wait for a round. */
  waiting = 0;
  private readonly runner: OpRunner;
  private inProgress = 0;
  private started = 0;

  constructor(runner: OpRunner) {
    this.runner = runner;
  }

  /** A flush, or a write with FUA that every member has answered. */
  join(i: number): void {
    const { ops } = this.runner;
    ops.state[i] = STATE_FLUSHING;
    ops.round[i] = this.started + 1;
    this.waiting++;
    this.startIfDue();
  }

  startIfDue(): void {
    if (this.waiting === 0 || this.inProgress !== 0) return;
    const { ops, members } = this.runner;
    const i = ops.take(KIND_ROUND, FLAG_INTERNAL, null, 0);
    // Without a free slot it starts after the next completion.
    if (i === 0) return;
    this.started++;
    this.inProgress = i;
    this.runner.setRange(i, 0, 0, null, 0, 0);
    ops.round[i] = this.started;
    ops.targets[i] = members.flushMask === 0 ? NOBODY : members.flushMask;
    this.runner.sendChange(i);
  }

  /** Every member that can has flushed, and nothing holds. */
  end(i: number): void {
    const { ops, members, doubt, failErrno } = this.runner;
    const round = ops.round[i] ?? 0;
    const seq = ops.seq[i] ?? 0;
    this.inProgress = 0;
    this.runner.complete(i, 0);
    // A replica forgets its regions on this word, so every member must have been asked.
    const wereAllAsked = ((ops.targets[i] ?? 0) & members.allMask) === members.allMask;
    if (failErrno === 0 && wereAllAsked && !doubt.hasOwn()) {
      for (const member of members.active) member.lane.addHeader(seq, FRAME_FLUSHED, seq, 0);
    }
    this.completeUpTo(round, failErrno);
    this.startIfDue();
  }

  failAll(errno: number): void {
    this.completeUpTo(Number.POSITIVE_INFINITY, errno);
  }

  /** Everything has been ended by other means. */
  reset(): void {
    this.waiting = 0;
    this.inProgress = 0;
  }

  private completeUpTo(round: number, errno: number): void {
    const { ops } = this.runner;
    for (let k = 1; this.waiting > 0 && k < ops.high; k++) {
      if (ops.state[k] !== STATE_FLUSHING || (ops.round[k] ?? 0) > round) continue;
      this.waiting--;
      this.runner.complete(k, errno);
    }
  }
}
