/**
 * What the core knows of each operation, in typed arrays indexed by slot: nothing is allocated per I/O.
 *
 *     free -> waiting <-> sent -> answered -> (flushing ->) done -> free
 *               |           ^        |
 *               +-> widening+        +-- held: a failed member is not off the record yet, or the control side holds
 */
import assert from 'node:assert/strict';
import type { Buffer } from 'node:buffer';
import type { CompletionSink } from '../../frontend/frontend.ts';
import { SEQ_SLOT_BITS } from './core-limits.ts';

export const KIND_READ = 1;
export const KIND_WRITE = 2;
export const KIND_UNMAP = 3;
/** A flush as a client asks for it, or the second half of a write with FUA: waits for a flush round. */
export const KIND_FLUSH = 4;
/** A flush round: the FLUSH frames that all waiting flushes share. */
export const KIND_ROUND = 5;

export const STATE_FREE = 0;
export const STATE_WAITING = 1;
/** Reads what surrounds an unaligned write first. */
export const STATE_WIDENING = 2;
export const STATE_SENT = 3;
export const STATE_ANSWERED = 4;
export const STATE_FLUSHING = 5;
export const STATE_DONE = 6;

export const FLAG_FUA = 1;
/** Of the core itself or of the control side: not kept back by a pause. */
export const FLAG_INTERNAL = 2;
/** Part of a copy between members: kept back by nothing, acknowledged to nobody but the copier. */
export const FLAG_COPY = 4;
/** Counted as in flight. */
export const FLAG_STARTED = 8;
/** Served by the first member, even in doubt: the region cannot be settled for want of space, or a pause waits for it. */
export const FLAG_PINNED = 16;
/** Its buffer is the widened copy of the caller's. */
export const FLAG_WIDENED = 32;
/** A member that may come back, failed but not off the record, has perhaps not got it. */
export const FLAG_MISSED = 64;

const GENERATION_LIMIT = 2 ** (32 - SEQ_SLOT_BITS);

export class OpTable {
  readonly kind: Uint8Array;
  readonly state: Uint8Array;
  readonly flags: Uint8Array;
  readonly seq: Uint32Array;
  /** Order of the first sending; frames are sent again in this order. */
  readonly order: Float64Array;
  readonly offset: Float64Array;
  readonly length: Float64Array;
  /** Bytes of an unmap that earlier pieces have dealt with. */
  readonly progress: Float64Array;
  /** One bit for each member that has not answered. */
  readonly pending: Int32Array;
  /** One bit for each member that answered that it has no space. */
  readonly noSpace: Int32Array;
  /** For copies: the members that it goes to. */
  readonly targets: Int32Array;
  /** For flushes: the round that covers it. */
  readonly round: Float64Array;
  readonly start: Int32Array;
  readonly headroom: Int32Array;
  readonly errno: Int32Array;
  readonly slot: Int32Array;
  readonly submittedAtMs: Float64Array;
  readonly sentAtMs: Float64Array;
  /** Next of the waiting list or of the done list; 0 ends it. */
  readonly next: Int32Array;
  readonly sink: (CompletionSink | null)[] = [];
  readonly buffer: (Buffer | null)[] = [];
  /** Slots at or above this have never been used. */
  high = 1;
  /** Slots in use. */
  used = 0;
  private readonly generation: Uint32Array;
  private readonly free: Int32Array;
  private freeCount = 0;
  private readonly max: number;

  constructor(operationsMax: number) {
    const slots = operationsMax + 1;
    this.max = operationsMax;
    this.kind = new Uint8Array(slots);
    this.state = new Uint8Array(slots);
    this.flags = new Uint8Array(slots);
    this.seq = new Uint32Array(slots);
    this.order = new Float64Array(slots);
    this.offset = new Float64Array(slots);
    this.length = new Float64Array(slots);
    this.progress = new Float64Array(slots);
    this.pending = new Int32Array(slots);
    this.noSpace = new Int32Array(slots);
    this.targets = new Int32Array(slots);
    this.round = new Float64Array(slots);
    this.start = new Int32Array(slots);
    this.headroom = new Int32Array(slots);
    this.errno = new Int32Array(slots);
    this.slot = new Int32Array(slots);
    this.submittedAtMs = new Float64Array(slots);
    this.sentAtMs = new Float64Array(slots);
    this.next = new Int32Array(slots);
    this.generation = new Uint32Array(slots);
    this.free = new Int32Array(slots);
    this.sink.push(null);
    this.buffer.push(null);
  }

  /** A slot with its fields cleared, or 0 when all are in use. */
  take(kind: number, flags: number, sink: CompletionSink | null, slot: number): number {
    let i: number;
    if (this.freeCount > 0) {
      i = this.free[--this.freeCount] as number;
    } else {
      if (this.high > this.max) return 0;
      i = this.high++;
      this.sink.push(null);
      this.buffer.push(null);
    }
    this.used++;
    this.kind[i] = kind;
    this.state[i] = STATE_WAITING;
    this.flags[i] = flags;
    this.pending[i] = 0;
    this.noSpace[i] = 0;
    this.targets[i] = 0;
    this.errno[i] = 0;
    this.progress[i] = 0;
    this.slot[i] = slot;
    this.sink[i] = sink;
    this.renumber(i);
    return i;
  }

  /** A new sequence number: an answer to the old one is not taken for an answer to the new. */
  renumber(i: number): void {
    let generation = (this.generation[i] as number) + 1;
    if (generation === GENERATION_LIMIT) generation = 1;
    this.generation[i] = generation;
    this.seq[i] = ((generation << SEQ_SLOT_BITS) | i) >>> 0;
  }

  release(i: number): void {
    assert(this.state[i] !== STATE_FREE, 'an operation ends once');
    this.state[i] = STATE_FREE;
    this.sink[i] = null;
    this.buffer[i] = null;
    this.free[this.freeCount++] = i;
    this.used--;
  }

  overlaps(i: number, offset: number, length: number): boolean {
    const start = this.offset[i] as number;
    return start < offset + length && offset < start + (this.length[i] as number);
  }

  /** A write or unmap that is on its way to members and overlaps the range. */
  hasSentChangeIn(offset: number, length: number): boolean {
    for (let i = 1; i < this.high; i++) {
      if (this.state[i] !== STATE_SENT) continue;
      const kind = this.kind[i];
      if ((kind === KIND_WRITE || kind === KIND_UNMAP) && this.overlaps(i, offset, length)) return true;
    }
    return false;
  }

  /** Slots for which `wanted` holds, in the order of their first sending. */
  inOrder(wanted: (i: number) => boolean): number[] {
    const found: number[] = [];
    for (let i = 1; i < this.high; i++) if (this.state[i] !== STATE_FREE && wanted(i)) found.push(i);
    return found.sort((a, b) => (this.order[a] ?? 0) - (this.order[b] ?? 0));
  }
}
