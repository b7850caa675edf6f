import { readFile, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LOCK_FILE, RESERVE_FILE } from '../src/io/disk.ts';
import { purge } from '../src/replica/purge.ts';
import { hashFile } from '../src/sync/snapshot-hash.ts';
import { openNodeFolder } from '../src/io/node/node-folder.ts';
import { FIXTURE_MANIFEST, temporaryFolder, unpackFixture } from './temporary-folder.ts';
import { readAll, sha256, startTestReplica, volumeOf, type TestReplica } from './replica-fixture.ts';

interface Manifest {
  volumeSize: number;
  steps: { snapshot: string; sha256: string }[];
  head: { sha256: string };
}

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let path: string;
let manifest: Manifest;
let replica: TestReplica | null = null;

beforeEach(async () => {
  folder = await temporaryFolder();
  path = unpackFixture(folder.path);
  manifest = JSON.parse(await readFile(FIXTURE_MANIFEST, 'utf8')) as Manifest;
});

afterEach(async () => {
  await replica?.server.close();
  replica = null;
  await folder.remove();
});

async function opened(): Promise<TestReplica> {
  replica = await startTestReplica(path, { hasRevisionCounter: true });
  await replica.server.openEpoch(1, 'e');
  return replica;
}

describe('a replica that upstream v1.10.1 wrote', () => {
  it('reads as its writer saw it, at the head and at every snapshot', async () => {
    const it_ = await opened();
    expect(sha256(await readAll(it_))).toBe(manifest.head.sha256);
    for (const step of manifest.steps.toReversed()) {
      await it_.server.revert(`volume-snap-${step.snapshot}.img`, '2026-01-01T00:00:00Z');
      expect([step.snapshot, sha256(await readAll(it_))]).toEqual([step.snapshot, step.sha256]);
    }
  });

  it('has the checksum that upstream recorded for its first snapshot', async () => {
    const file = await (await openNodeFolder(path)).open('volume-snap-snap-a.img', 'read');
    expect(await hashFile(file, new AbortController().signal)).toBe('adf757374f951238');
    await file.close();
  });

  it('is extended in upstream’s format: write, snapshot, purge', async () => {
    const it_ = await opened();
    const volume = volumeOf(it_);
    const expected = await readAll(it_);
    const block = Buffer.alloc(4096, 'z');
    volume.write(block, 0, 4096, 8192);
    block.copy(expected, 8192);
    await it_.server.snapshot('snap-d', true, '2026-01-02T03:04:05Z', { '<a>': 'x&y' });
    volume.write(block, 0, 100, 4096 * 700 + 10);
    block.copy(expected, 4096 * 700 + 10, 0, 100);
    await it_.server.markRemoved('snap-b');
    await purge(
      it_.server,
      () => undefined,
      () => Promise.resolve(),
    );
    expect(sha256(await readAll(it_))).toBe(sha256(expected));
    await it_.server.close();
    expect(Object.fromEntries(await metaTexts())).toEqual({
      'volume.meta':
        '{"Size":67108864,"Head":"volume-head-004.img","Dirty":false,"Rebuilding":false,"Error":"","Parent":"volume-snap-snap-d.img","SectorSize":512,"BackingFilePath":""}\n',
      'volume-head-004.img.meta':
        '{"Name":"volume-head-004.img","Parent":"volume-snap-snap-d.img","Removed":false,"UserCreated":false,"Created":"2026-01-02T03:04:05Z","Labels":null}\n',
      'volume-snap-snap-d.img.meta': String.raw`{"Name":"volume-head-003.img","Parent":"volume-snap-snap-c.img","Removed":false,"UserCreated":true,"Created":"2026-01-02T03:04:05Z","Labels":{"\u003ca\u003e":"x\u0026y"}}
`,
      'volume-snap-snap-c.img.meta':
        '{"Name":"volume-head-002.img","Parent":"volume-snap-snap-a.img","Removed":false,"UserCreated":true,"Created":"2026-11-21T03:19:04Z","Labels":null}\n',
      'volume-snap-snap-a.img.meta':
        '{"Name":"volume-head-000.img","Parent":"","Removed":false,"UserCreated":true,"Created":"2026-11-21T03:18:58Z","Labels":null}\n',
    });
    expect((await readdir(path)).filter((name) => name.includes('snap-b'))).toEqual([]);
    await it_.server.openEpoch(2, 'e');
    expect(sha256(await readAll(it_))).toBe(sha256(expected));
  });

  async function metaTexts(): Promise<[string, string][]> {
    const names = (await readdir(path)).filter((name) => name.endsWith('.meta'));
    return Promise.all(
      names.map(async (name): Promise<[string, string]> => [name, await readFile(join(path, name), 'utf8')]),
    );
  }

  it('keeps its revision counter', async () => {
    const it_ = await opened();
    expect(it_.io.revision?.value).toBe(694);
  });

  const damages: [string, string, (file: string) => Promise<void>, RegExp][] = [
    [
      'truncated',
      'volume.meta',
      (file) => truncate(file, 20),
      /volume\.meta: is not JSON .*; nothing was changed: put the file back/,
    ],
    ['empty', 'volume.meta', (file) => truncate(file, 0), /volume\.meta: is empty; nothing was changed/],
    [
      'missing',
      'volume.meta',
      (file) => rm(file),
      /volume\.meta: is missing although there are disks; nothing was changed/,
    ],
    [
      'garbled',
      'volume.meta',
      (file) => writeFile(file, '{"Size":"big","Head":"x"}'),
      /volume\.meta: Size is not a number of bytes/,
    ],
    ['a list', 'volume.meta', (file) => writeFile(file, '[]'), /volume\.meta: is not a JSON object/],
    ['truncated', 'volume-snap-snap-b.img.meta', (file) => truncate(file, 9), /snap-b\.img\.meta: is not JSON/],
    [
      'missing',
      'volume-snap-snap-b.img.meta',
      (file) => rm(file),
      /failed to find metadata for volume-snap-snap-b\.img/,
    ],
    [
      'missing',
      'volume-head-003.img.meta',
      (file) => rm(file),
      /volume-head-003\.img\.meta: is missing although volume\.meta names/,
    ],
    [
      'missing',
      'volume-snap-snap-a.img',
      (file) => rm(file),
      /volume-snap-snap-a\.img: is missing although volume-snap-snap-a\.img\.meta is there/,
    ],
    [
      'short',
      'volume-head-003.img',
      (file) => truncate(file, 4096),
      /volume-head-003\.img: has 4096 bytes where volume\.meta says 67108864/,
    ],
    ['garbled', 'revision.counter', (file) => writeFile(file, 'many'), /revision\.counter: holds no number/],
    ['garbled', 'longhorn-state.json', (file) => writeFile(file, '{"epoch":'), /longhorn-state\.json: is not JSON/],
  ];

  it.each(damages)('with a %s %s is refused by name, and nothing is deleted', async (_how, name, damage, message) => {
    await damage(join(path, name));
    const before = (await readdir(path)).sort();
    const refusal = async (): Promise<void> => {
      const damaged = await startTestReplica(path, { hasRevisionCounter: true });
      await damaged.server.create(manifest.volumeSize);
      await damaged.server.openEpoch(0, '');
    };
    await expect(refusal()).rejects.toThrow(message);
    // Ours are made when a replica is opened.
    const ours = ['longhorn-state.json', RESERVE_FILE, LOCK_FILE].filter((file) => file !== name);
    const after = (await readdir(path)).filter((file) => !ours.includes(file));
    expect(after.sort()).toEqual(before);
  });

  it('tolerates unknown and missing keys', async () => {
    await writeFile(join(path, 'volume-snap-snap-a.img.meta'), '{"Parent":"","Later":1}\n');
    await writeFile(
      join(path, 'volume.meta'),
      '{"Size":67108864,"Head":"volume-head-003.img","BackingFileName":"old","Error":"stat failed once"}\n',
    );
    const it_ = await opened();
    expect(it_.server.status).toBe('open');
    expect(sha256(await readAll(it_))).toBe(manifest.head.sha256);
  });
});
