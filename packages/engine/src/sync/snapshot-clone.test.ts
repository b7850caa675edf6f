import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startReplicaIn, type StartedReplica } from '../../test/replica-process.ts';
import { temporaryFolder } from '../../test/temporary-folder.ts';

const SIZE = 16 << 20;
const CREATED = '2026-01-01T00:00:00Z';
const IMAGE = 'volume-snap-s2.img';
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let started: StartedReplica[];
let from: StartedReplica;

beforeEach(async () => {
  folder = await temporaryFolder();
  started = [];
  from = await start('source');
  write(from, 0, 'a', 1200);
  await from.control.ReplicaSnapshot({ name: 's1', user_created: true, created: CREATED });
  for (let block = 2000; block < 2600; block += 2) write(from, block, 'b');
  write(from, 4000, 'c', 40);
  await from.control.ReplicaSnapshot({ name: 's2', user_created: true, created: CREATED });
});

afterEach(async () => {
  for (const replica of started) await replica.end();
  await folder.remove();
});

async function start(name: string, sizeBytes = SIZE): Promise<StartedReplica> {
  const replica = await startReplicaIn(join(folder.path, name, 'replica'), sizeBytes);
  started.push(replica);
  await replica.control.ReplicaOpenEpoch({ epoch: 1, engineName: 'e' });
  return replica;
}

function write(replica: StartedReplica, block: number, fill: string, blocks = 1): void {
  replica.server.io.open?.volume.write(Buffer.alloc(blocks * 4096, fill), 0, blocks * 4096, block * 4096);
}

async function content(replica: StartedReplica): Promise<Buffer> {
  const bytes = Buffer.alloc(SIZE);
  await replica.server.io.open?.volume.read(bytes, 0, SIZE, 0);
  return bytes;
}

function expected(): Buffer {
  const bytes = Buffer.alloc(SIZE);
  bytes.fill('a', 0, 1200 * 4096);
  for (let block = 2000; block < 2600; block += 2) bytes.fill('b', block * 4096, (block + 1) * 4096);
  bytes.fill('c', 4000 * 4096, 4040 * 4096);
  return bytes;
}

function request(extra: object = {}) {
  return {
    from_address: `tcp://127.0.0.1:${from.controlPort}`,
    to_host: '127.0.0.1',
    snapshot_file_name: 's2',
    from_volume_name: 'v',
    file_sync_http_client_timeout: 30,
    ...extra,
  };
}

