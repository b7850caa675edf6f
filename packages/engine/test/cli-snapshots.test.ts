/** The commands about snapshots, against real engines and their replicas. */
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SyncAgentService } from '@longhorn/shared-types/generated/ptypes';
import { createClient } from '@longhorn/shared-types/grpc/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { syncAgentAddress } from '../src/client/flow.ts';
import { tryLock } from '../src/io/node/linux.ts';
import { CliWorld, type StartedEngine, type StartedReplica } from './cli-world.ts';
import { RecordingAgent } from './recording-agent.ts';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\n$/;
const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;
/** CRC-64 of a MiB of zeros. */
const ZEROS_CHECKSUM = '430efbe3cfd1f78c';

let world: CliWorld;
/** The volume `v1` with two replicas. */
let engine: StartedEngine;
let replicas: StartedReplica[];
/** `v2`: a MiB, one replica, no frontend. */
let small: StartedEngine;
let smallReplica: StartedReplica;

beforeAll(async () => {
  world = await CliWorld.open();
  const members = ['r0', 'r1'].map((name) => world.named(name));
  [smallReplica, ...replicas] = await Promise.all([world.named('s0', { volume: 'v2', size: '1m' }), ...members]);
  [engine, small] = await Promise.all([
    world.engine({
      replicas: replicas.map(({ address }) => address),
      flags: ['--engine-instance-name', 'e1', '--frontend', 'nbd'],
    }),
    world.engine({ volume: 'v2', size: '1m', replicas: [smallReplica.address] }),
  ]);
}, 60_000);

afterAll(() => world.close());

interface Snapshot {
  readonly parent: string;
  readonly removed: boolean;
  readonly usercreated: boolean;
  readonly created: string;
}

const output = (...args: readonly string[]): Promise<string> => world.output(engine, ...args);
const failure = (...args: readonly string[]): Promise<string> => world.failure(engine, ...args);
const infoOf = (of: StartedEngine): Promise<Record<string, Snapshot>> => world.json(of, 'snapshots', 'info');

async function writeBlock(byte: number): Promise<void> {
  const nbd = await world.nbd(engine);
  await nbd.write(0, Buffer.alloc(4096, byte));
  await nbd.flush();
  nbd.close();
}

const text = (value: unknown): string => `${JSON.stringify(value, null, '\t')}\n`;
/** The same status for every replica, as the commands print it. */
const ofEach = (status: object): string => text(Object.fromEntries(replicas.map(({ address }) => [address, status])));

