/**
 * One client (tgtd) of upstream's data connection protocol, served from the volume.
 *
 * - All requests that a chunk of received bytes holds are submitted before anything is sent, and then as one batch.
 * - A write's payload leaves for the replicas from where it was received; one that does not fit the rest of its chunk is
 *   moved once to the front of another. Replies that are ready together leave in one write.
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
import { adoptSocket } from '../../io/node/adopt-socket.ts';
import { type Chunk, ChunkPool } from '../nbd/chunk-pool.ts';
import { NBD_CHUNK_BYTES } from '../nbd/nbd-limits.ts';
import type { PayloadBudget } from '../nbd/payload-budget.ts';
import { ReplyQueue } from '../nbd/reply-queue.ts';
import { SOCKET_PAYLOAD_MAX, SOCKET_REQUESTS_MAX, SOCKET_ROOM_MIN } from './limits.ts';
import { type ErrorReply, replyBeyondEnd, replyToErrno, replyTooLong } from './socket-reply.ts';

/** What `takeFrame` says when a frame cannot be taken yet. */
const INCOMPLETE = 0;

export class SocketConnection implements CompletionSink {
  private readonly target: BlockTarget;
  private readonly budget: PayloadBudget;
  private readonly ended: (problem: string) => void;
  private readonly socket: Socket;
  private readonly replies: ReplyQueue;
  private readonly received = new ChunkPool();
  /** Start of what is not parsed yet in the current chunk. */
  private parsed = 0;
  /** Payload bytes of an ignored or refused frame that are still to come. */
  private skipLeft = 0;
  private isStalled = false;
  private isLeaving = false;
  private isClosed = false;
  private wasActive = false;
  // Requests in progress, by slot. A read's chunk and start are its reply's, a write's chunk is its payload's.
  private readonly type = new Uint8Array(SOCKET_REQUESTS_MAX);
  private readonly seq = new Uint32Array(SOCKET_REQUESTS_MAX);
  private readonly offset = new Float64Array(SOCKET_REQUESTS_MAX);
  private readonly length = new Uint32Array(SOCKET_REQUESTS_MAX);
  private readonly replyStart = new Int32Array(SOCKET_REQUESTS_MAX);
  private readonly chunk: (Chunk | null)[] = Array.from({ length: SOCKET_REQUESTS_MAX }, () => null);
  private readonly freeSlots = Uint16Array.from({ length: SOCKET_REQUESTS_MAX }, (_, i) => SOCKET_REQUESTS_MAX - 1 - i);
  private freeCount = SOCKET_REQUESTS_MAX;

  /** `ended` is called once, with what was wrong with the peer ("" = nothing). */
  constructor(accepted: Socket, target: BlockTarget, budget: PayloadBudget, ended: (problem: string) => void) {
    this.target = target;
    this.budget = budget;
    this.ended = ended;
    this.socket = adoptSocket(accepted, {
      buffer: () => this.received.current.buffer.subarray(this.received.current.filled),
      callback: (count) => this.onBytes(count),
    });
    this.replies = new ReplyQueue(this.socket);
    this.socket.on('error', (error) => this.close(error.message));
    this.socket.on('close', () => this.close(''));
    this.socket.on('end', () => this.close(''));
    this.socket.on('drain', () => this.onDrain());
    this.socket.resume();
  }

