/**
 * Memory that FUSE requests are read into and answered from, without copying and without allocation per request.
 *
 *     chunk (4 MiB)  | request | request + payload | request + room for its data | free … at least one read |
 *                                                                                 ^ position
 *
 * A request keeps its place until it is answered (`references`). A chunk without references starts again at 0; so
 * one request at a time stays in the same few cached pages. Only a chunk with room for the largest request is read into.
 */
import { strict as assert } from 'node:assert';
import { addressOf } from './linux.ts';
import { CHUNK_BYTES, CHUNKS_KEPT, CHUNKS_MAX, FUSE_READ_BYTES } from './limits.ts';

const alignUp = (bytes: number): number => (bytes + 7) & ~7;

/** One piece of memory; `words` and `address` are views of `bytes`. */
export interface Chunk {
  readonly bytes: Buffer;
  readonly words: Uint32Array;
  readonly address: number;
  position: number;
  references: number;
}

/**
 * All of its pages are there from the start: a process that is killed while the kernel copies a request into a page
 * that it must first give us takes the request with it, and its user gets EIO instead of the next engine's answer.
 */
const makeChunk = (): Chunk => {
  const bytes = Buffer.allocUnsafeSlow(CHUNK_BYTES).fill(0);
  return {
    bytes,
    words: new Uint32Array(bytes.buffer, bytes.byteOffset, CHUNK_BYTES / 4),
    address: addressOf(bytes),
    position: 0,
    references: 0,
  };
};

const hasRoom = (chunk: Chunk): boolean => CHUNK_BYTES - chunk.position >= FUSE_READ_BYTES;

/** A bounded set of chunks, one of which is being read into. */
export class ChunkPool {
  #current: Chunk = makeChunk();
  readonly #free: Chunk[] = [];
  #count = 1;

  /** The chunk to read into at `position`, with room for the largest request; null = wait for a release. */
  reserve(): Chunk | null {
    if (this.#current.references === 0) this.#current.position = 0;
    if (hasRoom(this.#current)) return this.#current;
    const next = this.#free.pop() ?? this.#grow();
    if (next === null) return null;
    this.#current = next;
    return next;
  }

  /** Keeps the next `length` bytes of the current chunk until `release`. */
  take(chunk: Chunk, length: number): void {
    assert(chunk === this.#current);
    chunk.position += alignUp(length);
    chunk.references += 1;
  }

  /** Gives one taken piece back. */
  release(chunk: Chunk): void {
    assert(chunk.references > 0);
    chunk.references -= 1;
    if (chunk.references > 0 || chunk === this.#current) return;
    chunk.position = 0;
    if (this.#free.length < CHUNKS_KEPT) this.#free.push(chunk);
    else this.#count -= 1;
  }

  /** Chunks that exist. */
  get count(): number {
    return this.#count;
  }

  #grow(): Chunk | null {
    if (this.#count >= CHUNKS_MAX) return null;
    this.#count += 1;
    return makeChunk();
  }
}
