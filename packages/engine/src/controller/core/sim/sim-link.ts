/**
 * A replica and a connection to it, simulated. What may go wrong: frames take any time, answers come in any order, a connection
 * breaks with frames lost on the way (a suffix of what was sent), a replica hangs, answers with an error, or is full and
 * has written a part. What does not: bytes are not changed, a connection keeps the order of frames; the replica executes them in this
 * order, and answers changes in it, if it is an ordered one, else in any.
 */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import type { Random } from '../../../membership/random.ts';
import {
  FRAME_FLUSH,
  FRAME_FLUSHED,
  FRAME_HEADER_BYTES,
  FRAME_READ,
  FRAME_UNMAP,
  FRAME_WRITE,
  frameDataLength,
  frameMagic,
  FRAME_MAGIC,
  frameOffset,
  frameSeq,
  frameSize,
  frameType,
} from '../../../protocol/replica-frame.ts';
import { BLOCK_BYTES } from '../core-limits.ts';
import {
  ANSWER_ERROR,
  ANSWER_NO_SPACE,
  ANSWER_OK,
  type Answer,
  type LinkEvents,
  type MemberFailure,
  type MemberLink,
} from '../member-link.ts';
import type { SimClock } from './sim-clock.ts';

export const SECTOR_BYTES = 512;

export type Lie = 'flush does nothing' | 'some writes are lost' | 'no order';

export class SimReplica {
  readonly name: string;
  readonly content: Buffer;
  readonly isOrdered: boolean;
  readonly canFlush: boolean;
  /** Writes that are in the content, by the number in their sectors. */
  readonly applied = new Set<number>();
  /** Of those, what a FLUSH has made durable. */
  readonly durable = new Set<number>();
  isFull = false;
  /** A lie that the checks must find out. */
  lie: Lie | null = null;
  /** The next request is answered with an error. */
  failsNext = false;

  constructor(name: string, sizeBytes: number, isOrdered: boolean, canFlush: boolean) {
    this.name = name;
    this.content = Buffer.alloc(sizeBytes);
    this.isOrdered = isOrdered;
    this.canFlush = canFlush;
  }
}

interface Frame {
  readonly seq: number;
  readonly type: number;
  readonly offset: number;
  readonly size: number;
  readonly payload: Buffer;
}

interface Asked {
  readonly into: Buffer | null;
  readonly start: number;
  readonly length: number;
}

export class SimLink implements MemberLink {
  readonly address: string;
  readonly isOrdered: boolean;
  readonly canFlush: boolean;
  readonly isLocal: boolean;
  readonly replica: SimReplica;
  isClosed = false;
  /** Time since which the replica does nothing; Infinity: it works. */
  hungSinceMs = Number.POSITIVE_INFINITY;
  /** Told of each frame that the core sends, for checks. */
  onFrame: (type: number) => void = () => undefined;
  private readonly clock: SimClock;
  private readonly random: Random;
  private readonly maxDelayMs: number;
  private events: LinkEvents | null = null;
  private readonly asked = new Map<number, Asked>();
  private readonly flushesAnswered = new Set<number>();
  private readonly wire: Frame[] = [];
  private lastArrivalMs = 0;
  private lastDeliveryMs = 0;
  private heardMs: number;
  private lastTickMs: number;

  constructor(replica: SimReplica, clock: SimClock, random: Random, options: { isLocal: boolean; maxDelayMs: number }) {
    this.replica = replica;
    this.address = `sim://${replica.name}`;
    this.isOrdered = replica.isOrdered;
    this.canFlush = replica.canFlush;
    this.isLocal = options.isLocal;
    this.maxDelayMs = options.maxDelayMs;
    this.clock = clock;
    this.random = random;
    this.heardMs = clock.nowMs();
    this.lastTickMs = this.heardMs;
  }

  start(events: LinkEvents): void {
    assert(this.events === null, 'a link is started once');
    this.events = events;
  }

  expectAnswer(seq: number): void {
    this.expectData(seq, null, 0, 0);
  }

  expectData(seq: number, into: Buffer | null, start: number, length: number): void {
    assert(!this.isClosed, 'nothing is asked of a closed link');
    assert(!this.asked.has(seq), `request ${seq} is asked once`);
    if (this.asked.size === 0) this.heardMs = this.clock.nowMs();
    this.asked.set(seq, { into, start, length });
  }

  send(pieces: readonly Buffer[], count: number): void {
    assert(!this.isClosed, 'nothing is sent to a failed member');
    const bytes = Buffer.concat(pieces.slice(0, count));
    for (let at = 0; at < bytes.length;) {
      assert.equal(frameMagic(bytes, at), FRAME_MAGIC, 'frames lie one after the other');
      const length = frameDataLength(bytes, at);
      const end = at + FRAME_HEADER_BYTES + length;
      assert(end <= bytes.length, 'a batch ends with a whole frame');
      this.accept({
        seq: frameSeq(bytes, at),
        type: frameType(bytes, at),
        offset: frameOffset(bytes, at),
        size: frameSize(bytes, at),
        payload: bytes.subarray(at + FRAME_HEADER_BYTES, end),
      });
      at = end;
    }
  }

  hasUnsent(): boolean {
    return this.random.chance(0.2);
  }

