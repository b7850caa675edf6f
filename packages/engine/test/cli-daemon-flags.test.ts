/** The flags of `controller` and `replica`: what each of them changes in what the daemons do. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { ReplicaService } from '@longhorn/shared-types/generated/ptypes';
import { createClient } from '@longhorn/shared-types/grpc/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { installedTools } from '../src/frontend/nbd/test/installed-tools.ts';
import { CliWorld, failureOf, runHere, type StartedEngine, type StartedReplica } from './cli-world.ts';

const MIB = 1 << 20;
const NBD = ['--frontend', 'nbd'];

let world: CliWorld;

beforeAll(async () => {
  world = await CliWorld.open();
});

afterAll(() => world.close());

/** What a replica says about itself. */
async function stateOf({ port }: StartedReplica) {
  const client = createClient(ReplicaService, `127.0.0.1:${port}`);
  try {
    return (await client.ReplicaGet({})).replica;
  } finally {
    client.close();
  }
}

/** Modes of the engine's replicas, in its order. */
async function modes(engine: StartedEngine): Promise<(string | undefined)[]> {
  const [, ...lines] = (await world.output(engine, 'ls')).trimEnd().split('\n');
  return lines.map((line) => line.split(/ +/)[1]);
}

async function writeAt(engine: StartedEngine, offset: number, byte: number, length = 4096): Promise<void> {
  const nbd = await world.nbd(engine);
  await nbd.write(offset, Buffer.alloc(length, byte));
  await nbd.flush();
  nbd.close();
}

async function readAt(engine: StartedEngine, offset: number): Promise<number> {
  const nbd = await world.nbd(engine);
  const [first = -1] = await nbd.read(offset, 4096);
  nbd.close();
  return first;
}

