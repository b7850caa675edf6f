/**
 * Serves one FUSE connection whose file system is a single regular file: the volume.
 *
 * Guarantees: every request that was read is answered once, unless the connection ends first; the volume's memory
 * is the request's own (nothing is copied here); no allocation, promise or closure per read or write; memory and
 * slots are bounded, and reading stops while they are used up. A wake-up drains the descriptor, up to a limit, before
 * the volume is told to send what it gathered.
 *
 * Requests asked for again after a takeover (bit 63 of `unique`) are served like new ones: a write done twice
 * leaves what one leaves, as the block layer never has two overlapping writes under way that it wants ordered.
 */
import { strict as assert } from 'node:assert';
import type { Logger } from 'pino';
import { type BlockTarget, type CompletionSink, FRAME_HEADROOM } from '../frontend.ts';
import { type Chunk, ChunkPool } from './chunk-pool.ts';
import {
  FALLOCATE_KEEP_SIZE,
  FALLOCATE_PUNCH_HOLE,
  IO_REQUEST_BYTES,
  type InitOffer,
  OPCODE,
  REPLY_HEADER_BYTES,
  REQUEST_HEADER_BYTES,
  encodeInvalidation,
  encodeResend,
  fallocateLength,
  fallocateMode,
  initProblem,
  ioOffset,
  ioSize,
  parseInit,
  requestLength,
  requestOpcode,
  setAttrReply,
  setInitReply,
  setOpenReply,
  setReply,
  setStatfsReply,
  setWriteReply,
} from './fuse-protocol.ts';
import {
  ECONNABORTED,
  EINVAL,
  EIO,
  ENODEV,
  ENOENT,
  ENOSPC,
  ENOSYS,
  EOPNOTSUPP,
  LinuxError,
  addressOf,
  lastErrno,
  readInto,
  writeFrom,
} from './linux.ts';
import {
  CHUNK_BYTES,
  FUSE_IO_BYTES_MAX,
  FUSE_READ_BYTES,
  REQUESTS_PER_WAKEUP_MAX,
  SLOTS_MAX,
  UNMAP_ALIGNMENT_BYTES,
} from './limits.ts';
import { type ReadableDescriptor, watchReadable } from './readable-descriptor.ts';

/**
 * What a FALLOCATE means. The loop driver sends one and the same "punch hole" for a discard, after which a range may hold
 * anything, and for "write zeroes, you may deallocate", after which it must be zero; a volume that is rebuilding ignores unmaps.
 *
 * - `probing`: the device is being made and nobody uses it. Zeroing is refused, so that the driver stops offering it to the
 *   block layer, which from then on writes zeroes itself; what it writes and flushes for the probe
 *   is acknowledged and dropped.
 * - `discard`: that worked (Linux 6.11), so holes are discards, and go to `unmap`.
 * - `refuse`: it did not, so discards are refused too.
 */
export type FallocatePolicy = 'probing' | 'discard' | 'refuse';

/** Counters, read by others. */
export interface SessionCounters {
  requests: number;
  wakeUps: number;
  /** how often the kernel has asked for the file's attributes */
  attributesAsked: number;
  repliesLost: number;
}

export interface FuseSessionOptions {
  /** Open on /dev/fuse, non-blocking, mounted or about to be. The session does not close it. */
  fd: number;
  target: BlockTarget;
  sizeBytes: number;
  policy: FallocatePolicy;
  logger: Logger;
  /** The kernel has said what it can do; answered before this is called. */
  onInit: (offer: InitOffer) => void;
  /** The connection is over (unmounted or aborted) or cannot go on. Called at most once. */
  onEnd: (reason: string) => void;
}

/** The server side of one FUSE connection. */
export class FuseSession implements CompletionSink {
  readonly counters: SessionCounters = { requests: 0, wakeUps: 0, attributesAsked: 0, repliesLost: 0 };
  readonly #fd: number;
  readonly #target: BlockTarget;
  readonly #logger: Logger;
  readonly #options: FuseSessionOptions;
  readonly #pool = new ChunkPool();
  readonly #slotChunk: (Chunk | null)[] = Array.from({ length: SLOTS_MAX }, () => null);
  readonly #slotPosition = new Uint32Array(SLOTS_MAX);
  readonly #freeSlots = Uint16Array.from({ length: SLOTS_MAX }, (_, slot) => SLOTS_MAX - 1 - slot);
  #freeSlotCount = SLOTS_MAX;
  #sizeBytes: number;
  #policy: FallocatePolicy;
  #reading: Chunk | null = null;
  #watch: ReadableDescriptor | null = null;
  #stalled = false;
  #ended = false;
  #idleWaiters: (() => void)[] = [];

  constructor(options: FuseSessionOptions) {
    this.#options = options;
    this.#fd = options.fd;
    this.#target = options.target;
    this.#logger = options.logger;
    this.#sizeBytes = options.sizeBytes;
    this.#policy = options.policy;
  }

