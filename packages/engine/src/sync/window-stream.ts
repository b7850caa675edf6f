/**
 * Windows of a file one after the other over a plain connection, to a target that has nothing yet. HTTP hands a body over in pieces of
 * 64 KiB, each a new buffer for the collector to take away again; here a window is received where it is written from.
 *
 * The connection is an upgraded request (`GET windows`, upgrade `longhorn-windows`). Then, little endian, from the sender
 *
 *     | begin u64 | span u32 | length u32 | a window of `length` bytes, of [begin, begin + span) | …
 *
 * and from the receiver, as often as it likes while a window is being written, and once for each, in their order:
 *
 *     | 0 |                    it is at it
 *     | 1 |                    written
 *     | 2 | length u16 | text  refused; the connection ends
 */
import { request as httpRequest } from 'node:http';
import type { Socket } from 'node:net';

export const STREAM_UPGRADE = 'longhorn-windows';
export const STREAM_PATH = 'windows';
export const STREAM_ACCEPTED = `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${STREAM_UPGRADE}\r\n\r\n`;
export const FRAME_HEAD_BYTES = 16;
/** `FRAME_REFUSED` has a text of at most this many bytes. */
export const REASON_BYTES_MAX = 2048;

export const FRAME_ALIVE = 0;
export const FRAME_WRITTEN = 1;
export const FRAME_REFUSED = 2;

export interface FrameHead {
  readonly begin: number;
  readonly end: number;
  readonly length: number;
}

function encodeHead({ begin, end, length }: FrameHead): Buffer {
  const head = Buffer.alloc(FRAME_HEAD_BYTES);
  head.writeBigUInt64LE(BigInt(begin), 0);
  head.writeUInt32LE(end - begin, 8);
  head.writeUInt32LE(length, 12);
  return head;
}

export function decodeHead(head: Buffer): FrameHead {
  const begin = Number(head.readBigUInt64LE(0));
  return { begin, end: begin + head.readUInt32LE(8), length: head.readUInt32LE(12) };
}

/** Of a receiver that gave no sign of life for that long. */
export function silenceOf({ host, port }: { host: string; port: number }, timeoutMs: number): Error {
  return new Error(`no answer from ${host}:${port} within ${timeoutMs} ms`);
}

export interface StreamTarget {
  readonly host: string;
  readonly port: number;
  /** of the request to upgrade */
  readonly path: string;
  /** without a sign of life; 0 = none */
  readonly timeoutMs: number;
}

/** The sender's end. The first failure is that of all windows that are under way, and of all that come. */
export class WindowStream {
  private readonly socket: Socket;
  private readonly waiting: PromiseWithResolvers<void>[] = [];
  private received: Buffer = Buffer.alloc(0);
  private failure: Error | null = null;

  private constructor(socket: Socket, target: StreamTarget) {
    const { host, port, timeoutMs } = target;
    this.socket = socket;
    socket.setNoDelay(true);
    if (timeoutMs > 0) {
      socket.setTimeout(timeoutMs, () => this.waiting.length > 0 && this.fail(silenceOf(target, timeoutMs)));
    }
    socket.on('data', (chunk: Buffer) => this.onAnswers(chunk));
    socket.on('error', (error) => this.fail(error));
    socket.on('close', () => this.fail(new Error(`${host}:${port} closed the connection`)));
  }

  static open(target: StreamTarget): Promise<WindowStream> {
    const { host, port, path, timeoutMs } = target;
    const headers = { connection: 'Upgrade', upgrade: STREAM_UPGRADE };
    return new Promise((resolve, reject) => {
      const asked = httpRequest({ host, port, path, headers, agent: false });
      asked.on('upgrade', (_answer, socket) => resolve(new WindowStream(socket, target)));
      asked.on('response', (answer) => {
        asked.destroy();
        reject(new Error(`${STREAM_PATH} was answered with ${answer.statusCode ?? 0}`));
      });
      asked.on('error', reject);
      if (timeoutMs > 0) asked.setTimeout(timeoutMs, () => asked.destroy(silenceOf(target, timeoutMs)));
      asked.end();
    });
  }

  /** Resolves when the window is written at the other end; `form` must stay as it is until then. */
  send(begin: number, end: number, form: Buffer): Promise<void> {
    if (this.failure !== null) return Promise.reject(this.failure);
    const answer = Promise.withResolvers<void>();
    this.waiting.push(answer);
    this.socket.cork();
    this.socket.write(encodeHead({ begin, end, length: form.length }));
    this.socket.write(form);
    this.socket.uncork();
    return answer.promise;
  }

  end(): void {
    this.fail(new Error('the transfer has ended'));
  }

  private onAnswers(chunk: Buffer): void {
    const bytes = this.received.length === 0 ? chunk : Buffer.concat([this.received, chunk]);
    let at = 0;
    for (; at < bytes.length; at++) {
      const kind = bytes[at];
      if (kind === FRAME_WRITTEN) this.waiting.shift()?.resolve();
      if (kind === FRAME_ALIVE || kind === FRAME_WRITTEN) continue;
      if (kind !== FRAME_REFUSED) {
        this.fail(new Error(`the receiver answered a window with ${kind}`));
        return;
      }
      if (bytes.length < at + 3 || bytes.length < at + 3 + bytes.readUInt16LE(at + 1)) break;
      const reason = bytes.toString('utf8', at + 3, at + 3 + bytes.readUInt16LE(at + 1));
      this.fail(new Error(`a window was refused: ${reason}`));
      return;
    }
    this.received = bytes.subarray(at);
  }

  private fail(error: Error): void {
    if (this.failure !== null) return;
    this.failure = error;
    this.socket.destroy();
    for (const { reject } of this.waiting.splice(0)) reject(error);
  }
}
