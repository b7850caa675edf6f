/**
 * A data connection from an engine to the real replica's `DataConnection`. The stream keeps its order; it is delayed, and a cut or
 * a death drops what is on the way. The replica may have executed what the engine never got an answer to.
 */
import { FRAME_HEADER_BYTES, FRAME_HELLO, FRAME_PING, writeFrameHeader } from '../src/protocol/replica-frame.ts';
import type { Random } from '../src/membership/random.ts';
import { SEQ_SLOT_BITS, SEQ_SLOT_MASK } from '../src/controller/core/core-limits.ts';
import {
  ANSWER_OK,
  type Answer,
  type LinkEvents,
  type MemberFailure,
  type MemberLink,
} from '../src/controller/core/member-link.ts';
import { ReplyParser, type ReplySink } from '../src/controller/core/reply-parser.ts';
import type { AnswerSink } from '../src/replica/answer-buffer.ts';
import type { DataConnection } from '../src/replica/data-connection.ts';
import type { FaultCount } from './fault-count.ts';
import type { ReplicaProcess } from './sim-node.ts';
import type { ProcessClock } from './sim-time.ts';

const PING_AFTER_MS = 2000;
const RETRANSMIT_MS = 200;
const RECEIVE_BYTES = 64 << 10;

export interface SimLinkOptions {
  readonly address: string;
  readonly process: ReplicaProcess;
  readonly engine: ProcessClock;
  readonly epoch: number;
  readonly random: Random;
  readonly delayMsMax: () => number;
  /** packets to the replica, and from it, pass at this moment */
  readonly sends: () => boolean;
  readonly hears: () => boolean;
  readonly faults: FaultCount;
}

export class SimLink implements MemberLink, ReplySink, AnswerSink {
  readonly address: string;
  readonly isOrdered = true;
  readonly canFlush = true;
  readonly isLocal = false;
  readonly unsentBytes = 0;
  private readonly options: SimLinkOptions;
  private readonly parser: ReplyParser;
  private readonly receive: Buffer;
  private readonly connection: DataConnection;
  private events: LinkEvents | null = null;
  private opened: ((error: Error | null) => void) | null;
  private isClosed = false;
  private early: MemberFailure | null = null;
  /** on the way to the replica */
  private readonly outbound: (Buffer | 'end')[] = [];
  /** on the way to the engine */
  private readonly inbound: (Buffer | 'end')[] = [];
  /** the replica has seen the end */
  private isEnded = false;
  /** the replica takes nothing at the moment */
  private isPaused = false;
  private quietSinceMs: number;
  private heardMs: number;
  private hasAnswers = false;
  private pingSeq = 0;
  private pingSentMs = 0;
  private isPingOut = false;

  /** Announces the epoch; `opened` is told the outcome. */
  constructor(options: SimLinkOptions, opened: (error: Error | null) => void) {
    this.options = options;
    this.address = options.address;
    this.opened = opened;
    this.quietSinceMs = options.engine.nowMs();
    this.heardMs = this.quietSinceMs;
    this.parser = new ReplyParser(this, RECEIVE_BYTES);
    const { receive, connection } = options.process.connect(this);
    this.receive = receive;
    this.connection = connection;
    this.sendOwn(FRAME_HELLO, options.epoch);
  }

  // the engine's side

  start(events: LinkEvents): void {
    this.events = events;
    const { early } = this;
    if (early) this.options.engine.soon(() => events.failed(early));
  }

  expectAnswer(seq: number): void {
    this.parser.expect(seq, null, 0, 0);
  }

  expectData(seq: number, into: Buffer, start: number, length: number): void {
    this.parser.expect(seq, into, start, length);
  }

  send(pieces: readonly Buffer[], count: number): void {
    this.toReplica(Buffer.concat(pieces.slice(0, count)));
  }

  hasUnsent(): boolean {
    return false;
  }

  tick(nowMs: number, timeoutMs: number): void {
    if (this.isClosed) return;
    if (this.hasAnswers || this.parser.inFlight === 0) this.quietSinceMs = nowMs;
    if (this.hasAnswers) this.heardMs = nowMs;
    this.hasAnswers = false;
    if (this.parser.inFlight > 0 && nowMs - this.quietSinceMs > timeoutMs) {
      this.fail({ reason: 'timeout', detail: 'r/w timeout' });
    } else if (this.isPingOut && nowMs - this.pingSentMs > timeoutMs) {
      this.fail({ reason: 'timeout', detail: 'no answer to a ping' });
    } else if (!this.isPingOut && nowMs - this.heardMs >= PING_AFTER_MS) this.sendOwn(FRAME_PING, 0);
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.events = null;
    this.parser.stop();
    this.enqueue('end');
  }

