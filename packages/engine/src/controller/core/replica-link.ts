/**
 * The data connection to one replica over TCP, or over the unix socket of a replica in the same pod.
 *
 * - One socket write per wake-up: what the core gives to `send` leaves as it lies.
 * - Pings when nothing was heard for 2 s; a replica that is silent for the timeout, with I/O or a ping
 *   unanswered, fails. Time in which this process did not run is not held against it.
 * - A replica whose host acknowledges nothing fails after a part of that time: a busy program is waited for, a host that
 *   is gone need not be, since a kernel acknowledges whatever its programs do.
 * - Bytes that do not follow the protocol end the connection; memory is bounded by what was asked for.
 *
 * Ordering: everything is sent on one connection, so a replica with the capability `epoch` applies overlapping writes in
 * the order of the core.
 */
import { Buffer } from 'node:buffer';
import { connect, type Socket } from 'node:net';
import { DirectWriter } from '../../io/node/direct-writer.ts';
import { FRAME_HEADER_BYTES, FRAME_HELLO, FRAME_PING, writeFrameHeader } from '../../protocol/replica-frame.ts';
import { SEQ_SLOT_BITS, SEQ_SLOT_MASK } from './core-limits.ts';
import {
  ANSWER_OK,
  type Answer,
  type CoreClock,
  type LinkEvents,
  type MemberFailure,
  type MemberLink,
} from './member-link.ts';
import { ReplyParser, type ReplySink } from './reply-parser.ts';

const RECEIVE_BYTES = 256 << 10;
const PING_AFTER_MS = 2000;
/** Ticks come twice a second: a longer break means that this process was stopped. */
const STOPPED_MS = 3000;
/** Part of the timeout after which a silent host is given up: 5 s of the default of 8 s. */
const SILENT_HOST_PART = 5 / 8;
const GENERATION_LIMIT = 2 ** (32 - SEQ_SLOT_BITS);

export type ReplicaTarget = { readonly host: string; readonly port: number } | { readonly path: string };

export interface ReplicaLinkOptions {
  readonly target: ReplicaTarget;
  /** For people and logs. */
  readonly address: string;
  /** `capabilities` of the replica's `ptypes.Replica`. */
  readonly capabilities: readonly string[];
  /** Above 0 and with the capability `epoch`: announced by HELLO before anything else. */
  readonly epoch: number;
  readonly clock: CoreClock;
  /** For connecting and for the answer to HELLO. */
  readonly timeoutMs: number;
  /** Something that was sent is not acknowledged by the other host, and nothing was for `forMs`. */
  readonly isPeerSilent: (socket: Socket, forMs: number) => boolean;
}

/** Connects, and announces the epoch; rejects with the replica's words when it refuses. */
export function openReplicaLink(options: ReplicaLinkOptions): Promise<ReplicaLink> {
  return new Promise((resolve, reject) => {
    const link = new ReplicaLink(options, (error) => {
      if (error === null) resolve(link);
      else reject(error);
    });
  });
}

export class ReplicaLink implements MemberLink, ReplySink {
  readonly address: string;
  readonly isOrdered: boolean;
  readonly canFlush: boolean;
  readonly isLocal: boolean;
  private readonly clock: CoreClock;
  private readonly isPeerSilent: ReplicaLinkOptions['isPeerSilent'];
  private readonly socket: Socket;
  private readonly writer: DirectWriter;
  private readonly parser: ReplyParser;
  private readonly ping = Buffer.allocUnsafeSlow(FRAME_HEADER_BYTES);
  private opened: ((error: Error | null) => void) | null;
  private events: LinkEvents | null = null;
  private earlyFailure: MemberFailure | null = null;
  private isClosed = false;
  private hasAnswers = false;
  /** Pieces of a send that is not complete yet. */
  private readonly waiting: Buffer[] = [];
  private pingGeneration = 1;
  private isPingOut = false;
  private pingSentMs = 0;
  /** Timeouts are counted from here; moved on by answers and by breaks of this process. */
  private pingSinceMs = 0;
  private quietSinceMs = 0;
  private acknowledgedMs: number;
  private heardMs: number;
  private lastTickMs: number;

  constructor(options: ReplicaLinkOptions, opened: (error: Error | null) => void) {
    const { target, capabilities, epoch } = options;
    this.address = options.address;
    this.isLocal = 'path' in target;
    this.isOrdered = capabilities.includes('epoch');
    this.canFlush = capabilities.includes('flush');
    this.clock = options.clock;
    this.isPeerSilent = options.isPeerSilent;
    this.opened = opened;
    this.heardMs = options.clock.nowMs();
    this.lastTickMs = this.heardMs;
    this.acknowledgedMs = this.heardMs;
    this.parser = new ReplyParser(this, RECEIVE_BYTES);
    const onread = {
      buffer: () => this.parser.nextBuffer(),
      callback: (count: number): boolean => {
        this.onBytes(count);
        return true;
      },
    };
    this.socket = connect({ ...target, noDelay: true, onread });
    this.writer = new DirectWriter(this.socket);
    this.socket.setTimeout(options.timeoutMs, () => this.lost(`no answer within ${options.timeoutMs} ms`));
    this.socket.on('error', (error) => this.lost(error.message));
    this.socket.on('close', () => this.lost('connection closed'));
    this.socket.once('connect', () => {
      if (epoch > 0 && this.isOrdered) this.sendOwn(FRAME_HELLO, epoch);
      else this.ready();
    });
  }

