import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../../test/temporary-folder.ts';
import { NOT_CACHED, replaceFile, type DataFile, type Folder } from '../disk.ts';
import { openNodeFolder } from './node-folder.ts';

const SIZE = 1 << 22;
let temporary: Awaited<ReturnType<typeof temporaryFolder>>;
let folder: Folder;
let file: DataFile;

beforeEach(async () => {
  temporary = await temporaryFolder();
  folder = await openNodeFolder(temporary.path);
  file = await folder.create('a.img', SIZE);
});

afterEach(async () => {
  await file.close();
  await temporary.remove();
});

function extents(from = 0, to = SIZE): number[] {
  const pairs = new Float64Array(64);
  return [...pairs.subarray(0, file.extents(from, to, pairs) * 2)];
}

const block = (fill: string, blocks = 1): Buffer => Buffer.alloc(4096 * blocks, fill);

describe('a file of the kernel', () => {
  it('starts as one hole and tells what is allocated, before and after it reaches the device', async () => {
    expect(extents()).toEqual([]);
    file.write(block('x', 2), 0, 8192, 40_960);
    file.write(block('y'), 0, 4096, 1 << 20);
    const expected = [40_960, 49_152, 1 << 20, (1 << 20) + 4096];
    expect(extents()).toEqual(expected);
    await file.startWriteback();
    await file.sync();
    expect(extents()).toEqual(expected);
    expect(extents(45_056, 1 << 20)).toEqual([45_056, 49_152]);
  });

  it('reads from the device what it had in memory, once the cache is dropped', async () => {
    file.write(block('x'), 0, 4096, 8192);
    await file.sync();
    const read = Buffer.alloc(4096);
    expect(file.readCached(read, 0, 4096, 8192)).toBe(4096);
    await file.dropCache();
    expect(file.readCached(read, 0, 4096, 8192)).toBe(NOT_CACHED);
    expect(await file.read(read, 0, 4096, 8192)).toBe(4096);
    expect(read).toEqual(block('x'));
  });

  it('finds many extents in pieces', () => {
    for (let i = 0; i < 700; i++) file.write(block('z'), 0, 4096, i * 8192 < SIZE ? (i * 8192) % SIZE : 0);
    const pairs = new Float64Array(20);
    let found = 0;
    for (let at = 0, count = 10; count === 10; at = pairs[count * 2 - 1] as number) {
      count = file.extents(at, SIZE, pairs);
      found += count;
    }
    expect(found).toBe(SIZE / 8192);
  });

  it('frees with punch, and hides with zero', async () => {
    file.write(block('x', 4), 0, 16_384, 0);
    await file.sync();
    const before = file.statNow().allocatedBytes;
    file.punch(0, 4096);
    file.zero(8192, 4096);
    file.zero(65_536, 8192);
    expect(extents()).toEqual([4096, 16_384, 65_536, 73_728]);
    expect(file.statNow().allocatedBytes).toBe(before - 4096 + 8192);
    const bytes = Buffer.alloc(16_384);
    expect(file.readSync(bytes, 0, 16_384, 0)).toBe(16_384);
    expect(bytes.equals(Buffer.concat([block('\0'), block('x'), block('\0'), block('x')]))).toBe(true);
  });

  it('tells of zeroed ranges that they have no content until they are written', async () => {
    const pairs = new Float64Array(8);
    file.write(block('x', 4), 0, 16_384, 0);
    file.zero(4096, 8192);
    file.zero(65_536, 4096);
    await file.sync();
    expect([...pairs.subarray(0, file.unwritten(0, SIZE, pairs) * 2)]).toEqual([4096, 12_288, 65_536, 69_632]);
    file.write(block('y'), 0, 4096, 8192);
    await file.sync();
    expect([...pairs.subarray(0, file.unwritten(0, SIZE, pairs) * 2)]).toEqual([4096, 8192, 65_536, 69_632]);
    expect([...pairs.subarray(0, file.unwritten(8192, 65_536, pairs) * 2)]).toEqual([]);
  });

  it('reads what is cached at once, and ends at the end of the file', () => {
    file.write(block('c'), 0, 4096, SIZE - 4096);
    const bytes = Buffer.alloc(8192, 'o');
    const got = file.readCached(bytes, 100, 8000, SIZE - 4096);
    expect([NOT_CACHED, 4096]).toContain(got);
    expect(file.readSync(bytes, 0, 8192, SIZE - 4096)).toBe(4096);
    expect(bytes.subarray(0, 4096).equals(block('c'))).toBe(true);
  });

  it('writes several pieces in one call', () => {
    file.writeJoined([block('1'), block('2'), block('3')], 12_288, 4096);
    const bytes = Buffer.alloc(12_288);
    file.readSync(bytes, 0, 12_288, 4096);
    expect(bytes.equals(Buffer.concat([block('1'), block('2'), block('3')]))).toBe(true);
  });

  it('names the file and the reason of a failure', async () => {
    await expect(folder.open('none.img', 'write')).rejects.toThrow(/open .*none\.img: no such file or directory/);
    await replaceFile(folder, 'large.meta', 'x'.repeat(100));
    await expect(folder.readSmall('large.meta', 10)).rejects.toThrow(/large\.meta: larger than 10 bytes/);
    expect(await folder.readSmall('none', 10)).toBeNull();
    expect(await folder.remove('none')).toBe(false);
  });

  it('tells of every sync of a data file that fails, and of no other', async () => {
    const told: string[] = [];
    folder.onSyncFailure = (reason) => told.push(reason);
    await file.sync();
    expect(told).toEqual([]);
    // A pipe has nothing to sync.
    execFileSync('mkfifo', [join(temporary.path, 'b.img')]);
    const pipe = await folder.open('b.img', 'write');
    await expect(pipe.sync()).rejects.toThrow(/fdatasync .*b\.img: invalid argument/);
    await pipe.close();
    expect(told).toEqual([expect.stringMatching(/fdatasync .*b\.img: invalid argument/)]);
  });

  it('creates beside a second name of a file, not into it', async () => {
    file.write(block('k'), 0, 4096, 0);
    await folder.link('a.img', 'b.img');
    const fresh = await folder.create('b.img', SIZE);
    expect(fresh.statNow().allocatedBytes).toBe(0);
    await fresh.close();
    expect(extents()).toEqual([0, 4096]);
  });
});
