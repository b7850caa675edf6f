/** The commands about a volume as a whole and those that are refused, against a real engine: output, streams, exit codes. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CliWorld, failureOf, runHere, type StartedEngine, type StartedReplica } from './cli-world.ts';

const MIB = 1 << 20;
const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;

interface Info {
  readonly size: number;
  readonly isExpanding: boolean;
  readonly lastExpansionError: string;
  readonly lastExpansionFailedAt: string;
  readonly unmapMarkSnapChainRemoved: boolean;
}

let world: CliWorld;
let replica: StartedReplica;
let engine: StartedEngine;

beforeAll(async () => {
  world = await CliWorld.open();
  [replica, engine] = await Promise.all([world.replica({ name: 'r0' }), world.engine({ size: '8m' })]);
}, 60_000);

afterAll(() => world.close());

const output = (...args: readonly string[]): Promise<string> => world.output(engine, ...args);
const failure = (...args: readonly string[]): Promise<string> => world.failure(engine, ...args);
const info = (): Promise<Info> => world.json<Info>(engine, 'info');

/** What `info` prints, to the byte. */
function infoText(changes: Readonly<Record<string, unknown>>): string {
  const shown = {
    name: 'v1',
    size: 4 * MIB,
    replicaCount: 1,
    endpoint: '',
    frontend: '',
    frontendState: '',
    isExpanding: false,
    lastExpansionError: '',
    lastExpansionFailedAt: '',
    unmapMarkSnapChainRemoved: false,
    snapshotMaxCount: 250,
    SnapshotMaxSize: 0,
    ...changes,
  };
  return `${JSON.stringify(shown, null, '\t')}\n`;
}