  /** Begins to serve. */
  start(): void {
    assert(this.#watch === null);
    this.#watch = watchReadable(this.#fd, {
      nextBuffer: () => this.#nextBuffer(),
      onRead: (length) => this.#onRead(length),
      onEnd: (code) => this.#end(code),
    });
  }

  /** Asks the kernel for everything that a server before us had taken and not answered. */
  resend(): void {
    this.#notify(encodeResend(), 'FUSE_NOTIFY_RESEND');
  }

  /** The file's size from now on. The kernel learns it when it is next asked for the file's attributes. */
  setSize(sizeBytes: number): void {
    this.#sizeBytes = sizeBytes;
    this.#notify(encodeInvalidation(), 'FUSE_NOTIFY_INVAL_INODE');
  }

  /** Ends the probing. */
  setPolicy(policy: FallocatePolicy): void {
    this.#policy = policy;
  }

  /** Requests that were read and are not answered. */
  get inFlight(): number {
    return SLOTS_MAX - this.#freeSlotCount;
  }

  /** Reads nothing more; resolves when what was read is answered. The connection stays as it is. */
  stop(): Promise<void> {
    this.#watch?.close();
    this.#watch = null;
    this.#ended = true;
    return new Promise((resolve) => {
      this.#idleWaiters.push(resolve);
      this.#settleIdle();
    });
  }

  complete(slot: number, errno: number): void {
    const chunk = this.#slotChunk[slot] ?? null;
    assert(chunk !== null, 'a completion of a slot that is not in flight');
    const position = this.#slotPosition[slot] ?? 0;
    const word = position >>> 2;
    if (errno !== 0) setReply(chunk.words, word, REPLY_HEADER_BYTES, errno);
    this.#send(chunk, position);
    this.#slotChunk[slot] = null;
    this.#freeSlots[this.#freeSlotCount] = slot;
    this.#freeSlotCount += 1;
    this.#pool.release(chunk);
  }

  flushCompletions(): void {
    if (this.#stalled && this.#freeSlotCount > 0 && this.#pool.reserve() !== null) {
      this.#stalled = false;
      if (!this.#ended) this.start();
    }
    this.#settleIdle();
  }

  #notify(message: Buffer, what: string): void {
    if (writeFrom(this.#fd, addressOf(message), message.length) !== message.length) {
      throw new LinuxError('write', what, lastErrno());
    }
  }

  #settleIdle(): void {
    if (this.inFlight > 0) return;
    for (const resolve of this.#idleWaiters.splice(0)) resolve();
  }

  #end(code: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#watch?.close();
    this.#watch = null;
    this.#options.onEnd(code);
  }

  /** Where the next request goes. While stalled nothing is read, and the old place is as good as any. */
  #nextBuffer(): Buffer {
    const chunk = this.#freeSlotCount === 0 ? null : this.#pool.reserve();
    this.#reading = chunk;
    return chunk === null ? Buffer.alloc(0) : chunk.bytes.subarray(chunk.position, chunk.position + FUSE_READ_BYTES);
  }

  #onRead(firstLength: number): boolean {
    this.counters.wakeUps += 1;
    let length = firstLength;
    let chunk = this.#reading;
    for (let count = 1; ; count++) {
      assert(chunk !== null);
      this.#dispatch(chunk, length);
      if (this.#ended) break;
      chunk = this.#freeSlotCount === 0 ? null : this.#pool.reserve();
      if (chunk === null || count >= REQUESTS_PER_WAKEUP_MAX) break;
      length = readInto(this.#fd, chunk.address + chunk.position, FUSE_READ_BYTES);
      // Nothing there, or an error: the event loop's own read will meet it again and report it.
      if (length <= 0) break;
    }
    this.#target.submitBatch();
    if (this.#ended) return false;
    if (chunk !== null) return true;
    this.#stalled = true;
    this.#watch?.close();
    this.#watch = null;
    return false;
  }

  #dispatch(chunk: Chunk, length: number): void {
    this.counters.requests += 1;
    const { words } = chunk;
    const word = chunk.position >>> 2;
    if (length < REQUEST_HEADER_BYTES || requestLength(words, word) !== length) {
      this.#end(`the kernel sent ${length} bytes as a request of ${requestLength(words, word)}`);
      return;
    }
    switch (requestOpcode(words, word)) {
      case OPCODE.WRITE:
        return this.#write(chunk, length);
      case OPCODE.READ:
        return this.#read(chunk, length);
      case OPCODE.FSYNC:
        if (this.#policy === 'probing') return this.#reply(chunk, 0);
        setReply(words, word, REPLY_HEADER_BYTES, 0);
        return this.#target.flush(this, this.#take(chunk, length));
      case OPCODE.FALLOCATE:
        return this.#fallocate(chunk, length);
      default:
        return this.#control(chunk);
    }
  }

  #write(chunk: Chunk, length: number): void {
    const { words, position } = chunk;
    const word = position >>> 2;
    const offset = ioOffset(words, word);
    const size = ioSize(words, word);
    if (size !== length - IO_REQUEST_BYTES) return this.#reply(chunk, EINVAL);
    if (offset + size > this.#sizeBytes) return this.#reply(chunk, ENOSPC);
    setWriteReply(words, word, size);
    if (size === 0 || this.#policy === 'probing') return this.#send(chunk, position);
    const slot = this.#take(chunk, length);
    this.#target.write(this, slot, offset, size, chunk.bytes, position + IO_REQUEST_BYTES, FRAME_HEADROOM, false);
  }

  #read(chunk: Chunk, length: number): void {
    const { words, position } = chunk;
    const word = position >>> 2;
    const offset = ioOffset(words, word);
    const size = Math.max(0, Math.min(ioSize(words, word), this.#sizeBytes - offset));
    if (size > FUSE_IO_BYTES_MAX) return this.#reply(chunk, EINVAL);
    setReply(words, word, REPLY_HEADER_BYTES + size, 0);
    if (size === 0) return this.#send(chunk, position);
    const slot = this.#take(chunk, Math.max(length, REPLY_HEADER_BYTES + size));
    this.#target.read(this, slot, offset, size, chunk.bytes, position + REPLY_HEADER_BYTES);
  }

  /** Only discards: see `FallocatePolicy`. Parts of sectors at the ends stay as they are. */
  #fallocate(chunk: Chunk, length: number): void {
    const { words } = chunk;
    const word = chunk.position >>> 2;
    const mode = fallocateMode(words, word) & ~FALLOCATE_KEEP_SIZE;
    if (mode !== FALLOCATE_PUNCH_HOLE || this.#policy !== 'discard') return this.#reply(chunk, EOPNOTSUPP);
    const offset = ioOffset(words, word);
    const end = Math.min(offset + fallocateLength(words, word), this.#sizeBytes);
    const start = Math.ceil(offset / UNMAP_ALIGNMENT_BYTES) * UNMAP_ALIGNMENT_BYTES;
    const unmapped = Math.floor(end / UNMAP_ALIGNMENT_BYTES) * UNMAP_ALIGNMENT_BYTES - start;
    setReply(words, word, REPLY_HEADER_BYTES, 0);
    if (unmapped <= 0) return this.#send(chunk, chunk.position);
    this.#target.unmap(this, this.#take(chunk, length), start, unmapped);
  }

  #control(chunk: Chunk): void {
    const { words, position } = chunk;
    const word = position >>> 2;
    switch (requestOpcode(words, word)) {
      case OPCODE.INIT:
        return this.#init(chunk);
      case OPCODE.GETATTR:
        this.counters.attributesAsked += 1;
        setAttrReply(words, word, this.#sizeBytes);
        return this.#send(chunk, position);
      case OPCODE.OPEN:
        setOpenReply(words, word);
        return this.#send(chunk, position);
      case OPCODE.STATFS:
        setStatfsReply(words, word, this.#sizeBytes);
        return this.#send(chunk, position);
      case OPCODE.RELEASE:
      case OPCODE.ACCESS:
      case OPCODE.DESTROY:
        return this.#reply(chunk, 0);
      case OPCODE.FORGET:
      case OPCODE.BATCH_FORGET:
      // Only signals interrupt; what they would interrupt is answered in any case.
      case OPCODE.INTERRUPT:
        return;
      default:
        return this.#reply(chunk, ENOSYS);
    }
  }

  #init(chunk: Chunk): void {
    const word = chunk.position >>> 2;
    const offer = parseInit(chunk.words, word);
    const problem = initProblem(offer);
    if (problem !== null) {
      this.#reply(chunk, EIO);
      this.#end(problem);
      return;
    }
    setInitReply(chunk.words, word, offer);
    this.#send(chunk, chunk.position);
    this.#options.onInit(offer);
  }

  /** Keeps a request's place until its completion. */
  #take(chunk: Chunk, length: number): number {
    assert(this.#freeSlotCount > 0 && chunk.position + length <= CHUNK_BYTES);
    this.#freeSlotCount -= 1;
    const slot = this.#freeSlots[this.#freeSlotCount] ?? 0;
    this.#slotChunk[slot] = chunk;
    this.#slotPosition[slot] = chunk.position;
    this.#pool.take(chunk, length);
    return slot;
  }

  #reply(chunk: Chunk, errno: number): void {
    setReply(chunk.words, chunk.position >>> 2, REPLY_HEADER_BYTES, errno);
    this.#send(chunk, chunk.position);
  }

  /** Sends the reply at `position`; its length is in its first word. */
  #send(chunk: Chunk, position: number): void {
    const length = requestLength(chunk.words, position >>> 2);
    if (writeFrom(this.#fd, chunk.address + position, length) === length) return;
    const errno = lastErrno();
    this.counters.repliesLost += 1;
    // ENOENT: the request was given up meanwhile; ENODEV, ECONNABORTED: the connection was.
    if (errno !== ENOENT && errno !== ENODEV && errno !== ECONNABORTED) {
      this.#logger.error({ errno, length }, 'the kernel refused a FUSE reply');
    }
  }
}
