/** Drives an engine over upstream's socket protocol, as its own device would: for engines that have no NBD. */
import { Buffer } from 'node:buffer';
import { SEQ_SLOT_BITS, slotOfSeq } from '../src/controller/core/core-limits.ts';
import { nodeClock } from '../src/controller/core/node-clock.ts';
import { openReplicaLink } from '../src/controller/core/replica-link.ts';
import { FRAME_HEADER_BYTES, FRAME_READ, FRAME_WRITE, writeFrameHeader } from '../src/protocol/replica-frame.ts';

export interface SocketWork {
  readonly pattern: 'randwrite' | 'randread' | 'write' | 'read';
  readonly blockBytes: number;
  readonly depth: number;
  readonly seconds: number;
  readonly sizeBytes: number;
  readonly operationsMax: number;
}

const GENERATIONS = 2 ** (32 - SEQ_SLOT_BITS);

/** The protocol has no flush: work with flushes is done without them. */
export async function driveSocket(
  path: string,
  work: SocketWork,
): Promise<{ operations: number; iops: number; latencyUs: number }> {
  const link = await openReplicaLink({
    target: { path },
    address: path,
    capabilities: [],
    epoch: 0,
    clock: nodeClock,
    timeoutMs: 10_000,
    isPeerSilent: () => false,
  });
  const isRead = work.pattern.endsWith('read');
  const blocks = Math.floor(work.sizeBytes / work.blockBytes);
  const frames = Array.from({ length: work.depth }, () => Buffer.alloc(FRAME_HEADER_BYTES + work.blockBytes, 0x5a));
  const startedMs = new Float64Array(work.depth);
  const beganMs = performance.now();
  let [submitted, done, latencyMs, inFlight] = [0, 0, 0, 0];
  return new Promise((resolve, reject) => {
    const submit = (i: number): void => {
      const isOver = submitted >= work.operationsMax || performance.now() - beganMs > work.seconds * 1000;
      if (isOver) {
        if (inFlight > 0) return;
        link.close();
        const seconds = (performance.now() - beganMs) / 1000;
        resolve({ operations: done, iops: done / seconds, latencyUs: (latencyMs * 1000) / Math.max(1, done) });
        return;
      }
      const frame = frames[i] as Buffer;
      const block = work.pattern.startsWith('rand') ? Math.floor(Math.random() * blocks) : submitted % blocks;
      const seq = (((submitted % GENERATIONS) << SEQ_SLOT_BITS) | (i + 1)) >>> 0;
      submitted++;
      inFlight++;
      startedMs[i] = performance.now();
      const payload = isRead ? 0 : work.blockBytes;
      const type = isRead ? FRAME_READ : FRAME_WRITE;
      writeFrameHeader(frame, 0, seq, type, block * work.blockBytes, work.blockBytes, payload);
      if (isRead) link.expectData(seq, frame, FRAME_HEADER_BYTES, work.blockBytes);
      else link.expectAnswer(seq);
      link.send([frame.subarray(0, FRAME_HEADER_BYTES + payload)], 1, false);
    };
    const due: number[] = [];
    link.start({
      answered(seq, answer, text) {
        if (answer !== 0) reject(new Error(text));
        const i = slotOfSeq(seq) - 1;
        done++;
        inFlight--;
        latencyMs += performance.now() - (startedMs[i] as number);
        due.push(i);
      },
      answersEnd() {
        for (const i of due.splice(0)) submit(i);
      },
      pinged: () => undefined,
      failed: (failure) => reject(new Error(failure.detail)),
    });
    for (let i = 0; i < work.depth; i++) submit(i);
  });
}
