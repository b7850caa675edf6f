/**
 * With real FUSE and loop devices; needs root, and says so where it is not. A device that this process serves is only ever
 * touched through the thread pool or by other processes: a synchronous call would wait for itself.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { open, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { cleanupFrontends } from '../cleanup.ts';
import { blockdevDriverAvailable, openBlockdevFrontend } from './blockdev-frontend.ts';
import type { DeviceRecord } from './device-record.ts';
import type { DeviceStep } from './device.ts';
import { fuseMountsBelow } from './fuse-connection.ts';
import { findHolders } from './holder.ts';
import { findLiveDevice } from './live-device.ts';
import { type TestTarget, openTestTarget } from './test-target.ts';

const available = blockdevDriverAvailable();
if (!available.ok) console.log(`block device tests skipped: ${available.reason}`);

const MIB = 1 << 20;
const logger = pino({ level: 'silent' });
let scratch = '';
let runDir = '';
let volume = '';
let image = '';

describe('the machine that a device is to be made on', () => {
  it.each([
    ['has all that is needed', () => true, 0, /^$/],
    [
      'has no /dev/fuse',
      (path: string) => path !== '/dev/fuse',
      0,
      /^\/dev\/fuse does not exist: load the module, or give/,
    ],
    [
      'has no loop devices',
      (path: string) => path === '/dev/fuse',
      0,
      /^\/dev\/loop-control does not exist: load the module/,
    ],
    ['does not run us as root', () => true, 1000, /^needs root/],
  ] as const)('%s', (_name, exists, userId, reason) => {
    const found = blockdevDriverAvailable(exists, userId);
    expect(found.reason).toMatch(reason);
    expect(found.ok).toBe(found.reason === '');
  });
});

beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'longhorn-fuse-'));
  runDir = join(scratch, 'run');
  volume = `test-${randomBytes(6).toString('hex')}`;
  image = join(scratch, 'volume.img');
});
afterEach(async () => {
  const { remaining } = await cleanupFrontends({ runDir, logger });
  rmSync(scratch, { recursive: true });
  const left = [...remaining, ...traces()];
  if (left.length > 0) throw new Error(`the test left ${left.join(', ')}`);
});

/** All that a device may leave. */
const traces = (): string[] => [
  ...findHolders((path) => path.startsWith(`${scratch}/`)).map(({ recordPath }) => `holder ${recordPath}`),
  ...fuseMountsBelow(scratch).map(({ path }) => `mount ${path}`),
  ...(existsSync(`/dev/longhorn/${volume}`) ? [`node ${volume}`] : []),
  ...(existsSync(join(runDir, 'devices')) ? readdirSync(join(runDir, 'devices')) : []),
];

const run = (command: string, ...args: string[]): Promise<{ code: number; output: string }> =>
  new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    child.stdout.on('data', (data: Buffer) => (output += data.toString()));
    child.stderr.on('data', (data: Buffer) => (output += data.toString()));
    child.once('error', reject);
    child.once('close', (code) => resolve({ code: code ?? -1, output }));
  });
const must = async (command: string, ...args: string[]): Promise<string> => {
  const { code, output } = await run(command, ...args);
  expect(code, `${command} ${args.join(' ')}: ${output}`).toBe(0);
  return output;
};

const openHere = (target: TestTarget, more: { flushTimeoutMs?: number } = {}) =>
  openBlockdevFrontend({ target, volumeName: volume, runDir, logger, ...more });

interface Server {
  process: ChildProcess;
  firstLine: Promise<string>;
  ended: Promise<void>;
}
/** A process that serves the volume; ends by `kill` or by a line on its standard input. */
const startServer = (sizeBytes: number, killAt: DeviceStep | '' = ''): Server => {
  const script = join(import.meta.dirname, 'test-server.ts');
  const child = spawn(process.execPath, [script, volume, runDir, image, String(sizeBytes), killAt], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout });
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const line = new Promise<string>((resolve) => lines.once('line', resolve));
  return { process: child, ended, firstLine: Promise.race([line, ended.then(() => 'ended')]) };
};
const kill = async (server: Server): Promise<void> => {
  server.process.kill('SIGKILL');
  await server.ended;
};

/** Reads one block past the page cache: a fresh descriptor with O_DIRECT. */
const readBlock = async (offset: number): Promise<Buffer> => {
  const output = join(scratch, `block-${offset}`);
  await must(
    'dd',
    `if=/dev/longhorn/${volume}`,
    `of=${output}`,
    'bs=4096',
    'count=1',
    `skip=${offset / 4096}`,
    'iflag=direct',
  );
  return readFileSync(output);
};

