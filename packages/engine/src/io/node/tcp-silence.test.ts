import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { isPeerSilent } from './tcp-silence.ts';

let server: Server;
let client: Socket;
let folder: string | null = null;

afterEach(async () => {
  client.destroy();
  await new Promise((resolve) => server.close(resolve));
  if (folder !== null) rmSync(folder, { recursive: true });
  folder = null;
});

/** A peer that accepts and never reads. */
async function opened(path: string | null): Promise<Socket> {
  server = createServer({ pauseOnConnect: true }, (socket) => {
    socket.on('error', () => undefined);
    client.once('close', () => socket.destroy());
  });
  await new Promise<void>((resolve) =>
    path === null ? server.listen(0, '127.0.0.1', resolve) : server.listen(path, resolve),
  );
  client = path === null ? connect((server.address() as AddressInfo).port, '127.0.0.1') : connect(path);
  await new Promise<void>((resolve, reject) => client.once('connect', resolve).once('error', reject));
  return client;
}

describe('a peer', () => {
  it('is not silent when nothing waits for it', async () => {
    const socket = await opened(null);
    socket.write('x');
    await expect.poll(() => isPeerSilent(socket, 0)).toBe(false);
  });

  it('whose program takes nothing is there: its kernel answers the probes of the closed window', async () => {
    const socket = await opened(null);
    socket.write(Buffer.alloc(32 << 20));
    // A closed window is probed within the retransmission timeout of a local connection (0.2 s).
    await expect.poll(() => socket.writableLength > 0, { timeout: 5000 }).toBe(true);
    for (let look = 0; look < 30; look++) {
      expect(isPeerSilent(socket, 5000)).toBe(false);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  });

  it('without TCP is judged by others', async () => {
    folder = mkdtempSync(join(tmpdir(), 'silence-'));
    const socket = await opened(join(folder, 's'));
    socket.write(Buffer.alloc(4 << 20));
    expect(isPeerSilent(socket, 0)).toBe(false);
  });
});
