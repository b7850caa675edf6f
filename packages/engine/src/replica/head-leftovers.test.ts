import { beforeEach, describe, expect, it } from 'vitest';
import { MemoryFolder } from '../../test/memory-folder.ts';
import { readAll, startTestReplica, volumeOf, type TestReplica } from '../../test/replica-fixture.ts';
import { VOLUME_META } from './metadata.ts';
import { STATE_FILE } from './replica-state.ts';

const BLOCK = 4096;
const SIZE = 16 * BLOCK;
const HEAD = 'volume-head-001.img';

let folder: MemoryFolder;

async function opened(): Promise<TestReplica> {
  const replica = await startTestReplica(folder);
  await replica.server.create(SIZE);
  await replica.server.open();
  return replica;
}

async function unwrittenOfHead(): Promise<number[]> {
  const pairs = new Float64Array(16);
  const file = await folder.open(HEAD);
  return [...pairs.subarray(0, file.unwritten(0, SIZE, pairs) * 2)];
}

/** A snapshot full of `o`, and a head with one block of `n` and places without content in blocks 0, 4 and 5. */
beforeEach(async () => {
  folder = new MemoryFolder();
  const replica = await opened();
  volumeOf(replica).write(Buffer.alloc(SIZE, 'o'), 0, SIZE, 0);
  await replica.server.snapshot('s', true, '2026-01-01T00:00:00Z', {});
  volumeOf(replica).write(Buffer.alloc(BLOCK, 'n'), 0, BLOCK, 2 * BLOCK);
  await replica.server.close();
  const head = await folder.open(HEAD);
  head.zero(0, BLOCK);
  head.zero(4 * BLOCK, 2 * BLOCK);
  await head.sync();
});

const contentOf = async (replica: TestReplica): Promise<string> => {
  const bytes = await readAll(replica);
  return Array.from({ length: 8 }, (_, block) => String.fromCharCode(bytes[block * BLOCK] || 0x30)).join('');
};

async function replaceMeta(): Promise<void> {
  const meta = await folder.readSmall(VOLUME_META, 1 << 20);
  await folder.writeSmall('volume.meta.tmp', meta ?? Buffer.alloc(0));
  await folder.rename('volume.meta.tmp', VOLUME_META);
}

describe('places without content in a head', () => {
  it.each([
    ['are lost writes where our replica wrote last', () => Promise.resolve(), 'oonooooo', 'were freed'],
    ['are zeros where upstream wrote last', replaceMeta, '0ono00oo', 'written as the zeros'],
    ['are zeros where our state is missing', () => folder.remove(STATE_FILE), '0ono00oo', 'written as the zeros'],
  ])('%s, now and at the next open', async (_title, before: () => Promise<unknown>, content, note) => {
    await before();
    const replica = await opened();
    expect(await contentOf(replica)).toBe(content);
    expect(replica.notes.filter((text) => text.includes(`${HEAD}: 3 blocks`) && text.includes(note))).toHaveLength(1);
    expect(await unwrittenOfHead()).toEqual([]);
    await replica.server.close();
    const again = await opened();
    expect(await contentOf(again)).toBe(content);
    expect(again.notes).toEqual([]);
  });

  it('do not come from an unmap over a snapshot, which survives the death of the process', async () => {
    const replica = await opened();
    const volume = volumeOf(replica);
    const { zeroedBytes, freedBytes } = volume.unmap(6 * BLOCK, 2 * BLOCK, () => false);
    expect([zeroedBytes, freedBytes]).toEqual([2 * BLOCK, 0]);
    expect(await unwrittenOfHead()).toEqual([]);
    folder = folder.afterCrash();
    expect(await contentOf(await opened())).toBe('oonooo00');
  });
});
