/**
 * An NBD client that survives the death of the server: what was sent and not answered is sent again
 * after the connection is there again, as a kernel initiator does. One request per block at a time is
 * the caller's business (a repeated write is then the same write).
 */
import { connect, type Socket } from 'node:net';

const OPTION_MAGIC = 0x49484156454f5054n;
const OPTION_REPLY_MAGIC = 0x3e889045565a9n;
const REQUEST_MAGIC = 0x25609513;
const REPLY_MAGIC = 0x67446698;
const OPT_GO = 7;
const REP_ACK = 1;
const REP_INFO = 3;

export const NBD_READ = 0;
export const NBD_WRITE = 1;
export const NBD_FLUSH = 3;
export const NBD_TRIM = 4;

interface Pending {
  command: number;
  offset: number;
  length: number;
  payload: Buffer | null;
  resolve: (data: Buffer) => void;
  reject: (error: Error) => void;
}

/** Server said no: errno as on the wire (5 = EIO, 28 = ENOSPC). */
export class NbdError extends Error {
  readonly errno: number;
  constructor(errno: number, what: string) {
    super(`NBD ${what} failed with errno ${errno}`);
    this.errno = errno;
  }
}

/** The client was closed by its owner before the request was answered. */
export class NbdClosedError extends Error {
  constructor() {
    super('NBD client closed');
  }
}

