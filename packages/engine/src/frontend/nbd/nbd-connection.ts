/**
 * One client of an NBD export, from the greeting to the end.
 *
 * - All requests that a chunk of received bytes holds are submitted before anything is sent, and then as one batch.
 * - The payload of a write leaves for the replicas from where it was received; one that does not fit the rest of its
 *   chunk is moved once to the front of another.
 * - Replies that are ready together leave in one socket write.
 * - At most `NBD_REQUESTS_MAX` requests, and the export's budget of payload bytes, are in progress; more stay in
 *   the socket. A client that does not take its replies gets no further request served.
 * - Bytes that do not follow the protocol end the connection.
 */
import type { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import {
  nbdError,
  NBD_CMD_DISC,
  NBD_CMD_FLAG_FUA,
  NBD_CMD_FLAG_NO_HOLE,
  NBD_CMD_FLUSH,
  NBD_CMD_READ,
  NBD_CMD_TRIM,
  NBD_CMD_WRITE,
  NBD_CMD_WRITE_ZEROES,
  NBD_EINVAL,
  NBD_ENOSPC,
  NBD_REPLY_BYTES,
  NBD_REQUEST_BYTES,
  NBD_REQUEST_MAGIC,
  requestCookieHigh,
  requestCookieLow,
  requestFlags,
  requestLength,
  requestMagic,
  requestOffset,
  requestType,
  writeReply,
} from '../../protocol/nbd.ts';
import { FRAME_HEADROOM, type BlockTarget, type CompletionSink } from '../frontend.ts';
import { adoptSocket } from '../../io/node/adopt-socket.ts';
import { ChunkPool, type Chunk } from './chunk-pool.ts';
import { Handshake, type ExportDescription } from './handshake.ts';
import {
  NBD_CHUNK_BYTES,
  NBD_CHUNK_ROOM_MIN,
  NBD_HANDSHAKE_TIMEOUT_MS,
  NBD_PAYLOAD_MAX,
  NBD_REQUESTS_MAX,
} from './nbd-limits.ts';
import type { PayloadBudget } from './payload-budget.ts';
import { ReplyQueue } from './reply-queue.ts';
import { ZeroWriter } from './zero-writer.ts';

/** What `takeRequest` says when a request cannot be taken yet. */
const INCOMPLETE = 0;
const FLAGS_KNOWN = NBD_CMD_FLAG_FUA | NBD_CMD_FLAG_NO_HOLE;

export class NbdConnection implements CompletionSink {
  private readonly target: BlockTarget;
  private readonly budget: PayloadBudget;
  private readonly ended: () => void;
  private readonly socket: Socket;
  private readonly handshake: Handshake;
  private readonly zeroes: ZeroWriter;
  private readonly replies: ReplyQueue;
  private readonly received = new ChunkPool();
  /** Start of what is not parsed yet in the current chunk. */
  private parsed = 0;
  /** Payload bytes of a refused write that are still to come. */
  private skipLeft = 0;
  private isTransmitting = false;
  private isStalled = false;
  private isLeaving = false;
  private isClosed = false;
  private wasActive = false;
  // Requests in progress, by slot.
  private readonly command = new Uint8Array(NBD_REQUESTS_MAX);
  private readonly wantsFlush = new Uint8Array(NBD_REQUESTS_MAX);
  private readonly cookieHigh = new Uint32Array(NBD_REQUESTS_MAX);
  private readonly cookieLow = new Uint32Array(NBD_REQUESTS_MAX);
  private readonly replyStart = new Int32Array(NBD_REQUESTS_MAX);
  private readonly length = new Uint32Array(NBD_REQUESTS_MAX);
  private readonly chunk: (Chunk | null)[] = Array.from({ length: NBD_REQUESTS_MAX }, () => null);
  private readonly freeSlots = Uint16Array.from({ length: NBD_REQUESTS_MAX }, (_, i) => NBD_REQUESTS_MAX - 1 - i);
  private freeCount = NBD_REQUESTS_MAX;

  constructor(
    accepted: Socket,
    target: BlockTarget,
    exported: ExportDescription,
    budget: PayloadBudget,
    ended: () => void,
  ) {
    this.target = target;
    this.budget = budget;
    this.ended = ended;
    this.handshake = new Handshake(exported);
    this.zeroes = new ZeroWriter(target, this);
    this.socket = adoptSocket(accepted, {
      buffer: () => this.nextBuffer(),
      callback: (count) => this.onBytes(count),
    });
    this.replies = new ReplyQueue(this.socket);
    this.socket.setNoDelay(true);
    this.socket.setTimeout(NBD_HANDSHAKE_TIMEOUT_MS, () => this.close());
    this.socket.on('error', () => this.close());
    this.socket.on('close', () => this.close());
    this.socket.on('end', () => this.close());
    this.socket.on('drain', () => this.onDrain());
    this.socket.resume();
    this.socket.write(this.handshake.output());
  }

  /** Ends at once; requests in progress end in the core, unanswered. */
  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.socket.destroy();
    this.budget.forget(this);
    this.ended();
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

  /** Room in the export's budget again. */
  continue(): void {
    if (!this.isStalled || this.isClosed) return;
    this.parse();
    if (!this.isStalled) this.socket.resume();
  }

  // Receiving

  private nextBuffer(): Buffer {
    const chunk = this.received.current;
    return chunk.buffer.subarray(chunk.filled);
  }

  private onBytes(count: number): boolean {
    if (this.isClosed) return false;
    this.wasActive = true;
    this.received.current.filled += count;
    this.parse();
    if (!this.isClosed) this.makeRoom();
    return !this.isStalled;
  }

  private parse(): void {
    if (!this.isTransmitting) this.shakeHands();
    if (this.isTransmitting) {
      this.isStalled = false;
      this.takeRequests();
      this.target.submitBatch();
      this.replies.send();
    }
  }

  private shakeHands(): void {
    const { buffer, filled } = this.received.current;
    this.parsed += this.handshake.take(buffer.subarray(this.parsed, filled));
    const output = this.handshake.output();
    if (output.length > 0) this.socket.write(output);
    if (this.handshake.state === 'end') {
      this.isLeaving = true;
      this.socket.end(() => this.close());
    } else if (this.handshake.state === 'transmission') {
      this.isTransmitting = true;
      this.socket.setTimeout(0);
    }
  }

  private takeRequests(): void {
    const chunk = this.received.current;
    for (;;) {
      const available = chunk.filled - this.parsed;
      if (this.isLeaving) {
        this.parsed = chunk.filled;
        return;
      }
      if (this.skipLeft > 0) {
        const skipped = Math.min(this.skipLeft, available);
        this.skipLeft -= skipped;
        this.parsed += skipped;
        if (this.skipLeft > 0) return;
      } else {
        if (available < NBD_REQUEST_BYTES) return;
        const taken = this.takeRequest(chunk, this.parsed, available);
        if (taken === INCOMPLETE) return;
        this.parsed += taken;
      }
    }
  }

  /** Submits one request; the answer is its length on the wire, or INCOMPLETE. */
  private takeRequest(chunk: Chunk, at: number, available: number): number {
    const from = chunk.buffer;
    if (requestMagic(from, at) !== NBD_REQUEST_MAGIC) return this.hangUp();
    const type = requestType(from, at);
    const length = requestLength(from, at);
    if (type === NBD_CMD_WRITE && length > NBD_PAYLOAD_MAX) return this.hangUp();
    if (type === NBD_CMD_DISC) {
      this.leave();
      return NBD_REQUEST_BYTES;
    }
    const errno = this.judge(from, at, type, length);
    const payload = type === NBD_CMD_WRITE ? length : 0;
    // The payload of a refused write is skipped as it comes, of a good one awaited.
    if (errno === 0 && available < NBD_REQUEST_BYTES + payload) return INCOMPLETE;
    const needs = errno === 0 && (type === NBD_CMD_READ || type === NBD_CMD_WRITE) ? length : 0;
    if (this.freeCount === 0 || this.replies.isBehind() || !this.budget.take(this, needs)) {
      this.isStalled = true;
      return INCOMPLETE;
    }
    const slot = this.freeSlots[--this.freeCount] as number;
    this.command[slot] = type;
    this.length[slot] = needs;
    this.cookieHigh[slot] = requestCookieHigh(from, at);
    this.cookieLow[slot] = requestCookieLow(from, at);
    this.wantsFlush[slot] = 0;
    if (errno === 0) {
      this.submit(slot, type, chunk, at, length);
      return NBD_REQUEST_BYTES + payload;
    }
    this.skipLeft = payload;
    this.complete(slot, errno);
    return NBD_REQUEST_BYTES;
  }

  /** What is wrong with a request, as an errno; nothing is submitted that was not judged here. */
  private judge(from: Buffer, at: number, type: number, length: number): number {
    const isRanged =
      type === NBD_CMD_READ || type === NBD_CMD_WRITE || type === NBD_CMD_TRIM || type === NBD_CMD_WRITE_ZEROES;
    if ((requestFlags(from, at) & ~FLAGS_KNOWN) !== 0) return NBD_EINVAL;
    if (!isRanged) return type === NBD_CMD_FLUSH ? 0 : NBD_EINVAL;
    const offset = requestOffset(from, at);
    if (offset < 0 || offset + length > this.target.sizeBytes()) {
      return type === NBD_CMD_WRITE || type === NBD_CMD_WRITE_ZEROES ? NBD_ENOSPC : NBD_EINVAL;
    }
    if (length === 0 || (type === NBD_CMD_READ && length > NBD_PAYLOAD_MAX)) return NBD_EINVAL;
    return 0;
  }

  private submit(slot: number, type: number, chunk: Chunk, at: number, length: number): void {
    const from = chunk.buffer;
    const offset = requestOffset(from, at);
    const isFua = (requestFlags(from, at) & NBD_CMD_FLAG_FUA) !== 0;
    const target = this.target;
    switch (type) {
      case NBD_CMD_READ: {
        const into = this.replies.reserve(NBD_REPLY_BYTES + length);
        this.chunk[slot] = into;
        const start = into.filled - length;
        this.replyStart[slot] = start - NBD_REPLY_BYTES;
        target.read(this, slot, offset, length, into.buffer, start);
        return;
      }
      case NBD_CMD_WRITE:
        chunk.uses++;
        this.chunk[slot] = chunk;
        target.write(this, slot, offset, length, from, at + NBD_REQUEST_BYTES, FRAME_HEADROOM, isFua);
        return;
      case NBD_CMD_TRIM:
        this.wantsFlush[slot] = isFua ? 1 : 0;
        target.unmap(this, slot, offset, length);
        return;
      case NBD_CMD_WRITE_ZEROES:
        this.zeroes.start(slot, offset, length, isFua);
        return;
      default:
        target.flush(this, slot);
    }
  }

  /**
   * The current chunk gets room for what is to come. Only at the end of a receive: the socket asks for its next buffer then and
   * at no other time, so what is parsed later, when a stall ends, must not move it.
   */
  private makeRoom(): void {
    const chunk = this.received.current;
    const left = chunk.filled - this.parsed;
    if (left === 0 && chunk.uses === 0) {
      if (chunk.buffer.length > NBD_CHUNK_BYTES) this.received.next(0);
      this.received.current.filled = 0;
      this.parsed = 0;
      return;
    }
    let needs = NBD_CHUNK_ROOM_MIN;
    if (this.isTransmitting && left >= NBD_REQUEST_BYTES && this.skipLeft === 0) {
      const isWrite = requestType(chunk.buffer, this.parsed) === NBD_CMD_WRITE;
      needs = NBD_REQUEST_BYTES + (isWrite ? requestLength(chunk.buffer, this.parsed) : 0);
    }
    const isRoom = chunk.buffer.length - this.parsed >= needs && chunk.filled < chunk.buffer.length;
    if (isRoom) return;
    const next = this.received.next(needs);
    next.filled = left;
    chunk.buffer.copy(next.buffer, 0, this.parsed, this.parsed + left);
    this.parsed = 0;
  }

  private hangUp(): number {
    this.close();
    this.isLeaving = true;
    return INCOMPLETE;
  }

  // CompletionSink

  complete(slot: number, errno: number): void {
    const command = this.command[slot] as number;
    if (this.wantsFlush[slot] === 1 && errno === 0) {
      this.wantsFlush[slot] = 0;
      this.target.flush(this, slot);
      return;
    }
    const chunk = this.chunk[slot] as Chunk | null;
    this.chunk[slot] = null;
    this.freeSlots[this.freeCount++] = slot;
    this.budget.release(this.length[slot] as number);
    const high = this.cookieHigh[slot] as number;
    const low = this.cookieLow[slot] as number;
    if (chunk !== null && command === NBD_CMD_READ) {
      const start = this.replyStart[slot] as number;
      writeReply(chunk.buffer, start, nbdError(errno), high, low);
      const end = start + NBD_REPLY_BYTES + (errno === 0 ? (this.length[slot] as number) : 0);
      this.replies.add(chunk, start, end);
      return;
    }
    if (chunk !== null) this.received.release(chunk);
    const reply = this.replies.reserve(NBD_REPLY_BYTES);
    const start = reply.filled - NBD_REPLY_BYTES;
    writeReply(reply.buffer, start, nbdError(errno), high, low);
    this.replies.add(reply, start, reply.filled);
  }

  flushCompletions(): void {
    if (this.isClosed) {
      this.budget.wake();
      return;
    }
    this.replies.send();
    if (this.isLeaving) this.endIfIdle();
    else if (this.isStalled) this.continue();
    // A trim with FUA goes on with a flush, zeros with their next piece.
    this.target.submitBatch();
    this.budget.wake();
  }

  private onDrain(): void {
    this.replies.drained();
    if (this.isLeaving) this.endIfIdle();
    else this.continue();
  }

  private endIfIdle(): void {
    if (this.isClosed || this.freeCount < NBD_REQUESTS_MAX || this.replies.isBehind()) return;
    this.socket.end(() => this.close());
  }
}
