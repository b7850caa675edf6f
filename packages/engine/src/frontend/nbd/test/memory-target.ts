/** A volume in memory that completes when it is told to, or by itself soon after. */
import { Buffer } from 'node:buffer';
import type { BlockTarget, CompletionSink } from '../../frontend.ts';

interface Pending {
  readonly sink: CompletionSink;
  readonly slot: number;
  readonly run: () => void;
}

export class MemoryTarget implements BlockTarget {
  readonly content: Buffer;
  /** Completions wait for `release`. */
  isHeld = false;
  /** Answered instead of 0. */
  errno = 0;
  readonly calls: string[] = [];
  batches = 0;
  private pending: Pending[] = [];

  constructor(sizeBytes: number) {
    this.content = Buffer.alloc(sizeBytes);
  }

  get waiting(): number {
    return this.pending.length;
  }

  sizeBytes(): number {
    return this.content.length;
  }

  read(sink: CompletionSink, slot: number, offset: number, length: number, into: Buffer, intoStart: number): void {
    this.add(`read ${offset} ${length}`, sink, slot, () => {
      this.content.copy(into, intoStart, offset, offset + length);
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
    // The core may use the room before the payload: whoever counts on those bytes finds out here.
    from.fill(0xee, fromStart - headroom, fromStart);
    this.add(`write ${offset} ${length}${fua ? ' fua' : ''}`, sink, slot, () => {
      from.copy(this.content, offset, fromStart, fromStart + length);
    });
  }

  unmap(sink: CompletionSink, slot: number, offset: number, length: number): void {
    this.add(`unmap ${offset} ${length}`, sink, slot, () => this.content.fill(0, offset, offset + length));
  }

  flush(sink: CompletionSink, slot: number): void {
    this.add('flush', sink, slot, () => undefined);
  }

  submitBatch(): void {
    this.batches++;
    if (!this.isHeld) setImmediate(() => this.release());
  }

  /** Completes everything, the newest first. */
  release(): void {
    const sinks = new Set<CompletionSink>();
    for (const { sink, slot, run } of this.pending.splice(0).toReversed()) {
      if (this.errno === 0) run();
      sink.complete(slot, this.errno);
      sinks.add(sink);
    }
    for (const sink of sinks) sink.flushCompletions();
  }

  private add(call: string, sink: CompletionSink, slot: number, run: () => void): void {
    this.calls.push(call);
    this.pending.push({ sink, slot, run });
  }
}
