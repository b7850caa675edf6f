/** The relay's store: requests of the front into a file in the page cache, as they come, and answers. No metadata, nothing is checked. */
import { Buffer } from 'node:buffer';
import { fdatasyncSync, readSync, writeSync } from 'node:fs';
import type { Socket } from 'node:net';
import {
  NBD_CMD_FLUSH,
  NBD_CMD_READ,
  NBD_CMD_WRITE,
  NBD_REPLY_BYTES,
  NBD_REQUEST_BYTES,
  requestCookieHigh,
  requestCookieLow,
  requestLength,
  requestOffset,
  requestType,
  writeReply,
} from '../../src/protocol/nbd.ts';
import { ChunkPool, ChunkStream } from './relay-chunks.ts';
import { FrameCutter } from './relay-frames.ts';

export class RelayStore {
  private readonly fd: number;
  private readonly front: Socket;
  private readonly pool = new ChunkPool();
  private readonly received: Buffer;
  private readonly cutter: FrameCutter;
  private writeOffset = 0;
  private payloadLeft = 0;
  /** of the write whose payload is on its way */
  private reply: Buffer = Buffer.alloc(0);

  /** `received`: where the front's bytes are put before they are taken */
  constructor(fd: number, front: Socket, received: Buffer) {
    this.fd = fd;
    this.front = front;
    this.received = received;
    this.cutter = new FrameCutter(Buffer.alloc(NBD_REQUEST_BYTES), {
      header: (header) => this.request(header),
      payload: (from, to) => this.payload(from, to),
    });
  }

  /** Takes `received[0 .. length)`, and needs it no more afterwards. */
  take(length: number): void {
    this.front.cork();
    this.cutter.take(this.received, length);
    this.front.uncork();
  }

  private request(header: Buffer): number {
    const type = requestType(header, 0);
    const length = requestLength(header, 0);
    const reply = Buffer.allocUnsafe(NBD_REPLY_BYTES);
    writeReply(reply, 0, 0, requestCookieHigh(header, 0), requestCookieLow(header, 0));
    if (type === NBD_CMD_WRITE && length > 0) {
      this.writeOffset = requestOffset(header, 0);
      this.payloadLeft = length;
      this.reply = reply;
      return length;
    }
    if (type === NBD_CMD_FLUSH) fdatasyncSync(this.fd);
    this.front.write(reply);
    if (type === NBD_CMD_READ) this.read(requestOffset(header, 0), length);
    return 0;
  }

  private payload(from: number, to: number): void {
    writeSync(this.fd, this.received, from, to - from, this.writeOffset);
    this.writeOffset += to - from;
    this.payloadLeft -= to - from;
    if (this.payloadLeft === 0) this.front.write(this.reply);
  }

  private read(offset: number, length: number): void {
    const chunks = new ChunkStream(this.pool);
    for (let done = 0; done < length;) {
      const count = Math.min(chunks.buffer.length, length - done);
      readSync(this.fd, chunks.buffer, 0, count, offset + done);
      chunks.send([this.front], 0, count);
      chunks.next();
      done += count;
    }
    chunks.end();
  }
}