  tick(nowMs: number, timeoutMs: number): void {
    if (this.isClosed) return;
    if (nowMs - this.lastTickMs > 3000) this.heardMs = nowMs;
    this.lastTickMs = nowMs;
    if (this.asked.size > 0 && nowMs - this.heardMs > timeoutMs) {
      this.fail({ reason: 'timeout', detail: 'r/w timeout' });
    } else if (this.hungSinceMs === Number.POSITIVE_INFINITY) {
      this.clock.after(this.delay(), () => {
        if (!this.isClosed && this.hungSinceMs === Number.POSITIVE_INFINITY) this.events?.pinged(nowMs);
      });
    } else if (nowMs - Math.max(this.hungSinceMs, this.heardMs) > timeoutMs) {
      this.fail({ reason: 'timeout', detail: 'no answer to a ping' });
    }
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    // Some of what is under way still arrives, before anything of a later connection.
    const arriving = this.random.below(this.wire.length + 1);
    for (const frame of this.wire.splice(0).slice(0, arriving)) this.execute(frame);
  }

  /** The connection breaks. */
  kill(): void {
    this.fail({ reason: 'connection-lost', detail: 'connection reset' });
  }

  hang(): void {
    this.hungSinceMs = this.clock.nowMs();
  }

  private accept(frame: Frame): void {
    this.onFrame(frame.type);
    if (frame.type === FRAME_FLUSHED) {
      assert(this.flushesAnswered.has(frame.offset), 'FLUSHED names a FLUSH that was answered');
    } else {
      assert(this.asked.has(frame.seq), 'every request was announced');
    }
    const arrival = Math.max(this.lastArrivalMs, this.clock.nowMs() + this.delay());
    this.lastArrivalMs = arrival;
    const isInOrder = this.isOrdered && this.replica.lie !== 'no order';
    const executionMs = isInOrder ? arrival : arrival + this.delay();
    this.wire.push(frame);
    this.clock.after(executionMs - this.clock.nowMs(), () => this.arrive(frame));
  }

  private arrive(frame: Frame): void {
    const at = this.wire.indexOf(frame);
    if (this.isClosed || at < 0 || this.hungSinceMs !== Number.POSITIVE_INFINITY) return;
    this.wire.splice(at, 1);
    const { answer, data } = this.execute(frame);
    if (frame.type === FRAME_FLUSHED) return;
    // An ordered replica answers changes in order; reads may come at any time.
    let delivery = this.clock.nowMs() + this.delay();
    if (this.isOrdered && frame.type !== FRAME_READ) {
      delivery = Math.max(delivery, this.lastDeliveryMs);
      this.lastDeliveryMs = delivery;
    }
    this.clock.after(delivery - this.clock.nowMs(), () => this.deliver(frame, answer, data));
  }

  private deliver(frame: Frame, answer: Answer, data: Buffer | null): void {
    if (this.isClosed || this.hungSinceMs !== Number.POSITIVE_INFINITY) return;
    const asked = this.asked.get(frame.seq);
    assert(asked, 'an answer has its request');
    this.asked.delete(frame.seq);
    this.heardMs = this.clock.nowMs();
    if (frame.type === FRAME_FLUSH && answer === ANSWER_OK) this.flushesAnswered.add(frame.seq);
    if (data !== null && asked.into !== null && answer === ANSWER_OK) {
      assert.equal(asked.length, data.length, 'as much is read as was asked for');
      data.copy(asked.into, asked.start);
    }
    this.events?.answered(frame.seq, answer, answer === ANSWER_OK ? '' : 'simulated');
    this.events?.answersEnd();
  }

  private execute(frame: Frame): { answer: Answer; data: Buffer | null } {
    const { replica } = this;
    if (replica.failsNext && frame.type !== FRAME_FLUSHED) {
      replica.failsNext = false;
      return { answer: ANSWER_ERROR, data: null };
    }
    switch (frame.type) {
      case FRAME_READ: {
        const data = Buffer.from(replica.content.subarray(frame.offset, frame.offset + frame.size));
        return { answer: ANSWER_OK, data };
      }
      case FRAME_WRITE:
        return { answer: this.write(frame), data: null };
      case FRAME_UNMAP: {
        const start = Math.ceil(frame.offset / BLOCK_BYTES) * BLOCK_BYTES;
        const end = Math.floor((frame.offset + frame.size) / BLOCK_BYTES) * BLOCK_BYTES;
        if (end <= start) return { answer: ANSWER_OK, data: null };
        const blocks = (end - start) / BLOCK_BYTES;
        const zeroed = replica.isFull ? this.random.below(blocks) : blocks;
        replica.content.fill(0, start, start + zeroed * BLOCK_BYTES);
        return { answer: zeroed < blocks ? ANSWER_NO_SPACE : ANSWER_OK, data: null };
      }
      case FRAME_FLUSH:
        if (replica.lie === 'flush does nothing') return { answer: ANSWER_OK, data: null };
        for (const id of replica.applied) replica.durable.add(id);
        return { answer: ANSWER_OK, data: null };
      default:
        assert.equal(frame.type, FRAME_FLUSHED, 'only known frames are sent');
        return { answer: ANSWER_OK, data: null };
    }
  }

  private write(frame: Frame): Answer {
    const { replica } = this;
    if (replica.lie === 'some writes are lost' && this.random.chance(0.1)) return ANSWER_OK;
    const sectors = frame.payload.length / SECTOR_BYTES;
    const written = replica.isFull ? this.random.below(sectors) : sectors;
    frame.payload.copy(replica.content, frame.offset, 0, written * SECTOR_BYTES);
    for (let i = 0; i < written; i++) replica.applied.add(frame.payload.readUInt32LE(i * SECTOR_BYTES));
    return written < sectors ? ANSWER_NO_SPACE : ANSWER_OK;
  }

  private delay(): number {
    return this.random.next() * this.maxDelayMs;
  }

  private fail(failure: MemberFailure): void {
    if (this.isClosed) return;
    const events = this.events;
    this.close();
    events?.failed(failure);
  }
}
