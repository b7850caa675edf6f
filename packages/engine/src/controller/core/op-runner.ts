/**
 * Takes operations from submission to completion. What it guarantees:
 *
 * - an operation completes exactly once, never inside the call that submitted it;
 * - a write is acknowledged when every current member has answered it, and while nothing holds;
 * - a read is served by a reading member, and while nothing holds, only if every reading member was there less than the
 *   replica timeout ago;
 * - writes that overlap are sent to all members in one order; to members that do not keep the order of frames, one after the other;
 * - a member that failed gets nothing more.
 *
 * Entry points end with `finish` (or `sendAll`, for submissions): state first, then frames, then completions, so that a
 * caller's callback never meets half a change.
 */
import type { Buffer } from 'node:buffer';
import type { CompletionSink } from '../../frontend/frontend.ts';
import { CompletionQueue } from './completion-queue.ts';
import { BLOCK_BYTES, REGION_BYTES, slotOfSeq, type CoreLimits } from './core-limits.ts';
import { EAGAIN, EIO, ENOSPC } from './errno.ts';
import { DoubtGate } from './doubt-gate.ts';
import { DoubtMap } from './doubt-map.ts';
import { FlushRounds } from './flush-rounds.ts';
import { FrameSender } from './frame-sender.ts';
import { MemberChanges } from './member-changes.ts';
import { MemberSet, type Member } from './member-set.ts';
import { ANSWER_ERROR, ANSWER_NO_SPACE, type Answer, type CoreClock, type MemberFailure } from './member-link.ts';
import type { MemberId, MemberRole } from './core-api.ts';
import { METRIC_READ, METRIC_WRITE, MetricsWindow } from './metrics-window.ts';
import * as Op from './op-table.ts';
import { RangeClaims, type Claim } from './range-claims.ts';
import { WaitingList } from './waiting-list.ts';
import { WriteWidener } from './write-widener.ts';

export interface RunnerOptions {
  readonly sizeBytes: number;
  readonly clock: CoreClock;
  readonly limits: CoreLimits;
  readonly replicaTimeoutMs: number;
  readonly onMemberFailed: (id: MemberId, failure: MemberFailure, role: MemberRole) => void;
  readonly onNoSpace: () => void;
  readonly settle: (regionIndex: number, done: (errno: number) => void) => void;
}

export class OpRunner {
  readonly ops: Op.OpTable;
  readonly members: MemberSet;
  readonly doubt: DoubtMap;
  readonly claims = new RangeClaims();
  readonly metrics = new MetricsWindow();
  readonly options: RunnerOptions;
  readonly sender: FrameSender;
  readonly memberChanges: MemberChanges;
  readonly waiting: WaitingList;
  /** Operations that are answered by all but held back. */
  answeredCount = 0;
  sizeBytes: number;
  pauseDepth = 0;
  readonly holdReasons = new Set<string>();
  failErrno = 0;
  /** Operations that were sent and have not completed. */
  inFlight = 0;
  private readonly done: CompletionQueue;
  private readonly widener: WriteWidener;
  private readonly rounds: FlushRounds;
  private readonly doubtGate: DoubtGate;
  /** Nothing out of the ordinary: a submission is sent at once. */
  private isPlain = false;
  private isBlocked = true;
  private kickWanted = false;
  private isFinishing = false;
  private isSoonAsked = false;
  private isNoSpaceTold = false;
  /** of the next operation that is sent */
  nextOrder = 1;
  private timeMs = -1;
  private readonly drainWaiters: (() => void)[] = [];

  constructor(options: RunnerOptions) {
    this.options = options;
    this.sizeBytes = options.sizeBytes;
    this.ops = new Op.OpTable(options.limits.operationsMax);
    this.members = new MemberSet(options.limits);
    this.doubt = new DoubtMap(options.sizeBytes);
    this.waiting = new WaitingList(this.ops);
    this.done = new CompletionQueue(this.ops);
    this.sender = new FrameSender(this);
    this.memberChanges = new MemberChanges(this);
    this.widener = new WriteWidener(this);
    this.rounds = new FlushRounds(this);
    this.doubtGate = new DoubtGate(this);
  }

  // Submission

