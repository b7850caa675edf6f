/**
 * The connection of one client whose requests and replies are a stream of bytes: what NBD and upstream's protocol have in common.
 *
 * - All requests that a chunk of received bytes holds are submitted before anything is sent, and then as one batch.
 * - The payload of a write leaves for the replicas from where it was received; one that does not fit the rest of its
 *   chunk is moved once to the front of another.
 * - Replies that are ready together leave in one socket write.
 * - A stalled stream (too much in progress, or a client that does not take its replies) leaves further requests in the socket.
 */
import type { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import type { BlockTarget } from '../frontend.ts';
import { type Chunk, ChunkPool } from './chunk-pool.ts';
import { STREAM_CHUNK_BYTES, STREAM_ROOM_MIN } from './limits.ts';
import type { BudgetHolder, PayloadBudget } from './payload-budget.ts';
import { ReplyQueue } from './reply-queue.ts';
import type { OpenTransport } from './transport.ts';

/** What a parser says when a request cannot be taken yet. */
export const NOT_YET = 0;

/** What a protocol makes of the bytes. */
export interface RequestParser {
  /** Submits or refuses the request at `at`, of which `available` bytes are there; answers how many of them are done with, or NOT_YET. */
  takeRequest(chunk: Chunk, at: number, available: number): number;
  /** Bytes that the request at `at` must have in one piece, as far as `available` bytes of it tell; 0 = nothing special. */
  bytesNeeded(from: Buffer, at: number, available: number): number;
  /** No request is in progress. */
  isIdle(): boolean;
  /** Called once, with what was wrong with the peer ("" = nothing). */
  ended(problem: string): void;
}

export class RequestStream implements BudgetHolder {
  readonly socket: Socket;
  readonly replies: ReplyQueue;
  isClosed = false;
  private readonly target: BlockTarget;
  private readonly budget: PayloadBudget;
  private readonly parser: RequestParser;
  private readonly received = new ChunkPool();
  /** Start of what is not parsed yet in the current chunk. */
  private parsed = 0;
  /** Bytes of a refused or ignored request that are still to come. */
  private skipLeft = 0;
  private isStalled = false;
  private isLeaving = false;
  private wasActive = false;

  /** Nothing is read before `start`. */
  constructor(open: OpenTransport, target: BlockTarget, budget: PayloadBudget, parser: RequestParser) {
    this.target = target;
    this.budget = budget;
    this.parser = parser;
    const transport = open({
      buffer: () => this.received.current.buffer.subarray(this.received.current.filled),
      received: (count) => this.onBytes(count),
      drained: () => this.onDrain(),
    });
    this.socket = transport.socket;
    this.replies = new ReplyQueue(transport);
    this.socket.on('error', (error) => this.close(error.message));
    this.socket.on('close', () => this.close(''));
    this.socket.on('end', () => this.close(''));
  }

  start(): void {
    this.socket.resume();
  }

  /** Ends at once; requests in progress end in the core, unanswered. */
  close(problem: string): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.socket.destroy();
    this.budget.forget(this);
    this.parser.ended(problem);
  }

  /** Takes no further requests, and ends once those in progress are answered. */
  leave(): void {
    this.isLeaving = true;
    if (this.isClosed || !this.parser.isIdle()) return;
    this.replies.send();
    if (this.replies.isBehind()) return;
    this.socket.end(() => this.close(''));
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

  // For the parser

  /** The request at hand stays in the socket until others are done. */
  stall(): typeof NOT_YET {
    this.isStalled = true;
    return NOT_YET;
  }

  hangUp(problem: string): typeof NOT_YET {
    this.isLeaving = true;
    this.close(problem);
    return NOT_YET;
  }

  /** This many bytes after what `takeRequest` is done with are thrown away as they come. */
  skip(bytes: number): void {
    this.skipLeft = bytes;
  }

  /** Counts bytes of a payload in progress; false: the stream is stalled until there is room. */
  admit(bytes: number): boolean {
    if (this.budget.take(this, bytes)) return true;
    this.isStalled = true;
    return false;
  }

  /** The payload that lay in a chunk is of no more use. */
  release(chunk: Chunk): void {
    this.received.release(chunk);
  }

  /** After a batch of completions: replies leave, and what was stalled goes on. */
  sendReplies(): void {
    if (this.isClosed) return;
    this.replies.send();
    if (this.isLeaving) this.leave();
    else if (this.isStalled) this.continue();
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
    this.takeRequests();
    this.target.submitBatch();
    if (!this.isClosed) this.replies.send();
  }

  private takeRequests(): void {
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
      if (available === 0) return;
      const taken = this.parser.takeRequest(chunk, this.parsed, available);
      if (taken === NOT_YET) return;
      this.parsed += taken;
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
      if (chunk.buffer.length > STREAM_CHUNK_BYTES) this.received.next(0);
      this.received.current.filled = 0;
      this.parsed = 0;
      return;
    }
    const needed = this.skipLeft > 0 || left === 0 ? 0 : this.parser.bytesNeeded(chunk.buffer, this.parsed, left);
    const needs = needed === 0 ? STREAM_ROOM_MIN : needed;
    if (chunk.buffer.length - this.parsed >= needs && chunk.filled < chunk.buffer.length) return;
    // A stalled stream may hold a whole chunk of requests; a chunk without room would end the connection.
    const next = this.received.next(Math.max(needs, left + STREAM_ROOM_MIN));
    next.filled = left;
    chunk.buffer.copy(next.buffer, 0, this.parsed, this.parsed + left);
    this.parsed = 0;
  }

  private onDrain(): void {
    this.replies.drained();
    if (this.isLeaving) this.leave();
    else this.continue();
  }
}
