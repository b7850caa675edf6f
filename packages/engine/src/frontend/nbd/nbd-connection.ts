/**
 * One client of an NBD export, from the greeting to the end; the stream of its requests and replies is `RequestStream`'s.
 *
 * - At most `NBD_REQUESTS_MAX` requests, and the export's budget of payload bytes, are in progress; more stay in the socket. A
 *   client that does not take its replies gets no further request served.
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
import type { Chunk } from '../stream/chunk-pool.ts';
import type { PayloadBudget } from '../stream/payload-budget.ts';
import { NOT_YET, RequestStream, type RequestParser } from '../stream/request-stream.ts';
import { Handshake, type ExportDescription } from './handshake.ts';
import { NBD_HANDSHAKE_TIMEOUT_MS, NBD_PAYLOAD_MAX, NBD_REQUESTS_MAX } from './nbd-limits.ts';
import { ZeroWriter } from './zero-writer.ts';

const FLAGS_KNOWN = NBD_CMD_FLAG_FUA | NBD_CMD_FLAG_NO_HOLE;

export class NbdConnection implements CompletionSink, RequestParser {
  /** Ends and trims the connection. */
  readonly stream: RequestStream;
  private readonly target: BlockTarget;
  private readonly budget: PayloadBudget;
  private readonly whenEnded: () => void;
  private readonly handshake: Handshake;
  private readonly zeroes: ZeroWriter;
  private isTransmitting = false;
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
    whenEnded: () => void,
  ) {
    this.target = target;
    this.budget = budget;
    this.whenEnded = whenEnded;
    this.handshake = new Handshake(exported);
    this.zeroes = new ZeroWriter(target, this);
    this.stream = new RequestStream(accepted, target, budget, this);
    const { socket } = this.stream;
    socket.setNoDelay(true);
    socket.setTimeout(NBD_HANDSHAKE_TIMEOUT_MS, () => this.stream.close('no handshake'));
    this.stream.start();
    socket.write(this.handshake.output());
  }

  // RequestParser

  ended(): void {
    this.whenEnded();
  }

  isIdle(): boolean {
    return this.freeCount === NBD_REQUESTS_MAX;
  }

  bytesNeeded(from: Buffer, at: number, available: number): number {
    if (!this.isTransmitting || available < NBD_REQUEST_BYTES) return 0;
    return NBD_REQUEST_BYTES + (requestType(from, at) === NBD_CMD_WRITE ? requestLength(from, at) : 0);
  }

  takeRequest(chunk: Chunk, at: number, available: number): number {
    if (!this.isTransmitting) return this.shakeHands(chunk.buffer.subarray(at, at + available));
    if (available < NBD_REQUEST_BYTES) return NOT_YET;
    const from = chunk.buffer;
    if (requestMagic(from, at) !== NBD_REQUEST_MAGIC) return this.stream.hangUp('no NBD request');
    const type = requestType(from, at);
    const length = requestLength(from, at);
    if (type === NBD_CMD_WRITE && length > NBD_PAYLOAD_MAX) {
      return this.stream.hangUp(`a write of ${length} bytes is too long`);
    }
    if (type === NBD_CMD_DISC) {
      this.stream.leave();
      return NBD_REQUEST_BYTES;
    }
    const errno = this.judge(from, at, type, length);
    const payload = type === NBD_CMD_WRITE ? length : 0;
    // The payload of a refused write is skipped as it comes, of a good one awaited.
    if (errno === 0 && available < NBD_REQUEST_BYTES + payload) return NOT_YET;
    const needs = errno === 0 && (type === NBD_CMD_READ || type === NBD_CMD_WRITE) ? length : 0;
    if (this.freeCount === 0 || this.stream.replies.isBehind()) return this.stream.stall();
    if (!this.stream.admit(needs)) return NOT_YET;
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
    this.stream.skip(payload);
    this.complete(slot, errno);
    return NBD_REQUEST_BYTES;
  }

  private shakeHands(bytes: Buffer): number {
    const taken = this.handshake.take(bytes);
    const output = this.handshake.output();
    const { socket } = this.stream;
    if (output.length > 0) socket.write(output);
    if (this.handshake.state === 'end') {
      this.stream.leave();
    } else if (this.handshake.state === 'transmission') {
      this.isTransmitting = true;
      socket.setTimeout(0);
    }
    return taken;
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
        const into = this.stream.replies.reserve(NBD_REPLY_BYTES + length);
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
      this.stream.replies.add(chunk, start, end);
      return;
    }
    if (chunk !== null) this.stream.release(chunk);
    const reply = this.stream.replies.reserve(NBD_REPLY_BYTES);
    const start = reply.filled - NBD_REPLY_BYTES;
    writeReply(reply.buffer, start, nbdError(errno), high, low);
    this.stream.replies.add(reply, start, reply.filled);
  }

  flushCompletions(): void {
    this.stream.sendReplies();
    // A trim with FUA goes on with a flush, zeros with their next piece.
    if (!this.stream.isClosed) this.target.submitBatch();
    this.budget.wake();
  }
}