describe('a clone', () => {
  it.each([SIZE, 4 * SIZE])('has the content of the snapshot and its holes, in a volume of %i bytes', async (size) => {
    write(from, 1, 'later');
    const to = await start('target', size);
    await to.agent.SnapshotClone(request());
    const done = { is_cloning: false, state: 'complete', progress: 100 };
    expect(await to.agent.SnapshotCloneStatus({})).toMatchObject(done);
    expect((await content(to)).equals(expected())).toBe(true);
    expect(await readFile(join(to.path, `${IMAGE}.meta`), 'utf8')).toBe('{"Parent":""}\n');
    expect((await stat(join(to.path, IMAGE))).blocks).toBeLessThan(((1200 + 300 + 40) * 4096) / 512 + 64);
    const { replica } = await to.control.ReplicaGet({});
    expect(replica).toMatchObject({ size: String(size), chain: [replica?.head, IMAGE] });
  });

  it('is complete only when the engine has reverted to it, if that is the one to do it', async () => {
    const to = await start('target');
    const wanted = request({ engine_reverts: true });
    // The second call joins the first.
    await Promise.all([to.agent.SnapshotClone(wanted), to.agent.SnapshotClone(wanted)]);
    const pending = { is_cloning: true, state: 'in_progress', progress: 99 };
    expect(await to.agent.SnapshotCloneStatus({})).toMatchObject(pending);
    expect((await content(to)).equals(Buffer.alloc(SIZE))).toBe(true);
    await to.control.ReplicaRevert({ name: IMAGE, created: CREATED });
    expect(await to.agent.SnapshotCloneStatus({})).toMatchObject({ is_cloning: false, state: 'complete' });
    expect((await content(to)).equals(expected())).toBe(true);
    // Asked again, by somebody who has not heard of its end.
    await to.agent.SnapshotClone(wanted);
    expect(await to.agent.SnapshotCloneStatus({})).toMatchObject({ is_cloning: false, state: 'complete' });
  });

  it('goes on from what an earlier try left, and mends what is wrong in it', async () => {
    const to = await start('target');
    const left = Buffer.from(expected());
    left.fill('x', 100 * 4096, 101 * 4096);
    left.fill('y', 3000 * 4096, 3100 * 4096);
    left.fill(0, 4000 * 4096, 4020 * 4096);
    await writeFile(join(to.path, IMAGE), left);
    await to.agent.SnapshotClone(request());
    expect((await content(to)).equals(expected())).toBe(true);
    expect((await stat(join(to.path, IMAGE))).blocks).toBeLessThan(((1200 + 300 + 40) * 4096) / 512 + 64);
  });

  it.each([
    [
      'of a snapshot that is not there',
      { snapshot_file_name: 'none' },
      /cannot find snapshot none in the source replica/,
    ],
    ['of a path', { snapshot_file_name: '../x' }, /snapshot/],
    ['over a snapshot of its own', { snapshot_file_name: 's1' }, /this volume has a snapshot of the same name/],
    ['into a smaller volume', {}, /the snapshot has 16777216 bytes, more than this volume with 8388608/],
    ['from nobody', { from_address: 'tcp://127.0.0.1:1' }, /ECONNREFUSED|Unavailable/],
  ])('%s fails in words, and leaves the volume as it was', async (what, extra, words) => {
    const to = await start('target', what.includes('smaller') ? SIZE / 2 : SIZE);
    write(to, 7, 'own');
    await to.control.ReplicaSnapshot({ name: 's1', user_created: true, created: CREATED });
    const before = await content(to);
    await expect(to.agent.SnapshotClone(request(extra))).rejects.toThrow(words);
    // What is refused at once is no try.
    const { is_cloning: isCloning, state } = await to.agent.SnapshotCloneStatus({});
    expect([isCloning, state]).toEqual([false, what.includes('path') ? '' : 'error']);
    expect((await content(to)).equals(before)).toBe(true);
    expect((await to.control.ReplicaGet({})).replica?.chain).toEqual([expect.any(String), 'volume-snap-s1.img']);
  });

  it('of a snapshot that is marked as removed is refused', async () => {
    const to = await start('target');
    await from.control.DiskMarkAsRemoved({ name: 's2' });
    await expect(to.agent.SnapshotClone(request())).rejects.toThrow(/marked as removed/);
  });
});

describe('a snapshot that is being copied', () => {
  it('keeps what an unmap or a purge would take, until the copy has ended', async () => {
    const release = await from.server.hold(IMAGE);
    await from.control.DiskMarkAsRemoved({ name: 's2' });
    await from.control.DiskMarkAsRemoved({ name: 's1' });
    const { open } = from.server.io;
    if (open === null) throw new Error('not open');
    open.volume.unmap(0, SIZE, open.isRemovable);
    write(from, 4000, 'new', 40);
    await from.agent.SnapshotPurge({});
    while ((await from.agent.SnapshotPurgeStatus({})).is_purging);
    expect([...open.disks.keys()]).toEqual(expect.arrayContaining([IMAGE, 'volume-snap-s1.img']));
    const kept = Buffer.alloc(SIZE);
    (await readFile(join(from.path, 'volume-snap-s1.img'))).copy(kept, 0, 0, 1200 * 4096);
    (await readFile(join(from.path, IMAGE))).copy(kept, 1200 * 4096, 1200 * 4096);
    expect(kept.equals(expected())).toBe(true);
    release();
    await from.agent.SnapshotPurge({});
    while ((await from.agent.SnapshotPurgeStatus({})).is_purging);
    expect(open.disks.has('volume-snap-s1.img')).toBe(false);
  });

  it('is not vouched for when its replica was closed meanwhile', async () => {
    const release = await from.server.hold(IMAGE);
    await from.control.ReplicaClose({});
    expect(release).toThrow('was closed while');
  });
});
