/** The commands of one connection that are in progress, by slot, in typed arrays: nothing is allocated for a read or write. */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import type { Chunk } from '../stream/chunk-pool.ts';
import { ISCSI_COMMANDS_MAX } from './limits.ts';

export const TASK_FREE = 0;
/** Its data is still to come. */
export const TASK_GATHERING = 1;
export const TASK_RUNNING = 2;

export const KIND_READ = 1;
export const KIND_WRITE = 2;
export const KIND_FLUSH = 3;
/** Everything else. */
export const KIND_JOB = 4;

export const CDB_BYTES = 16;
const COUNT = ISCSI_COMMANDS_MAX;

export class TaskTable {
  readonly state = new Uint8Array(COUNT);
  readonly kind = new Uint8Array(COUNT);
  readonly lun = new Int32Array(COUNT);
  readonly taskTag = new Uint32Array(COUNT);
  /** Bytes that the initiator expects to send, or to get. */
  readonly expected = new Uint32Array(COUNT);
  /** Bytes that the command transfers, by its CDB. */
  readonly transfer = new Float64Array(COUNT);
  /** Range of a plain read or write. */
  readonly offset = new Float64Array(COUNT);
  readonly length = new Uint32Array(COUNT);
  readonly isFua = new Uint8Array(COUNT);
  /** Bytes taken of the budget. */
  readonly charged = new Uint32Array(COUNT);
  /** Operations of the volume that are not done. */
  readonly pieces = new Uint16Array(COUNT);
  readonly errno = new Int32Array(COUNT);
  /** Where the data lies; in the gather pool, or where it was received (`isDirect`). */
  readonly chunk: (Chunk | null)[] = Array.from({ length: COUNT }, () => null);
  readonly start = new Int32Array(COUNT);
  readonly isDirect = new Uint8Array(COUNT);
  // While gathering
  readonly wanted = new Uint32Array(COUNT);
  readonly received = new Uint32Array(COUNT);
  readonly burstEnd = new Uint32Array(COUNT);
  readonly dataSn = new Uint32Array(COUNT);
  readonly r2tSn = new Uint32Array(COUNT);
  readonly transferTag = new Uint32Array(COUNT);
  /** Whom to tell that an aborted task has ended; null = it is not aborted. */
  readonly aborters: (Array<() => void> | null)[] = Array.from({ length: COUNT }, () => null);
  freeCount = COUNT;
  gathering = 0;
  gatherBytes = 0;
  private readonly cdbs = Buffer.alloc(COUNT * CDB_BYTES);
  private readonly freeSlots = Uint16Array.from({ length: COUNT }, (_, i) => COUNT - 1 - i);
  private readonly byTag = new Map<number, number>();

  take(taskTag: number): number {
    assert(this.freeCount > 0, 'a slot is free');
    const slot = this.freeSlots[--this.freeCount] as number;
    this.state[slot] = TASK_RUNNING;
    this.kind[slot] = KIND_JOB;
    this.taskTag[slot] = taskTag;
    this.transfer[slot] = 0;
    this.charged[slot] = 0;
    this.pieces[slot] = 0;
    this.errno[slot] = 0;
    this.isDirect[slot] = 0;
    this.byTag.set(taskTag, slot);
    return slot;
  }

  free(slot: number): void {
    assert(this.state[slot] !== TASK_FREE, 'a task ends once');
    this.state[slot] = TASK_FREE;
    this.chunk[slot] = null;
    this.byTag.delete(this.taskTag[slot] as number);
    this.freeSlots[this.freeCount++] = slot;
  }

  /** -1: no task in progress has this tag. */
  find(taskTag: number): number {
    return this.byTag.get(taskTag) ?? -1;
  }

  cdb(slot: number): Buffer {
    return this.cdbs.subarray(slot * CDB_BYTES, (slot + 1) * CDB_BYTES);
  }

  /** Slots in use. */
  slots(): number[] {
    return [...this.byTag.values()];
  }

  /** A plain write on its way overlaps the range. */
  overlapsWrite(start: number, end: number): boolean {
    if (this.freeCount === COUNT) return false;
    for (let slot = 0; slot < COUNT; slot++) {
      if (this.state[slot] !== TASK_RUNNING || this.kind[slot] !== KIND_WRITE) continue;
      const offset = this.offset[slot] as number;
      if (offset < end && start < offset + (this.length[slot] as number)) return true;
    }
    return false;
  }

  get isIdle(): boolean {
    return this.freeCount === COUNT;
  }
}
