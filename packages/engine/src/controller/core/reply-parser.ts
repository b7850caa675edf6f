/**
 * Answers of a replica, taken from a byte stream as it comes: headers are read where they lie, the payload of a read goes to its
 * destination, a large rest of it straight from the socket. Nothing is joined, nothing is allocated per answer, and what the
 * peer claims is believed only as far as it was asked for: anything else ends the connection.
 */
import { Buffer } from 'node:buffer';
import {
  FRAME_CLOSE,
  FRAME_ENOSPC,
  FRAME_EOF,
  FRAME_ERROR,
  FRAME_HEADER_BYTES,
  FRAME_MAGIC,
  FRAME_RESPONSE,
  frameDataLength,
  frameMagic,
  frameSeq,
  frameType,
  NO_SPACE_TEXT,
  wrongMagicText,
} from '../../protocol/replica-frame.ts';
import { SEQ_SLOT_MASK, slotOfSeq } from './core-limits.ts';
import { ANSWER_ERROR, ANSWER_NO_SPACE, ANSWER_OK, type Answer, type MemberFailure } from './member-link.ts';

/** Error texts longer than this are not a replica's. */
const TEXT_BYTES_MAX = 4096;
/** A rest of a payload at least this long is received at its destination. */
const DIRECT_BYTES_MIN = 16 << 10;
const NOT_ASKED = -1;
const NO_DATA = 0;
const NOWHERE = Buffer.alloc(0);

export interface ReplySink {
  onAnswer(seq: number, answer: Answer, text: string): void;
  onBroken(failure: MemberFailure): void;
}

export class ReplyParser {
  /** Requests that have no answer yet, pings not counted. */
  inFlight = 0;
  private readonly sink: ReplySink;
  private readonly receive: Buffer;
  /** Bytes of an incomplete header at the start of `receive`. */
  private kept = 0;
  private isBroken = false;
  private readonly askedSeq = new Uint32Array(SEQ_SLOT_MASK + 1);
  /** Bytes of data that the answer must carry; NOT_ASKED: no request with this slot. */
  private readonly askedLength = new Int32Array(SEQ_SLOT_MASK + 1).fill(NOT_ASKED);
  private readonly askedStart = new Int32Array(SEQ_SLOT_MASK + 1);
  private readonly askedInto: Buffer[] = [];
  // The answer whose payload is being received.
  private payloadLeft = 0;
  private payloadInto: Buffer = NOWHERE;
  private payloadAt = 0;
  private payloadSeq = 0;
  private payloadType = 0;
  private isDirect = false;

  constructor(sink: ReplySink, receiveBytes: number) {
    this.sink = sink;
    this.receive = Buffer.allocUnsafeSlow(receiveBytes);
  }

  expect(seq: number, into: Buffer | null, start: number, length: number): void {
    const slot = slotOfSeq(seq);
    this.askedSeq[slot] = seq;
    this.askedLength[slot] = into === null ? NO_DATA : length;
    if (into !== null) {
      this.askedInto[slot] = into;
      this.askedStart[slot] = start;
    }
    if (slot !== 0) this.inFlight++;
  }

  /** Where the next bytes of the socket go. */
  nextBuffer(): Buffer {
    if (this.payloadLeft >= DIRECT_BYTES_MIN) {
      this.isDirect = true;
      return this.payloadInto.subarray(this.payloadAt, this.payloadAt + this.payloadLeft);
    }
    return this.kept === 0 ? this.receive : this.receive.subarray(this.kept);
  }

  /** `count` bytes have come into the buffer that `nextBuffer` gave last. */
  take(count: number): void {
    if (this.isBroken) return;
    if (this.isDirect) {
      this.isDirect = false;
      this.payloadAt += count;
      this.payloadLeft -= count;
      if (this.payloadLeft === 0) this.endPayload();
      return;
    }
    const from = this.receive;
    const end = this.kept + count;
    let at = this.payloadLeft > 0 ? this.takePayload(0, end) : 0;
    while (!this.isBroken && end - at >= FRAME_HEADER_BYTES) {
      const dataLength = this.takeHeader(from, at);
      at += FRAME_HEADER_BYTES;
      if (dataLength > 0) at = this.takePayload(at, end);
    }
    this.kept = end - at;
    if (this.kept > 0 && at > 0 && !this.isBroken) from.copyWithin(0, at, end);
  }

