import { closeSync, openSync, readSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { type Chunk, ChunkPool } from './chunk-pool.ts';
import { CHUNK_BYTES, CHUNKS_KEPT, CHUNKS_MAX, FUSE_READ_BYTES } from './limits.ts';

const PAGE_BYTES = 4096;
/** /proc/PID/pagemap: 8 bytes for each page, whose highest bit says that the page is there. */
const PAGEMAP_ENTRY_BYTES = 8;
const PAGE_PRESENT_BIT = 63n;

const takeLargest = (pool: ChunkPool): Chunk | null => {
  const chunk = pool.reserve();
  if (chunk !== null) pool.take(chunk, FUSE_READ_BYTES);
  return chunk;
};
const takeAll = (pool: ChunkPool): Chunk[] => {
  const taken: Chunk[] = [];
  for (let chunk = takeLargest(pool); chunk !== null; chunk = takeLargest(pool)) taken.push(chunk);
  return taken;
};

describe('the chunk pool', () => {
  it('uses the same place again when one request follows the other', () => {
    const pool = new ChunkPool();
    for (let round = 0; round < 1000; round++) {
      const chunk = pool.reserve()!;
      expect(chunk.position).toBe(0);
      pool.take(chunk, 4176);
      pool.release(chunk);
    }
    expect(pool.count).toBe(1);
  });

  it('keeps requests apart on multiples of 8', () => {
    const pool = new ChunkPool();
    const chunk = pool.reserve()!;
    pool.take(chunk, 81);
    expect(pool.reserve()).toBe(chunk);
    expect(chunk.position).toBe(88);
  });

  it('ends at its limit, and goes on after one chunk is answered', () => {
    const pool = new ChunkPool();
    const taken = takeAll(pool);
    expect(pool.count).toBe(CHUNKS_MAX);
    expect(taken.length).toBe(CHUNKS_MAX * 3);
    taken.slice(0, 3).forEach((chunk) => pool.release(chunk));
    expect(pool.reserve()).toBe(taken[0]);
  });

  it('gives memory back after a burst', () => {
    const pool = new ChunkPool();
    takeAll(pool).forEach((chunk) => pool.release(chunk));
    expect(pool.count).toBe(CHUNKS_KEPT + 1);
  });

  it('has all of its memory before the first request', () => {
    const { address } = new ChunkPool().reserve() ?? { address: 0 };
    const first = Math.ceil(address / PAGE_BYTES);
    const entries = Buffer.alloc((Math.floor((address + CHUNK_BYTES) / PAGE_BYTES) - first) * PAGEMAP_ENTRY_BYTES);
    const pagemap = openSync('/proc/self/pagemap', 'r');
    readSync(pagemap, entries, 0, entries.length, first * PAGEMAP_ENTRY_BYTES);
    closeSync(pagemap);
    const present = Array.from(
      { length: entries.length / PAGEMAP_ENTRY_BYTES },
      (_, page) => entries.readBigUInt64LE(page * PAGEMAP_ENTRY_BYTES) >> PAGE_PRESENT_BIT,
    );
    expect(present.length).toBeGreaterThanOrEqual(CHUNK_BYTES / PAGE_BYTES - 1);
    expect(present.every((bit) => bit === 1n)).toBe(true);
  });
});
