/**
 * What a server must make of a stream of requests, by the words of the NBD protocol and independent of the frontend's code: which
 * operations it may do, and what it answers.
 */
import { Buffer } from 'node:buffer';
import { FUZZ_VOLUME_BYTES, fuzzAllocation, fuzzCall, fuzzContent, fuzzErrno, fuzzWriteExtra } from './fuzz-target.ts';

/** What the handshake agreed on. */
export type FuzzMode = 'simple' | 'structured' | 'context';

export interface Expectation {
  /** Operations, in any order. */
  readonly calls: string[];
  /** By cookie, the whole reply. */
  readonly replies: Map<string, Buffer>;
  /** `open`: the server waits for more; `left`: it answers all and ends; `cut`: it ends at once, whatever is in progress. */
  end: 'open' | 'left' | 'cut';
  /** Every reply arrives: nothing was sent after the end, which makes the kernel forget what is still on its way. */
  isAnswered: boolean;
}

const HEADER_BYTES = 28;
const PIECE = 1 << 20;
const READ = 0;
const WRITE = 1;
const DISCONNECT = 2;
const FLUSH = 3;
const TRIM = 4;
const WRITE_ZEROES = 6;
const BLOCK_STATUS = 7;

interface Request {
  readonly flags: number;
  readonly type: number;
  readonly cookie: Buffer;
  readonly offset: bigint;
  readonly length: number;
  readonly payload: Buffer;
}

/** `bytes`: everything that a client sends after the handshake. Cookies occur once. */
export function expectationOf(bytes: Buffer, mode: FuzzMode): Expectation {
  const expected: Expectation = { calls: [], replies: new Map(), end: 'open', isAnswered: true };
  for (let at = 0; bytes.length - at >= HEADER_BYTES;) {
    if (bytes.readUInt32BE(at) !== 0x25609513) return Object.assign(expected, { end: 'cut', isAnswered: false });
    const type = bytes.readUInt16BE(at + 6);
    const length = bytes.readUInt32BE(at + 24);
    if (type === WRITE && length > 32 << 20) return Object.assign(expected, { end: 'cut', isAnswered: false });
    if (type === DISCONNECT) {
      return Object.assign(expected, { end: 'left', isAnswered: at + HEADER_BYTES === bytes.length });
    }
    const end = at + HEADER_BYTES + (type === WRITE ? length : 0);
    const request = {
      flags: bytes.readUInt16BE(at + 4),
      type,
      cookie: bytes.subarray(at + 8, at + 16),
      offset: bytes.readBigUInt64BE(at + 16),
      length,
      payload: bytes.subarray(at + HEADER_BYTES, Math.min(end, bytes.length)),
    };
    const refused = refusalOf(request, mode);
    // A refused write is answered before its payload has come.
    if (refused === 0 && end > bytes.length) return expected;
    const cookie = request.cookie.toString('hex');
    if (expected.replies.has(cookie)) throw new Error(`cookie ${cookie} occurs twice`);
    const errno = refused === 0 ? perform(request, expected.calls) : refused;
    expected.replies.set(cookie, replyOf(request, errno, mode));
    at = end;
  }
  return expected;
}

function refusalOf({ flags, type, offset, length }: Request, mode: FuzzMode): number {
  let known = 1 | 2;
  if (type === READ && mode !== 'simple') known |= 4;
  if (type === BLOCK_STATUS) known |= 8;
  if ((flags & ~known) !== 0) return 22;
  if (type === FLUSH) return 0;
  const isWriting = type === WRITE || type === WRITE_ZEROES;
  if (!isWriting && type !== READ && type !== TRIM && !(type === BLOCK_STATUS && mode === 'context')) return 22;
  if (offset + BigInt(length) > BigInt(FUZZ_VOLUME_BYTES)) return isWriting ? 28 : 22;
  return length === 0 ? 22 : 0;
}

