/**
 * Frames on their way to links, gathered so that one wake-up costs one socket write per replica.
 *
 * Small frames are laid one after the other into a gather buffer (4 KiB cost 0.1 us to copy, a piece of a vectored write
 * costs more on each of three sockets); a large payload leaves from where it lies, its header in the room before it.
 *
 * The gather buffer is filled from the start again only once every link has handed its bytes to the kernel; until
 * then it is filled further, and a full one is left to the sockets that still hold pieces of it.
 */
import { Buffer } from 'node:buffer';
import { FRAME_HEADER_BYTES, writeFrameHeader } from '../../protocol/replica-frame.ts';

export class FrameLane {
  readonly pieces: Buffer[] = [];
  count = 0;
  private buffer: Buffer;
  private filled = 0;
  /** Start of the run of gathered frames that is not a piece yet. */
  private runStart = 0;
  private readonly bufferBytes: number;
  private readonly gatherPayloadMax: number;

  constructor(bufferBytes: number, gatherPayloadMax: number) {
    this.bufferBytes = bufferBytes;
    this.gatherPayloadMax = gatherPayloadMax;
    this.buffer = Buffer.allocUnsafeSlow(bufferBytes);
  }

  isEmpty(): boolean {
    return this.count === 0 && this.filled === this.runStart;
  }

  /** A frame without payload. */
  addHeader(seq: number, type: number, offset: number, size: number): void {
    this.reserve(FRAME_HEADER_BYTES);
    writeFrameHeader(this.buffer, this.filled, seq, type, offset, size, 0);
    this.filled += FRAME_HEADER_BYTES;
  }

  /** A frame with the payload `from[start .. start+length)`; up to `headroom` bytes before it may be overwritten. */
  addPayload(
    seq: number,
    type: number,
    offset: number,
    from: Buffer,
    start: number,
    length: number,
    headroom: number,
  ): void {
    if (length <= this.gatherPayloadMax) {
      this.reserve(FRAME_HEADER_BYTES + length);
      const at = this.filled;
      writeFrameHeader(this.buffer, at, seq, type, offset, length, length);
      from.copy(this.buffer, at + FRAME_HEADER_BYTES, start, start + length);
      this.filled = at + FRAME_HEADER_BYTES + length;
      return;
    }
    if (headroom >= FRAME_HEADER_BYTES) {
      this.closeRun();
      writeFrameHeader(from, start - FRAME_HEADER_BYTES, seq, type, offset, length, length);
      this.pieces[this.count++] = from.subarray(start - FRAME_HEADER_BYTES, start + length);
      return;
    }
    this.reserve(FRAME_HEADER_BYTES);
    writeFrameHeader(this.buffer, this.filled, seq, type, offset, length, length);
    this.filled += FRAME_HEADER_BYTES;
    this.closeRun();
    this.pieces[this.count++] = from.subarray(start, start + length);
  }

  /** Makes what was gathered the last piece: `pieces[0 .. count)` is all that was added. */
  close(): void {
    this.closeRun();
  }

  /** After the pieces were given to the links. `isUnsent`: some link still holds bytes of them. */
  sent(isUnsent: boolean): void {
    // References to payloads are dropped, so that a frontend's buffers are not kept alive by an idle lane.
    for (let i = 0; i < this.count; i++) this.pieces[i] = EMPTY;
    this.count = 0;
    if (!isUnsent) this.filled = 0;
    this.runStart = this.filled;
  }

  private closeRun(): void {
    if (this.filled === this.runStart) return;
    this.pieces[this.count++] = this.buffer.subarray(this.runStart, this.filled);
    this.runStart = this.filled;
  }

  private reserve(bytes: number): void {
    if (this.filled + bytes <= this.bufferBytes) return;
    this.closeRun();
    this.buffer = Buffer.allocUnsafeSlow(this.bufferBytes);
    this.filled = 0;
    this.runStart = 0;
  }
}

const EMPTY = Buffer.alloc(0);
