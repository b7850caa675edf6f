import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { type Socket, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { cleanupFrontends } from '../cleanup.ts';
import type { Frontend } from '../frontend.ts';
import { type TestTarget, openTestTarget } from '../fuse/test-target.ts';
import { openSocketFrontend } from './socket-frontend.ts';

const MIB = 1 << 20;
const logger = pino({ level: 'silent' });
let scratch = '';
let target: TestTarget;
let frontend: Frontend;
let client: Socket;
let received = Buffer.alloc(0);

const options = () => ({
  target,
  volumeName: 'v',
  runDir: join(scratch, 'run'),
  logger,
  directory: join(scratch, 'sock'),
});

beforeEach(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'longhorn-socket-'));
  target = openTestTarget(join(scratch, 'volume.img'), 8 * MIB);
  frontend = await openSocketFrontend(options());
  client = connect(frontend.endpoint());
  client.on('error', () => undefined);
  received = Buffer.alloc(0);
  client.on('data', (data) => (received = Buffer.concat([received, data])));
  await once(client, 'connect');
});
afterEach(async () => {
  client.destroy();
  await frontend.close();
  rmSync(scratch, { recursive: true });
});

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/[\s|]/g, ''), 'hex');
const u32 = (value: number): string => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes.toString('hex');
};
const u64 = (value: bigint): string => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(value);
  return bytes.toString('hex');
};
const frame = (seq: number, type: number, offset: number | bigint, size: number, data = Buffer.alloc(0)): Buffer =>
  Buffer.concat([hex(`011b ${u32(seq)} ${u32(type)} ${u64(BigInt(offset))} ${u32(size)} ${u32(data.length)}`), data]);
const errorFrame = (seq: number, offset: number | bigint, text: string, type = 3): Buffer =>
  frame(seq, type, offset, text.length, Buffer.from(text));

/** Sends, and waits for exactly this many bytes of answer. */
const exchange = async (sent: Buffer, answerBytes: number): Promise<Buffer> => {
  client.write(sent);
  while (received.length < answerBytes) await once(client, 'data');
  expect(received.length).toBe(answerBytes);
  const answer = received;
  received = Buffer.alloc(0);
  return answer;
};