describe('the commands about snapshots of a volume', { timeout: 120_000 }, () => {
  it('snapshots create prints the name that it was given, or one of its own', async () => {
    expect(await output('snapshots', 'ls')).toBe('ID\n');
    await writeBlock(0x11);
    expect(await output('snapshots', 'create', 'a', '--label', 'k=v', '--label', 'example.com/b=c')).toBe('a\n');
    await writeBlock(0x22);
    const frozen = await output('snapshot', 'create', '--freeze-fs');
    expect(frozen, 'a device that is served as NBD is taken as it is').toMatch(UUID);
    expect(await output('snapshot', 'rm', frozen.trim())).toBe('');
    const missing = await failure('snapshot', 'revert');
    expect(missing).toBe('snapshot name is required');
  });

  it('snapshots create refuses a name that is there or could not be a file, and nothing changes', async () => {
    expect(await failure('snapshot', 'create', 'a')).toMatch(/snapshot \S+ is already existing/);
    expect(await failure('snapshot', 'create', 'a b')).toContain('invalid snapshot name "a b": use letters, digits');
    const list = (await output('ls')).trimEnd().split('\n').slice(1);
    expect(list.map((line) => line.split(/ +/)[1])).toEqual(['RW', 'RW']);
  });

  it('snapshots lists, the newest first, with ls, without a word and with an unknown one', async () => {
    await output('snapshot', 'create', 'b');
    const lists = await Promise.all([
      output('snapshots', 'ls'),
      output('snapshot'),
      output('snapshots'),
      output('snapshots', 'nothing'),
    ]);
    expect(lists).toEqual(Array.from({ length: 4 }, () => 'ID\nb\na\n'));
  });

  it('snapshots info tells all of each snapshot, and of what was marked as removed', async () => {
    const printed = await output('snapshots', 'info');
    const all = JSON.parse(printed) as Record<string, Snapshot>;
    const removed = Object.keys(all).find((name) => all[name]?.removed === true) ?? '';
    expect(removed).toMatch(/^[0-9a-f-]{36}$/);
    for (const { created } of Object.values(all)) expect(created).toMatch(RFC3339);
    const created = (name: string): string => all[name]?.created ?? '';
    const common = { removed: false, usercreated: true };
    const expected: Record<string, object> = {
      a: {
        name: 'a',
        parent: '',
        children: { [removed]: true },
        ...common,
        created: created('a'),
        size: '4096',
        labels: { 'example.com/b': 'c', k: 'v' },
      },
      b: {
        name: 'b',
        parent: removed,
        children: { 'volume-head': true },
        ...common,
        created: created('b'),
        size: '0',
        labels: {},
      },
      [removed]: {
        name: removed,
        parent: 'a',
        children: { b: true },
        ...common,
        removed: true,
        created: created(removed),
        size: '4096',
        labels: {},
      },
      'volume-head': {
        name: 'volume-head',
        parent: 'b',
        children: {},
        ...common,
        usercreated: false,
        created: created('volume-head'),
        size: '0',
        labels: {},
      },
    };
    const sorted = Object.entries(expected).toSorted(([left], [right]) => (left < right ? -1 : 1));
    expect(printed).toBe(text(Object.fromEntries(sorted)));
  });

  it('snapshots purge returns at once, and purge-status tells when what was removed is gone', async () => {
    const idle = { error: '', isPurging: false, progress: 0, state: '' };
    expect(await output('snapshots', 'purge-status')).toBe(ofEach(idle));
    expect(await output('snapshots', 'purge')).toBe('');
    const isDone = (all: Record<string, { isPurging: boolean }>): boolean =>
      Object.values(all).every(({ isPurging }) => !isPurging);
    await world.until(engine, ['snapshot', 'purge-status'], isDone);
    expect(await output('snapshot', 'purge-status')).toBe(ofEach({ ...idle, progress: 100, state: 'complete' }));
    expect(Object.keys(await infoOf(engine))).toEqual(['a', 'b', 'volume-head']);
  });

  it('snapshots revert wants the frontend down and a snapshot that is there, and then the volume reads as it did', async () => {
    expect(await failure('snapshots', 'revert', 'a')).toContain('volume frontend enabled, aborting snapshot revert');
    await output('frontend', 'shutdown');
    expect(await failure('snapshot', 'revert', 'nothing')).toContain(
      'cannot do revert since the target snapshot nothing is not found',
    );
    expect(await output('snapshots', 'revert', 'a')).toBe('');
    expect(await output('snapshots')).toBe('ID\na\n');
    expect(await infoOf(engine)).toMatchObject({ b: { parent: 'a' }, 'volume-head': { parent: 'a' } });
    await output('frontend', 'start', 'nbd');
    const nbd = await world.nbd(engine);
    expect(await nbd.read(0, 4096)).toEqual(Buffer.alloc(4096, 0x11));
    nbd.close();
  });

  it('snapshots rm tries every name and tells which it could not remove', async () => {
    await output('snapshot', 'create', 'c');
    const head = /volume-head-\d+\.img/.exec(await output('ls'))?.[0] ?? '';
    const outcome = await world.run(['--url', engine.url, 'snapshots', 'rm', head, 'nothing', 'c']);
    expect(outcome).toMatchObject({ code: 1, stdout: '' });
    expect(outcome.stderr).toMatch(new RegExp(`^Failed to delete ${head}: .*cannot mark the active.*\n$`));
    expect(await output('snapshots')).toBe('ID\na\n');
  });

  it('an engine without an RW replica lists none and tells of none', async () => {
    const empty = await world.engine({ volume: 'v3' });
    expect(await world.output(empty, 'snapshots')).toBe('ID\n');
    expect(await world.output(empty, 'snapshots', 'info')).toBe('{}\n');
  });
});

