/** The commands that add, check, list, change and remove replicas, against a real engine and its replicas. */
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { changeTimeText } from '../src/sync/checksum-file.ts';
import { CliWorld, type StartedEngine, type StartedReplica } from './cli-world.ts';
import { RecordingAgent } from './recording-agent.ts';

const MIB = 1 << 20;
const SIZES = ['--size', '4m', '--current-size', '4m'];

let world: CliWorld;
let engine: StartedEngine;
/** the first is a member all the time */
let r0: StartedReplica;
let r1: StartedReplica;
let r2: StartedReplica;

beforeAll(async () => {
  world = await CliWorld.open();
  [r0, r1, r2] = await Promise.all([world.named('r0'), world.named('r1'), world.named('r2')]);
  engine = await world.engine({ replicas: [r0.address], flags: ['--frontend', 'nbd'] });
}, 60_000);

afterAll(() => world.close());

const output = (...args: readonly string[]): Promise<string> => world.output(engine, ...args);
const failure = (...args: readonly string[]): Promise<string> => world.failure(engine, ...args);
const remove = ({ address }: StartedReplica): Promise<string> => output('rm-replica', address);

async function modes(): Promise<Record<string, string>> {
  const [, ...lines] = (await output('ls')).trimEnd().split('\n');
  return Object.fromEntries(lines.map((line) => line.split(/ +/).slice(0, 2)));
}

const write = async (byte: number, length = 65_536): Promise<void> => {
  const nbd = await world.nbd(engine);
  await nbd.write(0, Buffer.alloc(length, byte));
  await nbd.flush();
  nbd.close();
};

/** Runs `work` with a replica whose sync agent copies nothing. */
async function withRecordingAgent(
  name: string,
  work: (replica: StartedReplica, agent: RecordingAgent) => Promise<void>,
): Promise<void> {
  const replica = await world.named(name, { flags: ['--sync-agent=false'] });
  const agent = await RecordingAgent.beside(replica.port);
  try {
    await work(replica, agent);
    await remove(replica);
  } finally {
    await agent.close();
  }
}

/** What `snapshots hash-status` tells of each replica when all have ended. */
async function hashed(name: string): Promise<string[]> {
  const hasEnded = (all: Record<string, { state: string }>): boolean =>
    Object.values(all).every(({ state }) => state !== 'in_progress');
  const all = await world.until(engine, ['hash-status', name], hasEnded);
  return Object.values(all).map(({ state }) => state);
}

