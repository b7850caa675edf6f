/**
 * A volume as an NBD export, on a unix socket or over TCP, for several connections at a time.
 *
 * The device survives the engine as far as its client does: the socket's path stays the same, and a client that
 * reconnects (`nbd-client -persist`, qemu's `reconnect-delay`) goes on with the next engine. A flush on one connection
 * covers what was acknowledged on all of them.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import type { BlockTarget, Frontend } from '../frontend.ts';
import { NbdConnection } from './nbd-connection.ts';
import { NBD_CONNECTIONS_MAX, NBD_PAYLOAD_BYTES_TOTAL, NBD_TRIM_CHUNKS_AFTER_MS } from './nbd-limits.ts';
import { PayloadBudget } from './payload-budget.ts';

export type NbdListen =
  | { readonly unixPath: string }
  /** Port 0 takes a free one; `endpoint()` tells it. */
  | { readonly host: string; readonly port: number };

export interface NbdFrontendOptions {
  readonly target: BlockTarget;
  readonly exportName: string;
  readonly listen: NbdListen;
}

/** Opens the export; rejects when the address cannot be listened on. */
export async function openNbdFrontend(options: NbdFrontendOptions): Promise<Frontend> {
  const { target, exportName, listen } = options;
  const connections = new Set<NbdConnection>();
  const budget = new PayloadBudget(NBD_PAYLOAD_BYTES_TOTAL);
  const exported = { name: exportName, sizeBytes: () => target.sizeBytes() };
  const accept = (socket: Socket): void => {
    if (connections.size >= NBD_CONNECTIONS_MAX) {
      socket.destroy();
      return;
    }
    const connection = new NbdConnection(socket, target, exported, budget, () => {
      connections.delete(connection);
      leave();
    });
    connections.add(connection);
  };
  const server = createServer({ pauseOnConnect: true }, accept);
  await listenOn(server, listen);
  const timer = setInterval(() => {
    for (const connection of connections) connection.trim();
  }, NBD_TRIM_CHUNKS_AFTER_MS);
  timer.unref();
  let isClosing = false;
  let isClosed = false;
  let left: () => void = () => undefined;
  const allLeft = new Promise<void>((resolve) => (left = resolve));
  const leave = (): void => {
    if (isClosing && connections.size === 0) left();
  };
  const endpoint = endpointOf(server, exportName, listen);
  return {
    name: 'nbd',
    endpoint: () => (isClosed ? '' : endpoint),
    // The protocol has no word for it: clients see the new size when they connect anew.
    expand: () => Promise.resolve(),
    async close() {
      if (isClosing) return allLeft;
      isClosing = true;
      clearInterval(timer);
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const connection of connections) connection.leave();
      leave();
      await Promise.all([closed, allLeft]);
      isClosed = true;
    },
  };
}

async function listenOn(server: Server, listen: NbdListen): Promise<void> {
  if ('unixPath' in listen) {
    mkdirSync(dirname(listen.unixPath), { recursive: true, mode: 0o700 });
    // A socket that a dead engine has left would refuse the new one.
    rmSync(listen.unixPath, { force: true });
  }
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    const listening = (): void => {
      server.removeListener('error', reject);
      resolve();
    };
    if ('unixPath' in listen) server.listen(listen.unixPath, listening);
    else server.listen(listen.port, listen.host, listening);
  });
}

function endpointOf(server: Server, exportName: string, listen: NbdListen): string {
  if ('unixPath' in listen) return `nbd+unix:///${exportName}?socket=${listen.unixPath}`;
  const address = server.address() as AddressInfo;
  const host = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  return `nbd://${host}:${address.port}/${exportName}`;
}
