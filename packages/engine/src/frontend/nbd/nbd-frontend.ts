/**
 * A volume as an NBD export, on a unix socket or over TCP, for several connections at a time; over TCP in TLS alone if so wanted.
 *
 * The device survives the engine as far as its client does: the socket's path stays the same, and a client that
 * reconnects goes on with the next engine (docs/nbd.md says which do). A flush on one connection covers what was
 * acknowledged on all of them.
 */
import { mkdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import type { Logger } from 'pino';
import type { BlockTarget, Frontend, GetAllocation } from '../frontend.ts';
import { Handshake } from './handshake.ts';
import { NbdConnection } from './nbd-connection.ts';
import { NBD_CONNECTIONS_MAX, NBD_PAYLOAD_BYTES_TOTAL, NBD_TLS_UPGRADES_MAX } from './nbd-limits.ts';
import { STREAM_TRIM_AFTER_MS } from '../stream/limits.ts';
import { PayloadBudget } from '../stream/payload-budget.ts';
import { plainTransport, type OpenTransport } from '../stream/transport.ts';
import { NbdTlsCertificates, type NbdTlsFiles } from './tls-certificates.ts';
import { tlsTransport } from './tls-transport.ts';
import { TlsUpgrade } from './tls-upgrade.ts';

export type NbdListen =
  | { readonly unixPath: string }
  /** Port 0 takes a free one; `endpoint()` tells it. */
  | { readonly host: string; readonly port: number; readonly tls: NbdTlsOptions | null };

/** Clients are served in TLS only. */
export interface NbdTlsOptions {
  readonly files: NbdTlsFiles;
  readonly logger: Logger;
}

export interface NbdFrontendOptions {
  readonly target: BlockTarget;
  readonly exportName: string;
  readonly listen: NbdListen;
  /** null: clients are not told what is allocated */
  readonly allocation: GetAllocation | null;
}

/** Opens the export; rejects when the address cannot be listened on, or the files of TLS cannot be used. */
export async function openNbdFrontend(options: NbdFrontendOptions): Promise<Frontend> {
  const { target, exportName, listen, allocation } = options;
  const connections = new Set<NbdConnection>();
  let isClosing = false;
  const budget = new PayloadBudget(NBD_PAYLOAD_BYTES_TOTAL);
  const exported = { name: exportName, sizeBytes: () => target.sizeBytes(), hasAllocation: allocation !== null };
  const serve = (socket: Socket, open: OpenTransport, handshake: Handshake): void => {
    if (connections.size >= NBD_CONNECTIONS_MAX || isClosing) {
      socket.destroy();
      return;
    }
    const whenEnded = (): void => {
      connections.delete(connection);
      leave();
    };
    const connection = new NbdConnection(open, { target, handshake, budget, allocation, whenEnded });
    connections.add(connection);
  };
  const tls = 'unixPath' in listen || listen.tls === null ? null : await tlsEntrance(listen.tls);
  const server = createServer({ pauseOnConnect: true }, (socket) => {
    if (tls === null) serve(socket, plainTransport(socket), new Handshake(exported, 'none'));
    else tls.accept(socket, new Handshake(exported, 'required'), serve);
  });
  const removeSocket = await listenOn(server, listen);
  const timer = setInterval(() => {
    for (const connection of connections) connection.stream.trim();
  }, STREAM_TRIM_AFTER_MS);
  timer.unref();
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
      removeSocket();
      tls?.close();
      for (const connection of connections) connection.stream.leave();
      leave();
      await Promise.all([closed, allLeft]);
      isClosed = true;
    },
  };
}

type Serve = (socket: Socket, open: OpenTransport, handshake: Handshake) => void;

/** Clients on their way into TLS are counted apart: they hold no place of those that are in. */
async function tlsEntrance({ files, logger }: NbdTlsOptions): Promise<{
  accept(socket: Socket, handshake: Handshake, serve: Serve): void;
  close(): void;
}> {
  const certificates = await NbdTlsCertificates.open(files, logger);
  const upgrades = new Set<TlsUpgrade>();
  return {
    accept(accepted, handshake, serve) {
      if (upgrades.size >= NBD_TLS_UPGRADES_MAX) {
        accepted.destroy();
        return;
      }
      const whenEnded = (): void => {
        upgrades.delete(upgrade);
      };
      const upgrade = new TlsUpgrade(accepted, {
        certificates,
        handshake,
        logger,
        secured: (socket) => serve(socket, tlsTransport(socket), handshake),
        whenEnded,
      });
      upgrades.add(upgrade);
    },
    close() {
      for (const upgrade of upgrades) upgrade.leave();
    },
  };
}

/**
 * Resolves with what removes the socket file, if it is still ours. A unix socket is made under another name and moved into place: an
 * engine that takes over replaces it in one step, and the one before does not remove its successor's when it ends.
 */
async function listenOn(server: Server, listen: NbdListen): Promise<() => void> {
  if (!('unixPath' in listen)) {
    await listening(server, () => server.listen(listen.port, listen.host));
    return () => undefined;
  }
  const path = listen.unixPath;
  const newPath = `${path}.${process.pid}`;
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  rmSync(newPath, { force: true });
  await listening(server, () => server.listen(newPath));
  const { ino } = statSync(newPath);
  renameSync(newPath, path);
  return () => {
    if (statSync(path, { throwIfNoEntry: false })?.ino === ino) rmSync(path, { force: true });
  };
}

function listening(server: Server, listen: () => void): Promise<void> {
  return new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.once('listening', () => {
      server.removeListener('error', reject);
      resolve();
    });
    listen();
  });
}

function endpointOf(server: Server, exportName: string, listen: NbdListen): string {
  if ('unixPath' in listen) return `nbd+unix:///${exportName}?socket=${listen.unixPath}`;
  const address = server.address() as AddressInfo;
  const host = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  return `${listen.tls === null ? 'nbd' : 'nbds'}://${host}:${address.port}/${exportName}`;
}
