/** The engine and its replicas as processes: what a kill, a stop, a rebuild and a new engine do to a client's I/O. */
import { readdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createClient } from '@longhorn/shared-types/grpc/client';
import { ControllerService, ReplicaService, SyncAgentService } from '@longhorn/shared-types/generated/ptypes';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { syncAgentAddress } from '../src/client/flow.ts';
import { freePorts } from '../testing/free-ports.ts';
import { EngineProcesses, SIZE_BYTES } from './engine-processes.ts';
import { blockStatus, NbdClient as RawNbdClient, parseReply, request } from '../src/frontend/nbd/test/nbd-client.ts';
import { NBD_TEST_TLS } from '../src/frontend/nbd/test/tls-test-certificates.ts';
import { NBD_CMD_READ, NBD_CMD_WRITE, NBD_OPT_LIST, NBD_REP_ERR_TLS_REQD } from '../src/protocol/nbd.ts';
import { NbdClient } from './nbd-client.ts';

const FIRST = { epoch: 0, count: 1, members: ['r0', 'r1', 'r2'], decided: true };
const isServing = (output: string): boolean => output.includes('"ioState": "serving"');
const hasThreeRw = (output: string): boolean => output.split(' RW ').length === 4;

let world: EngineProcesses;
let clients: NbdClient[] = [];

beforeEach(async () => {
  world = new EngineProcesses(await freePorts(80));
});

afterEach(async () => {
  for (const client of clients) client.close();
  clients = [];
  await world.cleanUp();
});

async function serve(): Promise<NbdClient> {
  for (const index of [0, 1, 2]) world.startReplica(index);
  for (const index of [0, 1, 2]) await untilReplica(index);
  world.startEngine(1, FIRST, [0, 1, 2]);
  await world.until(['io-status'], isServing);
  return client();
}

async function untilReplica(index: number): Promise<void> {
  const replica = createClient(ReplicaService, world.address(index), { timeoutMs: 1000 });
  try {
    for (let attempt = 0; ; attempt++) {
      try {
        await replica.ReplicaGet({});
        return;
      } catch (error) {
        if (attempt > 100) throw error;
        await new Promise((resolve) => {
          setTimeout(resolve, 100);
        });
      }
    }
  } finally {
    replica.close();
  }
}

async function client(): Promise<NbdClient> {
  const opened = await NbdClient.open('127.0.0.1', world.nbdPort, 'v1');
  clients.push(opened);
  return opened;
}

const pattern = (byte: number, length = 65_536): Buffer => Buffer.alloc(length, byte);

/** Hashes of the whole volume as each replica reads it. */
async function contents(): Promise<string[]> {
  return Promise.all(
    [0, 1, 2].map(async (index) => {
      const replica = createClient(ReplicaService, world.address(index));
      try {
        const { hashes } = await replica.RangeHash({ offset: 0, length: SIZE_BYTES, blockSize: 65_536 });
        return hashes.toString('hex');
      } finally {
        replica.close();
      }
    }),
  );
}

