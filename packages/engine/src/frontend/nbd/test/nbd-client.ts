/** A client that sends what a test says, byte by byte if need be, and reads what comes. */
import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import { connect, type NetConnectOpts, type Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls';
import {
  NBD_CHUNK_BLOCK_STATUS,
  NBD_CHUNK_MAGIC,
  NBD_CMD_BLOCK_STATUS,
  NBD_OPT_SET_META_CONTEXT,
  NBD_OPT_STARTTLS,
  NBD_OPT_STRUCTURED_REPLY,
  NBD_REQUEST_BYTES,
  NBD_REQUEST_MAGIC,
} from '../../../protocol/nbd.ts';

export class NbdClient {
  socket: Socket;
  private chunks: Buffer[] = [];
  private length = 0;
  private wake: () => void = () => undefined;
  isEnded = false;

  constructor(to: NetConnectOpts) {
    this.socket = connect(to);
    this.listen();
  }

  private listen(): void {
    this.socket.on('data', this.onData);
    this.socket.on('close', this.onEnd);
    this.socket.on('error', this.onEnd);
  }

  private readonly onData = (data: Buffer): void => {
    this.chunks.push(data);
    this.length += data.length;
    this.wake();
  };

  private readonly onEnd = (): void => {
    this.isEnded = true;
    this.wake();
  };

  /** Asks for TLS and enters it; rejects when the handshake of TLS fails on this side. */
  async startTls(options: ConnectionOptions): Promise<TLSSocket> {
    const [answer] = await this.option(NBD_OPT_STARTTLS);
    if (answer?.type !== 1) throw new Error(`STARTTLS was refused: ${answer?.type.toString(16)}`);
    this.socket.off('data', this.onData);
    const secure = connectTls({ ...options, socket: this.socket });
    this.socket = secure;
    this.listen();
    await once(secure, 'secureConnect');
    return secure;
  }

  /** The next `count` bytes; rejects when the connection ends before. */
  async take(count: number): Promise<Buffer> {
    await this.has(count);
    if (this.length < count) throw new Error(`the connection ended after ${this.length} of ${count} bytes`);
    const received = Buffer.concat(this.chunks);
    this.chunks = [received.subarray(count)];
    this.length -= count;
    return received.subarray(0, count);
  }

  /** Resolves once `count` bytes are there, or the connection has ended. */
  async has(count: number): Promise<void> {
    while (this.length < count && !this.isEnded) await new Promise<void>((resolve) => (this.wake = resolve));
  }

  /** Everything that is there. */
  rest(): Buffer {
    const received = Buffer.concat(this.chunks.splice(0));
    this.length = 0;
    return received;
  }

  send(bytes: Buffer | string): void {
    this.socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'hex') : bytes);
  }

  /** Takes the greeting and answers it. */
  async greet(): Promise<void> {
    await this.take(18);
    this.send('00000003');
  }

  sendOption(option: number, data: Buffer): void {
    const header = Buffer.alloc(16);
    header.write('IHAVEOPT', 0, 'latin1');
    header.writeUInt32BE(option, 8);
    header.writeUInt32BE(data.length, 12);
    this.send(Buffer.concat([header, data]));
  }

  /** Asks for an option and takes all its answers, the last one an acknowledgement or an error. */
  async option(option: number, data: Buffer = Buffer.alloc(0)): Promise<{ type: number; data: Buffer }[]> {
    this.sendOption(option, data);
    const answers: { type: number; data: Buffer }[] = [];
    for (;;) {
      const header = await this.take(20);
      if (header.readUInt32BE(8) !== option) throw new Error(`no answer to ${option}: ${header.toString('hex')}`);
      const type = header.readUInt32BE(12);
      answers.push({ type, data: Buffer.from(await this.take(header.readUInt32BE(16))) });
      if (type === 1 || type >= 0x8000_0000) return answers;
    }
  }

  /** Handshake with structured replies and these metadata contexts. */
  async enterStructured(name: string, ...queries: string[]): Promise<{ size: bigint; flags: number }> {
    await this.greet();
    await this.option(NBD_OPT_STRUCTURED_REPLY);
    if (queries.length > 0) await this.option(NBD_OPT_SET_META_CONTEXT, contextQueries(name, ...queries));
    return this.enterNow(name);
  }

  /** Handshake by EXPORT_NAME; resolves with the size and the flags. */
  async enter(name = 'vol'): Promise<{ size: bigint; flags: number }> {
    await this.greet();
    return this.enterNow(name);
  }

  async enterNow(name = 'vol'): Promise<{ size: bigint; flags: number }> {
    this.sendOption(1, Buffer.from(name));
    const answer = await this.take(10);
    return { size: answer.readBigUInt64BE(0), flags: answer.readUInt16BE(8) };
  }

  /** Resolves once the other side has closed. */
  async ended(): Promise<void> {
    while (!this.isEnded) await new Promise<void>((resolve) => (this.wake = resolve));
  }
}

export function request(type: number, cookie: number, offset: number, length: number, flags = 0): Buffer {
  const header = Buffer.alloc(NBD_REQUEST_BYTES);
  header.writeUInt32BE(NBD_REQUEST_MAGIC, 0);
  header.writeUInt16BE(flags, 4);
  header.writeUInt16BE(type, 6);
  header.writeBigUInt64BE(BigInt(cookie), 8);
  header.writeBigUInt64BE(BigInt(offset), 16);
  header.writeUInt32BE(length, 24);
  return header;
}

/** Data of LIST_META_CONTEXT and SET_META_CONTEXT. */
export function contextQueries(name: string, ...queries: string[]): Buffer {
  const text = (value: string): Buffer => {
    const bytes = Buffer.alloc(4 + value.length);
    bytes.writeUInt32BE(value.length, 0);
    bytes.write(value, 4, 'latin1');
    return bytes;
  };
  const count = Buffer.alloc(4);
  count.writeUInt32BE(queries.length, 0);
  return Buffer.concat([text(name), count, ...queries.map(text)]);
}

/** What a client tells of a range, by `length, flags` of each extent; structured replies and the context are agreed on. */
export async function blockStatus(client: NbdClient, offset: number, length: number, flags = 0): Promise<number[]> {
  client.send(request(NBD_CMD_BLOCK_STATUS, 3, offset, length, flags));
  const { type, cookie, data } = await takeChunk(client);
  if (type !== NBD_CHUNK_BLOCK_STATUS || cookie !== 3 || data.readUInt32BE(0) !== 1)
    throw new Error(`no block status: type ${type}, ${data.toString('hex')}`);
  return Array.from({ length: (data.length - 4) / 4 }, (_, i) => data.readUInt32BE(4 + i * 4));
}

/** The next reply, which must be one chunk. */
export async function takeChunk(client: NbdClient): Promise<{ type: number; cookie: number; data: Buffer }> {
  const header = await client.take(20);
  if (header.readUInt32BE(0) !== NBD_CHUNK_MAGIC || header.readUInt16BE(4) !== 1)
    throw new Error(`no whole reply in a chunk: ${header.toString('hex')}`);
  const data = Buffer.from(await client.take(header.readUInt32BE(16)));
  return { type: header.readUInt16BE(6), cookie: Number(header.readBigUInt64BE(8)), data };
}

/** Error and cookie of a simple reply. */
export function parseReply(header: Buffer): { error: number; cookie: number } {
  if (header.readUInt32BE(0) !== 0x67446698) throw new Error(`no reply: ${header.toString('hex')}`);
  return { error: header.readUInt32BE(4), cookie: Number(header.readBigUInt64BE(8)) };
}
