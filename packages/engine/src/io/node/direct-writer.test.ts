import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { createServer, connect, type AddressInfo, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../../test/temporary-folder.ts';
import { DirectWriter } from './direct-writer.ts';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let server: Server;
let near: Socket;
let far: Socket;

async function open(listen: { path: string } | { port: number; host: string }): Promise<void> {
  server = createServer({ pauseOnConnect: true }, (socket) => {
    far = socket;
  });
  server.listen(listen);
  await once(server, 'listening');
  near = connect('path' in listen ? listen : { ...listen, port: (server.address() as AddressInfo).port });
  near.on('error', () => undefined);
  await Promise.all([once(near, 'connect'), once(server, 'connection')]);
}

beforeEach(async () => {
  folder = await temporaryFolder();
});

afterEach(async () => {
  near.destroy();
  far.destroy();
  server.close();
  await folder.remove();
});

/** Different in every place, so that a swap or a gap shows. */
function pattern(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at + 4 <= length; at += 4) bytes.writeUInt32LE((at * 2_654_435_761) >>> 0, at);
  return bytes;
}

async function received(length: number): Promise<string> {
  const hash = createHash('sha256');
  let left = length;
  far.resume();
  while (left > 0) {
    const [bytes] = (await once(far, 'data')) as [Buffer];
    hash.update(bytes);
    left -= bytes.length;
  }
  return hash.digest('hex');
}

const digest = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

describe('direct writer', () => {
  it.each([
    ['tcp', () => ({ port: 0, host: '127.0.0.1' })],
    ['unix', () => ({ path: join(folder.path, 's') })],
  ] as const)('keeps the order over %s, whether the kernel takes all, a part or nothing', async (_name, where) => {
    await open(where());
    const all = pattern(24 << 20);
    const writer = new DirectWriter(near);
    const steps = [26, 4122, 131_098, 1 << 20, 3, 70_000];
    let at = 0;
    let hasWaited = false;
    for (let i = 0; at < all.length; i++) {
      const end = Math.min(at + (steps[i % steps.length] ?? 1), all.length);
      if (i % 3 === 2) {
        const middle = Math.floor((at + end) / 2);
        writer.writeAll([all.subarray(at, middle), all.subarray(middle, end)]);
      } else writer.write(all, at, end);
      hasWaited ||= writer.unsentBytes > 0;
      at = end;
    }
    expect(hasWaited).toBe(true);
    expect(await received(all.length)).toBe(digest(all));
    expect(writer.unsentBytes).toBe(0);
  });

  it('has handed small writes to the kernel when it returns', async () => {
    await open({ path: join(folder.path, 's') });
    const writer = new DirectWriter(near);
    writer.write(Buffer.from('..answer..'), 2, 8);
    writer.writeAll([Buffer.from('one'), Buffer.from('two')]);
    expect(writer.unsentBytes).toBe(0);
    near.destroy();
    expect(await received(12)).toBe(digest(Buffer.from('answeronetwo')));
  });

  it('writes into no other file that has got the number of the closed socket', async () => {
    await open({ path: join(folder.path, 's') });
    const writer = new DirectWriter(near);
    near.destroy();
    const files = Array.from({ length: 8 }, (_, i) => join(folder.path, `f${i}`));
    const descriptors = files.map((file) => openSync(file, 'w+'));
    writer.write(Buffer.from('stray'), 0, 5);
    writer.writeAll([Buffer.from('stray'), Buffer.from('too')]);
    for (const descriptor of descriptors) closeSync(descriptor);
    expect(files.map((file) => readFileSync(file, 'utf8')).join('')).toBe('');
  });

  it('leaves the report of a broken connection to the socket', async () => {
    await open({ path: join(folder.path, 's') });
    const writer = new DirectWriter(near);
    const failed = once(near, 'error');
    far.destroy();
    await once(far, 'close');
    writer.write(Buffer.from('late'), 0, 4);
    expect((await failed)[0]).toMatchObject({ code: 'EPIPE' });
  });
});