describe('the commands of a volume', { timeout: 120_000 }, () => {
  it('start-with-replicas starts an engine once, with the size before a pending expansion', async () => {
    const sizes = ['--size', '8m', '--current-size', '4mb'];
    const [nobody, noSize, noCurrentSize] = await Promise.all([
      failure('start', ...sizes),
      failure('start', '--current-size', '4m', replica.address),
      failure('start', '--size', '8m', replica.address),
    ]);
    expect([nobody, noSize, noCurrentSize]).toEqual([
      'replica address is required',
      'size is required',
      'current-size is required',
    ]);
    const tooLarge = await failure('start', '--size', '8m', '--current-size', '8m', replica.address);
    expect(tooLarge).toContain(`no available backend due to replica error from the addresses [${replica.address}]`);
    expect(await output('start-with-replicas', replica.address, ...sizes)).toBe('');
    expect(await failure('start', replica.address, ...sizes)).toBe(
      'cannot add multiple replicas if volume is already up',
    );
  });

  it('info tells all of it, whatever the prefix and suffix of --url', async () => {
    const urls = ['', 'http://', 'tcp://'].map((prefix) => `${prefix}${engine.url}`);
    const outcomes = await Promise.all([...urls, `${engine.url}/v1`].map((url) => world.run(['info', '--url', url])));
    for (const outcome of outcomes) expect(outcome).toEqual({ code: 0, stdout: infoText({}), stderr: '' });
  });

  it('--debug changes nothing in a result', async () => {
    expect(await world.run(['--debug', '--url', engine.url, 'info'])).toMatchObject({ code: 0, stdout: infoText({}) });
  });

  it('frontend start and shutdown bring one up and down', async () => {
    expect(await failure('frontend', 'start')).toBe('missing required parameter frontendName');
    expect(await failure('frontend', 'start', 'rest')).toContain(
      'failed to find frontend: rest: unsupported frontend type: rest',
    );
    expect(await output('frontend', 'start', 'nbd')).toBe('');
    const endpoint = `nbd://127.0.0.1:${engine.nbdPort}/v1`;
    expect(await output('info')).toBe(infoText({ endpoint, frontend: 'nbd', frontendState: 'up' }));
    const nbd = await world.nbd(engine);
    await nbd.write(0, Buffer.alloc(4096, 0x11));
    expect(await output('frontend', 'start', 'nbd')).toBe('');
    expect(await failure('frontend', 'start', 'socket')).toContain(
      'frontend nbd is already started, cannot be set as socket',
    );
    expect(await output('frontend', 'shutdown')).toBe('');
    expect(await output('info')).toBe(infoText({ frontend: 'nbd', frontendState: 'down' }));
    expect(await output('frontend', 'shutdown')).toBe('');
  });

  it('unmap-mark-snap-chain-removed decides whether a trim marks snapshots as removed', async () => {
    const isRemoved = async (): Promise<boolean | undefined> => {
      const snapshots = await world.json<Record<string, { removed: boolean }>>(engine, 'snapshot', 'info');
      return snapshots['a']?.removed;
    };
    await Promise.all([output('snapshot', 'create', 'a'), output('frontend', 'start', 'nbd')]);
    const nbd = await world.nbd(engine);
    expect(await output('unmap-mark-snap', '--disable')).toBe('');
    await nbd.trim(0, MIB);
    expect(await isRemoved()).toBe(false);
    expect(await output('unmap-mark-snap-chain-removed', '--enable')).toBe('');
    expect((await info()).unmapMarkSnapChainRemoved).toBe(true);
    await nbd.trim(0, MIB);
    expect(await isRemoved()).toBe(true);
    expect(await output('unmap-mark-snap', '--disable=true')).toBe('');
    expect((await info()).unmapMarkSnapChainRemoved).toBe(false);
    const both = await failure('unmap-mark-snap', '--enable', '--disable');
    expect(both).toBe('cannot enable and disable this option simultaneously');
    expect(await failure('unmap-mark-snap', '--enable=False')).toBe('this option is not specified');
    await output('frontend', 'shutdown');
  });

  it('expand grows the volume in the background, and info keeps why it did not', async () => {
    expect(await failure('expand')).toBe('size is required');
    expect(await failure('expand', '--size', '6m')).toContain('use a whole number of bytes');
    expect(await output('expand', '--size', String(6 * MIB))).toBe('');
    const isDone = ({ size, isExpanding }: Info): boolean => size === 6 * MIB && !isExpanding;
    expect(await world.until<Info>(engine, ['info'], isDone)).toMatchObject({ lastExpansionError: '' });
    expect(await output('expand', '--size', String(6 * MIB))).toBe('');
    const reason = 'controller cannot be expanded to a smaller size 4096';
    expect(await failure('expand', '--size', '4096')).toContain(reason);
    const failed = await info();
    expect(failed).toMatchObject({
      size: 6 * MIB,
      lastExpansionError: `controller failed to start expansion: ${reason}`,
    });
    expect(failed.lastExpansionFailedAt).toMatch(RFC3339);
    await output('frontend', 'start', 'nbd');
    expect((await world.nbd(engine)).sizeBytes).toBe(6 * MIB);
  });

  it('journal succeeds and prints nothing', async () => {
    const lines = [['journal'], ['journal', '--limit', '5']];
    const outcomes = await Promise.all(lines.map((words) => runHere(['--url', engine.url, ...words])));
    for (const outcome of outcomes) expect(outcome).toEqual({ code: 0, stdout: '', stderr: '' });
  });

  it('version tells of the engine what it tells of itself', async () => {
    const { clientVersion, serverVersion } = await world.json<Record<string, Record<string, unknown>>>(
      engine,
      'version',
    );
    expect(Object.keys(clientVersion ?? {})).toEqual([
      'version',
      'gitCommit',
      'buildDate',
      'cliAPIVersion',
      'cliAPIMinVersion',
      'controllerAPIVersion',
      'controllerAPIMinVersion',
      'dataFormatVersion',
      'dataFormatMinVersion',
    ]);
    expect(serverVersion).toEqual(clientVersion);
  });

  it('a profile is not written, and the command does its work', async () => {
    const file = join(world.folder, 'profile');
    const { code, stdout } = await world.run(['--url', engine.url, 'info'], { PPROFILE: file });
    expect({ code, isThere: existsSync(file) }).toEqual({ code: 0, isThere: false });
    expect(JSON.parse(stdout)).toMatchObject({ name: 'v1' });
  });
});

