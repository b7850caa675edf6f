import { Buffer } from 'node:buffer';
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Frontend } from '../frontend.ts';
import { NBD_DATA_CHUNK_BYTES, writeDataChunk } from '../../protocol/nbd.ts';
import { openNbdFrontend } from './nbd-frontend.ts';
import { installedTools } from './test/installed-tools.ts';
import { MemoryTarget } from './test/memory-target.ts';
import { blockStatus, contextQueries, NbdClient, parseReply, request, takeChunk } from './test/nbd-client.ts';

const run = promisify(execFile);
const READ = 0;
const WRITE = 1;
const DISC = 2;
const FLUSH = 3;
const TRIM = 4;
const WRITE_ZEROES = 6;
const BLOCK_STATUS = 7;
const FUA = 1;
const DF = 4;
const REQ_ONE = 8;
const STRUCTURED_REPLY = 8;
const LIST_CONTEXTS = 9;
const SET_CONTEXTS = 10;
const ACK = 1;
const ERR_INVALID = 0x8000_0003;
const ERR_UNKNOWN = 0x8000_0006;
const MIB = 1 << 20;

let folder: string;
let target: MemoryTarget;
let frontend: Frontend;
let path: string;
const clients: NbdClient[] = [];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'nbd-'));
  path = join(folder, 'vol.sock');
  target = new MemoryTarget(64 * MIB);
  frontend = await openNbdFrontend({ target, exportName: 'vol', listen: { unixPath: path }, allocation });
});

/** Blocks of the target that are not all zeros are data. */
function allocation(offset: number, length: number): Promise<number[]> {
  const runs = [0];
  for (let at = offset; at < offset + length; at += 4096) {
    const end = Math.min(at + 4096, offset + length);
    const isData = target.content.compare(Buffer.alloc(end - at), 0, end - at, at, end) !== 0;
    if (isData !== (runs.length % 2 === 0)) runs.push(0);
    runs.push((runs.pop() ?? 0) + end - at);
  }
  return Promise.resolve(runs);
}

afterEach(async () => {
  target.isHeld = false;
  for (const client of clients.splice(0)) client.socket.destroy();
  await frontend.close();
  rmSync(folder, { recursive: true });
});

function newClient(): NbdClient {
  const client = new NbdClient({ path });
  clients.push(client);
  return client;
}

async function entered(): Promise<NbdClient> {
  const client = newClient();
  await client.enter();
  return client;
}

async function reply(client: NbdClient): Promise<{ error: number; cookie: number }> {
  return parseReply(await client.take(16));
}

