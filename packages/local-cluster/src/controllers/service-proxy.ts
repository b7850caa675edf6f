/**
 * Listens on the address of every Service and passes connections on to a ready pod. Also gives single services a second
 * address, such as the one at which people reach the UI.
 */
import { createServer, connect, type Server, type Socket } from 'node:net';
import { STORAGE } from '../api/builtin-kinds.ts';
import { listAt, stringAt, valueAt } from '../api/json.ts';
import { keyOf, type KubeObject } from '../api/object.ts';
import { proxyConnectionsMax } from '../limits.ts';
import type { Controller, ControllerParts } from './controller.ts';
import { readyEndpoints } from './services.ts';
import { WorkQueue } from './work-queue.ts';

/** A further way to a service's port. */
export interface Exposure {
  /** its name in addresses.json */
  title: string;
  namespace: string;
  service: string;
  port: number;
  listen: { address: string; port: number };
}

interface Listener {
  server: Server;
  sockets: Set<Socket>;
}

export class ServiceProxy implements Controller {
  readonly #parts: ControllerParts;
  readonly #queue: WorkQueue;
  readonly #listeners = new Map<string, Listener>();
  /** ports that this user may not listen on */
  readonly #refused = new Set<string>();
  #turn = 0;
  #unsubscribe: () => void = () => undefined;

  constructor(parts: ControllerParts) {
    this.#parts = parts;
    this.#queue = new WorkQueue(
      (key) => this.#handle(key),
      parts.after,
      (key, error) => parts.note(`address of Service ${key}`, error),
    );
  }

  start(): void {
    const { store } = this.#parts.operations;
    this.#unsubscribe = store.subscribe(STORAGE.services, (event) => this.#queue.add(keyOf(event.object)));
    for (const service of store.list(STORAGE.services)) this.#queue.add(keyOf(service));
  }

  idle(): Promise<void> {
    return this.#queue.idle();
  }

  /** Opens a further way to a service and returns its port; fails when its address is taken. */
  async expose(exposure: Exposure): Promise<number> {
    const { address, port } = exposure.listen;
    return this.#listen(`${address}:${port}`, address, port, exposure.namespace, exposure.service, exposure.port);
  }

  async #handle(key: string): Promise<void> {
    const [namespace = '', name = ''] = key.split('/');
    const service = this.#parts.operations.store.get(STORAGE.services, namespace, name);
    const wanted = service === null ? [] : listensOf(service);
    const names = new Set(wanted.map(({ port }) => `${key}:${port}`));
    for (const known of this.#listeners.keys())
      if (known.startsWith(`${key}:`) && !names.has(known)) await this.#close(known);
    for (const { address, port } of wanted) {
      const listener = `${key}:${port}`;
      if (this.#listeners.has(listener) || this.#refused.has(listener)) continue;
      try {
        await this.#listen(listener, address, port, namespace, name, port);
      } catch (error) {
        if (!(error instanceof Error && 'code' in error && error.code === 'EACCES')) throw error;
        this.#refused.add(listener);
        this.#parts.note(`Service ${key}: only root may listen on port ${port}; it has no address of its own here`);
      }
    }
  }

  #listen(
    key: string,
    address: string,
    listenPort: number,
    namespace: string,
    name: string,
    port: number,
  ): Promise<number> {
    const sockets = new Set<Socket>();
    const server = createServer((client) => {
      sockets.add(client);
      client.once('close', () => sockets.delete(client));
      this.#forward(client, namespace, name, port);
    });
    server.maxConnections = proxyConnectionsMax;
    return new Promise((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) =>
        reject(
          error.code === 'EADDRINUSE'
            ? new Error(
                `port ${listenPort} on ${address} is in use by another program; stop it or choose another port`,
                { cause: error },
              )
            : error,
        ),
      );
      server.listen(listenPort, address, () => {
        this.#listeners.set(key, { server, sockets });
        const bound = server.address();
        resolve(typeof bound === 'object' && bound !== null ? bound.port : listenPort);
      });
    });
  }

  #forward(client: Socket, namespace: string, name: string, port: number): void {
    const { store } = this.#parts.operations;
    const service = store.get(STORAGE.services, namespace, name);
    const endpoints = service === null ? [] : readyEndpoints(store, service, port);
    const endpoint = endpoints[this.#turn++ % Math.max(1, endpoints.length)];
    client.on('error', () => client.destroy());
    if (endpoint === undefined) {
      client.destroy();
      return;
    }
    const pod = connect({ host: endpoint.address, port: endpoint.port });
    pod.on('error', () => client.destroy());
    pod.once('close', () => client.destroy());
    client.once('close', () => pod.destroy());
    // Before the connection stands: a client that gives up is noticed only by reading from it, and what it had sent must not
    // reach a pod that comes up later.
    client.pipe(pod);
    pod.pipe(client);
  }

  async #close(key: string): Promise<void> {
    const listener = this.#listeners.get(key);
    if (listener === undefined) return;
    this.#listeners.delete(key);
    for (const socket of listener.sockets) socket.destroy();
    await new Promise<void>((resolve) => listener.server.close(() => resolve()));
  }

  async close(): Promise<void> {
    this.#unsubscribe();
    await this.#queue.close();
    for (const key of this.#listeners.keys()) await this.#close(key);
  }
}

function listensOf(service: KubeObject): { address: string; port: number }[] {
  const address = stringAt(valueAt(service, 'spec', 'clusterIP'));
  if (!address.startsWith('127.')) return [];
  return listAt(valueAt(service, 'spec', 'ports')).flatMap((entry) => {
    const port = valueAt(entry, 'port');
    return typeof port === 'number' ? [{ address, port }] : [];
  });
}
