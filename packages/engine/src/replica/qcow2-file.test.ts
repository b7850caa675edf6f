/** Images made by qemu-img, read in the three ways and compared with what went in; damaged ones. */
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FUZZ_MS, forSeeds, pickOf, type Pick } from '../../test/fuzz-seeds.ts';
import { installedTools } from '../frontend/nbd/test/installed-tools.ts';
import { DiskError, NOT_CACHED } from '../io/disk.ts';
import { openDataFile } from '../io/node/node-folder.ts';
import { Qcow2File } from './qcow2-file.ts';

const MIB = 1 << 20;
const SIZE = 9 * MIB + 512;
const hasQemu = installedTools(['qemu-img']).length === 1;

let folder: string;
let content: Buffer;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'qcow2-'));
  content = Buffer.alloc(SIZE);
  const random = pickOf(11);
  for (let piece = 0; piece < 60; piece++) {
    const at = random(SIZE - 70_000);
    // Some of it packs well, some does not.
    if (piece % 2 === 0) content.fill(piece, at, at + random(70_000));
    else content.subarray(at, at + random(30_000)).forEach((_byte, i, all) => (all[i] = random(256)));
  }
  const raw = openSync(join(folder, 'raw'), 'w');
  ftruncateSync(raw, SIZE);
  writeSync(raw, content);
  closeSync(raw);
});
afterAll(() => rmSync(folder, { recursive: true }));

function qemuImg(...words: string[]): void {
  execFileSync('qemu-img', words, { cwd: folder, stdio: 'pipe' });
}

