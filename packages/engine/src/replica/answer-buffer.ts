/**
 * Answers of one data connection: gathered, and sent by one write. What the kernel does not take at once stays where it lies
 * until it has; the next answers are gathered elsewhere.
 */
import { Buffer } from 'node:buffer';
import { ANSWER_BUFFERS_KEPT, ANSWER_BUFFER_BYTES, ERROR_TEXT_MAX } from '../limits.ts';
import {
  copyFrameOffset,
  FRAME_ERROR,
  FRAME_HEADER_BYTES,
  FRAME_RESPONSE,
  writeFrameHeader,
} from '../protocol/replica-frame.ts';

/** Where answers go, and what else a connection does with its socket. */
export interface AnswerSink {
  /** Bytes that were written but that the kernel has not taken yet; a drain follows when it has. */
  readonly unsentBytes: number;
  /** Sends `bytes[start .. end)`, which must stay as they are while `unsentBytes` is above 0. */
  write(bytes: Buffer, start: number, end: number): void;
  /** Reads on after `onChunk` has returned false. */
  resumeReading(): void;
  destroy(error?: Error): void;
  /** Ends after what was written has been sent. */
  destroySoon(): void;
}

export class AnswerBuffer {
  private readonly sink: AnswerSink;
  private readonly beforeSend: () => boolean;
  /** Gathered are `bytes[0 .. used)`. */
  bytes: Buffer = Buffer.allocUnsafeSlow(ANSWER_BUFFER_BYTES);
  private used = 0;
  private readonly spare: Buffer[] = [];
  /** Buffers that the kernel has not taken yet. */
  private readonly unsent: Buffer[] = [];

  /** `beforeSend`: what must be done before answers leave; false: they must not leave. */
  constructor(sink: AnswerSink, beforeSend: () => boolean) {
    this.sink = sink;
    this.beforeSend = beforeSend;
  }

  /** Success; `size` as the type of request wants it. */
  add(seq: number, offset: number, size: number): void {
    this.reserve(FRAME_HEADER_BYTES);
    writeFrameHeader(this.bytes, this.used, seq, FRAME_RESPONSE, offset, size, 0);
    this.used += FRAME_HEADER_BYTES;
  }

  /** Where in `bytes` the data of an answer goes that `addData` adds next; -1: it is too much to be gathered. */
  placeForData(size: number): number {
    if (FRAME_HEADER_BYTES + size > ANSWER_BUFFER_BYTES) return -1;
    this.reserve(FRAME_HEADER_BYTES + size);
    return this.used + FRAME_HEADER_BYTES;
  }

  /** Success with the data that lies at the place for it. */
  addData(seq: number, offset: number, size: number): void {
    writeFrameHeader(this.bytes, this.used, seq, FRAME_RESPONSE, offset, size, size);
    this.used += FRAME_HEADER_BYTES + size;
  }

  addError(seq: number, text: string, offset = 0): void {
    const bytes = Buffer.from(text, 'utf8').subarray(0, ERROR_TEXT_MAX);
    this.reserve(FRAME_HEADER_BYTES + bytes.length);
    writeFrameHeader(this.bytes, this.used, seq, FRAME_ERROR, Math.max(offset, 0), bytes.length, bytes.length);
    bytes.copy(this.bytes, this.used + FRAME_HEADER_BYTES);
    this.used += FRAME_HEADER_BYTES + bytes.length;
  }

  /** An error that echoes the offset of the request at `from[at]`, even one that is no offset. */
  addErrorTo(seq: number, text: string, from: Buffer, at: number): void {
    this.reserve(FRAME_HEADER_BYTES + ERROR_TEXT_MAX);
    const start = this.used;
    this.addError(seq, text);
    copyFrameOffset(this.bytes, start, from, at);
  }

  /** Sends what was gathered; the buffer is used again at once if the kernel took all of it. */
  send(): void {
    if (this.used === 0) return;
    const { used } = this;
    this.used = 0;
    if (!this.beforeSend()) return;
    this.sink.write(this.bytes, 0, used);
    if (this.sink.unsentBytes === 0) return;
    this.unsent.push(this.bytes);
    this.bytes = this.spare.pop() ?? Buffer.allocUnsafeSlow(ANSWER_BUFFER_BYTES);
  }

  /** The kernel has taken everything. */
  drained(): void {
    for (const bytes of this.unsent.splice(0)) if (this.spare.length < ANSWER_BUFFERS_KEPT) this.spare.push(bytes);
  }

  private reserve(bytes: number): void {
    if (this.used + bytes > ANSWER_BUFFER_BYTES) this.send();
  }
}