  /** The engine's process ended: its kernel sends what it had taken, then the end. With its node's power nothing more comes. */
  abandon(isPowerCut: boolean): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.events = null;
    this.parser.stop();
    if (isPowerCut) this.outbound.length = 0;
    else this.enqueue('end');
  }

  /** The network breaks the connection: of what is on the way a prefix arrives, in each direction. */
  reset(): void {
    if (this.isClosed) return;
    const { random, faults } = this.options;
    faults.lostConnections++;
    loseTail(this.outbound, random);
    loseTail(this.inbound, random);
    this.enqueue('end');
    this.answer('end');
  }

  onAnswer(seq: number, answer: Answer, text: string): void {
    if ((seq & SEQ_SLOT_MASK) !== 0) {
      this.hasAnswers = true;
      this.events?.answered(seq, answer, text);
      return;
    }
    this.isPingOut = false;
    this.heardMs = this.options.engine.nowMs();
    const { opened } = this;
    if (opened) {
      this.opened = null;
      if (answer !== ANSWER_OK) this.close();
      opened(answer === ANSWER_OK ? null : new Error(text));
    } else if (answer === ANSWER_OK) this.events?.pinged(this.pingSentMs);
    else this.fail({ reason: text.includes('is fenced by epoch') ? 'fenced' : 'ping', detail: text });
  }

  onBroken(failure: MemberFailure): void {
    this.fail(failure);
  }

  private fail(failure: MemberFailure): void {
    if (this.isClosed) return;
    const { opened, events } = this;
    this.close();
    if (opened) {
      this.opened = null;
      opened(new Error(`cannot connect to ${this.address}: ${failure.detail}`));
    } else if (events) events.failed(failure);
    else this.early = failure;
  }

  private sendOwn(type: number, offset: number): void {
    this.pingSeq = (this.pingSeq + 1) & 0xff;
    const seq = (this.pingSeq << SEQ_SLOT_BITS) >>> 0;
    this.isPingOut = true;
    this.pingSentMs = this.options.engine.nowMs();
    this.parser.expect(seq, null, 0, 0);
    const frame = Buffer.alloc(FRAME_HEADER_BYTES);
    writeFrameHeader(frame, 0, seq, type, offset, 0, 0);
    this.toReplica(frame);
  }

  private delay(): number {
    return this.options.random.next() * this.options.delayMsMax();
  }

  private toReplica(bytes: Buffer): void {
    if (!this.isClosed) this.enqueue(bytes);
  }

  private enqueue(bytes: Buffer | 'end'): void {
    if (this.isEnded) return;
    this.outbound.push(bytes);
    if (this.outbound.length === 1) this.scheduleDelivery(this.delay());
  }

  private scheduleDelivery(delayMs: number): void {
    this.options.process.clock.after(delayMs, () => this.deliver());
  }

  /** In order; while the network is cut, later: what a given up connection still holds may arrive long after. */
  private deliver(): void {
    if (this.isPaused) return;
    const [bytes] = this.outbound;
    if (bytes === undefined) return;
    if (!this.options.sends()) return this.scheduleDelivery(RETRANSMIT_MS);
    this.outbound.shift();
    if (bytes === 'end') {
      this.isEnded = true;
      this.outbound.length = 0;
      return this.options.process.disconnect(this.connection);
    }
    const count = bytes.copy(this.receive, 0, 0, Math.min(bytes.length, this.receive.length));
    if (count < bytes.length) this.outbound.unshift(bytes.subarray(count));
    this.isPaused = !this.connection.onChunk(count);
    if (this.outbound.length > 0) this.scheduleDelivery(this.delay());
    return undefined;
  }

  // the replica's side

  write(bytes: Buffer, start: number, end: number): void {
    this.answer(Buffer.from(bytes.subarray(start, end)));
  }

  resumeReading(): void {
    this.isPaused = false;
    if (this.outbound.length > 0) this.scheduleDelivery(0);
  }

  destroy(): void {
    this.answer('end');
  }

  destroySoon(): void {
    this.answer('end');
  }

  private answer(bytes: Buffer | 'end'): void {
    this.inbound.push(bytes);
    if (this.inbound.length === 1) this.scheduleAnswer(this.delay());
  }

  private scheduleAnswer(delayMs: number): void {
    this.options.engine.after(delayMs, () => this.answersArrive());
  }

  private answersArrive(): void {
    const [bytes] = this.inbound;
    if (bytes === undefined || this.isClosed) return;
    if (!this.options.hears()) return this.scheduleAnswer(RETRANSMIT_MS);
    this.inbound.shift();
    if (bytes === 'end') return this.fail({ reason: 'connection-lost', detail: 'connection closed' });
    this.take(bytes);
    if (this.inbound.length > 0) this.scheduleAnswer(this.delay());
    return undefined;
  }

  private take(bytes: Buffer): void {
    for (let at = 0; at < bytes.length && !this.isClosed;) {
      const into = this.parser.nextBuffer();
      const count = bytes.copy(into, 0, at, Math.min(bytes.length, at + into.length));
      at += count;
      this.parser.take(count);
    }
    this.events?.answersEnd();
  }
}

/** Keeps a prefix of what is queued, which may end within a frame. */
function loseTail(queue: (Buffer | 'end')[], random: Random): void {
  const kept = random.below(queue.length + 1);
  const [torn] = queue.splice(kept);
  const length = torn instanceof Buffer ? random.below(torn.length + 1) : 0;
  if (torn instanceof Buffer && length > 0) queue.push(torn.subarray(0, length));
}
