import { describe, expect, it } from 'vitest';
import { type Chunk, ChunkPool } from './chunk-pool.ts';
import { CHUNKS_KEPT, CHUNKS_MAX, FUSE_READ_BYTES } from './limits.ts';

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
});