/** The operations of a request that was not refused; the errno that it ends with. */
function perform({ flags, type, offset: at, length, payload }: Request, calls: string[]): number {
  const isFua = (flags & 1) !== 0;
  const offset = Number(at);
  switch (type) {
    case READ:
      calls.push(fuzzCall('read', offset, length));
      return fuzzErrno('read', offset, length);
    case WRITE:
      calls.push(fuzzCall('write', offset, length, fuzzWriteExtra(payload, isFua)));
      return fuzzErrno('write', offset, length);
    case TRIM: {
      calls.push(fuzzCall('unmap', offset, length));
      const errno = fuzzErrno('unmap', offset, length);
      if (errno === 0 && isFua) calls.push(fuzzCall('flush', 0, 0));
      return errno;
    }
    case WRITE_ZEROES:
      return writeZeroes(offset, length, isFua, calls);
    case FLUSH:
      calls.push(fuzzCall('flush', 0, 0));
      return 0;
    default:
      return 0;
  }
}

function writeZeroes(offset: number, length: number, isFua: boolean, calls: string[]): number {
  for (let done = 0; done < length; done += PIECE) {
    const count = Math.min(PIECE, length - done);
    const isLast = done + count === length;
    calls.push(fuzzCall('write', offset + done, count, fuzzWriteExtra(Buffer.alloc(count), isFua && isLast)));
    const errno = fuzzErrno('write', offset + done, count);
    if (errno !== 0) return errno;
  }
  return 0;
}

function replyOf({ flags, type, cookie, offset, length }: Request, errno: number, mode: FuzzMode): Buffer {
  const isChunk = mode !== 'simple' && (type === READ || type === BLOCK_STATUS);
  if (!isChunk) {
    const data = type === READ && errno === 0 ? fuzzContent(Number(offset), length) : Buffer.alloc(0);
    return Buffer.concat([Buffer.from('67446698', 'hex'), word(errno), cookie, data]);
  }
  if (errno !== 0) return chunk(0x8001, cookie, Buffer.concat([word(errno), Buffer.alloc(2)]));
  if (type === READ) {
    const at = Buffer.alloc(8);
    at.writeBigUInt64BE(offset);
    return chunk(1, cookie, Buffer.concat([at, fuzzContent(Number(offset), length)]));
  }
  const extents = fuzzAllocation(Number(offset), length).flatMap((bytes, index) =>
    bytes === 0 ? [] : [Buffer.concat([word(bytes), word(index % 2 === 0 ? 3 : 0)])],
  );
  const isOne = (flags & 8) !== 0;
  return chunk(5, cookie, Buffer.concat([word(1), ...extents.slice(0, isOne ? 1 : undefined)]));
}

function word(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** The one chunk of a structured reply. */
function chunk(type: number, cookie: Buffer, data: Buffer): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(0x668e33ef, 0);
  head.writeUInt16BE(1, 4);
  head.writeUInt16BE(type, 6);
  return Buffer.concat([head, cookie, word(data.length), data]);
}

/**
 * Holds what came against what was expected: each reply whole and byte for byte, none of another client, none twice. `isWhole`: none is
 * missing, and nothing follows. Throws what is wrong.
 */
export function checkReplies(received: Buffer, { replies }: Expectation, isWhole: boolean): void {
  const left = new Map(replies);
  let at = 0;
  while (received.length - at >= 16) {
    const cookie = received.toString('hex', at + 8, at + 16);
    const reply = left.get(cookie);
    if (!reply) throw new Error(`a reply to nothing at ${at}: ${received.toString('hex', at, at + 32)}`);
    const count = Math.min(reply.length, received.length - at);
    if (received.compare(reply, 0, count, at, at + count) !== 0) {
      const [got, wanted] = [received.toString('hex', at, at + 40), reply.toString('hex', 0, 40)];
      throw new Error(`a wrong reply at ${at}, of ${reply.length} bytes: ${got} instead of ${wanted}`);
    }
    left.delete(cookie);
    at += count;
  }
  if (isWhole && (left.size > 0 || at !== received.length)) {
    throw new Error(`${left.size} replies are missing after ${received.length} bytes`);
  }
}
