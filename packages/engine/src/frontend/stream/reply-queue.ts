/**
 * Replies on their way to a client. Room for a reply is reserved when its request comes in, so replies that are ready in
 * that order lie side by side and leave as one piece.
 */
import type { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import { ChunkPool, type Chunk } from './chunk-pool.ts';
import { STREAM_CHUNK_BYTES } from './limits.ts';
import type { StreamWriter, Transport } from './transport.ts';

export class ReplyQueue {
  private readonly socket: Socket;
  private readonly writer: StreamWriter;
  private readonly chunks = new ChunkPool();
  // Pieces that are ready, and not sent: chunk, start, end, and how many replies a piece holds.
  private readonly pieceChunk: Chunk[] = [];
  private readonly pieceStart: number[] = [];
  private readonly pieceEnd: number[] = [];
  private readonly pieceUses: number[] = [];
  private count = 0;
  /** Pieces that the kernel has not taken yet. */
  private readonly unsent: { chunk: Chunk; uses: number }[] = [];

  constructor({ socket, writer }: Transport) {
    this.socket = socket;
    this.writer = writer;
  }

  /** Room for a reply: the last `bytes` before `filled` of the chunk. */
  reserve(bytes: number): Chunk {
    let chunk = this.chunks.current;
    if (chunk.uses === 0 && chunk.buffer.length === STREAM_CHUNK_BYTES) chunk.filled = 0;
    if (chunk.buffer.length - chunk.filled < bytes) chunk = this.chunks.next(bytes);
    chunk.uses++;
    chunk.filled += bytes;
    return chunk;
  }

  /** The reply `[start, end)` is ready. */
  add(chunk: Chunk, start: number, end: number): void {
    const last = this.count - 1;
    if (last >= 0 && this.pieceChunk[last] === chunk && this.pieceEnd[last] === start) {
      this.pieceEnd[last] = end;
      this.pieceUses[last] = (this.pieceUses[last] as number) + 1;
      return;
    }
    this.pieceChunk[this.count] = chunk;
    this.pieceStart[this.count] = start;
    this.pieceEnd[this.count] = end;
    this.pieceUses[this.count] = 1;
    this.count++;
  }

  /** Sends what is ready, unless the client has not taken what was sent before. */
  send(): void {
    if (this.count === 0 || this.unsent.length > 0 || this.socket.destroyed) return;
    const count = this.count;
    if (count === 1) {
      const chunk = this.pieceChunk[0] as Chunk;
      this.writer.write(chunk.buffer, this.pieceStart[0] as number, this.pieceEnd[0] as number);
    } else {
      this.writer.writeAll(Array.from({ length: count }, (_, i) => this.piece(i)));
    }
    const isUnsent = this.writer.unsentBytes > 0;
    for (let i = 0; i < count; i++) {
      const chunk = this.pieceChunk[i] as Chunk;
      const uses = this.pieceUses[i] as number;
      if (isUnsent) this.unsent.push({ chunk, uses });
      else this.release(chunk, uses);
    }
    this.count = 0;
  }

  /** The kernel has taken everything. */
  drained(): void {
    for (const { chunk, uses } of this.unsent.splice(0)) this.release(chunk, uses);
    this.send();
  }

  /** The client does not take its replies. */
  isBehind(): boolean {
    return this.unsent.length > 0;
  }

  trim(): void {
    this.chunks.trim();
  }

  private piece(i: number): Buffer {
    return (this.pieceChunk[i] as Chunk).buffer.subarray(this.pieceStart[i], this.pieceEnd[i]);
  }

  private release(chunk: Chunk, uses: number): void {
    for (let i = 0; i < uses; i++) this.chunks.release(chunk);
  }
}
