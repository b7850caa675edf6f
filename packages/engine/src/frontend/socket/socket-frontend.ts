/**
 * Upstream's `socket` frontend: the volume on `/var/run/longhorn-<volume>.sock`, in the data connection protocol, for tgtd with
 * its longhorn backing store. The protocol has no flush: writes are as safe as upstream's (synced in the background within a second).
 *
 * A link `<run dir>/sockets/<volume>` names the socket, so that the cleaner finds what a killed engine left.
 */
import { chmodSync, mkdirSync, readlinkSync, rmSync, symlinkSync } from 'node:fs';
import { type Socket, createServer } from 'node:net';
import { join, resolve } from 'node:path';
import type { Logger } from 'pino';
import { socketLinksDirectory } from '../cleanup.ts';
import type { BlockTarget, Frontend } from '../frontend.ts';
import { isVolumeName } from '../fuse/device-paths.ts';
import { STREAM_TRIM_AFTER_MS } from '../stream/limits.ts';
import { PayloadBudget } from '../stream/payload-budget.ts';
import { SOCKET_CONNECTIONS_MAX, SOCKET_PATH_CHARS_MAX, SOCKET_PAYLOAD_BYTES_TOTAL } from './limits.ts';
import { SocketConnection } from './socket-connection.ts';

const DIRECTORY_DEFAULT = '/var/run';

export interface SocketOptions {
  target: BlockTarget;
  volumeName: string;
  /** `LONGHORN_RUN_DIR` */
  runDir: string;
  logger: Logger;
  /** where the socket lies; upstream's is /var/run */
  directory?: string;
}

const socketPath = (volumeName: string, directory: string): string => {
  if (!isVolumeName(volumeName))
    throw new Error(`volume name ${JSON.stringify(volumeName)} cannot be used for a socket`);
  const path = join(resolve(directory), `longhorn-${volumeName}.sock`);
  if (path.length > SOCKET_PATH_CHARS_MAX) {
    throw new Error(
      `socket path ${path} is longer than ${SOCKET_PATH_CHARS_MAX} characters: use a shorter volume name`,
    );
  }
  return path;
};

/** Listens; a socket that a dead engine left is replaced. */
export const openSocketFrontend = async (options: SocketOptions): Promise<Frontend> => {
  const { target, volumeName, logger } = options;
  const directory = options.directory ?? DIRECTORY_DEFAULT;
  const path = socketPath(volumeName, directory);
  const links = socketLinksDirectory(options.runDir);
  const link = join(links, volumeName);
  mkdirSync(links, { recursive: true, mode: 0o700 });
  rmSync(link, { force: true });
  symlinkSync(path, link);
  if (mkdirSync(directory, { recursive: true }) !== undefined) chmodSync(directory, 0o700);
  rmSync(path, { force: true });

  const connections = new Set<SocketConnection>();
  const budget = new PayloadBudget(SOCKET_PAYLOAD_BYTES_TOTAL);
  const idle = Promise.withResolvers<void>();
  let state: 'up' | 'closing' | 'down' = 'up';
  const settle = (): void => {
    if (state !== 'up' && connections.size === 0) idle.resolve();
  };
  const accept = (socket: Socket): void => {
    if (connections.size >= SOCKET_CONNECTIONS_MAX || state !== 'up') {
      socket.destroy();
      return;
    }
    const connection = new SocketConnection(socket, target, budget, (problem) => {
      connections.delete(connection);
      if (problem !== '') logger.warn({ problem }, 'a client of the socket frontend was hung up on');
      settle();
    });
    connections.add(connection);
  };
  const server = createServer({ pauseOnConnect: true }, accept);
  await new Promise<void>((listening, reject) => {
    server.once('error', reject);
    server.listen(path, listening);
  });
  const timer = setInterval(() => connections.forEach((connection) => connection.stream.trim()), STREAM_TRIM_AFTER_MS);
  timer.unref();
  const end = async (): Promise<void> => {
    state = 'closing';
    clearInterval(timer);
    const closed = new Promise<void>((done) => server.close(() => done()));
    for (const connection of connections) connection.stream.leave();
    settle();
    await Promise.all([closed, idle.promise]);
    state = 'down';
    if (readlinkSync(link) === path) rmSync(link);
  };
  let ending: Promise<void> | null = null;
  return {
    name: 'socket',
    endpoint: () => (state === 'up' ? path : ''),
    // tgtd asks for the size when it opens the store, and has no word for a change.
    expand: () => Promise.resolve(),
    close: () => (ending ??= end()),
  };
};
