/**
 * Listens for data connections, on TCP and on unix sockets, and makes each accepted socket receive into one large
 * buffer of its own.
 */
import { mkdir, stat, unlink } from 'node:fs/promises';
import net from 'node:net';
import { dirname } from 'node:path';
import { errnoCode } from '../io/disk.ts';
import { adoptSocket } from '../io/node/adopt-socket.ts';
import { DirectWriter } from '../io/node/direct-writer.ts';
import { DATA_CONNECTIONS_MAX, RECEIVE_BUFFER_BYTES } from '../limits.ts';
import type { AnswerSink } from './answer-buffer.ts';
import { DataConnection } from './data-connection.ts';
import type { ReplicaIo } from './replica-io.ts';

/** Removes a socket file that no server listens on any more; a crashed process leaves it. */
async function removeSocketFile(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (errnoCode(error) !== 'ENOENT') throw error;
  }
}

/** The socket of one connection as the connection sees it. */
class AnswerSocket extends DirectWriter implements AnswerSink {
  resumeReading(): void {
    this.socket.resume();
  }

  destroy(error?: Error): void {
    this.socket.destroy(error);
  }

  destroySoon(): void {
    this.socket.destroySoon();
  }
}

export class DataServer {
  private readonly io: ReplicaIo;
  private readonly log: (text: string) => void;
  private readonly servers: net.Server[] = [];
  private readonly socketFiles: { path: string; inode: number }[] = [];
  private readonly connections = new Map<DataConnection, net.Socket>();
  private nextId = 1;

  constructor(io: ReplicaIo, log: (text: string) => void) {
    this.io = io;
    this.log = log;
  }

  private accept(accepted: net.Socket): void {
    if (this.connections.size >= DATA_CONNECTIONS_MAX) {
      this.log(`refused a data connection: there are ${this.connections.size} already`);
      accepted.destroy();
      return;
    }
    const buffer = Buffer.allocUnsafeSlow(RECEIVE_BUFFER_BYTES);
    const socket = adoptSocket(accepted, { buffer, callback: (count) => connection.onChunk(count) });
    const connection = new DataConnection(this.nextId++, this.io, buffer, new AnswerSocket(socket));
    this.connections.set(connection, socket);
    socket.on('drain', () => connection.onDrain());
    socket.on('error', (error) => this.log(`data connection ${connection.id}: ${error.message}`));
    socket.on('close', () => {
      connection.close();
      this.connections.delete(connection);
    });
    socket.resume();
  }

  private listen(where: net.ListenOptions): Promise<net.Server> {
    const server = net.createServer({ pauseOnConnect: true, noDelay: true }, (socket) => this.accept(socket));
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(where, () => {
        server.removeListener('error', reject);
        this.servers.push(server);
        resolve(server);
      });
    });
  }

  /** Listens on TCP; returns the port. */
  async listenTcp(host: string, port: number): Promise<number> {
    const address = (await this.listen({ host, port })).address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  /** Listens on a unix socket, in the place of one that a crashed process has left. */
  async listenUnix(path: string): Promise<void> {
    await mkdir(dirname(path), { recursive: true, mode: 0o755 });
    await removeSocketFile(path);
    await this.listen({ path });
    this.socketFiles.push({ path, inode: (await stat(path)).ino });
  }

  get connectionCount(): number {
    return this.connections.size;
  }

  /** Cuts the connections of engines below `epoch`. */
  fence(epoch: number): void {
    for (const [connection, socket] of this.connections) {
      if (connection.epoch >= epoch) continue;
      connection.close();
      socket.destroy();
    }
  }

  /** Ends all connections and stops listening; socket files go unless another process has taken their name. */
  async close(): Promise<void> {
    for (const socket of this.connections.values()) socket.destroy();
    for (const { path, inode } of this.socketFiles) {
      const found = await stat(path).catch((error: unknown) => {
        if (errnoCode(error) === 'ENOENT') return null;
        throw error;
      });
      if (found?.ino === inode) await removeSocketFile(path);
    }
    await Promise.all(
      this.servers.map(
        (server) =>
          new Promise<void>((resolve) => {
            server.close(() => resolve());
          }),
      ),
    );
  }
}
