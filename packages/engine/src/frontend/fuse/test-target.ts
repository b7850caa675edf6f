/** For tests: a volume in a sparse file (so that it outlives a killed process), with faults that the test switches on. */
import { ftruncateSync, openSync, readSync, writeSync } from 'node:fs';
import type { BlockTarget, CompletionSink } from '../frontend.ts';

/** errno that the next operations of a kind fail with; 0 = none */
export interface TestFaults {
  read: number;
  write: number;
  flush: number;
  /** operations are collected and complete only when the test calls `releaseHeld` */
  hold: boolean;
}

export interface TestTarget extends BlockTarget {
  readonly faults: TestFaults;
  readonly counts: { reads: number; writes: number; flushes: number; unmaps: number; unmappedBytes: number };
  resize(sizeBytes: number): void;
  releaseHeld(): void;
}

const ZEROES = Buffer.alloc(1 << 20);

/** Completes each operation in a later turn of the event loop, as the interface asks. */
export const openTestTarget = (path: string, sizeBytes: number): TestTarget => {
  const fd = openSync(path, 'a+');
  const file = openSync(path, 'r+');
  ftruncateSync(fd, sizeBytes);
  let size = sizeBytes;
  const faults: TestFaults = { read: 0, write: 0, flush: 0, hold: false };
  const counts = { reads: 0, writes: 0, flushes: 0, unmaps: 0, unmappedBytes: 0 };
  let done: { sink: CompletionSink; slot: number; errno: number }[] = [];
  let held: { sink: CompletionSink; slot: number; errno: number }[] = [];
  let scheduled = false;
  const deliver = (): void => {
    scheduled = false;
    const batch = done;
    done = [];
    for (const { sink, slot, errno } of batch) sink.complete(slot, errno);
    for (const sink of new Set(batch.map((entry) => entry.sink))) sink.flushCompletions();
  };
  const schedule = (): void => {
    if (scheduled || done.length === 0) return;
    scheduled = true;
    setImmediate(deliver);
  };
  const finish = (sink: CompletionSink, slot: number, errno: number): void => {
    (faults.hold ? held : done).push({ sink, slot, errno });
  };
  return {
    faults,
    counts,
    resize: (bytes) => {
      size = bytes;
      ftruncateSync(fd, bytes);
    },
    releaseHeld: () => {
      faults.hold = false;
      done.push(...held);
      held = [];
      schedule();
    },
    sizeBytes: () => size,
    read: (sink, slot, offset, length, into, intoStart) => {
      counts.reads += 1;
      if (faults.read === 0) readSync(file, into, intoStart, length, offset);
      finish(sink, slot, faults.read);
    },
    write: (sink, slot, offset, length, from, fromStart, headroom) => {
      counts.writes += 1;
      if (faults.write === 0) writeSync(file, from, fromStart, length, offset);
      // What a core may do with the room before the payload.
      from.fill(0xa5, fromStart - Math.min(headroom, 26), fromStart);
      finish(sink, slot, faults.write);
    },
    unmap: (sink, slot, offset, length) => {
      counts.unmaps += 1;
      counts.unmappedBytes += length;
      for (let at = 0; at < length; at += ZEROES.length) {
        writeSync(file, ZEROES, 0, Math.min(ZEROES.length, length - at), offset + at);
      }
      finish(sink, slot, faults.write);
    },
    flush: (sink, slot) => {
      counts.flushes += 1;
      finish(sink, slot, faults.flush);
    },
    submitBatch: schedule,
  };
};
