/**
 * One client of an NBD export, from the greeting to the end; the stream of its requests and replies is `RequestStream`'s.
 *
 * - At most `NBD_REQUESTS_MAX` requests, and the export's budget of payload bytes, are in progress; more stay in the socket. A
 *   client that does not take its replies gets no further request served.
 * - Bytes that do not follow the protocol end the connection.
 * - With structured replies the reply of a read, and of BLOCK_STATUS, is one chunk; the others' stay simple.
 */
import type { Buffer } from 'node:buffer';
import {
  nbdError,
  NBD_CHUNK_BLOCK_STATUS,
  NBD_CHUNK_BYTES,
  NBD_CMD_BLOCK_STATUS,
  NBD_CMD_DISC,
  NBD_CMD_FLAG_DF,
  NBD_CMD_FLAG_FUA,
  NBD_CMD_FLAG_NO_HOLE,
  NBD_CMD_FLAG_REQ_ONE,
  NBD_CMD_FLUSH,
  NBD_CMD_READ,
  NBD_CMD_TRIM,
  NBD_CMD_WRITE,
  NBD_CMD_WRITE_ZEROES,
  NBD_DATA_CHUNK_BYTES,
  NBD_EINVAL,
  NBD_ENOSPC,
  NBD_ERROR_CHUNK_BYTES,
  NBD_REPLY_BYTES,
  NBD_REQUEST_BYTES,
  NBD_REQUEST_MAGIC,
  NBD_STATE_HOLE,
  NBD_STATE_ZERO,
  requestCookieHigh,
  requestCookieLow,
  requestFlags,
  requestLength,
  requestMagic,
  requestOffset,
  requestType,
  writeChunk,
  writeDataChunk,
  writeErrorChunk,
  writeReply,
} from '../../protocol/nbd.ts';
import { FRAME_HEADROOM, type BlockTarget, type CompletionSink, type GetAllocation } from '../frontend.ts';
import type { Chunk } from '../stream/chunk-pool.ts';
import type { PayloadBudget } from '../stream/payload-budget.ts';
import { NOT_YET, RequestStream, type RequestParser } from '../stream/request-stream.ts';
import type { OpenTransport } from '../stream/transport.ts';
import { ALLOCATION_CONTEXT, type Handshake } from './handshake.ts';
import { NBD_HANDSHAKE_TIMEOUT_MS, NBD_PAYLOAD_MAX, NBD_REQUESTS_MAX } from './nbd-limits.ts';
import { ZeroWriter } from './zero-writer.ts';

const FLAGS_KNOWN = NBD_CMD_FLAG_FUA | NBD_CMD_FLAG_NO_HOLE;
const DESCRIPTOR_BYTES = 8;

export interface NbdConnectionOptions {
  readonly target: BlockTarget;
  /** At its beginning, or in TLS. */
  readonly handshake: Handshake;
  readonly budget: PayloadBudget;
  readonly allocation: GetAllocation | null;
  readonly whenEnded: () => void;
}

export class NbdConnection implements CompletionSink, RequestParser {
  /** Ends and trims the connection. */
  readonly stream: RequestStream;
  private readonly target: BlockTarget;
  private readonly budget: PayloadBudget;
  private readonly allocation: GetAllocation | null;
  private readonly whenEnded: () => void;
  private readonly handshake: Handshake;
  private readonly zeroes: ZeroWriter;
  private isTransmitting = false;
  /** Bytes before the data of a read's reply. */
  private readHeaderBytes = NBD_REPLY_BYTES;
  // Requests in progress, by slot.
  private readonly command = new Uint16Array(NBD_REQUESTS_MAX);
  private readonly wantsFlush = new Uint8Array(NBD_REQUESTS_MAX);
  private readonly cookieHigh = new Uint32Array(NBD_REQUESTS_MAX);
  private readonly cookieLow = new Uint32Array(NBD_REQUESTS_MAX);
  private readonly replyStart = new Int32Array(NBD_REQUESTS_MAX);
  private readonly length = new Uint32Array(NBD_REQUESTS_MAX);
  /** of a read */
  private readonly offset = new Float64Array(NBD_REQUESTS_MAX);
  private readonly chunk: (Chunk | null)[] = Array.from({ length: NBD_REQUESTS_MAX }, () => null);
  private readonly freeSlots = Uint16Array.from({ length: NBD_REQUESTS_MAX }, (_, i) => NBD_REQUESTS_MAX - 1 - i);
  private freeCount = NBD_REQUESTS_MAX;