  /** Forgets all buffers; nothing is written into them any more. */
  stop(): void {
    this.isBroken = true;
    this.payloadLeft = 0;
    this.payloadInto = NOWHERE;
    this.askedInto.length = 0;
  }

  /** Judges one header; the answer is the length of its payload, 0 when there is none or the peer is not to be trusted. */
  private takeHeader(from: Buffer, at: number): number {
    const magic = frameMagic(from, at);
    if (magic !== FRAME_MAGIC) return this.fail(wrongMagicText(magic));
    const seq = frameSeq(from, at);
    const type = frameType(from, at);
    const dataLength = frameDataLength(from, at);
    if (type === FRAME_CLOSE) {
      this.break({ reason: 'connection-lost', detail: 'the replica closed the connection' });
      return 0;
    }
    const slot = slotOfSeq(seq);
    const asked = this.askedLength[slot] as number;
    if (asked === NOT_ASKED || this.askedSeq[slot] !== seq) return this.fail(`answer to unknown request ${seq}`);
    if (type === FRAME_RESPONSE) {
      if (dataLength !== asked) return this.fail(`answer of ${dataLength} bytes to a request for ${asked}`);
      if (asked === NO_DATA) this.answer(seq, ANSWER_OK, '');
      else this.startPayload(seq, type, this.askedInto[slot] as Buffer, this.askedStart[slot] as number, asked);
    } else if (type === FRAME_EOF && dataLength < asked) {
      if (dataLength === 0) this.answer(seq, ANSWER_ERROR, 'short read');
      else this.startPayload(seq, type, this.askedInto[slot] as Buffer, this.askedStart[slot] as number, dataLength);
    } else if ((type === FRAME_ERROR || type === FRAME_ENOSPC) && dataLength <= TEXT_BYTES_MAX) {
      if (dataLength === 0) this.answerText(seq, type, '');
      else this.startPayload(seq, type, Buffer.alloc(dataLength), 0, dataLength);
    } else {
      return this.fail(`answer of type ${type} with ${dataLength} bytes`);
    }
    return dataLength;
  }

  private startPayload(seq: number, type: number, into: Buffer, start: number, length: number): void {
    this.payloadSeq = seq;
    this.payloadType = type;
    this.payloadInto = into;
    this.payloadAt = start;
    this.payloadLeft = length;
  }

  /** Copies what there is of the payload; the answer is where the next header may begin. */
  private takePayload(at: number, end: number): number {
    const count = Math.min(this.payloadLeft, end - at);
    this.receive.copy(this.payloadInto, this.payloadAt, at, at + count);
    this.payloadAt += count;
    this.payloadLeft -= count;
    if (this.payloadLeft === 0) this.endPayload();
    return at + count;
  }

  private endPayload(): void {
    const into = this.payloadInto;
    this.payloadInto = NOWHERE;
    if (this.payloadType === FRAME_RESPONSE) this.answer(this.payloadSeq, ANSWER_OK, '');
    else if (this.payloadType === FRAME_EOF) this.answer(this.payloadSeq, ANSWER_ERROR, 'short read');
    else this.answerText(this.payloadSeq, this.payloadType, into.toString('utf8'));
  }

  private answerText(seq: number, type: number, text: string): void {
    const isNoSpace = type === FRAME_ENOSPC || text.includes(NO_SPACE_TEXT);
    this.answer(seq, isNoSpace ? ANSWER_NO_SPACE : ANSWER_ERROR, text === '' ? 'error without a text' : text);
  }

  private answer(seq: number, answer: Answer, text: string): void {
    const slot = slotOfSeq(seq);
    if ((this.askedLength[slot] as number) > 0) this.askedInto[slot] = NOWHERE;
    this.askedLength[slot] = NOT_ASKED;
    if (slot !== 0) this.inFlight--;
    this.sink.onAnswer(seq, answer, text);
  }

  private fail(detail: string): 0 {
    this.break({ reason: 'protocol', detail });
    return 0;
  }

  private break(failure: MemberFailure): void {
    if (this.isBroken) return;
    this.stop();
    this.sink.onBroken(failure);
  }
}
