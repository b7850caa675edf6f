/**
 * One client (tgtd) of upstream's data connection protocol, served from the volume; the stream of its requests and replies is
 * `RequestStream`'s.
 *
 * - Requests and bytes in progress are bounded; more stay in the socket, also while a client does not take its replies.
 * - Requests may be answered in any order. Unknown types are ignored. Bytes that are no frames end the connection.
 */
import type { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import {
  FRAME_CLOSE,
  FRAME_HEADER_BYTES,
  FRAME_MAGIC,
  FRAME_PING,
  FRAME_READ,
  FRAME_RESPONSE,
  FRAME_UNMAP,
  FRAME_WRITE,
  copyFrameOffset,
  frameDataLength,
  frameMagic,
  frameOffset,
  frameSeq,
  frameSize,
  frameType,
  wrongMagicText,
  writeFrameHeader,
} from '../../protocol/replica-frame.ts';
import { type BlockTarget, type CompletionSink, FRAME_HEADROOM } from '../frontend.ts';
import type { Chunk } from '../stream/chunk-pool.ts';
import type { PayloadBudget } from '../stream/payload-budget.ts';
import { NOT_YET, RequestStream, type RequestParser } from '../stream/request-stream.ts';
import { plainTransport } from '../stream/transport.ts';
import { SOCKET_PAYLOAD_MAX, SOCKET_REQUESTS_MAX } from './limits.ts';
import { type ErrorReply, replyBeyondEnd, replyToErrno, replyTooLong } from './socket-reply.ts';

export class SocketConnection implements CompletionSink, RequestParser {
  /** Ends and trims the connection. */
  readonly stream: RequestStream;
  private readonly target: BlockTarget;
  private readonly budget: PayloadBudget;
  private readonly whenEnded: (problem: string) => void;
  // Requests in progress, by slot. A read's chunk and start are its reply's, a write's chunk is its payload's.
  private readonly type = new Uint8Array(SOCKET_REQUESTS_MAX);
  private readonly seq = new Uint32Array(SOCKET_REQUESTS_MAX);
  private readonly offset = new Float64Array(SOCKET_REQUESTS_MAX);
  private readonly length = new Uint32Array(SOCKET_REQUESTS_MAX);
  private readonly replyStart = new Int32Array(SOCKET_REQUESTS_MAX);
  private readonly chunk: (Chunk | null)[] = Array.from({ length: SOCKET_REQUESTS_MAX }, () => null);
  private readonly freeSlots = Uint16Array.from({ length: SOCKET_REQUESTS_MAX }, (_, i) => SOCKET_REQUESTS_MAX - 1 - i);
  private freeCount = SOCKET_REQUESTS_MAX;

  /** `whenEnded` is called once, with what was wrong with the peer ("" = nothing). */
  constructor(accepted: Socket, target: BlockTarget, budget: PayloadBudget, whenEnded: (problem: string) => void) {
    this.target = target;
    this.budget = budget;
    this.whenEnded = whenEnded;
    this.stream = new RequestStream(plainTransport(accepted), target, budget, this);
    this.stream.start();
  }

  // RequestParser

  ended(problem: string): void {
    this.whenEnded(problem);
  }

  isIdle(): boolean {
    return this.freeCount === SOCKET_REQUESTS_MAX;
  }

  bytesNeeded(from: Buffer, at: number, available: number): number {
    if (available < FRAME_HEADER_BYTES || frameType(from, at) !== FRAME_WRITE) return 0;
    return FRAME_HEADER_BYTES + frameDataLength(from, at);
  }

  takeRequest(chunk: Chunk, at: number, available: number): number {
    if (available < FRAME_HEADER_BYTES) return NOT_YET;
    const from = chunk.buffer;
    const magic = frameMagic(from, at);
    if (magic !== FRAME_MAGIC) return this.stream.hangUp(wrongMagicText(magic));
    const type = frameType(from, at);
    const dataLength = frameDataLength(from, at);
    if (dataLength > SOCKET_PAYLOAD_MAX) return this.stream.hangUp(`a frame of ${dataLength} bytes is too long`);
    if (type === FRAME_CLOSE) return this.stream.hangUp('');
    const isRequest = type === FRAME_READ || type === FRAME_WRITE || type === FRAME_UNMAP || type === FRAME_PING;
    if (type === FRAME_WRITE && frameSize(from, at) !== dataLength) {
      return this.stream.hangUp(`a write of ${frameSize(from, at)} bytes carries ${dataLength}`);
    }
    if (!isRequest) {
      this.stream.skip(dataLength);
      return FRAME_HEADER_BYTES;
    }
    if (this.freeCount === 0 || this.stream.replies.isBehind()) return this.stream.stall();
    const refusal = this.judge(from, at, type);
    if (refusal !== null || type === FRAME_PING || frameSize(from, at) === 0) {
      this.answer(from, at, refusal);
      this.stream.skip(dataLength);
      return FRAME_HEADER_BYTES;
    }
    const payload = type === FRAME_WRITE ? dataLength : 0;
    if (available < FRAME_HEADER_BYTES + payload) return NOT_YET;
    const needs = type === FRAME_UNMAP ? 0 : frameSize(from, at);
    if (!this.stream.admit(needs)) return NOT_YET;
    this.submit(chunk, at, type);
    if (type !== FRAME_WRITE) this.stream.skip(dataLength);
    return FRAME_HEADER_BYTES + payload;
  }

  /** Why a request is refused; null = it can be submitted. */
  private judge(from: Buffer, at: number, type: number): ErrorReply | null {
    if (type === FRAME_PING) return null;
    const offset = frameOffset(from, at);
    const length = frameSize(from, at);
    const size = this.target.sizeBytes();
    if (offset < 0 || offset + length > size) {
      const kind = type === FRAME_READ ? 'Read' : type === FRAME_WRITE ? 'Write' : 'unmap';
      return replyBeyondEnd(kind, length, from.readBigInt64LE(at + 10).toString(), size);
    }
    if (type === FRAME_READ && length > SOCKET_PAYLOAD_MAX) return replyTooLong(length, SOCKET_PAYLOAD_MAX);
    return null;
  }

  private submit(chunk: Chunk, at: number, type: number): void {
    const from = chunk.buffer;
    const offset = frameOffset(from, at);
    const length = frameSize(from, at);
    const slot = this.freeSlots[--this.freeCount] as number;
    this.type[slot] = type;
    this.seq[slot] = frameSeq(from, at);
    this.offset[slot] = offset;
    this.length[slot] = length;
    if (type === FRAME_READ) {
      const into = this.stream.replies.reserve(FRAME_HEADER_BYTES + length);
      const start = into.filled - length;
      this.chunk[slot] = into;
      this.replyStart[slot] = start - FRAME_HEADER_BYTES;
      this.target.read(this, slot, offset, length, into.buffer, start);
    } else if (type === FRAME_WRITE) {
      chunk.uses++;
      this.chunk[slot] = chunk;
      this.target.write(this, slot, offset, length, from, at + FRAME_HEADER_BYTES, FRAME_HEADROOM, false);
    } else {
      this.target.unmap(this, slot, offset, length);
    }
  }

  // Answering

  /** Answers a request that was never submitted; a null refusal is success with nothing done. */
  private answer(from: Buffer, at: number, refusal: ErrorReply | null): void {
    const textBytes = refusal?.text.length ?? 0;
    const reply = this.stream.replies.reserve(FRAME_HEADER_BYTES + textBytes);
    const start = reply.filled - FRAME_HEADER_BYTES - textBytes;
    const type = refusal?.type ?? FRAME_RESPONSE;
    writeFrameHeader(reply.buffer, start, frameSeq(from, at), type, 0, textBytes, textBytes);
    copyFrameOffset(reply.buffer, start, from, at);
    refusal?.text.copy(reply.buffer, start + FRAME_HEADER_BYTES);
    this.stream.replies.add(reply, start, reply.filled);
  }

  complete(slot: number, errno: number): void {
    const type = this.type[slot] as number;
    const length = this.length[slot] as number;
    const chunk = this.chunk[slot] ?? null;
    this.chunk[slot] = null;
    this.freeSlots[this.freeCount++] = slot;
    if (type !== FRAME_UNMAP) this.budget.release(length);
    if (chunk !== null && type === FRAME_READ) {
      const start = this.replyStart[slot] as number;
      if (errno === 0) {
        this.writeHeader(chunk.buffer, start, slot, FRAME_RESPONSE, length, length);
        this.stream.replies.add(chunk, start, start + FRAME_HEADER_BYTES + length);
        return;
      }
      // The room of a failed read goes back empty; its error has a place of its own.
      this.stream.replies.add(chunk, start, start);
    }
    if (chunk !== null && type === FRAME_WRITE) this.stream.release(chunk);
    const error = errno === 0 ? null : replyToErrno(errno);
    const textBytes = error?.text.length ?? 0;
    const reply = this.stream.replies.reserve(FRAME_HEADER_BYTES + textBytes);
    const start = reply.filled - FRAME_HEADER_BYTES - textBytes;
    // How many bytes an unmap freed is known to the replicas alone; 0 is an answer that upstream gives, too.
    const size = error === null && type === FRAME_WRITE ? length : textBytes;
    this.writeHeader(reply.buffer, start, slot, error?.type ?? FRAME_RESPONSE, size, textBytes);
    error?.text.copy(reply.buffer, start + FRAME_HEADER_BYTES);
    this.stream.replies.add(reply, start, reply.filled);
  }

  flushCompletions(): void {
    this.stream.sendReplies();
    this.budget.wake();
  }

  private writeHeader(into: Buffer, at: number, slot: number, type: number, size: number, dataLength: number): void {
    writeFrameHeader(into, at, this.seq[slot] as number, type, this.offset[slot] as number, size, dataLength);
  }
}
