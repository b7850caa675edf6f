/** A plain client of the data connection for tests: frames in hex or built, answers as they come. */
import net from 'node:net';
import {
  FRAME_HEADER_BYTES,
  frameDataLength,
  frameOffset,
  frameSeq,
  frameSize,
  frameType,
  writeFrameHeader,
} from '../src/protocol/replica-frame.ts';

export interface AnswerFrame {
  readonly seq: number;
  readonly type: number;
  readonly offset: number;
  readonly size: number;
  readonly data: Buffer;
}

/** One frame with its payload. */
export function frame(
  seq: number,
  type: number,
  offset: number,
  size: number,
  payload: Buffer = Buffer.alloc(0),
): Buffer {
  const header = Buffer.alloc(FRAME_HEADER_BYTES);
  writeFrameHeader(header, 0, seq, type, offset, size, payload.length);
  return Buffer.concat([header, payload]);
}

/** Takes whole frames off the start of `bytes`. */
export function parseFrames(bytes: Buffer): { frames: AnswerFrame[]; rest: Buffer } {
  const frames: AnswerFrame[] = [];
  let at = 0;
  while (bytes.length - at >= FRAME_HEADER_BYTES) {
    const end = at + FRAME_HEADER_BYTES + frameDataLength(bytes, at);
    if (bytes.length < end) break;
    frames.push({
      seq: frameSeq(bytes, at),
      type: frameType(bytes, at),
      offset: frameOffset(bytes, at),
      size: frameSize(bytes, at),
      data: Buffer.from(bytes.subarray(at + FRAME_HEADER_BYTES, end)),
    });
    at = end;
  }
  return { frames, rest: bytes.subarray(at) };
}

export class DataClient {
  readonly socket: net.Socket;
  private rest: Buffer = Buffer.alloc(0);
  private readonly arrived: AnswerFrame[] = [];
  private wake: () => void = () => undefined;
  isClosed = false;

  private constructor(socket: net.Socket) {
    this.socket = socket;
    socket.on('data', (chunk) => {
      const { frames, rest } = parseFrames(Buffer.concat([this.rest, chunk]));
      this.rest = rest;
      this.arrived.push(...frames);
      this.wake();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.isClosed = true;
      this.wake();
    });
  }

  static connect(where: net.NetConnectOpts): Promise<DataClient> {
    return new Promise((resolve, reject) => {
      const socket = net.connect(where);
      socket.once('error', reject);
      socket.once('connect', () => resolve(new DataClient(socket)));
    });
  }

  send(...frames: Buffer[]): void {
    this.socket.write(Buffer.concat(frames));
  }

  /** Answers until `count` have come or the connection is closed. */
  async answers(count: number): Promise<AnswerFrame[]> {
    while (this.arrived.length < count && !this.isClosed) {
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
    return this.arrived.splice(0, count);
  }

  async closed(): Promise<void> {
    while (!this.isClosed) {
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
  }

  end(): void {
    this.socket.destroy();
  }
}