  constructor(open: OpenTransport, { target, handshake, budget, allocation, whenEnded }: NbdConnectionOptions) {
    this.target = target;
    this.budget = budget;
    this.allocation = allocation;
    this.whenEnded = whenEnded;
    this.handshake = handshake;
    this.zeroes = new ZeroWriter(target, this);
    this.stream = new RequestStream(open, target, budget, this);
    const { socket } = this.stream;
    socket.setNoDelay(true);
    socket.setTimeout(NBD_HANDSHAKE_TIMEOUT_MS, () => this.stream.close('no handshake'));
    this.stream.start();
    this.sendHandshake();
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
    this.sendHandshake();
    if (this.handshake.state === 'end') {
      this.stream.leave();
    } else if (this.handshake.state === 'transmission') {
      this.isTransmitting = true;
      if (this.handshake.hasStructuredReplies) this.readHeaderBytes = NBD_DATA_CHUNK_BYTES;
      this.stream.socket.setTimeout(0);
    }
    return taken;
  }

  private sendHandshake(): void {
    const output = this.handshake.output();
    if (output.length > 0) this.stream.socket.write(output);
  }

  /** What is wrong with a request, as an errno; nothing is submitted that was not judged here. */
  private judge(from: Buffer, at: number, type: number, length: number): number {
    if ((requestFlags(from, at) & ~this.flagsOf(type)) !== 0) return NBD_EINVAL;
    if (type === NBD_CMD_FLUSH) return 0;
    if (!this.isRanged(type)) return NBD_EINVAL;
    const offset = requestOffset(from, at);
    if (offset < 0 || offset + length > this.target.sizeBytes()) {
      return type === NBD_CMD_WRITE || type === NBD_CMD_WRITE_ZEROES ? NBD_ENOSPC : NBD_EINVAL;
    }
    if (length === 0 || (type === NBD_CMD_READ && length > NBD_PAYLOAD_MAX)) return NBD_EINVAL;
    return 0;
  }

  private flagsOf(type: number): number {
    if (type === NBD_CMD_BLOCK_STATUS) return FLAGS_KNOWN | NBD_CMD_FLAG_REQ_ONE;
    const isStructured = type === NBD_CMD_READ && this.handshake.hasStructuredReplies;
    return isStructured ? FLAGS_KNOWN | NBD_CMD_FLAG_DF : FLAGS_KNOWN;
  }

  /** A command that is known and has a range. */
  private isRanged(type: number): boolean {
    switch (type) {
      case NBD_CMD_READ:
      case NBD_CMD_WRITE:
      case NBD_CMD_TRIM:
      case NBD_CMD_WRITE_ZEROES:
        return true;
      default:
        return type === NBD_CMD_BLOCK_STATUS && this.handshake.hasAllocation;
    }
  }