describe('an engine and three replicas as processes', { timeout: 120_000 }, () => {
  it('goes on within a second of a kill, rebuilds the replica, and a new engine reads the same', async () => {
    const nbd = await serve();
    await nbd.write(0, pattern(0x11));
    await nbd.flush();
    await world.killReplica(0);
    const begun = performance.now();
    await nbd.write(1 << 20, pattern(0x22));
    expect(performance.now() - begun).toBeLessThan(1000);
    expect(await nbd.read(0, 65_536)).toEqual(pattern(0x11));

    world.startReplica(0);
    await untilReplica(0);
    await world.longhorn('rm-replica', world.address(0));
    const rebuilt = world.longhorn('add-replica', '--size', '64m', '--current-size', '64m', world.address(0));
    for (let round = 0; round < 50; round++) await nbd.write((2 << 20) + round * 65_536, pattern(round));
    await rebuilt;
    expect(await world.longhorn('ls-replica')).toSatisfy(hasThreeRw);
    await nbd.flush();
    const before = await contents();
    expect(new Set(before).size).toBe(1);

    await world.killEngine();
    world.startEngine(2, { epoch: 1, count: 1, members: ['r0', 'r1', 'r2'], decided: false }, [0, 1, 2]);
    await world.until(['io-status'], isServing);
    const next = await client();
    expect(await next.read(1 << 20, 65_536)).toEqual(pattern(0x22));
    expect(await next.read((2 << 20) + 49 * 65_536, 65_536)).toEqual(pattern(49));
    expect(await contents()).toEqual(before);
    expect(await world.endEngine()).toBe(0);
  });

  it('goes on without a replica that has failed, which ends with the reason and serves again as another process', async () => {
    for (const index of [0, 1, 2]) world.startReplica(index);
    for (const index of [0, 1, 2]) await untilReplica(index);
    world.startEngine(1, FIRST, [0, 1, 2], '');
    await world.until(['io-status'], isServing);
    for (const name of ['one', 'two']) await world.longhorn('snapshots', 'create', name);
    await world.longhorn('snapshots', 'revert', 'one');
    await world.longhorn('frontend', 'start', 'nbd');
    const nbd = await client();
    await nbd.write(0, pattern(0x11));

    const file = join(world.folder, 'r2', 'volume-snap-two.img');
    renameSync(file, `${file}.away`);
    const replica = createClient(ReplicaService, world.address(2), { timeoutMs: 1000 });
    await replica.ReplicaGet({}).finally(() => replica.close());
    expect(await world.replicaEnds(2)).toBe(1);
    expect(world.logs('r2')).toContain('replica failed: ');
    expect(world.logs('r2')).toMatch(/Error running replica command.*volume-snap-two\.img is gone/);
    await nbd.write(65_536, pattern(0x22));

    renameSync(`${file}.away`, file);
    world.startReplica(2);
    await untilReplica(2);
    await world.longhorn('rm-replica', world.address(2));
    await world.longhorn('add-replica', '--size', '64m', '--current-size', '64m', world.address(2));
    expect(await world.longhorn('ls-replica')).toSatisfy(hasThreeRw);
    expect(new Set(await contents()).size).toBe(1);
  });

  it('goes on within ten seconds without a stopped replica, and holds I/O for the word of the control plane on the last one', async () => {
    const nbd = await serve();
    await nbd.write(0, pattern(0x11));
    world.signalReplica(1, 'SIGSTOP');
    const begun = performance.now();
    await nbd.write(65_536, pattern(0x22));
    expect(performance.now() - begun).toBeLessThan(10_000);
    await world.killReplica(2);
    const held = nbd.write(131_072, pattern(0x33));
    await world.until(['io-status'], (output) => output.includes('"ioState": "held"'));
    const engine = createClient(ControllerService, world.engineAddress);
    try {
      const { membershipRequest } = await engine.VolumeGet({});
      expect(membershipRequest?.members).toEqual(['r0']);
      const { epoch = 0, count = 0 } = membershipRequest ?? {};
      await engine.MembershipConfirm({ epoch, count, confirmed: true, reason: '' });
      await held;
      expect((await engine.VolumeGet({})).ioState).toBe('serving');
    } finally {
      engine.close();
    }
    expect(await nbd.read(131_072, 65_536)).toEqual(pattern(0x33));
  });

  it('takes snapshots again after a purge that only one replica was told of', async () => {
    const nbd = await serve();
    for (const name of ['a', 'b']) {
      await nbd.write(0, pattern(0x11));
      await world.longhorn('snapshot', 'create', name);
    }
    await world.longhorn('snapshot', 'rm', 'a');
    const agent = createClient(SyncAgentService, syncAgentAddress(world.address(0)));
    try {
      await agent.SnapshotPurge({});
      while ((await agent.SnapshotPurgeStatus({})).is_purging);
    } finally {
      agent.close();
    }
    await expect(world.longhorn('snapshot', 'create', 'c')).rejects.toThrow('purge snapshots at this moment');
    await world.until(['snapshot', 'create', 'c'], (output) => output.includes('c'));
    expect(await nbd.read(0, 65_536)).toEqual(pattern(0x11));
    expect(new Set(await contents()).size).toBe(1);
  });

  it('tells its clients what is allocated in any layer', async () => {
    const nbd = await serve();
    await nbd.write(1 << 20, pattern(0x11));
    await world.longhorn('snapshots', 'create', 'one');
    await nbd.write(8192, pattern(0x22, 4096));
    await nbd.write((64 << 20) - 4096, pattern(0x33, 4096));
    const asker = new RawNbdClient({ host: '127.0.0.1', port: world.nbdPort });
    await asker.enterStructured('v1', 'base:allocation');
    const hole = (bytes: number): number[] => [bytes, 3];
    const data = (bytes: number): number[] => [bytes, 0];
    expect(await blockStatus(asker, 0, SIZE_BYTES)).toEqual([
      ...hole(8192),
      ...data(4096),
      ...hole((1 << 20) - 12_288),
      ...data(65_536),
      ...hole((63 << 20) - 65_536 - 4096),
      ...data(4096),
    ]);
    expect(await blockStatus(asker, (1 << 20) + 512, 1024)).toEqual(data(1024));
    asker.socket.destroy();
  });

  it('serves NBD in TLS, and only so, with the files that its command line names', async () => {
    const { authority, server, client: own } = NBD_TEST_TLS;
    const file = (name: string, text: string): string => {
      const path = join(world.folder, name);
      writeFileSync(path, text);
      return path;
    };
    const flags = ['--nbd-tls-cert', file('tls.crt', server.certificate), '--nbd-tls-key', file('tls.key', server.key)];
    world.startReplica(0);
    await untilReplica(0);
    const only = { epoch: 0, count: 1, members: ['r0'], decided: true };
    world.startEngine(1, only, [0], 'nbd', [...flags, '--nbd-tls-ca', file('ca.crt', authority.certificate)]);
    await world.until(['io-status'], isServing);
    expect(await world.longhorn('info')).toContain(`nbds://127.0.0.1:${world.nbdPort}/v1`);

    const asker = new RawNbdClient({ host: '127.0.0.1', port: world.nbdPort });
    await asker.greet();
    expect(await asker.option(NBD_OPT_LIST)).toMatchObject([{ type: NBD_REP_ERR_TLS_REQD }]);
    await asker.startTls({ ca: authority.certificate, cert: own.certificate, key: own.key });
    await asker.enterNow('v1');
    asker.send(Buffer.concat([request(NBD_CMD_WRITE, 1, 0, 65_536), pattern(0x11)]));
    expect(parseReply(await asker.take(16))).toEqual({ error: 0, cookie: 1 });
    asker.send(request(NBD_CMD_READ, 2, 0, 65_536));
    expect(parseReply(await asker.take(16))).toEqual({ error: 0, cookie: 2 });
    expect((await asker.take(65_536)).equals(pattern(0x11))).toBe(true);
    expect(await world.endEngine()).toBe(0);
  });

  it('fails a device that clients connect to again when the only replica lost what was not flushed', async () => {
    const only = { epoch: 0, count: 1, members: ['r0'], decided: true };
    const start = async (epoch: number): Promise<void> => {
      world.startReplica(0);
      await untilReplica(0);
      world.startEngine(epoch, epoch === 1 ? only : { ...only, epoch: 1, decided: false }, [0], 'tgt-blockdev');
    };
    const connectTo = async (epoch: number): Promise<NbdClient> => {
      const opened = await NbdClient.openUnix(world.nbdSocket(epoch), 'v1');
      clients.push(opened);
      return opened;
    };
    await start(1);
    await world.until(['io-status'], isServing);
    const nbd = await connectTo(1);
    await nbd.write(0, pattern(0x11));
    await world.killEngine();
    await world.killReplica(0);
    world.hostStarts('boot-2');

    await start(2);
    await world.until(['io-status'], (output) => output.includes('"ioState": "failed"'));
    const flushed = (): Promise<string> =>
      connectTo(1)
        .then((again) => again.flush())
        .then(() => '', String);
    await expect.poll(flushed, { timeout: 10_000 }).toContain('NBD error 5');
    expect(await world.endEngine()).toBe(0);

    // Attached anew, it is another device: a client of before does not find it by chance.
    await world.killReplica(0);
    await start(3);
    await world.until(['io-status'], isServing);
    await expect(connectTo(1)).rejects.toThrow(/ENOENT/);
    await (await connectTo(3)).flush();
  });

  it('keeps the port of an iSCSI target, and fails it when the only replica lost what was not flushed', async () => {
    world.podIp = '127.1.205.1';
    const only = { epoch: 0, count: 1, members: ['r0'], decided: true };
    const start = async (epoch: number): Promise<void> => {
      world.startReplica(0);
      await untilReplica(0);
      world.startEngine(epoch, epoch === 1 ? only : { ...only, epoch: 1, decided: false }, [0], 'tgt-iscsi');
    };
    const endpoint = (port: number): string => `"iscsi://127.1.205.1:${port}/iqn.2019-10.io.longhorn:v1/1"`;
    await start(1);
    await world.until(['info'], (output) => output.includes(endpoint(3260)));
    await world.killEngine();
    await world.killReplica(0);
    world.hostStarts('boot-2');

    await start(2);
    await world.until(['io-status'], (output) => output.includes('"ioState": "failed"'));
    await world.until(['info'], (output) => output.includes(endpoint(3260)));
    expect(await world.endEngine()).toBe(0);

    await world.killReplica(0);
    await start(3);
    await world.until(['io-status'], isServing);
    expect(await world.endEngine()).toBe(0);
    expect(readdirSync(join(world.folder, 'run', 'iscsi'))).toEqual([]);
  });
});