/** `nbd+unix:///EXPORT?socket=PATH` -> its parts. */
export function parseNbdUri(uri: string): { exportName: string; path: string } {
  const url = new URL(uri);
  const path = url.searchParams.get('socket');
  if (url.protocol !== 'nbd+unix:' || path === null) throw new Error(`not an NBD URI on a unix socket: ${uri}`);
  return { exportName: decodeURIComponent(url.pathname.replace(/^\//, '')), path };
}

export class NbdClient {
  sizeBytes = 0;
  /** connections made so far, the first included */
  connections = 0;
  private socket: Socket | null = null;
  private readonly pending = new Map<bigint, Pending>();
  private nextCookie = 1n;
  private received = Buffer.alloc(0);
  private phase: 'greeting' | 'option' | 'transmission' = 'greeting';
  private closed = false;
  private retry: NodeJS.Timeout | null = null;
  private ready: { resolve: () => void; reject: (error: Error) => void } | null = null;
  private readonly uri: { exportName: string; path: string };

  private constructor(uri: string) {
    this.uri = parseNbdUri(uri);
  }

  /** Connects; fails if the first handshake does not end within `timeoutMs`. */
  static async open(uri: string, timeoutMs = 10_000): Promise<NbdClient> {
    const client = new NbdClient(uri);
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        client.close();
        reject(new Error(`no NBD handshake on ${uri} within ${timeoutMs} ms`));
      }, timeoutMs);
      client.ready = {
        resolve: () => {
          clearTimeout(timer);
          resolve();
        },
        reject,
      };
      client.connect();
    });
    return client;
  }

  read(offset: number, length: number): Promise<Buffer> {
    return this.submit(NBD_READ, offset, length, null);
  }

  async write(offset: number, payload: Buffer): Promise<void> {
    await this.submit(NBD_WRITE, offset, payload.length, payload);
  }

  async flush(): Promise<void> {
    await this.submit(NBD_FLUSH, 0, 0, null);
  }

  async trim(offset: number, length: number): Promise<void> {
    await this.submit(NBD_TRIM, offset, length, null);
  }

  /** Ends the connection; what is not answered fails. */
  close(): void {
    this.closed = true;
    if (this.retry !== null) clearTimeout(this.retry);
    this.socket?.destroy();
    for (const request of this.pending.values()) request.reject(new NbdClosedError());
    this.pending.clear();
  }

  private submit(command: number, offset: number, length: number, payload: Buffer | null): Promise<Buffer> {
    if (this.closed) return Promise.reject(new NbdClosedError());
    return new Promise((resolve, reject) => {
      const cookie = this.nextCookie++;
      const request = { command, offset, length, payload, resolve, reject };
      this.pending.set(cookie, request);
      if (this.phase === 'transmission') this.send(cookie, request);
    });
  }

  private connect(): void {
    this.phase = 'greeting';
    this.received = Buffer.alloc(0);
    const socket = connect(this.uri.path);
    this.socket = socket;
    socket.on('data', (chunk) => {
      this.received = this.received.length === 0 ? chunk : Buffer.concat([this.received, chunk]);
      while (this.consume()) {
        // one message after the other, as long as a whole one is there
      }
    });
    const lost = (): void => {
      if (this.socket !== socket) return;
      this.socket = null;
      this.phase = 'greeting';
      if (!this.closed) this.retry = setTimeout(() => this.connect(), 50);
    };
    socket.on('error', lost);
    socket.on('close', lost);
  }

  private take(length: number): Buffer | null {
    if (this.received.length < length) return null;
    const part = this.received.subarray(0, length);
    this.received = this.received.subarray(length);
    return part;
  }

  /** Handles one message; false when more bytes are needed. */
  private consume(): boolean {
    if (this.phase === 'greeting') return this.consumeGreeting();
    if (this.phase === 'option') return this.consumeOptionReply();
    return this.consumeReply();
  }

  private consumeGreeting(): boolean {
    if (this.take(18) === null) return false;
    const name = Buffer.from(this.uri.exportName);
    const message = Buffer.alloc(4 + 16 + 4 + name.length + 2);
    message.writeUInt32BE(3, 0); // fixed newstyle, no zeroes
    message.writeBigUInt64BE(OPTION_MAGIC, 4);
    message.writeUInt32BE(OPT_GO, 12);
    message.writeUInt32BE(4 + name.length + 2, 16);
    message.writeUInt32BE(name.length, 20);
    name.copy(message, 24);
    this.socket?.write(message);
    this.phase = 'option';
    return true;
  }

  private consumeOptionReply(): boolean {
    if (this.received.length < 20) return false;
    const length = this.received.readUInt32BE(16);
    const reply = this.take(20 + length);
    if (reply === null) return false;
    const type = reply.readUInt32BE(12);
    if (reply.readBigUInt64BE(0) !== OPTION_REPLY_MAGIC || type >= 0x80000000) {
      this.socket?.destroy(); // the export is not there (yet): try again
      return false;
    }
    if (type === REP_INFO && reply.readUInt16BE(20) === 0) this.sizeBytes = Number(reply.readBigUInt64BE(22));
    if (type !== REP_ACK) return true;
    this.phase = 'transmission';
    this.connections++;
    for (const [cookie, request] of this.pending) this.send(cookie, request);
    this.ready?.resolve();
    this.ready = null;
    return true;
  }

  private consumeReply(): boolean {
    if (this.received.length < 16) return false;
    const cookie = this.received.readBigUInt64BE(8);
    const errno = this.received.readUInt32BE(4);
    const request = this.pending.get(cookie);
    if (this.received.readUInt32BE(0) !== REPLY_MAGIC || request === undefined) {
      this.socket?.destroy(new Error('NBD server sent garbage'));
      return false;
    }
    const dataLength = request.command === NBD_READ && errno === 0 ? request.length : 0;
    const reply = this.take(16 + dataLength);
    if (reply === null) return false;
    this.pending.delete(cookie);
    if (errno !== 0) request.reject(new NbdError(errno, `command ${request.command} at ${request.offset}`));
    else request.resolve(Buffer.from(reply.subarray(16)));
    return true;
  }

  private send(cookie: bigint, request: Pending): void {
    const header = Buffer.alloc(28);
    header.writeUInt32BE(REQUEST_MAGIC, 0);
    header.writeUInt16BE(0, 4);
    header.writeUInt16BE(request.command, 6);
    header.writeBigUInt64BE(cookie, 8);
    header.writeBigUInt64BE(BigInt(request.offset), 16);
    header.writeUInt32BE(request.length, 24);
    this.socket?.write(request.payload === null ? header : Buffer.concat([header, request.payload]));
  }
}
