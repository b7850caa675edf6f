import { beforeEach, describe, expect, it, vi } from 'vitest';
import { MemoryFolder } from '../../test/memory-folder.ts';
import { readAll, startTestReplica, volumeOf, type TestReplica } from '../../test/replica-fixture.ts';

const SIZE = 16 * 4096;
const CREATED = '2026-01-01T00:00:00Z';
const LABELS = { a: '1', b: '2' };
const RECORD = { epoch: 1, count: 1, members: ['r'], size: SIZE, chain: [], bases: [], decided: false };

let folder: MemoryFolder;
let replica: TestReplica;

beforeEach(async () => {
  folder = new MemoryFolder();
  replica = await startTestReplica(folder);
  await replica.server.create(SIZE);
  await replica.server.openEpoch(1, 'e');
  await replica.server.storeMembership(RECORD);
  volumeOf(replica).write(Buffer.alloc(SIZE, 'o'), 0, SIZE, 0);
});

const prepare = (name: string): Promise<void> => replica.server.prepareSnapshot(name, true, CREATED, LABELS);
const take = (name: string): Promise<void> => replica.server.snapshot(name, true, CREATED, LABELS);
const chain = (): string[] | undefined => replica.io.open?.chainBelowHead();
const heads = async (): Promise<string[]> =>
  (await folder.list()).filter((name) => /^volume-head-\d+\.img(\.meta)?$/.test(name));

describe('a snapshot that was prepared', () => {
  it('writes no file while I/O is held, once a record has been stored', async () => {
    await prepare('s');
    await replica.server.storeMembership({ ...RECORD, count: 2 });
    const written = vi.spyOn(folder, 'writeSmall');
    const created = vi.spyOn(folder, 'create');
    const synced = vi.spyOn(folder, 'sync');
    await take('s');
    expect([written.mock.calls.length, created.mock.calls.length, synced.mock.calls.length]).toEqual([0, 0, 2]);
    expect(chain()).toEqual(['volume-snap-s.img']);
    expect(replica.io.open?.disks.get('volume-snap-s.img')).toMatchObject({ labels: LABELS, created: CREATED });
  });

  it('is the same after a crash as one that was not', async () => {
    await prepare('s');
    await take('s');
    const again = await startTestReplica(folder.afterCrash());
    await again.server.openEpoch(2, 'e2');
    expect(again.server.state.membership).toEqual(RECORD);
    expect(again.io.open?.chainBelowHead()).toEqual(['volume-snap-s.img']);
    expect((await readAll(again)).equals(Buffer.alloc(SIZE, 'o'))).toBe(true);
  });

  it('keeps the record when nothing follows the preparation but a crash', async () => {
    await prepare('s');
    await replica.server.storeMembership({ ...RECORD, count: 2 });
    const again = await startTestReplica(folder.afterCrash());
    await again.server.openEpoch(2, 'e2');
    expect(again.server.state.membership?.count).toBe(2);
    expect(again.io.open?.chainBelowHead()).toEqual([]);
  });

  it.each([
    ['another snapshot', () => take('other'), ['volume-snap-other.img']],
    ['a preparation of another one', () => prepare('other'), []],
    ['an expansion', () => replica.server.expand(SIZE * 2), [`volume-snap-expand-${SIZE * 2}.img`]],
    ['the mark of a rebuild', () => replica.server.setRebuilding(true), []],
    ['a reload', () => replica.server.reload(), []],
  ])('is made anew after %s, and nothing is left of what was prepared', async (_what, meanwhile, below) => {
    await prepare('s');
    await meanwhile();
    await take('s');
    expect(chain()).toEqual(['volume-snap-s.img', ...below]);
    const head = replica.io.open?.meta.head ?? '';
    expect(await heads()).toEqual([head, `${head}.meta`]);
    await replica.server.close();
    expect((await folder.list()).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  it('is gone when it was abandoned', async () => {
    await prepare('s');
    await replica.server.prepareSnapshot('', false, '', {});
    expect(await heads()).toEqual(['volume-head-000.img', 'volume-head-000.img.meta']);
    expect((await folder.list()).filter((name) => name.startsWith('volume-snap'))).toEqual([]);
    await take('s');
    expect(chain()).toEqual(['volume-snap-s.img']);
  });

  it('is refused where the snapshot would be', async () => {
    replica.server.snapshotMaxCount = 0;
    await expect(prepare('s')).rejects.toThrow('too many active disks: 1');
    expect(await heads()).toEqual(['volume-head-000.img', 'volume-head-000.img.meta']);
  });
});
