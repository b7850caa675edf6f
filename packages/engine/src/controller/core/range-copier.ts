/**
 * Copies ranges between members: to settle regions in doubt, and to bring a returning replica in line. A range is
 * claimed piece by piece, so that no client write comes between the reading and the writing; then it is equal on the source and all
 * targets. At most `copiesMax` run at a time; more wait in order.
 */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { FRAME_HEADROOM, type CompletionSink } from '../../frontend/frontend.ts';
import type { MemberId } from './core-api.ts';
import type { Member } from './member-set.ts';
import { EAGAIN, EIO } from './errno.ts';
import type { OpRunner } from './op-runner.ts';
import type { Claim } from './range-claims.ts';

interface Copy {
  offset: number;
  readonly end: number;
  readonly from: MemberId | null;
  readonly to: readonly MemberId[] | null;
  readonly done: (errno: number) => void;
  /** Nothing to do any more when it is about to start. */
  readonly isMoot: () => boolean;
}

interface Lane {
  copy: Copy | null;
  claim: Claim | null;
  buffer: Buffer;
  length: number;
  phase: 'reading' | 'writing';
  /** A member came while a copy to "all others" was under way: once more. */
  isStale: boolean;
}

export class RangeCopier implements CompletionSink {
  private readonly runner: OpRunner;
  private readonly lanes: Lane[] = [];
  private readonly queue: Copy[] = [];
  private readonly sourceOf: (number | null)[] = [];

  constructor(runner: OpRunner) {
    this.runner = runner;
  }

  start(
    offset: number,
    length: number,
    from: MemberId | null,
    to: readonly MemberId[] | null,
    done: (errno: number) => void,
    isMoot: () => boolean = () => false,
  ): void {
    if (this.queue.length >= this.runner.options.limits.operationsMax) {
      this.runner.call(() => done(EAGAIN));
      return;
    }
    this.queue.push({ offset, end: offset + length, from, to, done, isMoot });
    this.next();
  }

  membersChanged(): void {
    for (const lane of this.lanes) if (lane.copy !== null && lane.copy.to === null) lane.isStale = true;
  }

  private next(): void {
    while (this.queue.length > 0) {
      let at = this.lanes.findIndex((lane) => lane.copy === null);
      if (at < 0) {
        if (this.lanes.length >= this.runner.options.limits.copiesMax) return;
        at = this.lanes.length;
        this.lanes.push({
          copy: null,
          claim: null,
          buffer: Buffer.alloc(0),
          length: 0,
          phase: 'reading',
          isStale: false,
        });
      }
      const lane = this.lanes[at];
      assert(lane);
      lane.copy = this.queue.shift() ?? null;
      this.startPiece(at, lane);
    }
  }

  private startPiece(at: number, lane: Lane): void {
    const copy = lane.copy;
    assert(copy);
    if (copy.offset >= copy.end) {
      this.end(lane, 0);
      return;
    }
    lane.length = Math.min(copy.end - copy.offset, this.runner.options.limits.copyBytesMax);
    if (lane.buffer.length < FRAME_HEADROOM + lane.length)
      lane.buffer = Buffer.allocUnsafeSlow(FRAME_HEADROOM + lane.length);
    lane.claim = this.runner.claim(copy.offset, lane.length, false, () => this.read(at));
  }

  private read(at: number): void {
    const lane = this.lanes[at];
    const copy = lane?.copy;
    assert(lane && copy);
    const source = copy.from === null ? this.runner.members.first() : this.runner.members.find(copy.from);
    if (copy.isMoot()) {
      this.end(lane, 0);
    } else if (this.runner.failErrno !== 0 || source === null) {
      this.end(lane, this.runner.failErrno === 0 ? EIO : this.runner.failErrno);
    } else if (this.targetMask(copy, source) === 0) {
      this.pieceDone(at, lane, copy);
    } else {
      lane.phase = 'reading';
      lane.isStale = false;
      this.sourceOf[at] = source.id;
      this.runner.copyRead(this, at, copy.offset, lane.length, lane.buffer, FRAME_HEADROOM, source);
    }
  }

  complete(slot: number, errno: number): void {
    const lane = this.lanes[slot];
    const copy = lane?.copy;
    assert(lane && copy);
    const source = this.runner.members.find(this.sourceOf[slot] ?? 0);
    if (lane.phase === 'reading') {
      if (errno === 0 && source !== null) {
        lane.phase = 'writing';
        const mask = this.targetMask(copy, source);
        if (mask === 0) this.pieceDone(slot, lane, copy);
        else
          this.runner.copyWrite(
            this,
            slot,
            copy.offset,
            lane.length,
            lane.buffer,
            FRAME_HEADROOM,
            FRAME_HEADROOM,
            mask,
          );
      } else if (copy.from === null && source === null && this.runner.members.readingCount > 0) {
        this.read(slot);
      } else {
        this.end(lane, errno === 0 ? EIO : errno);
      }
      return;
    }
    if (errno !== 0) this.end(lane, errno);
    else if (source === null && copy.from !== null) this.end(lane, EIO);
    else if (lane.isStale) this.read(slot);
    else this.pieceDone(slot, lane, copy);
  }

  flushCompletions(): void {
    this.runner.finishSoon();
  }

  private targetMask(copy: Copy, source: Member): number {
    let mask = 0;
    for (const member of this.runner.members.active) {
      if (member !== source && (copy.to === null || copy.to.includes(member.id))) mask |= member.bit;
    }
    return mask;
  }

  private pieceDone(at: number, lane: Lane, copy: Copy): void {
    copy.offset += lane.length;
    this.dropClaim(lane);
    this.startPiece(at, lane);
  }

  private end(lane: Lane, errno: number): void {
    const copy = lane.copy;
    assert(copy);
    lane.copy = null;
    this.dropClaim(lane);
    // Buffers are kept while copies follow each other, and given back at the end of a run.
    if (this.queue.length === 0) lane.buffer = Buffer.alloc(0);
    this.runner.call(() => {
      copy.done(errno);
      this.next();
    });
  }

  private dropClaim(lane: Lane): void {
    if (lane.claim !== null) this.runner.unclaim(lane.claim);
    lane.claim = null;
  }
}