describe('the socket frontend speaks the data connection protocol', () => {
  it('answers the frames of the reference, byte for byte', async () => {
    const write = hex('011b | 01000000 | 01000000 | 0020000000000000 | 00100000 | 00100000');
    const payload = randomBytes(4096);
    expect((await exchange(Buffer.concat([write, payload]), 26)).toString('hex')).toBe(
      hex('011b | 01000000 | 02000000 | 0020000000000000 | 00100000 | 00000000').toString('hex'),
    );
    const read = hex('011b | 02000000 | 00000000 | 0020000000000000 | 00100000 | 00000000');
    const answer = await exchange(read, 26 + 4096);
    expect(answer.subarray(0, 26).toString('hex')).toBe(
      hex('011b | 02000000 | 02000000 | 0020000000000000 | 00100000 | 00100000').toString('hex'),
    );
    expect(answer.subarray(26).equals(payload)).toBe(true);
  });

  it('answers pings, unmaps and empty requests', async () => {
    const sent = Buffer.concat([
      frame(7, 6, 0, 0),
      frame(8, 7, 4096, 8192),
      frame(9, 0, 4096, 0),
      frame(10, 1, 4096, 0),
    ]);
    const answer = await exchange(sent, 4 * 26);
    const seqs = [0, 1, 2, 3].map((i) => answer.subarray(i * 26, i * 26 + 26).toString('hex')).toSorted();
    expect(seqs).toEqual(
      [frame(7, 2, 0, 0), frame(8, 2, 4096, 0), frame(9, 2, 4096, 0), frame(10, 2, 4096, 0)]
        .map((f) => f.toString('hex'))
        .toSorted(),
    );
    expect(target.counts.unmappedBytes).toBe(8192);
  });

  const refusals: { name: string; sent: Buffer; answer: Buffer }[] = [
    {
      name: 'a read beyond the end',
      sent: frame(1, 0, 8 * MIB - 512, 1024),
      answer: errorFrame(
        1,
        8 * MIB - 512,
        `EOF: Read of 1024 bytes at offset ${8 * MIB - 512} is beyond volume size ${8 * MIB}`,
      ),
    },
    {
      name: 'a write beyond the end',
      sent: frame(2, 1, 8 * MIB, 4, Buffer.from('data')),
      answer: errorFrame(2, 8 * MIB, `EOF: Write of 4 bytes at offset ${8 * MIB} is beyond volume size ${8 * MIB}`),
    },
    {
      name: 'an unmap at a negative offset',
      sent: frame(3, 7, -4096n, 4096),
      answer: errorFrame(3, -4096n, `EOF: unmap of 4096 bytes at offset -4096 is beyond volume size ${8 * MIB}`),
    },
    {
      name: 'an offset of 2^63 - 1',
      sent: frame(4, 0, 2n ** 63n - 1n, 4096),
      answer: errorFrame(
        4,
        2n ** 63n - 1n,
        `EOF: Read of 4096 bytes at offset 9223372036854775807 is beyond volume size ${8 * MIB}`,
      ),
    },
  ];
  it.each(refusals)('refuses $name, and goes on', async ({ sent, answer }) => {
    const ping = frame(99, 6, 0, 0);
    expect((await exchange(Buffer.concat([sent, ping]), answer.length + 26)).toString('hex')).toBe(
      Buffer.concat([answer, frame(99, 2, 0, 0)]).toString('hex'),
    );
  });

  it('tells a full disk by type 8, and other errors by type 3', async () => {
    target.faults.write = 28;
    const full = errorFrame(1, 0, 'no space left on device', 8);
    expect((await exchange(frame(1, 1, 0, 4, Buffer.from('data')), full.length)).equals(full)).toBe(true);
    target.faults.read = 5;
    const failed = errorFrame(2, 0, 'input/output error');
    expect((await exchange(frame(2, 0, 0, 4096), failed.length)).equals(failed)).toBe(true);
  });

  it('ignores unknown types with their payload', async () => {
    const sent = Buffer.concat([frame(1, 77, 0, 3, randomBytes(100_000)), frame(2, 16, 0, 0), frame(3, 6, 0, 0)]);
    expect((await exchange(sent, 26)).equals(frame(3, 2, 0, 0))).toBe(true);
  });

  it('takes frames split at every byte', async () => {
    const payload = randomBytes(96);
    const sent = Buffer.concat([frame(1, 1, 512, 96, payload), frame(2, 6, 0, 0)]);
    for (let split = 1; split < sent.length; split++) {
      client.write(sent.subarray(0, split));
      await new Promise((resolve) => setImmediate(resolve));
      await exchange(sent.subarray(split), 52);
    }
    expect(readFileSync(join(scratch, 'volume.img')).subarray(512, 608).equals(payload)).toBe(true);
  });

  it('carries many large and small requests at once, each to its place', async () => {
    const content = randomBytes(8 * MIB);
    const pieces: Buffer[] = [];
    for (let at = 0, seq = 0; at < content.length; seq++) {
      const length = Math.min(seq % 3 === 0 ? 300_000 : 1536, content.length - at);
      pieces.push(frame(seq, 1, at, length, content.subarray(at, at + length)));
      at += length;
    }
    await exchange(Buffer.concat(pieces), pieces.length * 26);
    expect(readFileSync(join(scratch, 'volume.img')).equals(content)).toBe(true);
    const reads = Array.from({ length: 64 }, (_, i) => frame(i, 0, i * 128 * 1024, 128 * 1024));
    const answer = await exchange(Buffer.concat(reads), 64 * (26 + 128 * 1024));
    for (let at = 0; at < answer.length; at += 26 + 128 * 1024) {
      const offset = Number(answer.readBigInt64LE(at + 10));
      expect(answer.subarray(at + 26, at + 26 + 128 * 1024).equals(content.subarray(offset, offset + 128 * 1024))).toBe(
        true,
      );
    }
  });

  const garbage: { name: string; sent: Buffer }[] = [
    { name: 'text', sent: Buffer.from('GET / HTTP/1.1\r\nHost: longhorn.example\r\n\r\n') },
    { name: 'a write of 4 GiB', sent: hex(`011b 01000000 01000000 ${u64(0n)} ffffffff ffffffff`) },
    { name: 'a write that carries another length than it says', sent: frame(1, 1, 0, 8, Buffer.from('data')) },
    { name: 'a close', sent: frame(1, 5, 0, 0) },
  ];
  it.each(garbage)('hangs up on $name', async ({ sent }) => {
    client.write(sent);
    await once(client, 'close');
    expect(received.length).toBe(0);
    expect(target.counts.writes).toBe(0);
  });

  it('serves no more requests than it has room for, until the client takes its answers', async () => {
    client.pause();
    const reads = Array.from({ length: 1000 }, (_, i) => frame(i, 0, 0, MIB));
    client.write(Buffer.concat(reads));
    await new Promise((resolve) => setImmediate(resolve));
    await expect.poll(() => target.counts.reads).toBeGreaterThan(0);
    expect(target.counts.reads).toBeLessThan(200);
    let bytes = 0;
    client.removeAllListeners('data');
    client.on('data', (data) => (bytes += data.length));
    client.resume();
    await expect.poll(() => bytes, { timeout: 15_000 }).toBe(1000 * (26 + MIB));
  });
});

describe('the socket of the frontend', () => {
  it('answers what is in progress before it ends', async () => {
    target.faults.hold = true;
    client.write(frame(1, 1, 0, 4, Buffer.from('data')));
    await expect.poll(() => target.counts.writes).toBe(1);
    const closed = frontend.close();
    target.releaseHeld();
    await closed;
    await expect.poll(() => received.equals(frame(1, 2, 0, 4))).toBe(true);
    expect(readdirSync(join(scratch, 'sock'))).toEqual([]);
    expect(frontend.endpoint()).toBe('');
  });

  it('is left alone by the cleaner while somebody listens, and removed when nobody does', async () => {
    const busy = await cleanupFrontends({ runDir: join(scratch, 'run'), logger });
    expect(busy.remaining).toEqual([`socket ${frontend.endpoint()}: a process listens on it`]);
    const dead = join(scratch, 'dead.sock');
    const listener = spawn(process.execPath, [
      '-e',
      `require('net').createServer().listen('${dead}', () => console.log())`,
    ]);
    await once(listener.stdout, 'data');
    listener.kill('SIGKILL');
    await once(listener, 'exit');
    symlinkSync(dead, join(scratch, 'run/sockets/w'));
    const report = await cleanupFrontends({ runDir: join(scratch, 'run'), volume: 'w', logger });
    expect(report).toEqual({ removed: [`socket ${dead}`], remaining: [] });
    expect(readdirSync(join(scratch, 'run/sockets'))).toEqual(['v']);
    expect(existsSync(dead)).toBe(false);
  });
});