describe('the commands about replicas', { timeout: 120_000 }, () => {
  it('add-replica wants an address and both sizes', async () => {
    const failures = await Promise.all([
      failure('add-replica', ...SIZES),
      failure('add', '--current-size', '4m', r1.address),
      failure('add', '--size', '4m', r1.address),
    ]);
    expect(failures).toEqual(['replica address is required', 'size is required', 'current-size is required']);
  });

  it('add-replica --restore adds an empty replica that verify-rebuild-replica turns RW', async () => {
    expect(await output('add-replica', '--restore', ...SIZES, r1.address)).toBe('');
    expect(await output('ls-replica')).toBe(
      [
        'ADDRESS               MODE CHAIN',
        `${r0.address} RW   [volume-head-000.img]`,
        `${r1.address} WO   [volume-head-000.img]`,
        '',
      ].join('\n'),
    );
    const idle = {
      error: '',
      isRebuilding: false,
      progress: 0,
      state: '',
      fromReplicaAddress: '',
      bytesDone: 0,
      bytesTotal: 0,
      bytesWritten: 0,
      bytesPerSecondMax: 0,
      isPaused: false,
    };
    const status = `${JSON.stringify({ [r1.address]: idle }, null, '\t')}\n`;
    expect(await output('replica-rebuild-status')).toBe(status);
    expect(await failure('update', '--mode', 'WO', r1.address)).toContain('cannot set to mode WO');
    const named = ['--replica-instance-name', 'r1'];
    expect(await failure('verify-rebuild-replica', '--replica-instance-name', 'r9', r1.address)).toContain(
      'incorrect instance name r9; check replica address',
    );
    expect(await output('verify-rebuild-replica', ...named, r1.address)).toBe('');
    expect(await modes()).toEqual({ [r0.address]: 'RW', [r1.address]: 'RW' });
    expect(await output('verify-rebuild', r1.address), 'RW already is success').toBe('');
    expect(await output('rebuild-status')).toBe('{}\n');
  });

  it('update-replica sets ERR, and RW only where the replica passes the checks', async () => {
    expect(await output('update-replica', '--mode', 'ERR', r1.address)).toBe('');
    expect(await output('ls')).toBe(
      ['ADDRESS               MODE CHAIN', `${r0.address} RW   [volume-head-000.img]`, `${r1.address} ERR`, ''].join(
        '\n',
      ),
    );
    await remove(r1);
    expect(await output('rm', r1.address), 'an unknown address is success').toBe('');
    await output('add', '--restore', ...SIZES, r1.address);
    expect(await output('update', '--mode', 'RW', r1.address)).toBe('');
    expect(await modes()).toEqual({ [r0.address]: 'RW', [r1.address]: 'RW' });

    await remove(r1);
    await write(0x11);
    await output('add', '--restore', ...SIZES, r1.address);
    expect(await failure('update', '--mode', 'RW', r1.address)).toContain('differs from');
    expect(await modes()).toEqual({ [r0.address]: 'RW', [r1.address]: 'ERR' });
    await remove(r1);
  });

  it('add-replica rebuilds the instance that is meant, and no other', async () => {
    const flags = ['--sync-local', '--file-sync-http-client-timeout', '7', '--grpc-timeout-seconds', '50'];
    const error = await failure('add', ...SIZES, '--replica-instance-name', 'r2', r1.address);
    expect(error).toContain('incorrect instance name r2; check replica address');
    expect(await modes()).toEqual({ [r0.address]: 'RW' });
    expect(await output('add', ...SIZES, ...flags, '--replica-instance-name', 'r1', r1.address)).toBe('');
    expect(await modes()).toEqual({ [r0.address]: 'RW', [r1.address]: 'RW' });
    expect(await output('rebuild-status')).toBe('{}\n');
  });

  it('sync-agent-server-reset lets the agents forget what they did', async () => {
    const stateOf = (all: Record<string, { state: string }>): string[] => Object.values(all).map(({ state }) => state);
    await output('snapshot', 'purge');
    const isComplete = (all: Record<string, { state: string }>): boolean =>
      stateOf(all).every((state) => state === 'complete');
    await world.until(engine, ['snapshot', 'purge-status'], isComplete);
    expect(await output('sync-agent-server-reset')).toBe('');
    expect(stateOf(await world.json(engine, 'snapshot', 'purge-status'))).toEqual(['', '']);
  });

  it('add-replica --fast-sync trusts checksum files; without it the content is compared', async () => {
    await output('snapshot', 'create', 'a');
    await output('hash', 'a');
    expect(await hashed('a')).toEqual(['complete', 'complete']);
    await remove(r1);
    tamper(join(r1.folder, 'volume-snap-a.img'));
    const error = await failure('add', '--fast-sync', ...SIZES, r1.address);
    expect(error).toContain(`the rebuilt replica ${r1.address} differs from ${r0.address}`);
    await remove(r1);
    tamper(join(r1.folder, 'volume-snap-a.img'));
    expect(await output('add', ...SIZES, r1.address)).toBe('');
    expect(await modes()).toEqual({ [r0.address]: 'RW', [r1.address]: 'RW' });
  });

  it('while a replica is rebuilt, its progress is shown, nothing is reset, and no other is added', async () => {
    await withRecordingAgent('r3', async (r3, agent) => {
      const limits = ['--file-sync-http-client-timeout', '7', '--grpc-timeout-seconds', '120'];
      const added = failure('add', '--fast-sync', ...limits, ...SIZES, r3.address);
      await agent.copying();
      const [status, reset, second] = await Promise.all([
        output('rebuild-status'),
        failure('sync-agent-server-reset'),
        failure('add', ...SIZES, r2.address),
      ]);
      const shown = {
        error: '',
        isRebuilding: true,
        progress: 42,
        state: 'in_progress',
        fromReplicaAddress: 'tcp://10.42.1.5:10000',
        bytesDone: 43,
        bytesTotal: 100,
        bytesWritten: 41,
        bytesPerSecondMax: 1 << 20,
        isPaused: true,
      };
      expect(status).toBe(`${JSON.stringify({ [r3.address]: shown }, null, '\t')}\n`);
      expect(reset).toBe(`cannot reset Restore info as replica(${r3.address}) is rebuilding`);
      expect(second).toContain('can only have one WO replica at a time');
      agent.breakOff();
      expect(await added).toContain(`failed to sync files from ${r0.address} to ${r3.address}`);
      const request = {
        from_address: r0.address,
        to_host: '127.0.0.1',
        fast_sync: true,
        file_sync_http_client_timeout: 7,
        grpc_timeout_seconds: 120,
        local_sync: null,
      };
      expect(agent.requests).toEqual([{ rpc: 'FilesSync', request: expect.objectContaining(request) }]);
      expect((await modes())[r3.address], 'a rebuild that broke off leaves it to the caller').toBe('WO');
    });
  });

  it('replica-rebuild-control pauses, resumes and limits the rebuilds that there are', async () => {
    expect(await failure('replica-rebuild-control', '--pause')).toBe('no replica is being rebuilt');
    expect(await failure('replica-rebuild-control')).toContain('one of --pause, --resume and --bandwidth-limit');
    expect(await failure('rebuild-control', '--pause', '--resume')).toBe('--pause and --resume: only one of them');
    await withRecordingAgent('r5', async (r5, agent) => {
      const added = failure('add', ...SIZES, r5.address);
      await agent.copying();
      expect(await failure('rebuild-control', '--pause', r0.address)).toBe(
        `replica ${r0.address} is not being rebuilt`,
      );
      expect(await output('replica-rebuild-control', '--pause', '--bandwidth-limit', '20m')).toBe('');
      expect(await output('rebuild-control', '--resume', r5.address)).toBe('');
      expect(agent.requests.slice(1)).toEqual([
        { rpc: 'ReplicaRebuildLimit', request: { bytes_per_second: 20 * MIB } },
        { rpc: 'ReplicaRebuildPause', request: { paused: true } },
        { rpc: 'ReplicaRebuildPause', request: { paused: false } },
      ]);
      agent.breakOff();
      await added;
    });
  });

  it('add-replica gives up after --grpc-timeout-seconds', async () => {
    await withRecordingAgent('r4', async (r4) => {
      const error = await failure('add', '--grpc-timeout-seconds', '1', ...SIZES, r4.address);
      expect(error).toMatch(/^failed to sync files from .*: rpc error: code = DeadlineExceeded/);
    });
  });

  it('add-replica starts an engine that has no replica yet', async () => {
    const other = await world.engine({ size: '8m' });
    await world.output(other, 'add-replica', '--size', '8m', '--current-size', '4m', r2.address);
    expect(await world.output(other, 'ls')).toContain(`${r2.address} RW `);
    expect(await world.json(other, 'info')).toMatchObject({ size: 4 * MIB });
  });
});

/** Spoils an image and has its checksum file say that it is as it was hashed. */
function tamper(image: string): void {
  const content = readFileSync(image);
  content.fill(0x77, 4096, 8192);
  writeFileSync(image, content);
  const record = JSON.parse(readFileSync(`${image}.checksum`, 'utf8')) as Record<string, unknown>;
  const changedNs = statSync(image, { bigint: true }).ctimeNs;
  writeFileSync(`${image}.checksum`, JSON.stringify({ ...record, change_time: changeTimeText(changedNs) }));
}