describe.skipIf(!available.ok)('a volume as a block device', () => {
  it('has the right node, size and limits, and passes flushes and discards on', async () => {
    const target = openTestTarget(image, 64 * MIB);
    const frontend = await openHere(target);
    expect(frontend.endpoint()).toBe(`/dev/longhorn/${volume}`);
    const stat = statSync(frontend.endpoint());
    expect({ mode: stat.mode & 0o7777, uid: stat.uid, gid: stat.gid, block: stat.isBlockDevice() }).toEqual({
      mode: 0o660,
      uid: 0,
      gid: 6,
      block: true,
    });
    expect((await must('blockdev', '--getsize64', '--getss', frontend.endpoint())).split('\n').slice(0, 2)).toEqual([
      String(64 * MIB),
      '512',
    ]);
    expect(target.counts.writes, 'making the device writes nothing').toBe(0);

    const device = await open(frontend.endpoint(), 'r+');
    const flushesBefore = target.counts.flushes;
    const payload = randomBytes(3 * MIB + 512);
    await device.write(payload, 0, payload.length, 5 * MIB + 512);
    await device.sync();
    expect(target.counts.flushes).toBeGreaterThan(flushesBefore);
    await device.close();
    const back = await open(image, 'r');
    expect(
      (await back.read(Buffer.alloc(payload.length), 0, payload.length, 5 * MIB + 512)).buffer.equals(payload),
    ).toBe(true);
    await back.close();

    await must('blkdiscard', '--offset', String(4 * MIB), '--length', String(8 * MIB), frontend.endpoint());
    expect(target.counts.unmappedBytes).toBe(8 * MIB);
    await must('blkdiscard', '--zeroout', '--offset', String(MIB), '--length', String(MIB), frontend.endpoint());
    expect(target.counts.unmappedBytes, 'zeroing is written, not unmapped').toBe(8 * MIB);
    await frontend.close();
  });

  it('carries a file system through mkfs, writes, an expansion and fsck', async () => {
    const target = openTestTarget(image, 96 * MIB);
    const frontend = await openHere(target);
    const mountPoint = join(scratch, 'mnt');
    await must('mkdir', mountPoint);
    await must('mkfs.ext4', '-q', '-E', 'lazy_itable_init=1', frontend.endpoint());
    await must('mount', frontend.endpoint(), mountPoint);
    try {
      const content = randomBytes(20 * MIB);
      await writeFile(join(mountPoint, 'file'), content);
      target.resize(192 * MIB);
      await frontend.expand(192 * MIB);
      expect(await must('blockdev', '--getsize64', frontend.endpoint())).toBe(`${192 * MIB}\n`);
      await must('fstrim', mountPoint);
      expect(target.counts.unmappedBytes).toBeGreaterThan(32 * MIB);
      await must('sync', '-f', mountPoint);
      expect((await readFile(join(mountPoint, 'file'))).equals(content)).toBe(true);
    } finally {
      await must('umount', mountPoint);
    }
    await must('fsck.ext4', '-f', '-p', frontend.endpoint());
    await must('resize2fs', frontend.endpoint());
    await must('fsck.ext4', '-f', '-n', frontend.endpoint());
    await frontend.close();
    await must('fsck.ext4', '-f', '-n', image);
  });

  it('can be read to its new end after each of many expansions under writes', async () => {
    const target = openTestTarget(image, 16 * MIB);
    const frontend = await openHere(target);
    const writers = Array.from({ length: 3 }, () =>
      spawn('dd', ['if=/dev/zero', `of=${frontend.endpoint()}`, 'bs=512', 'oflag=direct', 'conv=notrunc'], {
        stdio: 'ignore',
      }),
    );
    const ended = Promise.all(writers.map((writer) => new Promise((resolve) => writer.once('close', resolve))));
    try {
      for (let size = 17 * MIB; size <= 56 * MIB; size += MIB) {
        target.resize(size);
        await frontend.expand(size);
        expect(await must('blockdev', '--getsize64', frontend.endpoint())).toBe(`${size}\n`);
        expect((await readBlock(size - 4096)).length).toBe(4096);
      }
    } finally {
      for (const writer of writers) writer.kill('SIGKILL');
      await ended;
      await frontend.close();
    }
  });

  it('passes EIO and ENOSPC through', async () => {
    const target = openTestTarget(image, 16 * MIB);
    const frontend = await openHere(target);
    const write = () => run('dd', 'if=/dev/zero', `of=${frontend.endpoint()}`, 'bs=4096', 'count=1', 'oflag=direct');
    target.faults.write = 28;
    expect((await write()).output).toContain('No space left on device');
    target.faults.write = 5;
    expect((await write()).output).toContain('Input/output error');
    target.faults.write = 0;
    expect((await write()).code).toBe(0);
    target.faults.read = 5;
    expect(
      (await run('dd', `if=${frontend.endpoint()}`, 'of=/dev/null', 'bs=4096', 'count=1', 'iflag=direct')).output,
    ).toContain('Input/output error');
    target.faults.read = 0;
    target.faults.flush = 5;
    expect(
      (await run('dd', 'if=/dev/zero', `of=${frontend.endpoint()}`, 'bs=4096', 'count=1', 'conv=fsync')).output,
    ).toContain('Input/output error');
    target.faults.flush = 0;
    await frontend.close();
  });

  it('takes more and larger requests than it has memory for', async () => {
    const target = openTestTarget(image, 256 * MIB);
    const frontend = await openHere(target);
    target.faults.hold = true;
    const fio = must('fio', ...fioArguments(frontend.endpoint(), 'bs=1M', 'iodepth=128', 'size=192M', 'verify=crc32c'));
    await expect.poll(() => target.counts.writes, { timeout: 15_000 }).toBeGreaterThanOrEqual(30);
    target.releaseHeld();
    await fio;
    await frontend.close();
  });

  it('cuts users off whose data the volume does not take, and leaves nothing that does not end with them', async () => {
    const target = openTestTarget(image, 96 * MIB);
    const frontend = await openHere(target, { flushTimeoutMs: 200 });
    const mountPoint = join(scratch, 'mnt');
    await must('mkdir', mountPoint);
    await must('mkfs.ext4', '-q', frontend.endpoint());
    await must('mount', frontend.endpoint(), mountPoint);
    await writeFile(join(mountPoint, 'file'), randomBytes(MIB));
    target.faults.hold = true;
    await frontend.close();
    const { remaining } = await cleanupFrontends({ runDir, logger, delay: () => Promise.resolve() });
    expect(remaining).toEqual([expect.stringContaining('is in use (unmount what is on it)')]);
    await run('umount', mountPoint);
  });

  it('leaves nothing when it cannot be finished', async () => {
    await writeFile(join(scratch, volume), 'in the way');
    const target = openTestTarget(image, 16 * MIB);
    const descriptors = readdirSync('/proc/self/fd').length;
    await expect(
      openBlockdevFrontend({ target, volumeName: volume, runDir, logger, nodeDirectory: scratch }),
    ).rejects.toThrow('is not a block device: move it away');
    expect(traces()).toEqual([]);
    expect(readdirSync('/proc/self/fd').length).toBeLessThanOrEqual(descriptors + 1);
    expect(findLiveDevice(volume, runDir)).toBeNull();
  });

  it('is made and removed a hundred times without leaving a descriptor behind', async () => {
    const target = openTestTarget(image, 16 * MIB);
    await (await openHere(target)).close();
    const descriptors = readdirSync('/proc/self/fd').length;
    for (let round = 0; round < 100; round++) await (await openHere(target)).close();
    expect(readdirSync('/proc/self/fd').length).toBeLessThanOrEqual(descriptors);
    expect(traces()).toEqual([]);
  }, 60_000);
});

