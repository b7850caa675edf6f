/** Receive buffers that are used again once everything that was sent out of them has left. */
import { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';

/** As the engine's: two requests of 128 KiB. */
export const CHUNK_BYTES = 256 << 10;

interface Chunk {
  readonly bytes: Buffer;
  /** who has something in it: whoever fills it, and every send that is not done */
  uses: number;
}

export class ChunkPool {
  private readonly free: Chunk[] = [];

  /** With one use. */
  take(): Chunk {
    const chunk = this.free.pop() ?? { bytes: Buffer.allocUnsafeSlow(CHUNK_BYTES), uses: 0 };
    chunk.uses = 1;
    return chunk;
  }

  release(chunk: Chunk): void {
    chunk.uses--;
    if (chunk.uses === 0) this.free.push(chunk);
  }
}

/** The buffers of one stream that is received: filled one after the other, and parts of them sent on. */
export class ChunkStream {
  private readonly pool: ChunkPool;
  private current: Chunk;

  constructor(pool: ChunkPool) {
    this.pool = pool;
    this.current = pool.take();
  }

  /** Where the next bytes go. */
  get buffer(): Buffer {
    return this.current.bytes;
  }

  /** Sends `buffer[from .. to)` to all of them. */
  send(targets: readonly Socket[], from: number, to: number): void {
    const { current, pool } = this;
    for (const target of targets) {
      current.uses++;
      target.write(current.bytes.subarray(from, to), () => pool.release(current));
    }
  }

  /** What lies in `buffer` was looked at: the next bytes go into another one. */
  next(): void {
    const { current } = this;
    this.current = this.pool.take();
    this.pool.release(current);
  }

  /** Nothing more is received; what is being sent goes on. */
  end(): void {
    this.pool.release(this.current);
  }
}