  submit(
    kind: number,
    flags: number,
    sink: CompletionSink,
    slot: number,
    offset: number,
    length: number,
    buffer: Buffer | null,
    start: number,
    headroom: number,
  ): number {
    const i = this.ops.take(kind, flags, sink, slot);
    if (i === 0) {
      // Frontends bound what they submit; this is the last line of defence.
      this.refuse(sink, slot);
      return 0;
    }
    this.setRange(i, offset, length, buffer, start, headroom);
    if (this.isPlain && kind <= Op.KIND_UNMAP) {
      if (kind !== Op.KIND_READ) this.sendChange(i);
      else if (this.isFresh()) this.sender.sendRead(i, null);
      else this.waiting.append(i);
    } else if (!this.tryStart(i)) {
      this.waiting.append(i);
    }
    return i;
  }

  /** Sends what was gathered; completions that are due without an answer come soon. */
  submitBatch(): void {
    this.sender.sendAll();
    this.timeMs = -1;
    if (this.kickWanted || !this.done.isEmpty()) this.finishSoon();
  }

  /** A part of a copy: read from one given member. */
  copyRead(
    sink: CompletionSink,
    slot: number,
    offset: number,
    length: number,
    into: Buffer,
    start: number,
    from: Member,
  ): void {
    const i = this.takeForCopy(Op.KIND_READ, sink, slot);
    if (i === 0) return;
    this.setRange(i, offset, length, into, start, 0);
    this.sender.sendRead(i, from);
  }

  /** A part of a copy: write to the members in `targets`. */
  copyWrite(
    sink: CompletionSink,
    slot: number,
    offset: number,
    length: number,
    from: Buffer,
    start: number,
    headroom: number,
    targets: number,
  ): void {
    const i = this.takeForCopy(Op.KIND_WRITE, sink, slot);
    if (i === 0) return;
    this.setRange(i, offset, length, from, start, headroom);
    this.ops.targets[i] = targets;
    this.sendChange(i);
  }

  private takeForCopy(kind: number, sink: CompletionSink, slot: number): number {
    const i = this.ops.take(kind, Op.FLAG_INTERNAL | Op.FLAG_COPY, sink, slot);
    if (i === 0) this.refuse(sink, slot);
    return i;
  }

  private refuse(sink: CompletionSink, slot: number): void {
    this.call(() => {
      sink.complete(slot, EAGAIN);
      sink.flushCompletions();
    });
  }

  // Starting

  /** Sends or ends the operation if nothing keeps it back; false: it has to wait. */
  private tryStart(i: number): boolean {
    const ops = this.ops;
    const kind = ops.kind[i] as number;
    if (this.failErrno !== 0) {
      this.complete(i, this.failErrno);
      return true;
    }
    // What was sent once is finished: a pause waits for it.
    if (this.pauseDepth > 0 && ((ops.flags[i] as number) & (Op.FLAG_INTERNAL | Op.FLAG_STARTED)) === 0) return false;
    if (this.members.readingCount === 0) return false;
    if (kind === Op.KIND_FLUSH) {
      this.begin(i);
      this.rounds.join(i);
      return true;
    }
    const offset = ops.offset[i] as number;
    const length = ops.length[i] as number;
    if (kind === Op.KIND_READ && (this.isBlocked || !this.isFresh())) return false;
    if (this.doubt.count > 0 && kind !== Op.KIND_UNMAP && !this.doubtGate.isOpen(i, kind, offset, length)) return false;
    if (kind !== Op.KIND_READ && this.claims.count > 0) {
      // What was sent once does not wait for a claim that itself waits, for the end of a pause.
      const flags = ops.flags[i] as number;
      const onlyGranted = (flags & Op.FLAG_STARTED) !== 0;
      const hasOwnClaim = (flags & Op.FLAG_WIDENED) !== 0;
      if (!hasOwnClaim && this.claims.overlaps(offset, length, onlyGranted)) return false;
    }
    if (!this.members.isOrdered && this.isBehindOverlap(i, kind, offset, length)) return false;
    if (kind === Op.KIND_READ) {
      this.sender.sendRead(i, ((ops.flags[i] as number) & Op.FLAG_PINNED) !== 0 ? this.members.first() : null);
      return true;
    }
    if (this.members.joiningMask !== 0) {
      // A joining member lacks older layers: a hole in its head would show them where the others show zeros.
      if (kind === Op.KIND_UNMAP) {
        if (!this.isBlocked) this.complete(i, 0);
        return !this.isBlocked;
      }
      if (offset % BLOCK_BYTES !== 0 || length % BLOCK_BYTES !== 0) {
        this.begin(i);
        ops.state[i] = Op.STATE_WIDENING;
        this.widener.start(i);
        return true;
      }
    }
    this.sendChange(i);
    return true;
  }

