import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { seededRandom } from '../../test/seeded-random.ts';
import { RESERVE_FILE, type DataFile, type Folder } from '../io/disk.ts';
import { openUndoFolder } from './undo-folder.ts';

const SIZE = 1 << 22;
const PAGE = 4096;
const before = { node: 'boot-1', machine: 'machine-1' };
const afterPowerCut = { node: 'boot-2', machine: 'machine-1' };
const afterCrash = { node: 'boot-2', machine: 'machine-2' };

let path = '';
/** files of processes that are taken for dead */
const left: DataFile[] = [];
beforeEach(async () => {
  path = await mkdtemp(join(tmpdir(), 'longhorn-undo-'));
});
afterEach(async () => {
  for (const file of left.splice(0)) await file.close();
  await rm(path, { recursive: true, force: true });
});

const abandoned = (file: DataFile): DataFile => {
  left.push(file);
  return file;
};

const page = (fill: string, pages = 1): Buffer => Buffer.alloc(PAGE * pages, fill);
const logs = async (): Promise<string[]> => (await readdir(path)).filter((name) => name.endsWith('.undo'));

async function start(): Promise<{ folder: Folder; file: DataFile }> {
  const folder = await openUndoFolder(path, before);
  return { folder, file: abandoned(await folder.create('a.img', SIZE)) };
}

/** First letter of each page and what is allocated, as a new process of this boot finds them. */
async function found(boot: typeof before, name = 'a.img', pages = 8): Promise<{ text: string; extents: number[] }> {
  const folder = await openUndoFolder(path, boot);
  const file = await folder.open(name, 'read');
  const content = Buffer.alloc(pages * PAGE);
  file.readSync(content, 0, content.length, 0);
  const pairs = new Float64Array(64);
  const count = file.extents(0, SIZE, pairs);
  await file.close();
  const letter = (at: number): string =>
    content[at * PAGE] === 0 ? '.' : content.toString('latin1', at * PAGE, at * PAGE + 1);
  return {
    text: Array.from({ length: pages }, (_, at) => letter(at)).join(''),
    extents: [...pairs.subarray(0, count * 2)],
  };
}

describe('a folder that loses what was not synced', () => {
  it('keeps everything when a process dies alone, unsynced or not', async () => {
    const { file } = await start();
    file.write(page('x', 2), 0, 2 * PAGE, PAGE);
    expect(await found(before)).toEqual({ text: '.xx.....', extents: [PAGE, 3 * PAGE] });
    expect(await found(before)).toEqual({ text: '.xx.....', extents: [PAGE, 3 * PAGE] });
  });

  it('goes back to the last sync after a power-cut: content, holes and pages that were freed', async () => {
    const { file } = await start();
    file.write(page('a', 4), 0, 4 * PAGE, 0);
    await file.sync();
    file.write(page('b'), 0, PAGE, PAGE);
    file.write(page('c'), 0, PAGE, PAGE);
    file.writeJoined([page('d'), page('e')], 2 * PAGE, 4 * PAGE);
    await file.writeLater(page('f'), 0, PAGE, 7 * PAGE);
    file.punch(2 * PAGE, PAGE);
    file.zero(3 * PAGE, PAGE);
    expect((await found(before)).text).toBe('ac..de.f');
    expect(await found(afterPowerCut)).toEqual({ text: 'aaaa....', extents: [0, 4 * PAGE] });
    expect(await logs()).toEqual([]);
  });

  it('keeps what a sync covered, and loses what was written while it ran or after it', async () => {
    const { file } = await start();
    file.write(page('a'), 0, PAGE, 0);
    const syncing = file.sync();
    file.write(page('b'), 0, PAGE, 0);
    file.write(page('b'), 0, PAGE, PAGE);
    await syncing;
    file.write(page('c'), 0, PAGE, 2 * PAGE);
    expect((await found(afterPowerCut)).text).toBe('a.......');
  });

  it('loses nothing more once a later process has synced the file', async () => {
    const { file } = await start();
    file.write(page('a'), 0, PAGE, 0);
    const folder = await openUndoFolder(path, before);
    const again = await folder.open('a.img', 'write');
    again.write(page('b'), 0, PAGE, PAGE);
    await again.sync();
    await again.close();
    expect(await logs()).toEqual([]);
    expect((await found(afterPowerCut)).text).toBe('ab......');
  });

  it('loses the writes of several processes, newest first', async () => {
    const { file } = await start();
    file.write(page('a'), 0, PAGE, 0);
    const folder = await openUndoFolder(path, before);
    const again = abandoned(await folder.open('a.img', 'write'));
    again.write(page('b'), 0, PAGE, 0);
    expect(await logs()).toHaveLength(2);
    expect((await found(afterPowerCut)).text).toBe('........');
  });

  it('follows a file through its names and forgets one that is removed', async () => {
    const { folder, file } = await start();
    file.write(page('a'), 0, PAGE, 0);
    await folder.rename('a.img', 'b.img');
    const other = abandoned(await folder.create('c.img', SIZE));
    other.write(page('c'), 0, PAGE, 0);
    await folder.remove('c.img');
    other.write(page('d'), 0, PAGE, 0);
    expect(await logs()).toHaveLength(1);
    expect((await folder.list()).filter((name) => name !== RESERVE_FILE)).toEqual(['b.img']);
    expect((await found(afterPowerCut, 'b.img')).text).toBe('........');
  });

  it('takes nothing back after a crash of the real machine, whose page cache the logs lived in', async () => {
    const { file } = await start();
    file.write(page('a'), 0, PAGE, 0);
    expect((await found(afterCrash)).text).toBe('a.......');
    expect(await logs()).toEqual([]);
  });

  it('stands a log that its process left half written, and refuses a garbled one by its name', async () => {
    const { file } = await start();
    file.write(page('a'), 0, PAGE, 0);
    const [log = ''] = await logs();
    const inode = file.statNow().inode;
    await writeFile(join(path, `unsynced-${inode}-7.undo`), 'half a head');
    expect((await found(before)).text).toBe('a.......');
    await writeFile(join(path, log), Buffer.alloc(PAGE), { flag: 'a' });
    await expect(found(afterPowerCut)).rejects.toThrow(log);
  });
});