/** Commands of Longhorn's that are not there, each with its flags. */
const REFUSED: readonly string[] = [
  'sync-agent --listen localhost:9504 --listen-port-range 9700-9800 --replica localhost:9502 --replica-instance-name r',
  'profiler show',
  'profiler enable --port 30001',
  'profiler disable',
  'backups create a --dest vfs:///t --backup-name b --label k=v --backing-image-name i --backing-image-checksum c',
  'backups create a --compression-method lz4 --concurrent-limit 1 --storage-class-name s --backup-block-size 2',
  'backups status b --replica tcp://a:1 --replica-instance-name r',
  'backups restore vfs:///t?backup=b&volume=v1 --concurrent-limit 1',
  'backups restore-status',
  'backups restore-to-file vfs:///t --output-format raw --output-file f --backing-file g --concurrent-limit 5',
  'backups list vfs:///t --volume v1 --volume-only',
  'backups ls vfs:///t',
  'backups remove --volume v1 vfs:///t',
  'backups rm vfs:///t?backup=b&volume=v1',
  'backups delete vfs:///t?backup=b&volume=v1',
  'backups inspect vfs:///t?backup=b&volume=v1',
  'backups inspect-volume vfs:///t?volume=v1',
  'backups head vfs:///t?volume=v1',
  'backups cleanup-all-mounts',
  'backups ls-backing-image vfs:///t',
  'backups inspect-backing-image vfs:///t',
  'backups rm-backing-image vfs:///t',
  'backup ls vfs:///t',
  'system-backup upload f vfs:///t --git-commit c --manager-image m --engine-image e',
  'system-backup download vfs:///t f',
  'system-backup delete vfs:///t',
  'system-backup list vfs:///t',
  'system-backup get-config vfs:///t',
];

describe('the program', { timeout: 120_000 }, () => {
  it.each(REFUSED)('does not know %s', async (line) => {
    const words = line.split(' ');
    const text = `unrecognized command: ${words[0]}`;
    const { code, stdout, stderr } = await runHere(words);
    expect({ code, stdout }).toEqual({ code: 1, stdout: `${text}\n` });
    expect(stderr).toMatch(new RegExp(`^time="[^"]+" level=error msg="${text}"\n$`));
  });

  it('treats an unknown word of a command with commands in the same way', async () => {
    const outcome = await world.run(['frontend', 'nothing', '--now']);
    expect(outcome).toMatchObject({ code: 1, stdout: 'unrecognized command: nothing\n' });
    expect(outcome.stderr).toContain('level=error');
  });

  it('tells its version and its commands', async () => {
    const [long, short, help, shortHelp, nothing] = await Promise.all(
      [['--version'], ['-v'], ['--help'], ['-h'], []].map((args) => world.run(args)),
    );
    expect(long).toEqual({ code: 0, stdout: expect.stringMatching(/^longhorn version v\S+\n$/), stderr: '' });
    expect(short).toEqual(long);
    expect(help).toMatchObject({
      code: 0,
      stderr: '',
      stdout: expect.stringMatching(/^ {2}controller .*run an engine$/m),
    });
    expect([shortHelp, nothing]).toEqual([help, help]);
  });

  it('refuses to be someone else than a caller means', async () => {
    const engineName = ['--engine-instance-name', 'e1'];
    const outcome = await runHere(['--url', engine.url, ...engineName, '--volume-name', 'v2', 'info']);
    expect(failureOf(outcome)).toContain('incorrect volume name v2; check controller address');
    const { code } = await runHere(['--url', engine.url, ...engineName, '--volume-name', 'v1', 'info']);
    expect(code, 'an engine that was told no name is not asked for one').toBe(0);
  });
});