  /** With members that do not keep order: an overlapping change is on its way, or an earlier one waits. */
  private isBehindOverlap(i: number, kind: number, offset: number, length: number): boolean {
    if (this.ops.hasSentChangeIn(offset, length)) return true;
    if (kind === Op.KIND_READ) return false;
    return this.waiting.hasChangeBefore(i, offset, length);
  }

  private retryWaiting(): void {
    this.waiting.retry((i) => {
      const errno = this.ops.errno[i] as number;
      if (errno === 0 || this.isBlocked) return this.tryStart(i);
      this.complete(i, errno);
      return true;
    });
  }

  // Sending

  /** Counts an operation as in flight, once. */
  begin(i: number): void {
    const flags = this.ops.flags[i] as number;
    if ((flags & Op.FLAG_STARTED) !== 0) return;
    this.ops.flags[i] = flags | Op.FLAG_STARTED;
    this.ops.order[i] = this.nextOrder++;
    this.inFlight++;
  }

  /** Sends a write, the next piece of an unmap, or a flush round to the members that it concerns. */
  sendChange(i: number): void {
    if (!this.sender.sendChange(i)) this.allAnswered(i);
  }

  /**
   * Keeps client writes out of a range; `granted` is called once none is on its way in it, and not during a pause, unless
   * it is for an operation that the pause waits for. A granted claim counts as in flight.
   */
  claim(offset: number, length: number, isInFlight: boolean, granted: () => void): Claim {
    const claim = this.claims.add(offset, length, isInFlight, () => {
      this.inFlight++;
      granted();
    });
    this.recompute();
    this.kick();
    return claim;
  }

  unclaim(claim: Claim): void {
    this.claims.remove(claim);
    if (claim.isGranted) this.inFlight--;
    this.recompute();
    this.kick();
  }

  /** About twice a second. */
  tick(): void {
    this.timeMs = -1;
    this.isNoSpaceTold = false;
    const now = this.now();
    for (const member of this.members.active.slice()) {
      const isLast = member.role === 'reading' && this.members.readingCount <= 1;
      member.link.tick(now, this.options.replicaTimeoutMs * (isLast ? 2 : 1));
    }
    this.metrics.tick(now);
    this.doubt.retryUnsettleable();
    if (this.waiting.head !== 0 || this.answeredCount > 0) this.kick();
  }

  // Answers

  onAnswer(member: Member, seq: number, answer: Answer, text: string): void {
    const ops = this.ops;
    const i = slotOfSeq(seq);
    if (ops.seq[i] !== seq || ((ops.pending[i] as number) & member.bit) === 0) return;
    if ((ops.sentAtMs[i] as number) > member.proofMs) member.proofMs = ops.sentAtMs[i] as number;
    const isRead = ops.kind[i] === Op.KIND_READ;
    if (isRead) member.readsInFlight--;
    if (answer === ANSWER_ERROR || (isRead && answer === ANSWER_NO_SPACE)) {
      // A bad sector of the only copy fails the read, not the volume.
      const isLastCopy = isRead && (this.members.readingCount <= 1 || member.role !== 'reading');
      if (!isLastCopy) {
        this.memberChanges.fail(member, {
          reason: text.includes('is fenced by epoch') ? 'fenced' : 'error-reply',
          detail: text,
        });
        return;
      }
      ops.pending[i] = 0;
      ops.errno[i] = EIO;
    } else {
      if (answer === ANSWER_NO_SPACE) ops.noSpace[i] = (ops.noSpace[i] as number) | member.bit;
      ops.pending[i] = (ops.pending[i] as number) & ~member.bit;
    }
    if (ops.pending[i] === 0) this.allAnswered(i);
  }

