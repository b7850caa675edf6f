/**
 * A block device whose data is this process's memory, by the frontend that volumes have (FUSE and a loop device): what remains of
 * a volume's device without engine core, network and replicas.
 *
 *     memory-device-main.ts NAME SIZE RUN-DIRECTORY
 *
 * Prints the device's path when it is up; SIGTERM takes it down.
 */
import { Buffer } from 'node:buffer';
import { pino } from 'pino';
import { openBlockdevFrontend } from '../../src/frontend/fuse/blockdev-frontend.ts';
import type { BlockTarget, CompletionSink } from '../../src/frontend/frontend.ts';

const [volumeName, size, runDir] = process.argv.slice(2);
if (!volumeName || !size || !runDir) throw new Error('usage: memory-device-main.ts NAME SIZE RUN-DIRECTORY');

const frontend = await openBlockdevFrontend({
  target: memoryTarget(Number(size)),
  volumeName,
  runDir,
  logger: pino({ level: 'error' }, process.stderr),
});
console.log(frontend.endpoint());
process.once('SIGTERM', () => void frontend.close().then(() => process.exit(0)));

/** Completes what one wake-up brought together, in a later turn of the event loop: the interface forbids it any sooner. */
function memoryTarget(sizeBytes: number): BlockTarget {
  const memory = Buffer.alloc(sizeBytes);
  let [due, spare]: [number[], number[]] = [[], []];
  let waiting: CompletionSink | null = null;
  const complete = (): void => {
    const sink = waiting;
    const slots = due;
    if (sink === null) return;
    waiting = null;
    [due, spare] = [spare, due];
    for (const slot of slots) sink.complete(slot, 0);
    slots.length = 0;
    sink.flushCompletions();
  };
  const done = (sink: CompletionSink, slot: number): void => {
    waiting = sink;
    due.push(slot);
  };
  return {
    sizeBytes: () => sizeBytes,
    read: (sink, slot, offset, length, into, intoStart) => {
      memory.copy(into, intoStart, offset, offset + length);
      done(sink, slot);
    },
    write: (sink, slot, offset, length, from, fromStart) => {
      from.copy(memory, offset, fromStart, fromStart + length);
      done(sink, slot);
    },
    unmap: (sink, slot, offset, length) => {
      memory.fill(0, offset, offset + length);
      done(sink, slot);
    },
    flush: done,
    submitBatch: () => {
      if (waiting !== null) setImmediate(complete);
    },
  };
}