describe('requests', () => {
  it('names size and abilities in the handshake', async () => {
    const client = newClient();
    expect(await client.enter()).toEqual({ size: BigInt(64 * MIB), flags: 1 | 4 | 8 | 32 | 64 | 256 });
    expect(frontend.endpoint()).toBe(`nbd+unix:///vol?socket=${path}`);
  });

  it('writes, reads, trims, zeroes and flushes', async () => {
    const client = await entered();
    const data = Buffer.alloc(8192, 7);
    client.send(Buffer.concat([request(WRITE, 1, 4096, 8192), data]));
    expect(await reply(client)).toEqual({ error: 0, cookie: 1 });
    client.send(request(READ, 2, 4096, 8192));
    expect(await reply(client)).toEqual({ error: 0, cookie: 2 });
    expect((await client.take(8192)).equals(data)).toBe(true);
    client.send(request(TRIM, 3, 4096, 4096));
    await reply(client);
    client.send(request(WRITE_ZEROES, 4, 8192, 4096));
    await reply(client);
    client.send(request(FLUSH, 5, 0, 0));
    await reply(client);
    expect(target.content.subarray(4096, 12288).every((byte) => byte === 0)).toBe(true);
    expect(target.calls.at(-1)).toBe('flush');
  });

  it('answers a batch with one submission, each request by its own cookie', async () => {
    const client = await entered();
    target.isHeld = true;
    const requests = [1, 2, 3, 4].map((cookie) => request(READ, cookie, cookie * 4096, 4096));
    for (const cookie of [1, 2, 3, 4]) target.content.fill(cookie, cookie * 4096, cookie * 4096 + 4096);
    client.send(Buffer.concat(requests));
    await expect.poll(() => target.waiting).toBe(4);
    target.release();
    for (const cookie of [4, 3, 2, 1]) {
      expect(await reply(client)).toEqual({ error: 0, cookie });
      expect((await client.take(4096)).every((byte) => byte === cookie)).toBe(true);
    }
  });

  it('takes a request at every split point', async () => {
    const client = await entered();
    const bytes = Buffer.concat([request(WRITE, 9, 512, 512), Buffer.alloc(512, 3), request(FLUSH, 10, 0, 0)]);
    for (let at = 1; at < bytes.length; at += 13) {
      client.send(bytes.subarray(0, at));
      await new Promise(setImmediate);
      client.send(bytes.subarray(at));
      const cookies = [(await reply(client)).cookie, (await reply(client)).cookie];
      expect(cookies.toSorted((a, b) => a - b)).toEqual([9, 10]);
      expect(target.content.subarray(512, 1024).every((byte) => byte === 3)).toBe(true);
      target.content.fill(0);
    }
  });

  it('lands payloads of every size unharmed, also the longest', async () => {
    const client = await entered();
    for (const length of [512, 4096, 128 << 10, MIB, 3 * MIB, 32 * MIB]) {
      const data = Buffer.alloc(length, length % 251);
      data.writeUInt32LE(length, 0);
      client.send(Buffer.concat([request(WRITE, length, 0, length), data]));
      expect(await reply(client)).toEqual({ error: 0, cookie: length });
      client.send(request(READ, 1, 0, length));
      await reply(client);
      expect((await client.take(length)).equals(data)).toBe(true);
    }
  });

  it('makes FUA durable: of a write by the core, of a trim by a flush, of zeros by their last piece', async () => {
    const client = await entered();
    client.send(Buffer.concat([request(WRITE, 1, 0, 512, FUA), Buffer.alloc(512)]));
    await reply(client);
    client.send(request(TRIM, 2, 0, 4096, FUA));
    await reply(client);
    client.send(request(WRITE_ZEROES, 3, 0, MIB + 512, FUA));
    await reply(client);
    expect(target.calls).toEqual([
      'write 0 512 fua',
      'unmap 0 4096',
      'flush',
      `write 0 ${MIB}`,
      `write ${MIB} 512 fua`,
    ]);
  });

  it.each([
    { name: 'a read beyond the end', header: request(READ, 5, 64 * MIB - 512, 1024), payload: 0, error: 22 },
    { name: 'a write beyond the end', header: request(WRITE, 5, 64 * MIB, 512), payload: 512, error: 28 },
    { name: 'an offset beyond 2^53', header: offsetRequest('ffffffffffffffff'), payload: 0, error: 22 },
    { name: 'a length of 0', header: request(READ, 5, 0, 0), payload: 0, error: 22 },
    { name: 'a read of more than 32 MiB', header: request(READ, 5, 0, 32 * MIB + 512), payload: 0, error: 22 },
    { name: 'an unknown command', header: request(9, 5, 0, 512), payload: 0, error: 22 },
    { name: 'an unknown flag', header: request(READ, 5, 0, 512, 0x80), payload: 0, error: 22 },
  ])('refuses $name and goes on', async ({ header, payload, error }) => {
    const client = await entered();
    client.send(Buffer.concat([header, Buffer.alloc(payload), request(FLUSH, 6, 0, 0)]));
    expect(await reply(client)).toEqual({ error, cookie: 5 });
    expect(await reply(client)).toEqual({ error: 0, cookie: 6 });
    expect(target.calls).toEqual(['flush']);
  });

  it.each([
    { errno: 5, error: 5 },
    { errno: 28, error: 28 },
    { errno: 11, error: 5 },
  ])('tells errno $errno as $error, a failed read without data', async ({ errno, error }) => {
    const client = await entered();
    target.errno = errno;
    client.send(Buffer.concat([request(READ, 1, 0, 4096), request(FLUSH, 2, 0, 0)]));
    const replies = [await reply(client), await reply(client)];
    expect(replies).toContainEqual({ error, cookie: 1 });
    expect(replies).toContainEqual({ error, cookie: 2 });
  });

  it('does not take an unknown command for the one that its low byte is', async () => {
    const client = newClient();
    await client.enterStructured('vol');
    for (const command of [0x100 + READ, 0x100 + BLOCK_STATUS]) {
      client.send(request(command, 5, 0, 512));
      expect(await reply(client)).toEqual({ error: 22, cookie: 5 });
    }
    expect(target.calls).toEqual([]);
  });

  it('answers what is in progress before it lets a client go', async () => {
    const client = await entered();
    target.isHeld = true;
    client.send(Buffer.concat([request(READ, 1, 0, 4096), request(DISC, 0, 0, 0)]));
    await expect.poll(() => target.waiting).toBe(1);
    target.release();
    expect(await reply(client)).toEqual({ error: 0, cookie: 1 });
    await client.ended();
  });
});