  private submit(slot: number, type: number, chunk: Chunk, at: number, length: number): void {
    const from = chunk.buffer;
    const offset = requestOffset(from, at);
    const isFua = (requestFlags(from, at) & NBD_CMD_FLAG_FUA) !== 0;
    const target = this.target;
    switch (type) {
      case NBD_CMD_READ: {
        const into = this.stream.replies.reserve(this.readHeaderBytes + length);
        this.chunk[slot] = into;
        const start = into.filled - length;
        this.replyStart[slot] = start - this.readHeaderBytes;
        this.offset[slot] = offset;
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
      case NBD_CMD_BLOCK_STATUS:
        void this.tellAllocation(slot, offset, length, (requestFlags(from, at) & NBD_CMD_FLAG_REQ_ONE) !== 0);
        return;
      default:
        target.flush(this, slot);
    }
  }

  private async tellAllocation(slot: number, offset: number, length: number, isOne: boolean): Promise<void> {
    const runs = (await this.allocation?.(offset, length)) ?? [0, length];
    // A hole of no length is none.
    const first = runs[0] === 0 ? 1 : 0;
    const told = runs.slice(first, isOne ? first + 1 : undefined);
    const bytes = 4 + told.length * DESCRIPTOR_BYTES;
    const into = this.stream.replies.reserve(NBD_CHUNK_BYTES + bytes);
    const start = into.filled - NBD_CHUNK_BYTES - bytes;
    const { cookieHigh, cookieLow } = this;
    writeChunk(
      into.buffer,
      start,
      NBD_CHUNK_BLOCK_STATUS,
      cookieHigh[slot] as number,
      cookieLow[slot] as number,
      bytes,
    );
    let at = into.buffer.writeUInt32BE(ALLOCATION_CONTEXT, start + NBD_CHUNK_BYTES);
    for (const [index, runBytes] of told.entries()) {
      at = into.buffer.writeUInt32BE(runBytes, at);
      at = into.buffer.writeUInt32BE((first + index) % 2 === 0 ? NBD_STATE_HOLE | NBD_STATE_ZERO : 0, at);
    }
    this.freeSlots[this.freeCount++] = slot;
    this.stream.replies.add(into, start, into.filled);
    this.flushCompletions();
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
    if (chunk !== null && command === NBD_CMD_READ) {
      this.answerRead(slot, chunk, errno);
      return;
    }
    if (chunk !== null) this.stream.release(chunk);
    const isStructured = this.mustBeStructured(command);
    const bytes = isStructured ? NBD_ERROR_CHUNK_BYTES : NBD_REPLY_BYTES;
    const reply = this.stream.replies.reserve(bytes);
    this.writeHeader(slot, reply, reply.filled - bytes, errno, isStructured);
    this.stream.replies.add(reply, reply.filled - bytes, reply.filled);
  }

  /** The reply of a read leaves from where its data was read into. */
  private answerRead(slot: number, chunk: Chunk, errno: number): void {
    const start = this.replyStart[slot] as number;
    const length = this.length[slot] as number;
    const isStructured = this.mustBeStructured(NBD_CMD_READ);
    if (isStructured && errno === 0) {
      const offset = this.offset[slot] as number;
      writeDataChunk(
        chunk.buffer,
        start,
        this.cookieHigh[slot] as number,
        this.cookieLow[slot] as number,
        offset,
        length,
      );
    } else {
      this.writeHeader(slot, chunk, start, errno, isStructured);
    }
    const failedBytes = isStructured ? NBD_ERROR_CHUNK_BYTES : NBD_REPLY_BYTES;
    this.stream.replies.add(chunk, start, start + (errno === 0 ? this.readHeaderBytes + length : failedBytes));
  }

  /** Replies of these have a form of their own once structured replies were agreed on. */
  private mustBeStructured(command: number): boolean {
    return this.handshake.hasStructuredReplies && (command === NBD_CMD_READ || command === NBD_CMD_BLOCK_STATUS);
  }

  /** A simple reply, or the chunk of an error. */
  private writeHeader(slot: number, into: Chunk, at: number, errno: number, isErrorChunk: boolean): void {
    const high = this.cookieHigh[slot] as number;
    const low = this.cookieLow[slot] as number;
    if (isErrorChunk) writeErrorChunk(into.buffer, at, high, low, nbdError(errno));
    else writeReply(into.buffer, at, nbdError(errno), high, low);
  }

  flushCompletions(): void {
    this.stream.sendReplies();
    // A trim with FUA goes on with a flush, zeros with their next piece.
    if (!this.stream.isClosed) this.target.submitBatch();
    this.budget.wake();
  }
}
