/** The receiver's end of a stream of windows (`window-stream.ts`): they are written one after the other, while the next ones come in. */
import type { Socket } from 'node:net';
import { adoptSocket } from '../io/node/adopt-socket.ts';
import type { ReplicaClock } from '../io/replica-clock.ts';
import { withSignsOfLife } from './sign-of-life.ts';
import {
  decodeHead,
  FRAME_ALIVE,
  FRAME_HEAD_BYTES,
  FRAME_REFUSED,
  FRAME_WRITTEN,
  REASON_BYTES_MAX,
  STREAM_ACCEPTED,
  type FrameHead,
} from './window-stream.ts';

export interface IntakeOptions {
  readonly clock: ReplicaClock;
  /** one for each window that is held, that which comes in and those that wait to be written; as large as a window can be */
  readonly buffers: readonly Buffer[];
  /** Writes a window. @throws when it is none, or not of this file */
  readonly write: (form: Buffer, begin: number, end: number) => Promise<void>;
}

export class WindowIntake {
  /** resolves when the connection has ended and nothing is being written any more */
  readonly done: Promise<void>;
  private readonly options: IntakeOptions;
  private readonly socket: Socket;
  private readonly free: Buffer[];
  private readonly head = Buffer.alloc(FRAME_HEAD_BYTES);
  /** what is being received: the head, or the window that it announced */
  private target: Buffer = this.head;
  private filled = 0;
  private announced: { readonly head: FrameHead; readonly buffer: Buffer } | null = null;
  private last: Promise<void> = Promise.resolve();
  private isOver = false;

  /** `upgraded` is of no use afterwards; nothing that came behind the request may have been read from it. */
  constructor(upgraded: Socket, options: IntakeOptions) {
    this.options = options;
    this.free = [...options.buffers];
    this.socket = adoptSocket(upgraded, {
      buffer: () => this.target.subarray(this.filled),
      callback: (count) => this.onBytes(count),
    });
    this.done = new Promise((resolve) => {
      this.socket.once('close', () => {
        this.isOver = true;
        void this.last.then(resolve);
      });
    });
    // What it means is told by `close`, which follows.
    this.socket.on('error', () => undefined);
    this.socket.on('end', () => this.socket.end());
    this.socket.write(STREAM_ACCEPTED);
    this.socket.resume();
  }

  end(): void {
    this.socket.destroy();
  }

  /** false: no more for now */
  private onBytes(count: number): boolean {
    if (this.isOver) {
      // Received all the same, until the sender has read why: to close with bytes that nobody has received would cut that off.
      this.target = this.head;
      this.filled = 0;
      return true;
    }
    this.filled += count;
    if (this.filled < this.target.length) return true;
    this.filled = 0;
    const { announced } = this;
    if (announced === null) return this.announce(decodeHead(this.head));
    this.announced = null;
    const form = this.target;
    this.target = this.head;
    this.last = this.last.then(() => this.written(form, announced.head, announced.buffer));
    return this.free.length > 0;
  }

  private announce(head: FrameHead): boolean {
    const buffer = this.free.pop();
    if (buffer === undefined || head.length === 0 || head.length > buffer.length) {
      this.refuse(`a window of ${head.length} bytes`);
      return true;
    }
    this.announced = { head, buffer };
    this.target = buffer.subarray(0, head.length);
    return true;
  }

  private async written(form: Buffer, { begin, end }: FrameHead, buffer: Buffer): Promise<void> {
    if (this.isOver) return;
    const { clock, write } = this.options;
    const tell = (): void => void this.socket.write(Buffer.of(FRAME_ALIVE));
    try {
      await withSignsOfLife(clock, tell, () => write(form, begin, end));
      this.socket.write(Buffer.of(FRAME_WRITTEN));
    } catch (error) {
      this.refuse(error instanceof Error ? error.message : String(error));
    }
    this.free.push(buffer);
    // Where it had to wait for a buffer.
    this.socket.resume();
  }

  private refuse(reason: string): void {
    this.isOver = true;
    const text = Buffer.from(reason, 'utf8').subarray(0, REASON_BYTES_MAX);
    const head = Buffer.of(FRAME_REFUSED, 0, 0);
    head.writeUInt16LE(text.length, 1);
    this.socket.end(Buffer.concat([head, text]));
  }
}