interface HashStatus {
  readonly state: string;
  readonly checksum: string;
  readonly error: string;
  readonly silentlyCorrupted: boolean;
}

/** Of the replica of `v2`, when its job has ended. */
async function hashed(name: string): Promise<HashStatus | undefined> {
  const ended = await world.until<Record<string, HashStatus>>(
    small,
    ['hash-status', name],
    (all) => all[smallReplica.address]?.state !== 'in_progress',
  );
  return ended[smallReplica.address];
}

describe('the commands that hash snapshots', { timeout: 120_000 }, () => {
  const recordFile = (): string => join(smallReplica.folder, 'volume-snap-zeros.img.checksum');

  it('hash and snapshots hash want a name', async () => {
    const commands = ['hash', 'hash-cancel', 'hash-status'].flatMap((name) => [[name], ['snapshots', name]]);
    const failures = await Promise.all(commands.map((words) => world.failure(small, ...words)));
    expect(new Set(failures)).toEqual(new Set(['snapshot name is required']));
  });

  it('hash computes the checksum in the background, and hash-status tells it', async () => {
    await world.output(small, 'snapshot', 'create', 'zeros');
    expect(await world.json(small, 'hash-status', 'zeros'), 'never hashed').toMatchObject({
      [smallReplica.address]: { state: 'error', checksum: '' },
    });
    expect(await world.output(small, 'snapshots', 'hash', 'zeros')).toBe('');
    await hashed('zeros');
    const status = { state: 'complete', checksum: ZEROS_CHECKSUM, error: '', silentlyCorrupted: false };
    const printed = text({ [smallReplica.address]: status });
    expect(await world.output(small, 'snapshots', 'hash-status', 'zeros')).toBe(printed);
    expect(await world.output(small, 'hash-status', 'zeros')).toBe(printed);
  });

  it('hash believes a checksum that was recorded; --rehash computes it anew and finds what rotted', async () => {
    const record = readFileSync(recordFile(), 'utf8');
    writeFileSync(recordFile(), record.replace(ZEROS_CHECKSUM, '0123456789abcdef'));
    await world.output(small, 'hash', 'zeros');
    expect(await hashed('zeros')).toMatchObject({ checksum: '0123456789abcdef', silentlyCorrupted: false });
    await world.output(small, 'hash', '--rehash', 'zeros');
    const rotten = { state: 'complete', checksum: '', error: '', silentlyCorrupted: true };
    expect(await hashed('zeros')).toEqual(rotten);
  });

  it('hash is refused while the node hashes, and hash-cancel ends a job', async () => {
    mkdirSync(join(world.folder, 'data', '.lock'), { recursive: true });
    const lock = openSync(join(world.folder, 'data', '.lock', 'hash'), 'a');
    const agent = createClient(SyncAgentService, syncAgentAddress(smallReplica.address));
    try {
      expect(tryLock(lock)).toBe(true);
      expect(await world.failure(small, 'hash', 'zeros')).toBe(
        `cannot request hashing snapshot because ${smallReplica.address} is hashing snapshot`,
      );
      await agent.SnapshotHash({ snapshot_name: 'zeros', rehash: true });
      expect(await world.output(small, 'snapshots', 'hash-cancel', 'zeros')).toBe('');
      expect(await hashed('zeros')).toMatchObject({ state: 'error', error: 'hashing snapshot zeros was canceled' });
      expect(await world.output(small, 'hash-cancel', 'nothing'), 'no job is success').toBe('');
    } finally {
      agent.close();
      closeSync(lock);
    }
  });
});