const fioArguments = (device: string, ...more: string[]): string[] =>
  [
    'name=verify',
    `filename=${device}`,
    'rw=randwrite',
    'ioengine=libaio',
    'direct=1',
    'verify_fatal=1',
    'do_verify=1',
    // Of two writes of one block at the same time either may be the last.
    'serialize_overlap=1',
    ...more,
  ].map((argument) => `--${argument}`);

describe.skipIf(!available.ok)('a device and the deaths of its engines', () => {
  it('goes on under the next engine: no error, and every byte that was written', async () => {
    const size = 64 * MIB;
    const first = startServer(size);
    expect(await first.firstLine).toBe(`up new /dev/longhorn/${volume}`);
    const fio = run(
      'fio',
      ...fioArguments(
        `/dev/longhorn/${volume}`,
        'bs=4k',
        'iodepth=16',
        'size=64M',
        'verify=crc32c',
        'io_size=160M',
        'norandommap',
      ),
    );
    const written = statSync(image).blocks;
    await expect.poll(() => statSync(image).blocks, { timeout: 15_000 }).toBeGreaterThan(written + 2048);
    await kill(first);
    expect(findLiveDevice(volume, runDir)).toMatchObject({ volumeName: volume, sizeBytes: size });
    const second = startServer(size);
    expect(await second.firstLine).toBe(`up took-over /dev/longhorn/${volume}`);
    await kill(second);
    const third = startServer(size);
    expect(await third.firstLine).toBe(`up took-over /dev/longhorn/${volume}`);
    const { code, output } = await fio;
    expect(code, output).toBe(0);
    third.process.stdin?.write('close\n');
    await third.ended;
    expect(traces()).toEqual([]);
    expect(findLiveDevice(volume, runDir)).toBeNull();
  }, 60_000);

  it('is refused to a second engine while the first lives, and left to the next by "leave"', async () => {
    const target = openTestTarget(image, 16 * MIB);
    const first = await openHere(target);
    const { output } = await run(process.execPath, '-e', '');
    expect(output).toBe('');
    await expect(
      openBlockdevFrontend({ target, volumeName: volume, runDir, logger, delay: () => Promise.resolve() }),
    ).rejects.toThrow(`is in the hands of process ${process.pid}`);
    const report = await cleanupFrontends({ runDir, logger });
    expect(report).toEqual({
      removed: [],
      remaining: [`device of volume ${volume}: process ${process.pid} serves it`],
    });
    const payload = randomBytes(4096);
    await writeFile(first.endpoint(), payload);
    await first.leave();
    const second = await openHere(target);
    expect(second.tookOver).toBe(true);
    expect((await readBlock(0)).equals(payload)).toBe(true);
    await second.close();
  });

  it('grows when the volume grew between two engines, and is refused to a smaller volume', async () => {
    const target = openTestTarget(image, 32 * MIB);
    await (await openHere(target)).leave();
    target.resize(16 * MIB);
    await expect(openHere(target)).rejects.toThrow('detach the volume and attach it again');
    target.resize(48 * MIB);
    const frontend = await openHere(target);
    expect(await must('blockdev', '--getsize64', frontend.endpoint())).toBe(`${48 * MIB}\n`);
    await frontend.close();
  });

  it('without a server does not make "losetup" wait', async () => {
    const server = startServer(16 * MIB);
    await server.firstLine;
    await must('dd', 'if=/dev/zero', `of=/dev/longhorn/${volume}`, 'bs=4096', 'count=64', 'oflag=direct');
    await kill(server);
    const { number } = (JSON.parse(readFileSync(join(runDir, 'devices', `${volume}.json`), 'utf8')) as DeviceRecord)
      .loop;
    expect(await must('timeout', '-s', 'KILL', '5', 'losetup', `/dev/loop${number}`)).toContain(`/dev/loop${number}`);
  });

  it('without a server is cleaned away, also with a reader waiting', async () => {
    const server = startServer(16 * MIB);
    await server.firstLine;
    await kill(server);
    const reader = run('dd', `if=/dev/longhorn/${volume}`, 'of=/dev/null', 'bs=4096', 'count=1');
    const { removed, remaining } = await cleanupFrontends({ volume, runDir, logger });
    expect(remaining).toEqual([]);
    expect(removed.some((what) => what.startsWith('holder process'))).toBe(true);
    expect((await reader).code).not.toBe(0);
  });

  it.each(['the engine', 'engine and holder'])(
    'with unwritten data, after the death of %s, is cleaned away',
    async (dead) => {
      const server = startServer(16 * MIB);
      await server.firstLine;
      await kill(server);
      await must('dd', 'if=/dev/zero', `of=/dev/longhorn/${volume}`, 'bs=4096', 'count=64');
      if (dead === 'engine and holder') process.kill(findLiveDevice(volume, runDir)!.holderPid, 'SIGKILL');
      expect((await cleanupFrontends({ volume, runDir, logger })).remaining).toEqual([]);
    },
  );

  const steps: DeviceStep[] = [
    'mounted',
    'initialized',
    'attached',
    'held',
    'recorded',
    'detached',
    'node-made',
    'complete',
  ];
  it.each(steps)('killed when it is %s, leaves only what the cleaner finds', async (step) => {
    const server = startServer(16 * MIB, step);
    expect(await server.firstLine).toBe('ended');
    expect((await cleanupFrontends({ runDir, logger })).remaining).toEqual([]);
    expect(traces()).toEqual([]);
  });

  it.each(['mounted', 'held', 'recorded', 'node-made'] as const)(
    'killed when it is %s, is opened again',
    async (step) => {
      const server = startServer(16 * MIB, step);
      expect(await server.firstLine).toBe('ended');
      const frontend = await openHere(openTestTarget(image, 16 * MIB));
      expect(traces().filter((trace) => trace.startsWith('mount'))).toEqual([]);
      await frontend.close();
    },
  );
});
