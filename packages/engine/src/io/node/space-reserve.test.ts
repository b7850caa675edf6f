import { execFileSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SPACE_RESERVE_BYTES } from '../../limits.ts';
import { RESERVE_FILE, placeFile, replaceFile } from '../disk.ts';
import { openNodeFolder } from './node-folder.ts';
import { SpaceReserve } from './space-reserve.ts';

let scratch: string;

beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'reserve-'));
});

const allocated = (folder: string): number => statSync(join(folder, RESERVE_FILE)).blocks * 512;

describe('a folder', () => {
  afterEach(() => rmSync(scratch, { recursive: true }));

  it('has its reserve when it is opened, and takes it again after it was lent', async () => {
    const folder = await openNodeFolder(scratch);
    expect(allocated(scratch)).toBe(SPACE_RESERVE_BYTES);
    rmSync(join(scratch, RESERVE_FILE));
    await new SpaceReserve(scratch).fill();
    expect(allocated(scratch)).toBe(SPACE_RESERVE_BYTES);
    await replaceFile(folder, 'a', 'text');
    expect(allocated(scratch)).toBe(SPACE_RESERVE_BYTES);
  });

  it('lends it once to what meets a full disk, and to nothing else', async () => {
    const reserve = new SpaceReserve(scratch);
    await reserve.fill();
    const full = Object.assign(new Error('full'), { code: 'ENOSPC' });
    let calls = 0;
    const failing = (error: Error) => async (): Promise<void> => {
      calls++;
      throw error;
    };
    await expect(reserve.lend(failing(new Error('other')))).rejects.toThrow('other');
    expect([calls, existsSync(join(scratch, RESERVE_FILE))]).toEqual([1, true]);
    await expect(reserve.lend(failing(full))).rejects.toThrow('full');
    expect([calls, existsSync(join(scratch, RESERVE_FILE))]).toEqual([3, false]);
    await expect(reserve.lend(failing(full))).rejects.toThrow('full');
    expect(calls).toBe(4);
  });
});

/** A small file system of its own wants root and a loop device. */
function canMount(): boolean {
  return process.getuid?.() === 0 && existsSync('/dev/loop-control');
}

describe.skipIf(!canMount())('on a full disk', () => {
  let mount: string;

  beforeEach(() => {
    mount = join(scratch, 'mnt');
    mkdirSync(mount);
    const image = join(scratch, 'image');
    writeFileSync(image, '');
    truncateSync(image, 16 << 20);
    execFileSync('mkfs.ext4', ['-q', '-F', '-m', '0', image]);
    execFileSync('mount', ['-o', 'loop', image, mount]);
  });

  afterEach(() => {
    execFileSync('umount', [mount]);
    rmSync(scratch, { recursive: true });
  });

  function fill(): void {
    const file = openSync(join(mount, 'filler'), 'w');
    try {
      for (;;) writeSync(file, Buffer.alloc(4096, 1));
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error;
    } finally {
      closeSync(file);
    }
  }

  it('metadata is replaced again and again, and the reserve stays whole', async () => {
    const path = join(mount, 'replica');
    const folder = await openNodeFolder(path);
    await replaceFile(folder, 'state', '0');
    fill();
    for (let round = 1; round <= 30; round++) {
      await placeFile(folder, 'state', `${round}`.repeat(3000));
      expect(allocated(path)).toBeGreaterThanOrEqual(SPACE_RESERVE_BYTES / 2);
    }
    expect((await folder.readSmall('state', 1 << 20))?.toString()).toBe('30'.repeat(3000));
  });

  it('a file that is replaced is old or new, never empty, also without a reserve', async () => {
    const path = join(mount, 'replica');
    const folder = await openNodeFolder(path);
    await replaceFile(folder, 'state', 'old');
    fill();
    rmSync(join(path, RESERVE_FILE));
    fill();
    await expect(placeFile(folder, 'state', 'new'.repeat(100_000))).rejects.toMatchObject({ code: 'ENOSPC' });
    expect((await folder.readSmall('state', 1 << 20))?.toString()).toBe('old');
  });
});
