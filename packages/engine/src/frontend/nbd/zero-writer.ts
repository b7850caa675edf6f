/**
 * WRITE_ZEROES as writes of zeros, piece after piece: an unmapped range of a volume with snapshots need not read as
 * zeros, so this is the one way that always keeps the promise.
 */
import { Buffer } from 'node:buffer';
import type { BlockTarget, CompletionSink } from '../frontend.ts';
import { NBD_ZEROES_PIECE } from './nbd-limits.ts';

interface Job {
  offset: number;
  left: number;
  readonly isFua: boolean;
}

let zeroes: Buffer | null = null;

/** Its owner gets one completion for each start. */
export class ZeroWriter implements CompletionSink {
  private readonly target: BlockTarget;
  private readonly owner: CompletionSink;
  private readonly jobs = new Map<number, Job>();

  constructor(target: BlockTarget, owner: CompletionSink) {
    this.target = target;
    this.owner = owner;
  }

  start(slot: number, offset: number, length: number, isFua: boolean): void {
    this.jobs.set(slot, { offset, left: length, isFua });
    this.writePiece(slot);
  }

  complete(slot: number, errno: number): void {
    const job = this.jobs.get(slot);
    if (errno === 0 && job && job.left > 0) {
      this.writePiece(slot);
      return;
    }
    this.jobs.delete(slot);
    this.owner.complete(slot, errno);
  }

  flushCompletions(): void {
    this.target.submitBatch();
    this.owner.flushCompletions();
  }

  private writePiece(slot: number): void {
    const job = this.jobs.get(slot);
    if (!job) return;
    const length = Math.min(job.left, NBD_ZEROES_PIECE);
    const offset = job.offset;
    job.offset += length;
    job.left -= length;
    zeroes ??= Buffer.alloc(NBD_ZEROES_PIECE);
    // Headroom 0: the same zeros are on their way several times at once.
    this.target.write(this, slot, offset, length, zeroes, 0, 0, job.isFua && job.left === 0);
  }
}