  /** No answer is awaited any more. */
  allAnswered(i: number): void {
    const ops = this.ops;
    if (ops.noSpace[i] !== 0) this.judgeNoSpace(i);
    if (((ops.flags[i] as number) & Op.FLAG_COPY) !== 0) {
      this.complete(i, ops.errno[i] as number);
      return;
    }
    const mustWait = ops.kind[i] === Op.KIND_READ ? this.isBlocked || !this.isFresh() : this.isBlocked;
    if (mustWait && this.failErrno === 0) {
      ops.state[i] = Op.STATE_ANSWERED;
      this.answeredCount++;
      return;
    }
    this.acknowledge(i);
  }

  /** Some members had no space: they fail, unless all that serve reads had none; then the write fails. */
  private judgeNoSpace(i: number): void {
    const ops = this.ops;
    const noSpace = ops.noSpace[i] as number;
    ops.noSpace[i] = 0;
    const isCopy = ((ops.flags[i] as number) & Op.FLAG_COPY) !== 0;
    const isEverywhere = (noSpace & this.members.readingMask) === this.members.readingMask;
    for (const member of this.members.active.slice()) {
      if ((member.bit & noSpace) === 0) continue;
      if (member.role === 'reading' && (isEverywhere || isCopy)) {
        ops.errno[i] = ENOSPC;
        continue;
      }
      ops.flags[i] = (ops.flags[i] as number) | Op.FLAG_MISSED;
      this.memberChanges.fail(member, { reason: 'no-space', detail: 'no space left on device' });
    }
  }

  /** Every member has answered and nothing holds. */
  private acknowledge(i: number): void {
    const ops = this.ops;
    if (this.failErrno !== 0) {
      if (ops.kind[i] === Op.KIND_ROUND) this.rounds.end(i);
      else this.complete(i, this.failErrno);
      return;
    }
    const errno = ops.errno[i] as number;
    switch (ops.kind[i] as number) {
      case Op.KIND_READ:
        if (errno === 0) this.metrics.add(METRIC_READ, ops.length[i] as number, this.age(i));
        this.complete(i, errno);
        return;
      case Op.KIND_WRITE:
        this.acknowledgeWrite(i, errno);
        return;
      case Op.KIND_UNMAP:
        this.acknowledgeUnmap(i, errno);
        return;
      default:
        this.rounds.end(i);
    }
  }

  /** One piece of it. */
  private acknowledgeUnmap(i: number, errno: number): void {
    const ops = this.ops;
    const progress = ops.progress[i] as number;
    const length = ops.length[i] as number;
    const done = Math.min(progress + this.options.limits.unmapPieceBytes, length);
    if (errno !== 0) {
      // Over a snapshot it writes zeros, for which there was no space.
      this.failChange(i, (ops.offset[i] as number) + progress, done - progress, errno);
    } else if (done < length) {
      ops.progress[i] = done;
      ops.renumber(i);
      this.sendChange(i);
    } else {
      this.complete(i, 0);
    }
  }

  /** Each may have stopped at another block: until it is settled, the range has no one content. */
  private failChange(i: number, offset: number, length: number, errno: number): void {
    if (this.members.active.length > 1) this.doubtGate.close(offset, length, this.nextOrder);
    if (errno === ENOSPC) this.tellNoSpace();
    this.complete(i, errno);
  }

  private acknowledgeWrite(i: number, errno: number): void {
    const ops = this.ops;
    const offset = ops.offset[i] as number;
    const length = ops.length[i] as number;
    if (errno !== 0) {
      this.failChange(i, offset, length, errno);
      return;
    }
    if (this.doubt.count > 0) {
      const covered = offset + length >= this.sizeBytes ? length + REGION_BYTES : length;
      this.doubt.clearCovered(offset, covered, ops.order[i] as number);
      this.recompute();
    }
    this.metrics.add(METRIC_WRITE, length, this.age(i));
    if (((ops.flags[i] as number) & Op.FLAG_FUA) !== 0) this.rounds.join(i);
    else this.complete(i, 0);
  }

  private tellNoSpace(): void {
    if (this.isNoSpaceTold) return;
    this.isNoSpaceTold = true;
    this.call(this.options.onNoSpace);
  }

