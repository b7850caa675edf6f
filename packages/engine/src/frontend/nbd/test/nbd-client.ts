/** A client that sends what a test says, byte by byte if need be, and reads what comes. */
import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { NBD_REQUEST_BYTES, NBD_REQUEST_MAGIC } from '../../../protocol/nbd.ts';

export class NbdClient {
  readonly socket: Socket;
  private chunks: Buffer[] = [];
  private length = 0;
  private wake: () => void = () => undefined;
  isEnded = false;

  constructor(path: string) {
    this.socket = connect(path);
    this.socket.on('data', (data) => {
      this.chunks.push(data);
      this.length += data.length;
      this.wake();
    });
    const ended = (): void => {
      this.isEnded = true;
      this.wake();
    };
    this.socket.on('close', ended);
    this.socket.on('error', ended);
  }

  /** The next `count` bytes; rejects when the connection ends before. */
  async take(count: number): Promise<Buffer> {
    while (this.length < count) {
      if (this.isEnded) throw new Error(`the connection ended after ${this.length} of ${count} bytes`);
      await new Promise<void>((resolve) => (this.wake = resolve));
    }
    const received = Buffer.concat(this.chunks);
    this.chunks = [received.subarray(count)];
    this.length -= count;
    return received.subarray(0, count);
  }

  send(bytes: Buffer | string): void {
    this.socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'hex') : bytes);
  }

  /** Handshake by EXPORT_NAME; resolves with the size and the flags. */
  async enter(name = 'vol'): Promise<{ size: bigint; flags: number }> {
    await this.take(18);
    const header = Buffer.alloc(20);
    header.writeUInt32BE(3, 0);
    header.write('IHAVEOPT', 4, 'latin1');
    header.writeUInt32BE(1, 12);
    header.writeUInt32BE(name.length, 16);
    this.send(Buffer.concat([header, Buffer.from(name)]));
    const answer = await this.take(10);
    return { size: answer.readBigUInt64BE(0), flags: answer.readUInt16BE(8) };
  }

  /** Resolves once the other side has closed. */
  async ended(): Promise<void> {
    if (!this.isEnded) await once(this.socket, 'close');
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

/** Error and cookie of a simple reply. */
export function parseReply(header: Buffer): { error: number; cookie: number } {
  if (header.readUInt32BE(0) !== 0x67446698) throw new Error(`no reply: ${header.toString('hex')}`);
  return { error: header.readUInt32BE(4), cookie: Number(header.readBigUInt64BE(8)) };
}