describe('structured replies', () => {
  async function structured(...queries: string[]): Promise<NbdClient> {
    const client = newClient();
    expect((await client.enterStructured('vol', ...queries)).flags).toBe(1 | 4 | 8 | 32 | 64 | 128 | 256);
    return client;
  }

  it('carry the data of a read with its offset, the others stay simple', async () => {
    const client = await structured();
    client.send(Buffer.concat([request(WRITE, 1, 4096, 512), Buffer.alloc(512, 9)]));
    expect(await reply(client)).toEqual({ error: 0, cookie: 1 });
    client.send(request(READ, 2, 4096, 1024, DF));
    const { type, cookie, data } = await takeChunk(client);
    expect([type, cookie, data.readBigUInt64BE(0)]).toEqual([1, 2, 4096n]);
    expect(data.subarray(8).equals(Buffer.concat([Buffer.alloc(512, 9), Buffer.alloc(512)]))).toBe(true);
  });

  it('have offsets of 64 bits', () => {
    const chunk = Buffer.alloc(NBD_DATA_CHUNK_BYTES);
    writeDataChunk(chunk, 0, 0, 7, 2 ** 40 + 2 ** 33 + 512, 4096);
    expect(chunk.readBigUInt64BE(20)).toBe(BigInt(2 ** 40 + 2 ** 33 + 512));
    expect(chunk.readUInt32BE(16)).toBe(8 + 4096);
  });

  it('tell what went wrong with a read, of a refused one and of a failed one', async () => {
    const client = await structured();
    client.send(request(READ, 4, 64 * MIB, 512));
    expect(await takeChunk(client)).toEqual({ type: 0x8001, cookie: 4, data: Buffer.from('000000160000', 'hex') });
    target.errno = 5;
    client.send(request(READ, 5, 0, 4096));
    expect(await takeChunk(client)).toEqual({ type: 0x8001, cookie: 5, data: Buffer.from('000000050000', 'hex') });
    target.errno = 0;
    client.send(request(FLUSH, 6, 0, 0));
    expect(await reply(client)).toEqual({ error: 0, cookie: 6 });
  });

  it('answer a batch side by side', async () => {
    const client = await structured();
    target.isHeld = true;
    client.send(Buffer.concat([1, 2, 3].map((cookie) => request(READ, cookie, cookie * 512, 512))));
    await expect.poll(() => target.waiting).toBe(3);
    target.release();
    for (const cookie of [3, 2, 1])
      expect((await takeChunk(client)).data.readBigUInt64BE(0)).toBe(BigInt(cookie * 512));
  });

  it('tell what is allocated', async () => {
    const client = await structured('base:allocation');
    target.content.fill(1, 8192, 12288);
    expect(await blockStatus(client, 4096, 16384)).toEqual([4096, 3, 4096, 0, 8192, 3]);
    expect(await blockStatus(client, 8192, 8192)).toEqual([4096, 0, 4096, 3]);
    expect(await blockStatus(client, 8192, 8192, REQ_ONE)).toEqual([4096, 0]);
    expect(await blockStatus(client, 4096, 16384, REQ_ONE)).toEqual([4096, 3]);
  });

  it.each([
    { name: 'without its context', queries: [], header: request(BLOCK_STATUS, 1, 0, 4096) },
    { name: 'beyond the end', queries: ['base:allocation'], header: request(BLOCK_STATUS, 1, 64 * MIB, 512) },
    { name: 'of nothing', queries: ['base:allocation'], header: request(BLOCK_STATUS, 1, 0, 0) },
    { name: 'with a flag of reads', queries: ['base:allocation'], header: request(BLOCK_STATUS, 1, 0, 512, DF) },
  ])('refuse a block status $name', async ({ queries, header }) => {
    const client = await structured(...queries);
    client.send(header);
    expect(await takeChunk(client)).toMatchObject({
      type: 0x8001,
      cookie: 1,
      data: Buffer.from('000000160000', 'hex'),
    });
  });

  it('are not there for a client that did not ask', async () => {
    const client = await entered();
    client.send(Buffer.concat([request(READ, 1, 0, 512, DF), request(BLOCK_STATUS, 2, 0, 512)]));
    expect([await reply(client), await reply(client)]).toEqual([
      { error: 22, cookie: 1 },
      { error: 22, cookie: 2 },
    ]);
  });

  it('have contexts that are listed, selected, and selected anew', async () => {
    const client = newClient();
    await client.greet();
    const types = async (option: number, data: Buffer): Promise<number[]> =>
      (await client.option(option, data)).map(({ type }) => type);
    expect(await types(SET_CONTEXTS, contextQueries('vol', 'base:allocation'))).toEqual([ERR_INVALID]);
    await client.option(STRUCTURED_REPLY);
    expect(await types(LIST_CONTEXTS, contextQueries('vol'))).toEqual([4, ACK]);
    expect(await types(LIST_CONTEXTS, contextQueries('', 'base:'))).toEqual([4, ACK]);
    expect(await types(LIST_CONTEXTS, contextQueries('vol', 'qemu:dirty-bitmap:x'))).toEqual([ACK]);
    expect(await types(SET_CONTEXTS, contextQueries('nobody', 'base:allocation'))).toEqual([ERR_UNKNOWN]);
    expect(await client.option(SET_CONTEXTS, contextQueries('vol', 'x:y', 'base:allocation'))).toEqual([
      { type: 4, data: Buffer.concat([Buffer.from([0, 0, 0, 1]), Buffer.from('base:allocation')]) },
      { type: ACK, data: Buffer.alloc(0) },
    ]);
    expect(await types(SET_CONTEXTS, contextQueries('vol', 'base:'))).toEqual([ACK]);
    await client.enterNow();
    client.send(request(BLOCK_STATUS, 1, 0, 4096));
    expect((await takeChunk(client)).type).toBe(0x8001);
  });

  it.each([
    '',
    '000000',
    '00000003766f6c',
    '00000003766f6c00000001',
    '00000003766f6c0000000000',
    '00000003766f6cffffffff',
  ])('refuse malformed queries: %j', async (hex) => {
    const client = newClient();
    await client.greet();
    await client.option(STRUCTURED_REPLY);
    expect((await client.option(SET_CONTEXTS, Buffer.from(hex, 'hex'))).map(({ type }) => type)).toEqual([ERR_INVALID]);
    expect((await client.enterNow()).size).toBe(BigInt(64 * MIB));
  });
});

