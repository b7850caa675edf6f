/** A small NBD client for tests: fixed newstyle, one request at a time per call, any number of calls in flight. */
import { connect, type Socket } from 'node:net';

const NBD_MAGIC = 0x4e42444d41474943n;
const OPTION_MAGIC = 0x49484156454f5054n;
const REQUEST_MAGIC = 0x25609513;
const REPLY_MAGIC = 0x67446698;
const OPTION_EXPORT_NAME = 1;
const FLAGS_FIXED_NO_ZEROES = 3;
const COMMAND = { read: 0, write: 1, disconnect: 2, flush: 3, trim: 4 } as const;

interface Pending {
  readonly length: number;
  readonly resolve: (data: Buffer) => void;
  readonly reject: (error: Error) => void;
}

export class NbdClient {
  readonly sizeBytes: number;
  private readonly socket: Socket;
  private readonly pending = new Map<number, Pending>();
  private received: Buffer;
  private nextHandle = 1;

  private constructor(socket: Socket, sizeBytes: number, rest: Buffer) {
    this.socket = socket;
    this.sizeBytes = sizeBytes;
    this.received = rest;
    socket.on('data', (chunk: Buffer) => this.take(chunk));
    socket.on('close', () => this.fail(new Error('the NBD connection ended')));
    socket.on('error', (error) => this.fail(error));
  }

  static open(host: string, port: number, exportName: string): Promise<NbdClient> {
    return NbdClient.shakeHands(connect({ host, port, noDelay: true }), exportName);
  }

  static openUnix(path: string, exportName: string): Promise<NbdClient> {
    return NbdClient.shakeHands(connect({ path }), exportName);
  }

  private static async shakeHands(socket: Socket, exportName: string): Promise<NbdClient> {
    const reader = new Reader(socket);
    const greeting = await reader.bytes(18);
    if (greeting.readBigUInt64BE(0) !== NBD_MAGIC || greeting.readBigUInt64BE(8) !== OPTION_MAGIC) {
      throw new Error('not an NBD server');
    }
    const name = Buffer.from(exportName);
    const answer = Buffer.alloc(20);
    answer.writeUInt32BE(FLAGS_FIXED_NO_ZEROES, 0);
    answer.writeBigUInt64BE(OPTION_MAGIC, 4);
    answer.writeUInt32BE(OPTION_EXPORT_NAME, 12);
    answer.writeUInt32BE(name.length, 16);
    socket.write(Buffer.concat([answer, name]));
    const description = await reader.bytes(10);
    return new NbdClient(socket, Number(description.readBigUInt64BE(0)), reader.end());
  }

  read(offset: number, length: number): Promise<Buffer> {
    return this.request(COMMAND.read, offset, length, null);
  }

  async write(offset: number, data: Buffer): Promise<void> {
    await this.request(COMMAND.write, offset, data.length, data);
  }

  async trim(offset: number, length: number): Promise<void> {
    await this.request(COMMAND.trim, offset, length, null);
  }

  async flush(): Promise<void> {
    await this.request(COMMAND.flush, 0, 0, null);
  }

  close(): void {
    this.socket.destroy();
  }

  private request(command: number, offset: number, length: number, data: Buffer | null): Promise<Buffer> {
    const handle = this.nextHandle++;
    const header = Buffer.alloc(28);
    header.writeUInt32BE(REQUEST_MAGIC, 0);
    header.writeUInt16BE(command, 6);
    header.writeBigUInt64BE(BigInt(handle), 8);
    header.writeBigUInt64BE(BigInt(offset), 16);
    header.writeUInt32BE(length, 24);
    return new Promise((resolve, reject) => {
      this.pending.set(handle, { length: command === COMMAND.read ? length : 0, resolve, reject });
      this.socket.write(data ? Buffer.concat([header, data]) : header);
    });
  }

  private take(chunk: Buffer): void {
    this.received = Buffer.concat([this.received, chunk]);
    while (this.received.length >= 16) {
      if (this.received.readUInt32BE(0) !== REPLY_MAGIC) return this.fail(new Error('not an NBD reply'));
      const error = this.received.readUInt32BE(4);
      const handle = Number(this.received.readBigUInt64BE(8));
      const pending = this.pending.get(handle);
      if (!pending) return this.fail(new Error(`a reply to nothing: ${handle}`));
      const length = error === 0 ? pending.length : 0;
      if (this.received.length < 16 + length) return undefined;
      const data = Buffer.from(this.received.subarray(16, 16 + length));
      this.received = this.received.subarray(16 + length);
      this.pending.delete(handle);
      if (error === 0) pending.resolve(data);
      else pending.reject(new Error(`NBD error ${error}`));
    }
    return undefined;
  }

  private fail(error: Error): void {
    for (const { reject } of this.pending.values()) reject(error);
    this.pending.clear();
  }
}

/** Reads the handshake. */
class Reader {
  private readonly socket: Socket;
  private received: Buffer = Buffer.alloc(0);
  private wake: () => void = () => undefined;
  private failure: Error | null = null;
  private readonly onData = (chunk: Buffer): void => {
    this.received = Buffer.concat([this.received, chunk]);
    this.wake();
  };
  private readonly onError = (error: Error): void => {
    this.failure = error;
    this.wake();
  };

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', this.onData);
    socket.on('error', this.onError);
  }

  async bytes(count: number): Promise<Buffer> {
    while (this.received.length < count) {
      if (this.failure) throw this.failure;
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
    const taken = this.received.subarray(0, count);
    this.received = this.received.subarray(count);
    return taken;
  }

  /** Hands over what came after the handshake. */
  end(): Buffer {
    this.socket.off('data', this.onData);
    this.socket.off('error', this.onError);
    return this.received;
  }
}