async function isListening(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

describe.concurrent('controller', { timeout: 120_000 }, () => {
  it('ends with 61 when every replica answered and none can be used', async () => {
    const replica = await world.replica({ name: 'unusable' });
    const replicas = [replica.address];
    for (const [options, reason] of [
      [{ volume: 'v2' }, 'incorrect volume name v2; check replica address'],
      [{ size: '8m' }, "its size is 4194304, the volume's 8388608"],
    ] as const) {
      const { code, stderr } = await world.startEngine({ replicas, ...options }).daemon.outcome();
      expect(code).toBe(61);
      expect(stderr).toContain(reason);
      expect(stderr).toContain(`no available backend due to replica error from the addresses [${replica.address}]`);
    }
    const engine = await world.engine({ replicas });
    expect(await modes(engine), 'an engine that did not start leaves the replica to the next').toEqual(['RW']);
    const { code, stderr } = await world.startEngine({ replicas }).daemon.outcome();
    expect(code).toBe(61);
    expect(stderr).toContain('replica must be closed, cannot add in state: open');
    expect(await modes(engine), 'and takes it from nobody').toEqual(['RW']);
    expect(await stateOf(replica)).toMatchObject({ state: 'open' });
  });

  it.each([
    ['--enable-backend', 'file', '--enable-backend: unsupported backend file; only tcp is served'],
    ['--data-server-protocol', 'udp', 'unsupported protocol: udp'],
    ['--frontend', 'rest', 'failed to find frontend: rest: unsupported frontend type: rest'],
  ])('refuses %s %s', async (flag, value, error) => {
    const sizes = ['--size', '4m', '--current-size', '4m'];
    expect(failureOf(await runHere(['controller', 'v1', ...sizes, flag, value]))).toBe(error);
  });

  it('refuses a replica without a process', async () => {
    const { code, stderr } = await world.startEngine({ replicas: ['file:///replica'] }).daemon.outcome();
    expect(code).toBe(1);
    expect(stderr).toContain('invalid address \\"file:///replica\\": write HOST:PORT');
  });

  it('--upgrade takes over replicas that another engine has open, whatever their counters', async () => {
    const counting = { name: 'upgraded', flags: ['--disableRevCounter=false'] };
    const { address } = await world.replica(counting);
    const old = await world.engine({ replicas: [address], flags: ['--disableRevCounter=false', ...NBD] });
    await writeAt(old, 0, 0x11);
    const [refused, taken] = await Promise.all([world.replica(counting), world.replica(counting)]);
    const { code, stderr } = await world.startEngine({ replicas: [refused.address] }).daemon.outcome();
    expect(code).toBe(61);
    expect(stderr).toContain('its revision counter is enabled');
    const engine = await world.engine({ replicas: [taken.address], flags: [...NBD, '--upgrade'] });
    expect(await readAt(engine, 0)).toBe(0x11);
  });

  it('--salvageRequested starts with the replica that holds most of those written last', async () => {
    const contents = [
      { replica: await world.replica({ name: 'less' }), blocks: 1 },
      { replica: await world.replica({ name: 'more' }), blocks: 4 },
    ];
    for (const { replica, blocks } of contents) {
      const engine = await world.engine({ replicas: [replica.address], flags: NBD });
      await writeAt(engine, 0, blocks, blocks * 4096);
      expect(await engine.daemon.end()).toBe(0);
    }
    const replicas = contents.map(({ replica }) => replica.address);
    const trusting = await world.engine({ replicas });
    expect(await modes(trusting)).toEqual(['RW', 'RW']);
    expect(await trusting.daemon.end()).toBe(0);
    const engine = await world.engine({ replicas, flags: [...NBD, '--salvageRequested'] });
    expect(await modes(engine)).toEqual(['ERR', 'RW']);
    expect(await readAt(engine, 0)).toBe(4);
  });

  it('--unmap-mark-snap-chain-removed holds from the start, and for the replicas too', async () => {
    const replica = await world.replica({ name: 'marking', flags: ['--unmap-mark-disk-chain-removed=false'] });
    const flags = [...NBD, '--unmap-mark-snap-chain-removed'];
    const engine = await world.engine({ replicas: [replica.address], flags });
    expect(await world.json(engine, 'info')).toMatchObject({ unmapMarkSnapChainRemoved: true });
    expect(await stateOf(replica)).toMatchObject({ unmap_mark_disk_chain_removed: true });
    await world.output(engine, 'snapshot', 'create', 'a');
    const nbd = await world.nbd(engine);
    await nbd.trim(0, MIB);
    expect(await world.json(engine, 'snapshot', 'info')).toMatchObject({ a: { removed: true } });
  });

  it('--snapshot-max-count and --snapshot-max-size limit the snapshots, as those of the replica do', async () => {
    const limits = ['--snapshot-max-count', '2', '--snapshot-max-size', '4k'];
    const replica = await world.replica({ name: 'limited', flags: limits });
    const flags = [...NBD, '--snapshot-max-count', '1', '--snapshot-max-size', '8k'];
    const engine = await world.engine({ replicas: [replica.address], flags });
    expect(await world.json(engine, 'info')).toMatchObject({ snapshotMaxCount: 1, SnapshotMaxSize: 8192 });
    await writeAt(engine, 0, 1, 3 * 4096);
    expect(await world.failure(engine, 'snapshot', 'create', 'a')).toContain(
      'snapshot free space 8192 is not enough for head file 12288',
    );
    const nbd = await world.nbd(engine);
    await nbd.trim(0, 4096);
    nbd.close();
    // More than the replica was told: only the engine judges the size.
    await world.output(engine, 'snapshot', 'create', 'a');
    expect(await world.failure(engine, 'snapshot', 'create', 'b')).toContain(
      'snapshot count usage 1 is equal or larger than snapshotMaxCount 1',
    );
    await engine.daemon.end();

    const generous = await world.engine({ replicas: [replica.address] });
    expect(await stateOf(replica)).toMatchObject({ remain_snapshots: 1 });
    await world.output(generous, 'snapshot', 'create', 'b');
    expect(await world.failure(generous, 'snapshot', 'create', 'c')).toContain('too many active disks: 3');
  });

  /** Milliseconds until a write ends, one of whose two replicas hangs. */
  async function delayOfWrite(name: string, seconds: string): Promise<number> {
    const replicas = await Promise.all([`${name}-0`, `${name}-1`].map((each) => world.replica({ name: each })));
    const addresses = replicas.map(({ address }) => address);
    const flags = [...NBD, '--engine-replica-timeout', seconds];
    const engine = await world.engine({ replicas: addresses, flags });
    const nbd = await world.nbd(engine);
    await nbd.write(0, Buffer.alloc(4096));
    replicas[1]?.daemon.child.kill('SIGSTOP');
    const begun = performance.now();
    await nbd.write(0, Buffer.alloc(4096));
    const delayMs = performance.now() - begun;
    expect(await modes(engine)).toEqual(['RW', 'ERR']);
    return delayMs;
  }

  // The shortest of these times is 8 s; both pass beside the other tests.
  it('--engine-replica-timeout gives up a replica that hangs so long, 8 s where it is not from 8 to 30', async () => {
    const [shortest, longer] = await Promise.all([delayOfWrite('shortest', '3'), delayOfWrite('longer', '13')]);
    expect(shortest).toBeGreaterThan(7_000);
    expect(longer).toBeGreaterThan(12_000);
    expect(longer - shortest).toBeGreaterThan(2_000);
  });

  it('moves the data over the socket of the volume with --data-server-protocol unix', async () => {
    const flags = ['--data-server-protocol', 'unix'];
    const environment = { LONGHORN_HOST_ROOT: join(world.folder, 'host'), LONGHORN_DATA_ROOT: '/longhorn' };
    const replica = await world.replica({ name: 'unix', flags, environment });
    expect(existsSync(join(world.folder, 'host/longhorn/unix-domain-socket/v1.sock'))).toBe(true);
    expect(await isListening(replica.port + 1)).toBe(false);
    const engine = await world.engine({ replicas: [replica.address], flags: [...NBD, ...flags], environment });
    await writeAt(engine, 0, 0x11);
    expect(await readAt(engine, 0)).toBe(0x11);
    await engine.daemon.end();
    const tcp = world.startEngine({ replicas: [replica.address], environment });
    expect((await tcp.daemon.outcome()).code, 'nothing is served on the data port').not.toBe(0);
  });
});

describe.concurrent('replica', { timeout: 120_000 }, () => {
  it('takes flags that change nothing, and those of which the engine has the last word', async () => {
    const flags = ['--restore-from', 'vfs:///nothing', '--restore-name', 'backup-1', '--unmap-mark-disk-chain-removed'];
    const replica = await world.replica({ name: 'marked', flags: [...flags, '--sync-agent'] });
    expect(await stateOf(replica)).toMatchObject({
      state: 'closed',
      size: '4194304',
      backing_file: '',
      unmap_mark_disk_chain_removed: true,
    });
    expect(await isListening(replica.port + 2)).toBe(true);
    const unused = ['--enable-backend', 'tcp', '--file-sync-http-client-timeout', '7'];
    const engine = await world.engine({ replicas: [replica.address], flags: unused });
    expect(await modes(engine)).toEqual(['RW']);
    expect(await stateOf(replica)).toMatchObject({ unmap_mark_disk_chain_removed: false });
    expect(await engine.daemon.end()).toBe(0);
  });

  it('--sync-agent=false leaves the port of the sync agent alone', async () => {
    const { port } = await world.replica({ name: 'no-agent', flags: ['--sync-agent=false'] });
    expect(await isListening(port + 2)).toBe(false);
    expect(await isListening(port + 1)).toBe(true);
  });

  it('--backing-file is read where nothing was written, and is a file or the only one of a folder', async () => {
    const images = join(world.folder, 'images');
    const raw = join(images, 'raw');
    mkdirSync(images);
    writeFileSync(raw, Buffer.alloc(MIB, 0x33));
    const replica = await world.replica({ name: 'backed', flags: ['--backing-file', images] });
    expect(await stateOf(replica)).toMatchObject({ backing_file: raw });
    const engine = await world.engine({ replicas: [replica.address], flags: NBD });
    await writeAt(engine, 4096, 0x44);
    expect([await readAt(engine, 0), await readAt(engine, 4096), await readAt(engine, MIB)]).toEqual([0x33, 0x44, 0]);

    const qcow2 = join(images, 'qcow2');
    writeFileSync(qcow2, Buffer.from('QFI\u00fb', 'latin1'));
    const refused = (path: string, size: string) =>
      runHere(['replica', join(world.folder, 'refused'), '--size', size, '--backing-file', path]);
    const outcomes = await Promise.all([refused(images, '4m'), refused(qcow2, '4m'), refused(raw, '512k')]);
    expect(outcomes.map(failureOf)).toEqual([
      `--backing-file ${images}: the directory must contain exactly one file`,
      `backing file ${qcow2}: it is no qcow2 image`,
      'replica size 524288 < backing image virtual size 1048576',
    ]);
  });

  it.skipIf(installedTools(['qemu-img']).length === 0)('--backing-file reads through a qcow2 image', async () => {
    const raw = join(world.folder, 'guest');
    const qcow2 = join(world.folder, 'guest.qcow2');
    writeFileSync(raw, Buffer.alloc(MIB, 0x55));
    execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', '-c', raw, qcow2]);
    const replica = await world.replica({ name: 'on-qcow2', flags: ['--backing-file', qcow2] });
    const engine = await world.engine({ replicas: [replica.address], flags: NBD });
    await writeAt(engine, 4096, 0x66);
    expect([await readAt(engine, 0), await readAt(engine, 4096), await readAt(engine, MIB)]).toEqual([0x55, 0x66, 0]);
    expect(await engine.daemon.end()).toBe(0);
  });

  it('refuses a protocol for data that there is not, and other than one directory', async () => {
    const lines = [['refused', '--data-server-protocol', 'udp'], [], ['a', 'b']];
    const outcomes = await Promise.all(lines.map((words) => runHere(['replica', ...words])));
    expect(outcomes.map(failureOf)).toEqual([
      'unsupported protocol: udp',
      'directory name is required',
      'directory name is required',
    ]);
  });
});
