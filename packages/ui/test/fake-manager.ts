/**
 * A manager in small for the tests of the page: answers as the REST API does, with its texts, and pushes lists over web sockets.
 * Volumes live in memory; their states change when a test says so, or at once where the test does not care.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { WebSocketServer, type WebSocket } from 'ws';
import { fakeNode, fakeVolume, type FakeSnapshot, type FakeVolume } from './fake-resources.ts';

const REPLICAS_MAX = 20;

type Body = Readonly<Record<string, unknown>>;

class Refusal extends Error {
  readonly status: number;
  constructor(message: string, status = 500) {
    super(message);
    this.status = status;
  }
}

async function readBody(request: IncomingMessage): Promise<Body> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(Buffer.from(chunk as Uint8Array));
  const text = Buffer.concat(chunks).toString('utf8');
  return text === '' ? {} : (JSON.parse(text) as Body);
}

function sizeOf(text: string): number {
  const match = /^([0-9]+)(Mi|Gi|Ti)?$/.exec(text);
  if (match === null) {
    throw new Refusal(
      `failed to parse size ${text}: size must be a whole number of bytes such as 1073741824, or a size such as 2Gi, not "${text}"`,
    );
  }
  const factor = { Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40 }[match[2] ?? ''] ?? 1;
  return Number(match[1]) * factor;
}

/** The fake; `url` is where it listens. */
export class FakeManager {
  readonly volumes = new Map<string, FakeVolume>();
  readonly nodes = ['node-a', 'node-b', 'node-c'].map((name) => fakeNode(name));
  /** what the page sent, as `POST /v1/volumes?action=…` */
  readonly requests: string[] = [];
  readonly #server: Server;
  readonly #sockets = new Map<WebSocket, string>();
  readonly #upgrader = new WebSocketServer({ noServer: true });
  #failure: string | null = null;
  #snapshotNumber = 0;

  constructor() {
    this.#server = createServer((request, response) => void this.#answer(request, response));
    this.#server.on('upgrade', (request, socket, head) => {
      const stream = /^\/v1\/ws\/1s\/(volumes|nodes)$/.exec(request.url ?? '')?.[1];
      if (stream === undefined || this.#failure !== null) {
        socket.destroy();
        return;
      }
      this.#upgrader.handleUpgrade(request, socket, head, (webSocket) => {
        this.#sockets.set(webSocket, stream);
        webSocket.on('close', () => this.#sockets.delete(webSocket));
        webSocket.send(this.#list(stream));
      });
    });
  }

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.dropSockets();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** Every call fails with this sentence, sockets as well; null: it works again. */
  fail(message: string | null): void {
    this.#failure = message;
    if (message !== null) this.dropSockets();
  }

  dropSockets(): void {
    for (const socket of this.#sockets.keys()) socket.terminate();
  }

  /** Changes a volume and tells everyone. */
  change(name: string, change: (volume: FakeVolume) => void): void {
    const volume = this.volumes.get(name);
    if (volume === undefined) throw new Error(`the fake has no volume ${name}`);
    change(volume);
    this.push();
  }

  /** Sends the lists to all streams. */
  push(): void {
    for (const [socket, stream] of this.#sockets) socket.send(this.#list(stream));
  }

  #list(stream: string): string {
    const isNodes = stream === 'nodes';
    const data = isNodes ? this.nodes : [...this.volumes.values()].map((volume) => volume.toJson());
    return JSON.stringify({ type: 'collection', resourceType: isNodes ? 'node' : 'volume', data, links: {} });
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = `${request.method} ${request.url}`;
    this.requests.push(path);
    try {
      const body = await readBody(request);
      if (this.#failure !== null) throw new Refusal(this.#failure);
      const result = this.#handle(path, body);
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(typeof result === 'string' ? result : JSON.stringify(result));
      this.push();
    } catch (error) {
      const status = error instanceof Refusal ? error.status : 500;
      const message = error instanceof Error ? error.message : String(error);
      response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' });
      response.end(JSON.stringify({ type: 'error', status, code: 'Internal Server Error', detail: '', message }));
    }
  }

  #handle(path: string, body: Body): unknown {
    if (path === 'GET /v1/volumes') return this.#list('volumes');
    if (path === 'GET /v1/nodes') return this.#list('nodes');
    if (path === 'POST /v1/volumes') return this.#create(body);
    const [, method, name = '', action = ''] =
      /^(POST|DELETE) \/v1\/volumes\/([^?]+)(?:\?action=(\w+))?$/.exec(path) ?? [];
    const volume = this.volumes.get(name);
    if (volume === undefined) throw new Refusal(`volume "${name}" not found`, 404);
    if (method === 'DELETE') {
      this.volumes.delete(name);
      return '';
    }
    if (!(action in volume.toJson().actions)) throw new Refusal('404 page not found', 404);
    return this.#act(volume, action, body);
  }

  #create(body: Body): unknown {
    const { name, size, numberOfReplicas } = body;
    const failed = `failed to create volume: unable to create volume ${String(name)}`;
    if (typeof name !== 'string' || !/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(name)) {
      throw new Refusal(
        `${failed}: invalid name ${String(name)}: metadata.name must be lower case letters, digits and dashes, with a letter or digit at both ends, such as "my-volume-1"; it is "${String(name)}"`,
      );
    }
    if (this.volumes.has(name)) throw new Refusal(`${failed}: volumes.longhorn.io "${name}" already exists`);
    const bytes = sizeOf(String(size));
    if (typeof numberOfReplicas !== 'number' || numberOfReplicas < 1 || numberOfReplicas > REPLICAS_MAX) {
      throw new Refusal(`${failed}: replica count value ${String(numberOfReplicas)} must between 1 to ${REPLICAS_MAX}`);
    }
    const volume = fakeVolume(name, bytes, numberOfReplicas);
    this.volumes.set(name, volume);
    return volume.toJson();
  }

  #act(volume: FakeVolume, action: string, body: Body): unknown {
    const snapshot = typeof body['name'] === 'string' ? body['name'] : '';
    switch (action) {
      case 'attach':
        volume.attach(String(body['hostId']), body['disableFrontend'] === true, String(body['attachmentID']));
        return volume.toJson();
      case 'detach':
        volume.detach();
        return volume.toJson();
      case 'snapshotList':
        return { type: 'collection', resourceType: 'snapshot', data: volume.snapshots, links: {} };
      case 'snapshotCreate':
        this.#snapshotNumber += 1;
        return volume.takeSnapshot(`snap-${this.#snapshotNumber}`);
      case 'snapshotDelete':
        volume.markSnapshotRemoved(snapshot);
        return volume.toJson();
      case 'snapshotPurge':
        volume.purge();
        return volume.toJson();
      case 'snapshotRevert':
        if (!volume.isMaintenance) throw new Refusal('failed to revert snapshot: the frontend is enabled');
        volume.revert(snapshot);
        return '';
      default:
        throw new Refusal(`${action} is not supported yet`);
    }
  }

  /** A snapshot of the volume, as the fake has it. */
  snapshot(volume: string, name: string): FakeSnapshot | undefined {
    return this.volumes.get(volume)?.snapshots.find((one) => one.name === name);
  }
}