describe('snapshots clone', { timeout: 120_000 }, () => {
  const from = (): string[] => ['--from-controller-address', engine.url];

  it('wants to know the snapshot and its engine, and that the engine is the one that is meant', async () => {
    const clone = (...flags: readonly string[]): Promise<string> =>
      world.failure(small, 'snapshots', 'clone', ...flags);
    const snapshot = ['--snapshot-name', 'a'];
    const failures = await Promise.all([
      clone(),
      clone(...snapshot),
      clone(...snapshot, ...from(), '--from-volume-name', 'v9'),
      clone(...snapshot, ...from(), '--from-controller-instance-name', 'e9'),
    ]);
    expect(failures).toEqual([
      'missing required parameter --snapshot-name',
      'missing required parameter --from-controller-address',
      expect.stringContaining('incorrect volume name v9; check controller address'),
      expect.stringContaining('incorrect instance name e9; check controller address'),
    ]);
  });

  it('copies a snapshot into another volume, which then reads as it does', async () => {
    const replica = await world.named('t0', { volume: 'v4' });
    const target = await world.engine({ volume: 'v4', replicas: [replica.address] });
    const idle = { isCloning: false, error: '', progress: 0, state: '', fromReplicaAddress: '', snapshotName: '' };
    expect(await world.output(target, 'snapshots', 'clone-status')).toBe(text({ [replica.address]: idle }));
    const source = ['--from-volume-name', 'v1', '--from-controller-instance-name', 'e1', ...from()];
    const flags = ['--file-sync-http-client-timeout', '7', '--grpc-timeout-seconds', '50'];
    const removed = await world.failure(target, 'snapshot', 'clone', '--snapshot-name', 'c', ...source);
    expect(removed).toContain('it is marked as removed');
    const cloned = ['snapshots', 'clone', '--snapshot-name', 'a', ...source, ...flags];
    expect(await world.output(target, ...cloned, '--export-backing-image-if-exist=false')).toBe('');
    const status = {
      isCloning: false,
      error: '',
      progress: 100,
      state: 'complete',
      fromReplicaAddress: replicas[0]?.address,
      snapshotName: 'a',
    };
    expect(await world.output(target, 'snapshot', 'clone-status')).toBe(text({ [replica.address]: status }));
    expect(await world.output(target, 'snapshot')).toBe('ID\na\n');
    await world.output(target, 'frontend', 'start', 'nbd');
    expect(await (await world.nbd(target)).read(0, 4096)).toEqual(Buffer.alloc(4096, 0x11));
  });
});

describe('the commands that ask a sync agent', { timeout: 120_000 }, () => {
  let target: StartedEngine;
  let agent: RecordingAgent;
  let address: string;

  beforeAll(async () => {
    const replica = await world.named('u0', { volume: 'v5', flags: ['--sync-agent=false'] });
    agent = await RecordingAgent.beside(replica.port);
    ({ address } = replica);
    target = await world.engine({ volume: 'v5', replicas: [address] });
  }, 60_000);

  afterAll(() => agent.close());

  it('snapshots clone hands its flags on and gives up after --grpc-timeout-seconds', async () => {
    const flags = ['--export-backing-image-if-exist', '--file-sync-http-client-timeout', '7'];
    const source = ['--from-controller-address', engine.url, '--from-volume-name', 'v1', '--snapshot-name', 'a'];
    const error = await world.failure(target, 'snapshot', 'clone', ...source, ...flags, '--grpc-timeout-seconds', '1');
    expect(error).toContain(`${address}: rpc error: code = DeadlineExceeded`);
    const request = {
      from_address: replicas[0]?.address,
      to_host: '127.0.0.1',
      snapshot_file_name: 'a',
      export_backing_image_if_exist: true,
      file_sync_http_client_timeout: 7,
      from_volume_name: 'v1',
    };
    expect(agent.requests[0]).toEqual({ rpc: 'SnapshotClone', request: expect.objectContaining(request) });
  });

  it('snapshots purge is refused while a replica purges; with --skip-if-in-progress that is success', async () => {
    agent.isPurging = true;
    const purges = (): number => agent.requests.filter(({ rpc }) => rpc === 'SnapshotPurge').length;
    expect(await world.failure(target, 'snapshot', 'purge')).toBe(
      `cannot purge snapshots because ${address} is already purging snapshots`,
    );
    expect(purges()).toBe(0);
    expect(await world.output(target, 'snapshot', 'purge', '--skip-if-in-progress')).toBe('');
    expect(purges(), 'replicas that do not purge yet begin to').toBe(1);
    const status = { error: '', isPurging: true, progress: 40, state: 'in_progress' };
    expect(await world.output(target, 'snapshot', 'purge-status')).toBe(text({ [address]: status }));
  });
});
