/**
 * Writes that are not made of whole blocks, while a member is joining: the joining replica lacks older layers, so it
 * could not fill up the blocks by itself. The surrounding blocks are read from a member that has them, the payload is laid
 * over, and whole blocks are written to all. The range is claimed until the write is acknowledged: should it be sent again, to a member
 * that comes back, no later write of the surroundings may have been acknowledged.
 */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { FRAME_HEADROOM, type CompletionSink } from '../../frontend/frontend.ts';
import { BLOCK_BYTES } from './core-limits.ts';
import type { OpRunner } from './op-runner.ts';
import { FLAG_INTERNAL, FLAG_PINNED, FLAG_WIDENED, KIND_READ, STATE_WIDENING } from './op-table.ts';
import type { Claim } from './range-claims.ts';

export class WriteWidener implements CompletionSink {
  private readonly runner: OpRunner;
  private readonly active = new Map<number, { claim: Claim; wide: Buffer; offset: number; length: number }>();

  constructor(runner: OpRunner) {
    this.runner = runner;
  }

  /** The operation is marked as widening; it is sent, or completed with an errno, later. */
  start(i: number): void {
    const { ops, sizeBytes } = this.runner;
    const start = ops.offset[i] ?? 0;
    const end = start + (ops.length[i] ?? 0);
    const offset = start - (start % BLOCK_BYTES);
    const length = Math.min(Math.ceil(end / BLOCK_BYTES) * BLOCK_BYTES, sizeBytes) - offset;
    const wide = Buffer.allocUnsafeSlow(FRAME_HEADROOM + length);
    const claim = this.runner.claim(offset, length, true, () => {
      this.runner.submit(KIND_READ, FLAG_INTERNAL | FLAG_PINNED, this, i, offset, length, wide, FRAME_HEADROOM, 0);
    });
    this.active.set(i, { claim, wide, offset, length });
  }

  /** The surroundings of operation `slot` are there. */
  complete(slot: number, errno: number): void {
    const { ops } = this.runner;
    const entry = this.active.get(slot);
    assert(entry !== undefined, 'only a widening operation reads its surroundings');
    if (ops.state[slot] !== STATE_WIDENING) {
      // Ended by other means meanwhile.
      this.end(slot);
    } else if (errno !== 0) {
      this.end(slot);
      this.runner.complete(slot, errno);
    } else {
      const from = ops.buffer[slot];
      assert(from, 'a write has a payload');
      const start = ops.start[slot] ?? 0;
      const at = FRAME_HEADROOM + (ops.offset[slot] ?? 0) - entry.offset;
      from.copy(entry.wide, at, start, start + (ops.length[slot] ?? 0));
      ops.buffer[slot] = entry.wide;
      ops.start[slot] = FRAME_HEADROOM;
      ops.headroom[slot] = FRAME_HEADROOM;
      ops.offset[slot] = entry.offset;
      ops.length[slot] = entry.length;
      ops.flags[slot] = (ops.flags[slot] ?? 0) | FLAG_WIDENED;
      this.runner.sendChange(slot);
    }
  }

  /** The operation has ended. */
  end(slot: number): void {
    const entry = this.active.get(slot);
    this.active.delete(slot);
    if (entry) this.runner.unclaim(entry.claim);
  }

  flushCompletions(): void {
    this.runner.finishSoon();
  }
}