async function opened(name: string): Promise<Qcow2File> {
  const path = join(folder, name);
  const file = await openDataFile(path, path, 'read');
  try {
    return await Qcow2File.open(file);
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Reads in all three ways that are not what `expected` is, in words. */
async function differences(name: string, expected: Buffer): Promise<string[]> {
  const file = await opened(name);
  const random = pickOf(12);
  const found: string[] = [];
  if (file.statNow().sizeBytes !== expected.length) found.push(`${file.statNow().sizeBytes} bytes long`);
  for (let round = 0; round < 150; round++) {
    const offset = round === 0 ? 0 : random(expected.length);
    const length = round === 0 ? expected.length : random(200_000) + 1;
    const wanted = expected.subarray(offset, offset + length);
    const into = Buffer.alloc(length + 3, 0xee);
    let got = round % 3 === 0 ? await file.read(into, 3, length, offset) : NOT_CACHED;
    if (round % 3 === 1) got = file.readCached(into, 3, length, offset);
    if (got === NOT_CACHED) got = file.readSync(into, 3, length, offset);
    const isSame = got === wanted.length && into[0] === 0xee && into.subarray(3, 3 + got).equals(wanted);
    if (!isSame) found.push(`${length} bytes from ${offset}: ${got} were read`);
  }
  await file.close();
  return found;
}

describe.skipIf(!hasQemu)('an image of qemu-img', () => {
  it.each([
    ['version 2', ['-o', 'compat=0.10']],
    ['version 3', []],
    ['clusters of 512 bytes', ['-o', 'cluster_size=512']],
    ['clusters of 2 MiB', ['-o', 'cluster_size=2M']],
    ['clusters that were allocated in advance', ['-o', 'preallocation=metadata']],
    ['compressed clusters', ['-c']],
    ['compressed clusters of 4 KiB', ['-c', '-o', 'cluster_size=4k']],
    ['compressed clusters of 2 MiB', ['-c', '-o', 'cluster_size=2M']],
    ['lazy reference counts', ['-o', 'lazy_refcounts=on']],
  ])('with %s is read as what went in', async (_what, options) => {
    qemuImg('convert', '-f', 'raw', '-O', 'qcow2', ...options, 'raw', 'image');
    expect(await differences('image', content)).toEqual([]);
  });

  it('that is empty, or has snapshots and zeros of its own, is read', async () => {
    qemuImg('create', '-f', 'qcow2', 'image', String(SIZE));
    expect(await differences('image', Buffer.alloc(SIZE))).toEqual([]);
    qemuImg('convert', '-f', 'raw', '-O', 'qcow2', 'raw', 'image');
    qemuImg('snapshot', '-c', 'before', 'image');
    execFileSync('qemu-io', ['-c', 'write -z 64k 1M', '-c', 'write -P 5 3M 100k', '-c', 'discard 5M 1M', 'image'], {
      cwd: folder,
      stdio: 'pipe',
    });
    const changed = Buffer.from(content);
    changed.fill(0, 64 << 10, (64 << 10) + MIB);
    changed.fill(5, 3 * MIB, 3 * MIB + 100 * 1024);
    changed.fill(0, 5 * MIB, 6 * MIB);
    expect(await differences('image', changed)).toEqual([]);
  });

  it.each([
    ['a backing file', ['-b', 'raw', '-F', 'raw'], 'it has a backing file of its own'],
    ['zstd', ['-o', 'compression_type=zstd'], 'its compression is not zlib'],
    ['subclusters', ['-o', 'extended_l2=on'], 'it has subclusters'],
    ['data in another file', ['-o', 'data_file=data,data_file_raw=on'], 'its data is in another file'],
  ])('with %s is refused', async (_what, options, problem) => {
    qemuImg('create', '-f', 'qcow2', ...options, 'refused', String(SIZE));
    await expect(opened('refused')).rejects.toThrow(problem);
  });

  it.each<[string, (image: Buffer) => Buffer, string]>([
    ['cut off in its header', (image) => image.subarray(0, 80), 'its header is cut off'],
    ['cut off in its first table', (image) => image.subarray(0, 3 * 65_536), 'its first table is cut off'],
    ['of another format', (image) => put(image, 0, 1), 'it is no qcow2 image'],
    ['of version 4', (image) => put(image, 4, 4), 'qcow2 version 4 is not known'],
    ['that is encrypted', (image) => put(image, 32, 2), 'it is encrypted'],
    ['with clusters that are too large', (image) => put(image, 20, 22), '2^22 bytes are not allowed'],
    ['that is marked as corrupt', (image) => put(image, 76, 2), 'it is marked as corrupt'],
    ['with features of tomorrow', (image) => put(image, 72, 1), 'it has features that are not known'],
    ['of 2^62 bytes', (image) => put(image, 24, 0x4000_0000), 'is too large'],
    ['with too many tables', (image) => put(image, 36, 0x0100_0000), 'is too large'],
    ['with too few tables', (image) => put(image, 36, 0), 'its first table is too short'],
    ['with its first table in the middle', (image) => put(image, 44, 0x3_0200), 'its first table is misplaced'],
  ])('%s is refused', async (_what, change, problem) => {
    qemuImg('convert', '-f', 'raw', '-O', 'qcow2', 'raw', 'image');
    writeFileSync(join(folder, 'changed'), change(readFileSync(join(folder, 'image'))));
    await expect(opened('changed')).rejects.toThrow(problem);
  });

  it(
    'that is damaged fails in words, and does neither hang nor take memory',
    { timeout: 30_000 + FUZZ_MS },
    async () => {
      writeFileSync(join(folder, 'small'), content.subarray(0, MIB));
      qemuImg('convert', '-f', 'raw', '-O', 'qcow2', '-c', 'small', 'image');
      const good = readFileSync(join(folder, 'image'));
      const outcomes = { read: 0, failed: 0, refused: 0 };
      await forSeeds(150, async (pick) => {
        writeFileSync(join(folder, 'damaged'), damaged(good, pick));
        outcomes[await outcomeOf('damaged')]++;
      });
      expect(
        Object.values(outcomes).every((count) => count > 10),
        JSON.stringify(outcomes),
      ).toBe(true);
    },
  );
});

/** Header, first table, a second-level table or packed content: some bytes of it changed. */
function damaged(good: Buffer, random: Pick): Buffer {
  const changed = Buffer.from(good);
  for (let count = random(6) + 1; count > 0; count--) {
    const at = random(8) * 65_536 + random(random(2) === 0 ? 128 : 65_536);
    changed[at % changed.length] = random(256);
  }
  return random(10) === 0 ? changed.subarray(0, random(changed.length)) : changed;
}

/** Reads all that the image claims to have, within bounds; fails for any other error than those that are said. */
async function outcomeOf(name: string): Promise<'read' | 'failed' | 'refused'> {
  let file: Qcow2File;
  try {
    file = await opened(name);
  } catch (error) {
    if (!(error instanceof Error && /^(it |its |qcow2 )/.test(error.message))) throw error;
    return 'refused';
  }
  let outcome: 'read' | 'failed' = 'read';
  const into = Buffer.alloc(MIB);
  for (let offset = 0; offset < Math.min(file.statNow().sizeBytes, 8 * MIB); offset += MIB) {
    try {
      await file.read(into, 0, MIB, offset);
    } catch (error) {
      if (!(error instanceof DiskError) || error.code !== 'EIO') throw error;
      outcome = 'failed';
    }
  }
  await file.close();
  return outcome;
}

function put(image: Buffer, at: number, value: number): Buffer {
  image.writeUInt32BE(value, at);
  return image;
}