describe('the socket', () => {
  it('is taken over in one step, and stays when the engine before ends', async () => {
    const second = await openNbdFrontend({ target, exportName: 'vol', listen: { unixPath: path }, allocation: null });
    await frontend.close();
    expect((await newClient().enter()).size).toBe(BigInt(64 * MIB));
    await second.close();
    expect(existsSync(path)).toBe(false);
  });

  it('may be TCP', async () => {
    const tcp = await openNbdFrontend({
      target,
      exportName: 'vol',
      listen: { host: '127.0.0.1', port: 0, tls: null },
      allocation: null,
    });
    expect(tcp.endpoint()).toMatch(/^nbd:\/\/127\.0\.0\.1:\d+\/vol$/);
    await tcp.close();
    expect(tcp.endpoint()).toBe('');
  });
});

describe('limits', () => {
  it('serves no more requests than its limit until some are answered', async () => {
    const client = await entered();
    target.isHeld = true;
    const many = Array.from({ length: 1000 }, (_, i) => request(READ, i, 0, 512));
    client.send(Buffer.concat(many));
    await expect.poll(() => target.waiting).toBe(256);
    target.isHeld = false;
    target.release();
    for (let i = 0; i < 1000; i++) await client.take(16 + 512);
    expect(target.calls.length).toBe(1000);
  });

  it('keeps the payloads of all connections within one budget', async () => {
    target.isHeld = true;
    const greedy = [await entered(), await entered()];
    for (const client of greedy) {
      client.send(Buffer.concat([1, 2, 3, 4].map((cookie) => request(READ, cookie, 0, 16 * MIB))));
    }
    await expect.poll(() => target.waiting).toBe(6);
    target.isHeld = false;
    target.release();
    for (const client of greedy) await client.take(4 * (16 + 16 * MIB));
  });

  it('goes on after a whole buffer of requests has come while it could take none', async () => {
    const tcp = await openNbdFrontend({
      target,
      exportName: 'vol',
      listen: { host: '127.0.0.1', port: 0, tls: null },
      allocation: null,
    });
    const client = new NbdClient({ host: '127.0.0.1', port: Number(/:(\d+)\//.exec(tcp.endpoint())?.[1]) });
    clients.push(client);
    await client.enter();
    // The kernel lets a connection have more on its way once much has passed.
    for (let i = 0; i < 8; i++) {
      client.send(Buffer.concat([request(WRITE, i, 0, 4 * MIB), Buffer.alloc(4 * MIB)]));
      await reply(client);
    }
    target.isHeld = true;
    const flushes = (count: number): Buffer =>
      Buffer.concat(Array.from({ length: count }, () => request(FLUSH, 1, 0, 0)));
    client.send(flushes(256));
    await expect.poll(() => target.waiting).toBe(256);
    client.send(flushes(60_000));
    for (let i = 0; i < 20; i++) await new Promise(setImmediate);
    target.isHeld = false;
    target.release();
    await client.take(60_256 * 16);
    client.socket.destroy();
    await tcp.close();
  });

  it('stops serving a client that does not take its replies', async () => {
    const client = await entered();
    client.socket.pause();
    const many = Array.from({ length: 200 }, (_, i) => request(READ, i, 0, 256 << 10));
    client.send(Buffer.concat(many));
    await expect.poll(() => target.calls.length).toBeGreaterThan(0);
    let before = -1;
    while (before !== target.calls.length) {
      before = target.calls.length;
      for (let i = 0; i < 50; i++) await new Promise(setImmediate);
    }
    expect(before).toBeLessThanOrEqual(200);
    client.socket.resume();
    for (let i = 0; i < 200; i++) await client.take(16 + (256 << 10));
  });

  it.each([
    { name: 'another magic', bytes: Buffer.alloc(28, 0xab) },
    { name: 'a write of more than 32 MiB', bytes: request(WRITE, 1, 0, 0xffff_fe00) },
  ])('closes the connection for $name', async ({ bytes }) => {
    const client = await entered();
    client.send(bytes);
    await client.ended();
    expect(target.calls).toEqual([]);
  });

  it.each([
    { name: 'unknown client flags', hex: 'ffffffff' },
    { name: 'no fixed newstyle', hex: '00000000' },
    { name: 'garbage for an option', hex: `00000003${'5a'.repeat(64)}` },
    { name: 'a giant option', hex: '0000000349484156454f505400000007ffffffff' },
    { name: 'an export that is not there', hex: '0000000349484156454f505400000001000000036e6f70' },
  ])('ends a handshake with $name', async ({ hex }) => {
    const client = newClient();
    client.send(hex);
    await client.ended();
    expect(target.calls).toEqual([]);
  });

  it('forgets a client that vanishes with requests in progress', async () => {
    const client = await entered();
    target.isHeld = true;
    client.send(Buffer.concat([request(WRITE, 1, 0, 4096), Buffer.alloc(4096, 1), request(READ, 2, 0, 4096)]));
    await expect.poll(() => target.waiting).toBe(2);
    client.socket.destroy();
    await client.ended();
    target.release();
    const next = await entered();
    target.isHeld = false;
    next.send(request(READ, 3, 0, 512));
    expect(await reply(next)).toEqual({ error: 0, cookie: 3 });
    expect((await next.take(512)).every((byte) => byte === 1)).toBe(true);
  });
});

const tools = installedTools(['nbdinfo', 'nbdcopy', 'qemu-io', 'qemu-img', 'fio']);

describe('other people’s clients (those that are installed)', () => {
  const uri = (): string => `nbd+unix:///vol?socket=${path}`;

  it.skipIf(!tools.includes('nbdinfo'))('nbdinfo reads the export’s description and the list', async () => {
    const { stdout } = await run('nbdinfo', ['--json', uri()]);
    const [first] = (JSON.parse(stdout) as { exports: Record<string, unknown>[] }).exports;
    expect(first).toMatchObject({
      'export-size': 64 * MIB,
      can_flush: true,
      can_fua: true,
      can_trim: true,
      can_zero: true,
      can_multi_conn: true,
      block_size_minimum: 512,
      block_size_preferred: 4096,
      block_size_maximum: 32 * MIB,
    });
    expect((await run('nbdinfo', ['--list', uri()])).stdout).toContain('export="vol"');
  });

  it.skipIf(!tools.includes('nbdcopy'))('nbdcopy copies in and out over several connections', async () => {
    const data = Buffer.alloc(64 * MIB);
    for (let at = 0; at < data.length; at += 4096) data.writeUInt32LE(at ^ 0x5bd1, at);
    const file = join(folder, 'in');
    const { writeFileSync, readFileSync } = await import('node:fs');
    writeFileSync(file, data);
    await run('nbdcopy', ['--flush', file, uri()]);
    expect(target.content.equals(data)).toBe(true);
    await run('nbdcopy', [uri(), join(folder, 'out')]);
    expect(readFileSync(join(folder, 'out')).equals(data)).toBe(true);
  });

  it.skipIf(!tools.includes('qemu-io'))('qemu-io writes, reads back, zeroes, discards and flushes', async () => {
    const commands = ['write -P 17 1M 3M', 'read -P 17 1M 3M', 'write -z 2M 1M', 'read -P 0 2M 1M', 'discard 1M 64k'];
    const args = [...commands, 'write -P 5 -f 512 512', 'read -P 5 512 512', 'flush'].flatMap((text) => ['-c', text]);
    const { stdout } = await run('qemu-io', ['-f', 'raw', ...args, uri()]);
    expect(stdout).not.toMatch(/failed|error|mismatch/i);
    expect(target.content[512]).toBe(5);
  });

  it.skipIf(!tools.includes('nbdinfo'))('nbdinfo maps what is allocated', async () => {
    target.content.fill(1, 8192, 12288);
    const { stdout } = await run('nbdinfo', ['--map', '--json', uri()]);
    expect(JSON.parse(stdout)).toMatchObject([
      { offset: 0, length: 8192, type: 3 },
      { offset: 8192, length: 4096, type: 0 },
      { offset: 12288, length: 64 * MIB - 12288, type: 3 },
    ]);
  });

  it.skipIf(!tools.includes('qemu-img'))('qemu-img converts a volume, and reads nothing of its holes', async () => {
    target.content.fill(1, 8192, 12288);
    await run('qemu-img', ['convert', '-f', 'raw', '-O', 'raw', uri(), join(folder, 'out')]);
    const { readFileSync } = await import('node:fs');
    expect(readFileSync(join(folder, 'out')).equals(target.content)).toBe(true);
    const read = target.calls
      .map((call) => /^read \d+ (\d+)$/.exec(call)?.[1])
      .reduce((sum, n) => sum + Number(n ?? 0), 0);
    expect(read).toBeLessThan(MIB);
  });

  it.skipIf(!tools.includes('fio'))('fio verifies what it wrote at random', async () => {
    const args = ['--name=v', '--ioengine=nbd', `--uri=${uri()}`, '--rw=randwrite', '--bsrange=512-64k', '--size=8m'];
    const { stdout } = await run('fio', [...args, '--iodepth=16', '--verify=crc32c', '--output-format=json'], {
      maxBuffer: 4 * MIB,
    });
    const [job] = (JSON.parse(stdout.slice(stdout.indexOf('{'))) as { jobs: { error: number }[] }).jobs;
    expect(job?.error).toBe(0);
  });
});

/** A read whose offset is given in hex. */
function offsetRequest(hex: string): Buffer {
  const header = request(READ, 5, 0, 512);
  header.write(hex, 16, 'hex');
  return header;
}