  /** Ends at once; requests in progress end in the core, unanswered. */
  close(problem: string): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.socket.destroy();
    this.budget.forget(this);
    this.ended(problem);
  }

  /** Takes no further requests, and ends once those in progress are answered. */
  leave(): void {
    this.isLeaving = true;
    this.endIfIdle();
  }

  /** Memory that a burst has left goes back. */
  trim(): void {
    if (!this.wasActive) {
      this.received.trim();
      this.replies.trim();
    }
    this.wasActive = false;
  }

  /** There may be room in the budget again. */
  continue(): void {
    if (!this.isStalled || this.isClosed) return;
    this.parse();
    if (!this.isStalled && !this.isClosed) this.socket.resume();
  }

  // Receiving

  private onBytes(count: number): boolean {
    if (this.isClosed) return false;
    this.wasActive = true;
    this.received.current.filled += count;
    this.parse();
    if (!this.isClosed) this.makeRoom();
    return !this.isStalled && !this.isClosed;
  }

  private parse(): void {
    this.isStalled = false;
    this.takeFrames();
    this.target.submitBatch();
    this.replies.send();
  }

  private takeFrames(): void {
    const chunk = this.received.current;
    for (;;) {
      if (this.isLeaving || this.isClosed) {
        this.parsed = chunk.filled;
        return;
      }
      const available = chunk.filled - this.parsed;
      if (this.skipLeft > 0) {
        const skipped = Math.min(this.skipLeft, available);
        this.skipLeft -= skipped;
        this.parsed += skipped;
        if (this.skipLeft > 0) return;
        continue;
      }
      if (available < FRAME_HEADER_BYTES) return;
      const taken = this.takeFrame(chunk, this.parsed, available);
      if (taken === INCOMPLETE) return;
      this.parsed += taken;
    }
  }

  /** Submits or refuses one frame; the answer is how much of it is done with, or INCOMPLETE. */
  private takeFrame(chunk: Chunk, at: number, available: number): number {
    const from = chunk.buffer;
    const magic = frameMagic(from, at);
    if (magic !== FRAME_MAGIC) return this.hangUp(wrongMagicText(magic));
    const type = frameType(from, at);
    const dataLength = frameDataLength(from, at);
    if (dataLength > SOCKET_PAYLOAD_MAX) return this.hangUp(`a frame of ${dataLength} bytes is too long`);
    if (type === FRAME_CLOSE) return this.hangUp('');
    const isRequest = type === FRAME_READ || type === FRAME_WRITE || type === FRAME_UNMAP || type === FRAME_PING;
    if (type === FRAME_WRITE && frameSize(from, at) !== dataLength) {
      return this.hangUp(`a write of ${frameSize(from, at)} bytes carries ${dataLength}`);
    }
    if (!isRequest) {
      this.skipLeft = dataLength;
      return FRAME_HEADER_BYTES;
    }
    if (this.freeCount === 0 || this.replies.isBehind()) return this.stall();
    const refusal = this.judge(from, at, type);
    if (refusal !== null || type === FRAME_PING || frameSize(from, at) === 0) {
      this.answer(from, at, refusal);
      this.skipLeft = dataLength;
      return FRAME_HEADER_BYTES;
    }
    const payload = type === FRAME_WRITE ? dataLength : 0;
    if (available < FRAME_HEADER_BYTES + payload) return INCOMPLETE;
    const needs = type === FRAME_UNMAP ? 0 : frameSize(from, at);
    if (!this.budget.take(this, needs)) return this.stall();
    this.submit(chunk, at, type);
    if (type !== FRAME_WRITE) this.skipLeft = dataLength;
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
      const into = this.replies.reserve(FRAME_HEADER_BYTES + length);
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

  /** The current chunk gets room for what is to come; only when the socket is about to ask for its next buffer. */
  private makeRoom(): void {
    const chunk = this.received.current;
    const left = chunk.filled - this.parsed;
    if (left === 0 && chunk.uses === 0) {
      if (chunk.buffer.length > NBD_CHUNK_BYTES) this.received.next(0);
      this.received.current.filled = 0;
      this.parsed = 0;
      return;
    }
    let needs = SOCKET_ROOM_MIN;
    if (left >= FRAME_HEADER_BYTES && this.skipLeft === 0 && frameType(chunk.buffer, this.parsed) === FRAME_WRITE) {
      needs = FRAME_HEADER_BYTES + frameDataLength(chunk.buffer, this.parsed);
    }
    if (chunk.buffer.length - this.parsed >= needs && chunk.filled < chunk.buffer.length) return;
    const next = this.received.next(needs);
    next.filled = left;
    chunk.buffer.copy(next.buffer, 0, this.parsed, this.parsed + left);
    this.parsed = 0;
  }

  private stall(): number {
    this.isStalled = true;
    return INCOMPLETE;
  }

  private hangUp(problem: string): number {
    this.isLeaving = true;
    this.close(problem);
    return INCOMPLETE;
  }

  // Answering

  /** Answers a request that was never submitted; a null refusal is success with nothing done. */
  private answer(from: Buffer, at: number, refusal: ErrorReply | null): void {
    const textBytes = refusal?.text.length ?? 0;
    const reply = this.replies.reserve(FRAME_HEADER_BYTES + textBytes);
    const start = reply.filled - FRAME_HEADER_BYTES - textBytes;
    const type = refusal?.type ?? FRAME_RESPONSE;
    writeFrameHeader(reply.buffer, start, frameSeq(from, at), type, 0, textBytes, textBytes);
    copyFrameOffset(reply.buffer, start, from, at);
    refusal?.text.copy(reply.buffer, start + FRAME_HEADER_BYTES);
    this.replies.add(reply, start, reply.filled);
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
        this.replies.add(chunk, start, start + FRAME_HEADER_BYTES + length);
        return;
      }
      // The room of a failed read goes back empty; its error has a place of its own.
      this.replies.add(chunk, start, start);
    }
    if (chunk !== null && type === FRAME_WRITE) this.received.release(chunk);
    const error = errno === 0 ? null : replyToErrno(errno);
    const textBytes = error?.text.length ?? 0;
    const reply = this.replies.reserve(FRAME_HEADER_BYTES + textBytes);
    const start = reply.filled - FRAME_HEADER_BYTES - textBytes;
    // How many bytes an unmap freed is known to the replicas alone; 0 is an answer that upstream gives, too.
    const size = error === null && type === FRAME_WRITE ? length : textBytes;
    this.writeHeader(reply.buffer, start, slot, error?.type ?? FRAME_RESPONSE, size, textBytes);
    error?.text.copy(reply.buffer, start + FRAME_HEADER_BYTES);
    this.replies.add(reply, start, reply.filled);
  }

  flushCompletions(): void {
    if (!this.isClosed) {
      this.replies.send();
      if (this.isLeaving) this.endIfIdle();
      else if (this.isStalled) this.continue();
    }
    this.budget.wake();
  }

  private writeHeader(into: Buffer, at: number, slot: number, type: number, size: number, dataLength: number): void {
    writeFrameHeader(into, at, this.seq[slot] as number, type, this.offset[slot] as number, size, dataLength);
  }

  private onDrain(): void {
    this.replies.drained();
    if (this.isLeaving) this.endIfIdle();
    else this.continue();
  }

  private endIfIdle(): void {
    if (this.isClosed || this.freeCount < SOCKET_REQUESTS_MAX || this.replies.isBehind()) return;
    this.socket.end(() => this.close(''));
  }
}
