/**
 * The payload of a write that does not lie in one chunk, written as it comes in whole blocks: the part of a block at the end of
 * a chunk waits in a buffer of one block. So a connection that breaks leaves every block old or new. Payloads that nobody wants
 * are thrown away the same way.
 */
import { BLOCK_BYTES } from '../limits.ts';

/** Writes; answers the text of a failure, or null. */
export type WriteNow = (from: Buffer, at: number, length: number, offset: number) => string | null;

export class PayloadIntake {
  /** Bytes still to come; 0 = nothing is being received. */
  left = 0;
  seq = 0;
  start = 0;
  size = 0;
  /** Of what failed; the rest is thrown away then. */
  problem: string | null = null;
  private readonly writeNow: WriteNow;
  private isThrownAway = false;
  private offset = 0;
  private readonly tail = Buffer.alloc(BLOCK_BYTES);
  private tailFill = 0;

  constructor(writeNow: WriteNow) {
    this.writeNow = writeNow;
  }

  begin(seq: number, offset: number, size: number): void {
    this.left = size;
    this.seq = seq;
    this.start = offset;
    this.size = size;
    this.problem = null;
    this.isThrownAway = false;
    this.offset = offset;
    this.tailFill = 0;
  }

  /** The payload that follows a header which was answered already. */
  throwAway(size: number): void {
    this.left = size;
    this.isThrownAway = true;
  }

  /** Takes from `[at, limit)`; answers how many bytes. */
  take(from: Buffer, at: number, limit: number): number {
    const count = Math.min(limit - at, this.left);
    if (this.problem !== null || this.isThrownAway) {
      this.left -= count;
      return count;
    }
    return this.tailFill > 0 ? this.fillTail(from, at, count) : this.writePart(from, at, count);
  }

  /** The payload is complete and wants an answer. */
  isDone(): boolean {
    return this.left === 0 && !this.isThrownAway;
  }

  /** Writes the whole blocks of what is there; the rest of the last block goes to the tail. */
  private writePart(from: Buffer, at: number, count: number): number {
    const end = this.offset + count;
    const isLast = count === this.left;
    const usable = isLast ? count : Math.max(end - (end % BLOCK_BYTES) - this.offset, 0);
    if (usable > 0) this.problem = this.writeNow(from, at, usable, this.offset);
    from.copy(this.tail, 0, at + usable, at + count);
    this.tailFill = this.problem === null ? count - usable : 0;
    this.left -= count;
    this.offset += usable;
    return count;
  }

  /** Completes the block in the tail, which starts at `offset`. */
  private fillTail(from: Buffer, at: number, available: number): number {
    const blockEnd = (Math.floor(this.offset / BLOCK_BYTES) + 1) * BLOCK_BYTES;
    const missing = Math.min(blockEnd - this.offset - this.tailFill, this.left);
    const count = Math.min(missing, available);
    from.copy(this.tail, this.tailFill, at, at + count);
    this.tailFill += count;
    this.left -= count;
    if (count < missing) return count;
    this.problem = this.writeNow(this.tail, 0, this.tailFill, this.offset);
    this.offset += this.tailFill;
    this.tailFill = 0;
    return count;
  }
}
