import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { open, readFile, readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { PURGE_REST_MS } from '../limits.ts';
import { openNodeFolder } from '../io/node/node-folder.ts';
import { systemClock, type ReplicaClock } from '../io/replica-clock.ts';
import { TestClock } from '../../test/replica-fixture.ts';
import { startReplicaIn, type StartedReplica } from '../../test/replica-process.ts';
import { temporaryFolder } from '../../test/temporary-folder.ts';
import { SSYNC_PATH, startReceiver } from './receiver.ts';
import { FULL_SPEED } from './rebuild-control.ts';

const SIZE = 16 << 20;
const CREATED = '2026-01-01T00:00:00Z';
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let started: StartedReplica[];

beforeEach(async () => {
  folder = await temporaryFolder();
  started = [];
});

afterEach(async () => {
  for (const replica of started) await replica.end();
  await folder.remove();
});

async function start(name: string, clock: ReplicaClock = systemClock): Promise<StartedReplica> {
  const replica = await startReplicaIn(join(folder.path, name, 'replica'), SIZE, { clock });
  started.push(replica);
  await replica.control.ReplicaOpenEpoch({ epoch: 1, engineName: 'e' });
  return replica;
}

function write(replica: StartedReplica, block: number, fill: string, blocks = 1): void {
  const { open } = replica.server.io;
  open?.volume.write(Buffer.alloc(blocks * 4096, fill), 0, blocks * 4096, block * 4096);
}

async function content(replica: StartedReplica): Promise<Buffer> {
  const bytes = Buffer.alloc(SIZE);
  await replica.server.io.open?.volume.read(bytes, 0, SIZE, 0);
  return bytes;
}

/** A source with two snapshots: dense data, every other block, long holes. */
async function source(): Promise<StartedReplica> {
  const replica = await start('source');
  write(replica, 0, 'a', 1200);
  await replica.control.ReplicaSnapshot({ name: 's1', user_created: true, created: CREATED });
  for (let block = 2000; block < 2600; block += 2) write(replica, block, 'b');
  write(replica, 4000, 'c', 40);
  await replica.control.ReplicaSnapshot({ name: 's2', user_created: true, created: CREATED });
  return replica;
}

async function pull(to: StartedReplica, from: StartedReplica, isFast = false): Promise<void> {
  const { replica } = await from.control.ReplicaGet({});
  const disks = Object.values(replica?.disks ?? {}).filter((disk) => !disk.name.startsWith('volume-head'));
  await to.agent.FilesSync({
    from_address: `tcp://127.0.0.1:${from.controlPort}`,
    to_host: '127.0.0.1',
    sync_file_info_list: disks.flatMap((disk) => [
      { from_file_name: `${disk.name}.meta`, to_file_name: `${disk.name}.meta`, actual_size: 0 },
      { from_file_name: disk.name, to_file_name: disk.name, actual_size: Number(disk.size) },
    ]),
    fast_sync: isFast,
    file_sync_http_client_timeout: 30,
  });
}

describe('sync agent', () => {
  it('copies snapshots to an empty replica, holes as holes', async () => {
    const from = await source();
    const to = await start('target');
    await to.control.ReplicaSnapshot({ name: 's2', user_created: true, created: CREATED });
    await to.control.RebuildingSet({ rebuilding: true });
    await pull(to, from);
    await to.control.ReplicaReload({});
    expect((await content(to)).equals(await content(from))).toBe(true);
    const blocksOf = async (replica: StartedReplica): Promise<number[]> =>
      Promise.all(['s1', 's2'].map(async (s) => (await stat(join(replica.path, `volume-snap-${s}.img`))).blocks));
    expect(await blocksOf(to)).toEqual(await blocksOf(from));
    expect(await to.agent.ReplicaRebuildStatus({})).toMatchObject({
      is_rebuilding: false,
      state: 'complete',
      progress: 100,
      from_replica_address: `tcp://127.0.0.1:${from.controlPort}`,
    });
  });

  it('makes a replica with other data equal', async () => {
    const from = await source();
    const to = await start('target');
    write(to, 100, 'z', 3000);
    await to.control.ReplicaSnapshot({ name: 's1', user_created: true, created: CREATED });
    write(to, 2001, 'y', 300);
    await to.control.ReplicaSnapshot({ name: 's2', user_created: true, created: CREATED });
    await to.control.RebuildingSet({ rebuilding: true });
    await pull(to, from);
    await to.control.ReplicaReload({});
    expect((await content(to)).equals(await content(from))).toBe(true);
    for (const name of ['volume-snap-s1.img.meta', 'volume-snap-s2.img.meta']) {
      expect(await readFile(join(to.path, name), 'utf8')).toBe(await readFile(join(from.path, name), 'utf8'));
    }
  });

  it('moves the blocks that differ, and no others', async () => {
    const from = await source();
    const to = await start('target');
    await to.control.ReplicaSnapshot({ name: 's2', user_created: true, created: CREATED });
    await to.control.RebuildingSet({ rebuilding: true });
    await pull(to, from);
    const first = await open(join(to.path, 'volume-snap-s1.img'), 'r+');
    const second = await open(join(to.path, 'volume-snap-s2.img'), 'r+');
    for (const block of [3, 700, 701, 1100]) await first.write(Buffer.alloc(4096, 'x'), 0, 4096, block * 4096);
    // Data where the source has a hole, beside data and far from any.
    for (const block of [2001, 2003, 3000]) await second.write(Buffer.alloc(4096, 'x'), 0, 4096, block * 4096);
    for (const file of [first, second]) {
      await file.sync();
      await file.close();
    }
    await pull(to, from);
    expect(await to.agent.ReplicaRebuildStatus({})).toMatchObject({ state: 'complete', bytes_written: 4 * 4096 });
    await to.control.ReplicaReload({});
    expect((await content(to)).equals(await content(from))).toBe(true);
    for (const name of ['volume-snap-s1.img', 'volume-snap-s2.img'])
      expect((await stat(join(to.path, name))).blocks).toBe((await stat(join(from.path, name))).blocks);
  });

  it('takes the empty layer of a new replica for a new file, and counts what is written to it as changed', async () => {
    const from = await source();
    const name = 'volume-snap-s1.img';
    const target = await openNodeFolder(join(folder.path, 'empty'));
    await (await target.create(name, SIZE)).close();
    const watch = { onBytes: () => undefined, onWritten: () => undefined, pace: FULL_SPEED, log: () => undefined };
    for (const isFirst of [true, false]) {
      const options = { folder: target, name, clock: systemClock, ...watch };
      const { receiver, port } = await startReceiver(options, '127.0.0.1', { first: 0, count: 1, last: 0 });
      const opened = await fetch(`http://127.0.0.1:${port}${SSYNC_PATH}open?begin=0&end=${SIZE}&directIO=true`);
      // What is sent back says whether the sender should compare.
      expect(await opened.json()).toBe(!isFirst);
      const request = { from_file_name: name, host: '127.0.0.1', port, file_sync_http_client_timeout: 5 };
      await from.agent.FileSend(request);
      expect(await receiver.done).toBe(true);
      expect(receiver.windowsChanged > 0).toBe(isFirst);
    }
    const [sent, kept] = [from.path, target.path].map((path) => readFile(join(path, name)));
    expect((await sent)?.equals((await kept) ?? Buffer.alloc(0))).toBe(true);
  });

  it('skips files whose recorded checksums agree', async () => {
    const from = await source();
    const to = await start('target');
    await to.control.RebuildingSet({ rebuilding: true });
    await pull(to, from);
    await to.control.ReplicaReload({});
    for (const replica of [from, to]) {
      for (const name of ['s1', 's2']) {
        await replica.agent.SnapshotHash({ snapshot_name: name });
        while ((await replica.agent.SnapshotHashStatus({ snapshot_name: name })).state === 'in_progress');
      }
    }
    const status = async (replica: StartedReplica): Promise<string> =>
      (await replica.agent.SnapshotHashStatus({ snapshot_name: 's2' })).checksum;
    expect(await status(to)).toBe(await status(from));
    await pull(to, from, true);
    expect(await to.agent.ReplicaRebuildStatus({})).toMatchObject({ state: 'complete', error: '' });
  });

  describe('that is held back', () => {
    let clock: TestClock;
    let from: StartedReplica;
    let to: StartedReplica;
    let rebuilt: Promise<void>;

    /** A rebuild in the middle of its first file, which waits for its limit. */
    beforeEach(async () => {
      clock = new TestClock();
      from = await source();
      to = await start('target', clock);
      await to.control.ReplicaSnapshot({ name: 's2', user_created: true, created: CREATED });
      await to.control.RebuildingSet({ rebuilding: true });
      await to.agent.ReplicaRebuildLimit({ bytes_per_second: 1 << 20 });
      rebuilt = pull(to, from);
      rebuilt.catch(() => undefined);
      while ((await to.agent.ReplicaRebuildStatus({})).bytes_written === 0);
    });

    async function expectEqual(): Promise<void> {
      await to.control.ReplicaReload({});
      expect((await content(to)).equals(await content(from))).toBe(true);
    }

    it('goes on as its limit allows, and tells its progress in bytes', async () => {
      const status = await to.agent.ReplicaRebuildStatus({});
      expect(status).toMatchObject({ is_rebuilding: true, paused: false, bytes_per_second_max: 1 << 20 });
      expect(status.bytes_total).toBeGreaterThan(status.bytes_done);
      let isOver = false;
      void rebuilt.then(() => (isOver = true));
      while (!isOver) {
        clock.advance(100);
        await to.agent.ReplicaRebuildStatus({});
      }
      const { bytes_done: done, bytes_total: total, bytes_written: written } = await to.agent.ReplicaRebuildStatus({});
      expect(written).toBe(done);
      // What the file system notes of its own counts as allocated.
      expect(total - done).toBeLessThan(65_536);
      await expectEqual();
    });

    it('stands still while it is paused, and goes on where it was', async () => {
      await to.agent.ReplicaRebuildPause({ paused: true });
      await to.agent.ReplicaRebuildLimit({ bytes_per_second: 0 });
      for (let look = 0; look < 100; look++) {
        // Also: the sender gets its signs of life.
        clock.advance(1000);
        expect(await to.agent.ReplicaRebuildStatus({})).toMatchObject({ is_rebuilding: true, paused: true, error: '' });
      }
      await to.agent.ReplicaRebuildPause({ paused: false });
      await rebuilt;
      expect(await to.agent.ReplicaRebuildStatus({})).toMatchObject({
        paused: false,
        state: 'complete',
        progress: 100,
      });
      await expectEqual();
    });
  });

  it('cannot be paused when no rebuild runs', async () => {
    const { agent } = await start('target');
    await expect(agent.ReplicaRebuildPause({ paused: true })).rejects.toThrow('no files are being copied');
    await agent.ReplicaRebuildPause({ paused: false });
  });

  it('refuses a limit that nobody can mean', async () => {
    const { agent } = await start('target');
    for (const bytes of [-1, 50]) {
      const limited = agent.ReplicaRebuildLimit({ bytes_per_second: bytes });
      await expect(limited).rejects.toThrow(`bytes_per_second ${bytes}: must be 0 (no limit) or at least 1048576`);
    }
  });

  it('purges: merges, prunes, and the content stays', async () => {
    const replica = await source();
    write(replica, 10, 'n', 20);
    await replica.control.ReplicaSnapshot({ name: 's3', user_created: false, created: CREATED });
    write(replica, 4000, 'm', 10);
    const before = await content(replica);
    await replica.control.DiskMarkAsRemoved({ name: 's1' });
    await replica.agent.SnapshotPurge({});
    while ((await replica.agent.SnapshotPurgeStatus({})).is_purging);
    expect(await replica.agent.SnapshotPurgeStatus({})).toMatchObject({ state: 'complete', progress: 100, error: '' });
    expect((await content(replica)).equals(before)).toBe(true);
    const { replica: told } = await replica.control.ReplicaGet({});
    expect(new Set(Object.keys(told?.disks ?? {}))).toEqual(
      new Set([told?.head, 'volume-snap-s2.img', 'volume-snap-s3.img']),
    );
    expect(told?.chain).toEqual([told?.head, 'volume-snap-s2.img']);
  });

  it('purges in pieces, and rests after one when a client had something for the replica', async () => {
    const clock = new TestClock();
    const replica = await start('source', clock);
    write(replica, 0, 'a', 2000);
    await replica.control.ReplicaSnapshot({ name: 's1', user_created: true, created: CREATED });
    write(replica, 0, 'b', 2000);
    await replica.control.ReplicaSnapshot({ name: 's2', user_created: true, created: CREATED });
    await replica.control.DiskMarkAsRemoved({ name: 's1' });
    replica.server.io.activity++;
    await replica.agent.SnapshotPurge({});
    const isPurging = async (): Promise<boolean> => (await replica.agent.SnapshotPurgeStatus({})).is_purging;
    for (let look = 0; look < 100; look++) expect(await isPurging(), `look ${look}`).toBe(true);
    clock.advance(PURGE_REST_MS);
    while (await isPurging());
    expect(await replica.agent.SnapshotPurgeStatus({})).toMatchObject({ state: 'complete', error: '' });
    expect((await content(replica)).subarray(0, 2000 * 4096)).toEqual(Buffer.alloc(2000 * 4096, 'b'));
  });

  it.each(['../x', 'a/b', '', '..', 'volume.meta', 'longhorn-state.json'])('keeps to its folder: %j', async (name) => {
    const replica = await start('target');
    const before = await readdir(replica.path);
    await expect(replica.agent.FileRemove({ file_name: name })).rejects.toThrow(/file_name/);
    await expect(replica.agent.ReceiverLaunch({ to_file_name: name })).rejects.toThrow(/to_file_name/);
    const send = replica.agent.FileSend({ from_file_name: name, host: '127.0.0.1', port: 1 });
    await expect(send).rejects.toThrow(/from_file_name/);
    expect(await readdir(replica.path)).toEqual(before);
  });

  it('does not let a layer be changed under an open replica', async () => {
    const replica = await start('target');
    const head = (await replica.control.ReplicaGet({})).replica?.head ?? '';
    await expect(replica.agent.FileRemove({ file_name: head })).rejects.toThrow(/is a layer of the open replica/);
    await writeFile(join(replica.path, 'volume-delta-x.img'), 'x');
    await replica.agent.FileRename({ old_file_name: 'volume-delta-x.img', new_file_name: 'volume-delta-y.img' });
    await replica.agent.FileRemove({ file_name: 'volume-delta-y.img' });
  });

  describe('to a receiver of upstream', () => {
    let server: Server;
    let requests: string[];
    let received: Buffer;

    beforeEach(async () => {
      requests = [];
      received = Buffer.alloc(SIZE, 0xff);
      server = createServer((request, response) => {
        void answer(request).then((body) => response.end(body));
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    });

    afterEach(() => {
      server.closeAllConnections();
      server.close();
    });

    /** What upstream's receiver does for a new file. */
    async function answer(request: IncomingMessage): Promise<string> {
      const url = new URL(request.url ?? '', 'http://x');
      requests.push(`${request.method} ${url.pathname}`);
      const chunks: Buffer[] = [];
      for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
      const [begin, end] = [Number(url.searchParams.get('begin')), Number(url.searchParams.get('end'))];
      if (url.pathname.endsWith('/writeData')) Buffer.concat(chunks).copy(received, begin);
      if (url.pathname.endsWith('/sendHole')) received.fill(0, begin, end);
      return url.pathname.endsWith('/open') ? 'false' : 'null';
    }

    it('speaks only upstream’s requests', async () => {
      const from = await source();
      const { port } = server.address() as AddressInfo;
      const request = {
        from_file_name: 'volume-snap-s2.img',
        host: '127.0.0.1',
        port,
        file_sync_http_client_timeout: 5,
      };
      await from.agent.FileSend(request);
      expect(received.equals(await readFile(join(from.path, 'volume-snap-s2.img')))).toBe(true);
      const kinds = [...new Set(requests)].sort();
      expect(kinds).toEqual(
        ['GET /v1-ssync/open', 'POST /v1-ssync/close', 'POST /v1-ssync/sendHole', 'POST /v1-ssync/writeData'].sort(),
      );
      expect(requests.filter((r) => r.endsWith('writeData'))).toHaveLength(301);
    });
  });
});