  // Completion

  complete(i: number, errno: number): void {
    const ops = this.ops;
    const flags = ops.flags[i] as number;
    if ((flags & Op.FLAG_STARTED) !== 0) this.inFlight--;
    if ((flags & Op.FLAG_WIDENED) !== 0) this.widener.end(i);
    this.done.add(i, errno);
    if (this.waiting.head !== 0 || this.claims.count > 0 || this.rounds.waiting > 0) this.kickWanted = true;
  }

  /** Runs `run` with the completions, outside of any state change. */
  call(run: () => void): void {
    this.done.addCall(run);
    this.finishSoon();
  }

  /** Something that kept operations back may be gone. */
  kick(): void {
    this.kickWanted = true;
    this.finishSoon();
  }

  /** Frames out, then completions, until nothing is left to do. */
  finish(): void {
    if (this.isFinishing) return;
    this.isFinishing = true;
    for (;;) {
      if (this.kickWanted) {
        this.kickWanted = false;
        this.releaseAnswered();
        this.claims.grant(this.pauseDepth > 0, (offset, length) => this.ops.hasSentChangeIn(offset, length));
        this.retryWaiting();
        this.rounds.startIfDue();
      }
      this.sender.sendAll();
      if (!this.done.deliver() && !this.kickWanted) break;
    }
    this.isFinishing = false;
    this.timeMs = -1;
    if (this.inFlight === 0 && this.drainWaiters.length > 0) {
      for (const resolve of this.drainWaiters.splice(0)) resolve();
    }
  }

  finishSoon(): void {
    if (this.isSoonAsked) return;
    this.isSoonAsked = true;
    this.options.clock.soon(() => {
      this.isSoonAsked = false;
      this.finish();
    });
  }

  whenDrained(resolve: () => void): void {
    this.drainWaiters.push(resolve);
    this.finishSoon();
  }

  private releaseAnswered(): void {
    if (this.answeredCount === 0) return;
    const isFailing = this.failErrno !== 0;
    if (this.isBlocked && !isFailing) return;
    const ops = this.ops;
    const isFresh = this.isFresh();
    const isDue = (i: number): boolean =>
      ops.state[i] === Op.STATE_ANSWERED && (isFailing || isFresh || ops.kind[i] !== Op.KIND_READ);
    for (const i of ops.inOrder(isDue)) {
      this.answeredCount--;
      this.acknowledge(i);
    }
  }

  /** Ends what waits or is held with the errno in force; what is on its way ends with it when it is answered. */
  failWaiting(): void {
    this.rounds.failAll(this.failErrno);
    this.kick();
  }

  /** Links are closed: no buffer is in use any more, so all can end. */
  endAll(errno: number): void {
    const ops = this.ops;
    for (let i = 1; i < ops.high; i++) {
      const state = ops.state[i];
      if (state !== Op.STATE_FREE && state !== Op.STATE_DONE) this.complete(i, errno);
    }
    this.waiting.clear();
    this.answeredCount = 0;
    this.rounds.reset();
  }

  recompute(): void {
    this.isBlocked = this.holdReasons.size > 0 || this.members.failed.length > 0 || this.members.readingCount === 0;
    this.isPlain =
      !this.isBlocked &&
      this.failErrno === 0 &&
      this.pauseDepth === 0 &&
      this.doubt.count === 0 &&
      this.claims.count === 0 &&
      this.members.joiningMask === 0 &&
      this.members.isOrdered;
  }

  now(): number {
    if (this.timeMs < 0) this.timeMs = this.options.clock.nowMs();
    return this.timeMs;
  }

  private isFresh(): boolean {
    return this.members.isFresh(this.now(), this.options.replicaTimeoutMs);
  }

  private age(i: number): number {
    return this.now() - (this.ops.submittedAtMs[i] as number);
  }

  setRange(i: number, offset: number, length: number, buffer: Buffer | null, start: number, headroom: number): void {
    const ops = this.ops;
    ops.offset[i] = offset;
    ops.length[i] = length;
    ops.buffer[i] = buffer;
    ops.start[i] = start;
    ops.headroom[i] = headroom;
    ops.submittedAtMs[i] = this.now();
  }
}
