import { beforeEach, describe, expect, it } from 'vitest';
import { MemoryFolder } from '../../test/memory-folder.ts';
import { startTestReplica, volumeOf, type TestReplica } from '../../test/replica-fixture.ts';
import { rangeHash } from './replica-content.ts';

const BLOCK = 4096;
const SIZE = 16 * BLOCK;
const KEY = Buffer.alloc(16, 'k');
const NO_KEY = Buffer.alloc(0);

async function replicaWith(blocks: Record<number, string>): Promise<TestReplica> {
  const replica = await startTestReplica(new MemoryFolder());
  await replica.server.create(SIZE);
  await replica.server.openEpoch(1, 'e');
  for (const [block, fill] of Object.entries(blocks))
    volumeOf(replica).write(Buffer.alloc(BLOCK, fill), 0, BLOCK, Number(block) * BLOCK);
  return replica;
}

describe('hashes of ranges', () => {
  let one: TestReplica;
  let other: TestReplica;

  beforeEach(async () => {
    one = await replicaWith({ 1: 'a', 2: 'b', 9: '\0' });
    other = await replicaWith({ 1: 'a', 2: 'c' });
  });

  async function differing(blockSize: number, key: Buffer): Promise<number[]> {
    const [a, b] = await Promise.all([one, other].map(({ server }) => rangeHash(server, 0, SIZE, blockSize, key)));
    if (a === undefined || b === undefined || a.length !== (SIZE / blockSize) * 16)
      throw new Error('hashes are missing');
    return Array.from({ length: SIZE / blockSize }, (_, i) => i).filter(
      (i) => !a.subarray(i * 16, i * 16 + 16).equals(b.subarray(i * 16, i * 16 + 16)),
    );
  }

  it.each([
    ['under a key', KEY],
    ['without one', NO_KEY],
  ])('%s tell the blocks that are read differently; a hole is as zeros', async (_how, key) => {
    expect(await differing(BLOCK, key)).toEqual([2]);
    expect(await differing(4 * BLOCK, key)).toEqual([0]);
  });

  it('are others under another key, and none is that of other content', async () => {
    const first = await rangeHash(one.server, 0, SIZE, BLOCK, KEY);
    const second = await rangeHash(one.server, 0, SIZE, BLOCK, Buffer.alloc(16, 'l'));
    const plain = await rangeHash(one.server, 0, SIZE, BLOCK, NO_KEY);
    const blocks = [first, second, plain].flatMap((hashes) =>
      Array.from({ length: 3 }, (_, i) => hashes.subarray(i * 16, i * 16 + 16).toString('hex')),
    );
    expect(new Set(blocks).size).toBe(9);
  });

  it('refuse a key of another length', async () => {
    const asked = rangeHash(one.server, 0, SIZE, BLOCK, Buffer.alloc(8));
    await expect(asked).rejects.toThrow('length of key 8: must be 16, or 0 for SHA-256');
  });
});
