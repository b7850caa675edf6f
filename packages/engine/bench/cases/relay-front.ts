/**
 * The relay's front: passes the requests of one NBD client on to stores out of the receive buffer, and the stores' answers back.
 *
 *     client ── write, flush ──► all stores        answered when the last of them has
 *            ── read ──────────► the first alone   its answer is passed on as it comes
 *
 * It looks at headers only to know where the next one begins, whom it is for and which answer is the last.
 */
import { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import {
  NBD_CMD_DISC,
  NBD_CMD_READ,
  NBD_CMD_WRITE,
  NBD_REPLY_BYTES,
  NBD_REQUEST_BYTES,
  requestCookieLow,
  requestLength,
  requestType,
} from '../../src/protocol/nbd.ts';
import { ChunkPool, ChunkStream } from './relay-chunks.ts';
import { FrameCutter } from './relay-frames.ts';
import { answerHandshake, greeting } from './relay-handshake.ts';

/** Header of a reply: magic u32, error u32, cookie u64. */
const REPLY_COOKIE_LOW_AT = 12;

/** A stream that is received: bytes are put into `buffer()`, and `took` tells how many. */
export interface Inlet {
  buffer(): Buffer;
  took(count: number): void;
}

interface Waiting {
  /** answers of stores that are still to come */
  answers: number;
  /** bytes that follow the header of the answer */
  readonly payloadBytes: number;
}

interface AnswerStream {
  readonly chunks: ChunkStream;
  readonly cutter: FrameCutter;
}

export class RelayFront {
  private readonly sizeBytes: number;
  private readonly pool = new ChunkPool();
  private readonly answers: readonly AnswerStream[];
  /** by the low word of the cookie */
  private readonly waiting = new Map<number, Waiting>();
  private stores: readonly Socket[] = [];
  private client: Socket | null = null;
  /** answers that are ready while one with payload is only passed on in part */
  private held: Buffer[] = [];

  constructor(sizeBytes: number, storeCount: number) {
    this.sizeBytes = sizeBytes;
    this.answers = Array.from({ length: storeCount }, () => this.newAnswerStream());
  }

  private newAnswerStream(): AnswerStream {
    const chunks = new ChunkStream(this.pool);
    const cutter = new FrameCutter(Buffer.alloc(NBD_REPLY_BYTES), {
      header: (header) => this.answer(header),
      payload: (from, to) => {
        if (this.client !== null) chunks.send([this.client], from, to);
      },
    });
    return { chunks, cutter };
  }

  /** All connected: from now on they are written to. */
  use(stores: readonly Socket[]): void {
    this.stores = stores;
  }

  /** What the store number `index` sends. */
  storeInlet(index: number): Inlet {
    const answers = this.answers[index];
    if (answers === undefined) throw new Error(`there is no store ${index}`);
    const { chunks, cutter } = answers;
    return {
      buffer: () => chunks.buffer,
      took: (count) => {
        this.client?.cork();
        cutter.take(chunks.buffer, count);
        this.sendHeld();
        this.client?.uncork();
        chunks.next();
      },
    };
  }

  /** What the next client sends; it is greeted by `begin`, and the one before must be gone. */
  clientInlet(): Inlet & { begin(client: Socket): void } {
    const chunks = new ChunkStream(this.pool);
    const requests = this.newRequestCutter(chunks);
    let said: Buffer | null = Buffer.alloc(0);
    let answered = 0;
    return {
      begin: (client) => {
        this.client = client;
        client.write(greeting());
      },
      buffer: () => chunks.buffer,
      took: (count) => {
        if (said === null) this.takeRequests(requests, chunks, count);
        else {
          said = Buffer.concat([said, chunks.buffer.subarray(0, count)]);
          const { answer, isOver } = answerHandshake(said, this.sizeBytes);
          this.client?.write(answer.subarray(answered));
          answered = answer.length;
          // libnbd sends no request before it has the last answer.
          if (isOver) said = null;
        }
      },
    };
  }

  private newRequestCutter(chunks: ChunkStream): FrameCutter {
    return new FrameCutter(Buffer.alloc(NBD_REQUEST_BYTES), {
      header: (header) => this.request(header),
      // Only writes have payload.
      payload: (from, to) => chunks.send(this.stores, from, to),
    });
  }

  private takeRequests(requests: FrameCutter, chunks: ChunkStream, count: number): void {
    for (const store of this.stores) store.cork();
    requests.take(chunks.buffer, count);
    for (const store of this.stores) store.uncork();
    chunks.next();
  }

  /** Passes the header on; answers how many bytes of payload follow it. */
  private request(header: Buffer): number {
    const type = requestType(header, 0);
    if (type === NBD_CMD_DISC) return 0;
    const length = requestLength(header, 0);
    const isRead = type === NBD_CMD_READ;
    const targets = isRead ? this.stores.slice(0, 1) : this.stores;
    this.waiting.set(requestCookieLow(header, 0), { answers: targets.length, payloadBytes: isRead ? length : 0 });
    const copy = Buffer.from(header);
    for (const store of targets) store.write(copy);
    return type === NBD_CMD_WRITE ? length : 0;
  }

  /** Passes the last one on; answers how many bytes of payload follow it. */
  private answer(header: Buffer): number {
    const cookie = header.readUInt32BE(REPLY_COOKIE_LOW_AT);
    const waiting = this.waiting.get(cookie);
    if (waiting === undefined) throw new Error('an answer to nothing');
    waiting.answers--;
    if (waiting.answers > 0) return 0;
    this.waiting.delete(cookie);
    const copy = Buffer.from(header);
    if (waiting.payloadBytes > 0) this.client?.write(copy);
    else this.held.push(copy);
    return waiting.payloadBytes;
  }

  private sendHeld(): void {
    if (this.held.length === 0 || !this.answers.every(({ cutter }) => cutter.isBetweenFrames)) return;
    for (const answer of this.held) this.client?.write(answer);
    this.held = [];
  }
}
