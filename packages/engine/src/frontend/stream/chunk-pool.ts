/**
 * Buffers that are filled from front to back and used again from the front once nothing in them is in use any more: for
 * what a connection receives, and for its replies.
 */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { STREAM_CHUNK_BYTES, STREAM_CHUNKS_KEPT } from './limits.ts';

export interface Chunk {
  readonly buffer: Buffer;
  /** Requests whose bytes lie here. */
  uses: number;
  /** Bytes taken, from the front. */
  filled: number;
}

export class ChunkPool {
  private readonly free: Chunk[] = [];
  current: Chunk;

  constructor() {
    this.current = this.make(STREAM_CHUNK_BYTES);
  }

  /** A chunk that holds at least `bytes` from its front; the one before lives on until its uses end. */
  next(bytes: number): Chunk {
    const before = this.current;
    const spare = bytes <= STREAM_CHUNK_BYTES ? this.free.pop() : undefined;
    this.current = spare ?? this.make(Math.max(bytes, STREAM_CHUNK_BYTES));
    if (before.uses === 0) this.giveBack(before);
    return this.current;
  }

  /** One use fewer; a chunk without uses is taken from the front again. */
  release(chunk: Chunk): void {
    assert(chunk.uses > 0, 'each use is released once');
    chunk.uses--;
    if (chunk.uses === 0 && chunk !== this.current) this.giveBack(chunk);
  }

  /** Nothing has happened for a while: memory goes back. */
  trim(): void {
    this.free.length = Math.min(this.free.length, STREAM_CHUNKS_KEPT);
  }

  private giveBack(chunk: Chunk): void {
    chunk.filled = 0;
    if (chunk.buffer.length === STREAM_CHUNK_BYTES) this.free.push(chunk);
  }

  private make(bytes: number): Chunk {
    return { buffer: Buffer.allocUnsafeSlow(bytes), uses: 0, filled: 0 };
  }
}
