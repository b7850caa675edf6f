/**
 * Real file systems on a device that keeps some writes back: what is on the device when power is lost is chosen by
 * what the writes contain, not by time. Needs root, and says so where it is not.
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CompletionSink } from '../src/frontend/frontend.ts';
import { blockdevDriverAvailable, openBlockdevFrontend } from '../src/frontend/fuse/blockdev-frontend.ts';
import { openTestTarget, type TestTarget } from '../src/frontend/fuse/test-target.ts';
import { openNodeFolder } from '../src/io/node/node-folder.ts';
import { STATE_FILE } from '../src/replica/replica-state.ts';
import { FLUSHED, LOST_BLOCKS, SIZE, ZEROED } from './power-loss-layout.ts';
import { readAll, startTestReplica } from './replica-fixture.ts';

const available = blockdevDriverAvailable();
if (!available.ok) console.log(`tests of a loss of power skipped: ${available.reason}`);

const DISK_BYTES = 512 << 20;
const MARK = 'this write is kept back';
const LOST_BYTES = LOST_BLOCKS * 4096;
let scratch = '';

beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'longhorn-power-'));
});
afterEach(() => {
  rmSync(scratch, { recursive: true });
});

async function must(command: string, ...args: string[]): Promise<void> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data: Buffer) => (output += data.toString()));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (code !== 0) throw new Error(`${command} ${args.join(' ')}: ${output}`);
}

/** A disk that answers writes of marked data only when it is told to. */
function holdingTarget(image: string): { target: TestTarget; held: () => number; release: () => void } {
  const inner = openTestTarget(image, DISK_BYTES);
  const waiting: { sink: CompletionSink; slot: number }[] = [];
  const target: TestTarget = {
    ...inner,
    write: (sink, slot, offset, length, from, fromStart, headroom, fua) => {
      const isMarked = from.subarray(fromStart, fromStart + MARK.length).equals(Buffer.from(MARK));
      if (isMarked) waiting.push({ sink, slot });
      else inner.write(sink, slot, offset, length, from, fromStart, headroom, fua);
    },
  };
  const release = (): void => {
    for (const { sink, slot } of waiting.splice(0)) {
      sink.complete(slot, 0);
      sink.flushCompletions();
    }
  };
  return { target, held: () => waiting.length, release };
}

/** The disk's image as a loss of power leaves it while the marked write is on its way. */
async function imageAfterPowerLoss(fileSystem: string): Promise<string> {
  const disk = holdingTarget(join(scratch, 'disk.img'));
  const frontend = await openBlockdevFrontend({
    target: disk.target,
    volumeName: `power-${randomBytes(6).toString('hex')}`,
    runDir: join(scratch, 'run'),
    logger: pino({ level: 'silent' }),
  });
  const [mount, lost] = [join(scratch, 'mount'), join(scratch, 'lost.img')];
  await mkdir(mount);
  await must(`mkfs.${fileSystem}`, '-q', frontend.endpoint());
  await must('mount', frontend.endpoint(), mount);
  const script = join(import.meta.dirname, 'power-loss-writer.ts');
  const writer = spawn(process.execPath, [script, join(mount, 'r'), MARK], { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = new Promise<void>((resolve) => writer.once('close', () => resolve()));
  try {
    const line = new Promise<string>((resolve) => createInterface({ input: writer.stdout }).once('line', resolve));
    expect(await Promise.race([line, ended.then(() => 'ended')])).toBe('ready');
    expect(disk.held()).toBeGreaterThan(0);
    await must('cp', '--sparse=always', join(scratch, 'disk.img'), lost);
  } finally {
    disk.release();
    writer.stdin.end();
    await ended;
    await must('umount', mount);
    await frontend.close();
  }
  return lost;
}

/** Mounts an image that has lost power, and gives the replica in it to `work`. */
async function withReplica(image: string, options: string, work: (path: string) => Promise<void>): Promise<void> {
  const mount = join(scratch, 'mount');
  await must('mount', '-o', options, image, mount);
  try {
    await work(join(mount, 'r'));
  } finally {
    await must('umount', mount);
  }
}

async function rangesOfHead(path: string, kind: 'unwritten' | 'extents', end: number): Promise<number[]> {
  const head = await (await openNodeFolder(path)).open('volume-head-001.img', 'read');
  const pairs = new Float64Array(64);
  const count = head[kind](0, end, pairs);
  await head.close();
  return [...pairs.subarray(0, count * 2)];
}

async function contentOf(path: string): Promise<Buffer> {
  const replica = await startTestReplica(path);
  await replica.server.openEpoch(2, 'e');
  const content = await readAll(replica);
  await replica.server.close();
  return content;
}

const FILE_SYSTEMS = [
  { fileSystem: 'ext4', options: 'loop' },
  { fileSystem: 'xfs', options: 'loop,nouuid' },
];

describe.skipIf(!available.ok)(
  'a loss of power between the place and the content of a write',
  { timeout: 120_000 },
  () => {
    it.each(FILE_SYSTEMS)('leaves what was flushed before, on $fileSystem', async ({ fileSystem, options }) => {
      const image = await imageAfterPowerLoss(fileSystem);
      const expected = Buffer.alloc(SIZE, FLUSHED).fill(0, ZEROED.offset, ZEROED.offset + ZEROED.length);
      await withReplica(image, options, async (path) => {
        expect(await rangesOfHead(path, 'unwritten', SIZE), 'what the file system has left').toEqual([0, LOST_BYTES]);
        expect((await contentOf(path)).equals(expected)).toBe(true);
        // Also for upstream, to which any extent is data.
        expect(await rangesOfHead(path, 'extents', SIZE)).toEqual([ZEROED.offset, ZEROED.offset + ZEROED.length]);
        expect((await contentOf(path)).equals(expected)).toBe(true);
      });
    });

    it('reads as upstream reads it in a folder that our replica did not write last', async () => {
      const image = await imageAfterPowerLoss('ext4');
      const expected = Buffer.alloc(SIZE, FLUSHED).fill(0, ZEROED.offset, ZEROED.offset + ZEROED.length);
      expected.fill(0, 0, LOST_BYTES);
      await withReplica(image, 'loop', async (path) => {
        await rm(join(path, STATE_FILE));
        expect((await contentOf(path)).equals(expected)).toBe(true);
        expect(await rangesOfHead(path, 'unwritten', SIZE)).toEqual([]);
        expect((await contentOf(path)).equals(expected)).toBe(true);
      });
    });
  },
);