  start(events: LinkEvents): void {
    this.events = events;
    const failure = this.earlyFailure;
    if (failure !== null) this.clock.soon(() => events.failed(failure));
  }

  expectAnswer(seq: number): void {
    this.parser.expect(seq, null, 0, 0);
  }

  expectData(seq: number, into: Buffer, start: number, length: number): void {
    this.parser.expect(seq, into, start, length);
  }

  send(pieces: readonly Buffer[], count: number, hasMore: boolean): void {
    if (this.isClosed) return;
    if (count === 1 && !hasMore && this.waiting.length === 0) {
      const piece = pieces[0] as Buffer;
      this.writer.write(piece, 0, piece.length);
      return;
    }
    for (let i = 0; i < count; i++) this.waiting.push(pieces[i] as Buffer);
    if (hasMore) return;
    this.writer.writeAll(this.waiting);
    this.waiting.length = 0;
  }

  hasUnsent(): boolean {
    return this.writer.unsentBytes > 0;
  }

  tick(nowMs: number, timeoutMs: number): void {
    if (this.isClosed) return;
    if (this.hasAnswers || this.parser.inFlight === 0) this.quietSinceMs = nowMs;
    if (this.hasAnswers) this.heardMs = nowMs;
    this.hasAnswers = false;
    if (nowMs - this.lastTickMs > STOPPED_MS) {
      this.quietSinceMs = nowMs;
      this.pingSinceMs = nowMs;
      this.acknowledgedMs = nowMs;
    }
    // Counted from look to look: what the kernel says of the time before something was sent means nothing.
    if (!this.isPeerSilent(this.socket, nowMs - this.lastTickMs)) this.acknowledgedMs = nowMs;
    this.lastTickMs = nowMs;
    if (nowMs - this.acknowledgedMs > timeoutMs * SILENT_HOST_PART) {
      this.fail({ reason: 'timeout', detail: 'its host acknowledges nothing' });
    } else if (this.parser.inFlight > 0 && nowMs - this.quietSinceMs > timeoutMs) {
      this.fail({ reason: 'timeout', detail: 'r/w timeout' });
    } else if (this.isPingOut && nowMs - this.pingSinceMs > timeoutMs) {
      this.fail({ reason: 'timeout', detail: 'no answer to a ping' });
    } else if (!this.isPingOut && nowMs - this.heardMs >= PING_AFTER_MS) {
      this.sendOwn(FRAME_PING, 0);
      this.pingSinceMs = nowMs;
    }
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.events = null;
    this.parser.stop();
    this.socket.destroy();
  }

  // ReplySink

  onAnswer(seq: number, answer: Answer, text: string): void {
    if ((seq & SEQ_SLOT_MASK) !== 0) {
      this.hasAnswers = true;
      this.events?.answered(seq, answer, text);
      return;
    }
    this.isPingOut = false;
    this.heardMs = this.clock.nowMs();
    if (this.opened !== null) {
      if (answer === ANSWER_OK) this.ready();
      else this.refuse(new Error(text));
    } else if (answer === ANSWER_OK) {
      this.events?.pinged(this.pingSentMs);
    } else {
      this.fail({ reason: text.includes('is fenced by epoch') ? 'fenced' : 'ping', detail: text });
    }
  }

  onBroken(failure: MemberFailure): void {
    this.fail(failure);
  }

  private onBytes(count: number): void {
    this.parser.take(count);
    this.events?.answersEnd();
  }

  /** Pings and HELLO use slot 0, at most one at a time. */
  private sendOwn(type: number, offset: number): void {
    this.pingGeneration = (this.pingGeneration + 1) % GENERATION_LIMIT;
    const seq = (this.pingGeneration << SEQ_SLOT_BITS) >>> 0;
    this.isPingOut = true;
    this.pingSentMs = this.clock.nowMs();
    this.pingSinceMs = this.pingSentMs;
    this.parser.expect(seq, null, 0, 0);
    writeFrameHeader(this.ping, 0, seq, type, offset, 0, 0);
    this.socket.write(this.ping);
  }

  private ready(): void {
    this.socket.setTimeout(0);
    const opened = this.opened;
    this.opened = null;
    opened?.(null);
  }

  private refuse(error: Error): void {
    const opened = this.opened;
    this.opened = null;
    this.close();
    opened?.(error);
  }

  private lost(detail: string): void {
    this.fail({ reason: 'connection-lost', detail });
  }

  private fail(failure: MemberFailure): void {
    if (this.isClosed) return;
    if (this.opened !== null) {
      this.refuse(new Error(`cannot connect to ${this.address}: ${failure.detail}`));
      return;
    }
    const events = this.events;
    this.close();
    // Before `start` there is nobody to tell: remembered until then.
    if (events === null) this.earlyFailure = failure;
    else events.failed(failure);
  }
}
