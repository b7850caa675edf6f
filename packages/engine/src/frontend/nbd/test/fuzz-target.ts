/**
 * A volume for fuzzing: what is in it follows from the offset alone and never changes, so that every byte of every reply can be
 * judged, whoever wrote what. Some of it fails. It completes in any order, some now and some later, and asserts what a
 * frontend owes its core: ranges within the volume, one use of a slot at a time, a payload that stays as it was until completion.
 */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { crc32 } from 'node:zlib';
import type { BlockTarget, CompletionSink } from '../../frontend.ts';

export const FUZZ_VOLUME_BYTES = 4 << 20;
/** What touches these bytes fails. */
const BAD = { start: 2_600_000, end: 2_700_000 };
const RUN_BYTES = 64 << 10;

export type FuzzOperation = 'read' | 'write' | 'unmap' | 'flush';

/** Linux errno with which an operation ends. */
export function fuzzErrno(operation: FuzzOperation, offset: number, length: number): number {
  if (operation === 'flush' || offset + length <= BAD.start || offset >= BAD.end) return 0;
  return operation === 'write' ? 28 : 5;
}

/** The bytes of a range. */
export function fuzzContent(offset: number, length: number): Buffer {
  return CONTENT.subarray(offset, offset + length);
}

/** Lengths by turns of holes and of data, as `GetAllocation` gives them: 64 KiB each, the first of the volume a hole. */
export function fuzzAllocation(offset: number, length: number): number[] {
  const runs = Math.floor(offset / RUN_BYTES) % 2 === 0 ? [] : [0];
  for (let at = offset; at < offset + length;) {
    const end = Math.min((Math.floor(at / RUN_BYTES) + 1) * RUN_BYTES, offset + length);
    runs.push(end - at);
    at = end;
  }
  return runs;
}

/** One call, for comparison. */
export function fuzzCall(operation: FuzzOperation, offset: number, length: number, extra = ''): string {
  return operation === 'flush' ? 'flush' : `${operation} ${offset} ${length} ${extra}`;
}

export function fuzzWriteExtra(payload: Buffer, isFua: boolean): string {
  return `${crc32(payload).toString(16)}${isFua ? ' fua' : ''}`;
}

const CONTENT = Buffer.alloc(FUZZ_VOLUME_BYTES);
for (let at = 0; at < CONTENT.length; at += 4) CONTENT.writeInt32LE(Math.imul(at + 1, 0x9e3779b1), at);

interface Pending {
  readonly sink: CompletionSink;
  readonly slot: number;
  readonly errno: number;
  readonly finish: () => void;
}

export class FuzzTarget implements BlockTarget {
  private readonly random: () => number;
  private readonly inUse = new Map<CompletionSink, Set<number>>();
  private pending: Pending[] = [];
  private isScheduled = false;
  private calls: string[] = [];
  /** What a completion threw, or null. */
  failure: unknown = null;

  constructor(random: () => number) {
    this.random = random;
  }

  sizeBytes(): number {
    return FUZZ_VOLUME_BYTES;
  }

  read(sink: CompletionSink, slot: number, offset: number, length: number, into: Buffer, intoStart: number): void {
    assert(intoStart >= 0 && intoStart + length <= into.length, 'a read lies within its buffer');
    this.add('read', sink, slot, offset, length, '', () => {
      CONTENT.copy(into, intoStart, offset, offset + length);
    });
  }

  write(
    sink: CompletionSink,
    slot: number,
    offset: number,
    length: number,
    from: Buffer,
    fromStart: number,
    headroom: number,
    fua: boolean,
  ): void {
    assert(fromStart - headroom >= 0 && fromStart + length <= from.length, 'a write lies within its buffer');
    const payload = from.subarray(fromStart, fromStart + length);
    const extra = fuzzWriteExtra(payload, fua);
    // The core may use the room before the payload.
    from.fill(0xee, fromStart - headroom, fromStart);
    this.add('write', sink, slot, offset, length, extra, () => {
      assert.equal(fuzzWriteExtra(payload, fua), extra, 'a payload stays as it was until its write is complete');
    });
  }

  unmap(sink: CompletionSink, slot: number, offset: number, length: number): void {
    this.add('unmap', sink, slot, offset, length, '', () => undefined);
  }

  flush(sink: CompletionSink, slot: number): void {
    this.add('flush', sink, slot, 0, 0, '', () => undefined);
  }

  submitBatch(): void {
    this.schedule();
  }

  /** Nothing is in progress. */
  get isIdle(): boolean {
    return this.pending.length === 0;
  }

  /** Everything that was called since the last time. */
  takeCalls(): string[] {
    return this.calls.splice(0);
  }

  private add(
    operation: FuzzOperation,
    sink: CompletionSink,
    slot: number,
    offset: number,
    length: number,
    extra: string,
    finish: () => void,
  ): void {
    const hasRange = operation === 'flush' || (offset >= 0 && length > 0 && offset + length <= FUZZ_VOLUME_BYTES);
    assert(hasRange, `${operation} ${offset} ${length} lies within the volume`);
    const slots = this.inUse.get(sink) ?? new Set();
    assert(!slots.has(slot), 'a slot is used once at a time');
    this.inUse.set(sink, slots.add(slot));
    this.calls.push(fuzzCall(operation, offset, length, extra));
    this.pending.push({ sink, slot, errno: fuzzErrno(operation, offset, length), finish });
    this.schedule();
  }

  private schedule(): void {
    if (this.isScheduled || this.pending.length === 0) return;
    this.isScheduled = true;
    setImmediate(() => {
      this.isScheduled = false;
      try {
        this.completeSome();
      } catch (error) {
        // Nobody would catch it here: whoever runs the seed throws it.
        this.failure ??= error;
      }
      this.schedule();
    });
  }

  private completeSome(): void {
    const now = this.pending.filter(() => this.random() < 0.6).toSorted(() => this.random() - 0.5);
    const chosen = new Set(now);
    this.pending = this.pending.filter((one) => !chosen.has(one));
    const sinks = new Set<CompletionSink>();
    for (const { sink, slot, errno, finish } of now) {
      if (errno === 0) finish();
      const slots = this.inUse.get(sink);
      slots?.delete(slot);
      if (slots?.size === 0) this.inUse.delete(sink);
      sink.complete(slot, errno);
      sinks.add(sink);
    }
    for (const sink of sinks) sink.flushCompletions();
  }
}