/** What a real disk would hold, to the page: a letter, 0 for zeros that are allocated, `.` for a hole. */
class Model {
  readonly #pages: number;
  now: string[];
  durable: string[];

  constructor(pages: number) {
    this.#pages = pages;
    this.now = Array.from({ length: pages }, () => '.');
    this.durable = [...this.now];
  }

  fill(first: number, count: number, letter: string): void {
    for (let page = first; page < Math.min(first + count, this.#pages); page++) this.now[page] = letter;
  }
}

async function contentOf(file: DataFile, pages: number): Promise<string> {
  const content = Buffer.alloc(pages * PAGE);
  await file.read(content, 0, content.length, 0);
  const pairs = new Float64Array(2);
  const isHole = (at: number): boolean => file.extents(at * PAGE, (at + 1) * PAGE, pairs) === 0;
  return Array.from({ length: pages }, (_, at) =>
    isHole(at) ? '.' : content[at * PAGE] === 0 ? '0' : content.toString('latin1', at * PAGE, at * PAGE + 1),
  ).join('');
}

describe('random histories', () => {
  it.each([1, 2, 3, 4])('hold what a disk that loses its cache would hold (seed %i)', async (seed) => {
    const pages = 48;
    const random = seededRandom(seed);
    const below = (limit: number): number => Math.floor(random() * limit);
    const model = new Model(pages);
    let boot = 1;
    const open = async (): Promise<DataFile> => {
      const folder = await openUndoFolder(path, { node: `boot-${boot}`, machine: 'machine' });
      return boot === 1 && (await folder.stat('a.img')) === null
        ? folder.create('a.img', pages * PAGE)
        : folder.open('a.img', 'write');
    };
    let file = await open();
    for (let step = 0; step < 300; step++) {
      const first = below(pages);
      const count = Math.min(1 + below(6), pages - first);
      const letter = String.fromCharCode(97 + (step % 26));
      const kind = below(20);
      if (kind < 8) file.write(page(letter, count), 0, count * PAGE, first * PAGE);
      else if (kind < 10) await file.writeLater(page(letter, count), 0, count * PAGE, first * PAGE);
      else if (kind < 12) file.punch(first * PAGE, count * PAGE);
      else if (kind < 14) file.zero(first * PAGE, count * PAGE);
      else if (kind < 16) await file.sync();
      else if (kind < 17) await file.startWriteback();
      else {
        // The process dies, and sometimes the power goes with it.
        await file.close();
        if (kind === 19) boot++;
        file = await open();
      }
      if (kind < 10) model.fill(first, count, letter);
      else if (kind < 12) model.fill(first, count, '.');
      else if (kind < 14) model.fill(first, count, '0');
      else if (kind < 16) model.durable = [...model.now];
      else if (kind === 19) model.now = [...model.durable];
      expect(await contentOf(file, pages), `step ${step}`).toBe(model.now.join(''));
    }
    await file.close();
  });
});
