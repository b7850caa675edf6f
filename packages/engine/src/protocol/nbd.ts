/**
 * The NBD protocol's numbers and headers (fixed newstyle, simple and structured replies), read and written in place. No sockets here; what
 * a peer sends is only decoded, judging it is the frontend's.
 */

// Handshake
export const NBD_MAGIC = 0x4e42_444d_4147_4943n;
export const NBD_OPTION_MAGIC = 0x4948_4156_454f_5054n;
export const NBD_OPTION_REPLY_MAGIC = 0x3_e889_0455_65a9n;
export const NBD_FLAG_FIXED_NEWSTYLE = 1;
export const NBD_FLAG_NO_ZEROES = 2;
/** Bytes before an option's data: magic, option, length. */
export const NBD_OPTION_HEADER_BYTES = 16;
/** Zeros after the answer to EXPORT_NAME, unless both sides said NO_ZEROES. */
export const NBD_EXPORT_NAME_ZEROES = 124;

export const NBD_OPT_EXPORT_NAME = 1;
export const NBD_OPT_ABORT = 2;
export const NBD_OPT_LIST = 3;
export const NBD_OPT_STARTTLS = 5;
export const NBD_OPT_INFO = 6;
export const NBD_OPT_GO = 7;
export const NBD_OPT_STRUCTURED_REPLY = 8;
export const NBD_OPT_LIST_META_CONTEXT = 9;
export const NBD_OPT_SET_META_CONTEXT = 10;

export const NBD_REP_ACK = 1;
export const NBD_REP_SERVER = 2;
export const NBD_REP_INFO = 3;
export const NBD_REP_META_CONTEXT = 4;
export const NBD_REP_ERR_UNSUP = 0x8000_0001;
export const NBD_REP_ERR_INVALID = 0x8000_0003;
/** The option is refused until TLS has been started. */
export const NBD_REP_ERR_TLS_REQD = 0x8000_0005;
export const NBD_REP_ERR_UNKNOWN = 0x8000_0006;

export const NBD_INFO_EXPORT = 0;
export const NBD_INFO_NAME = 1;
export const NBD_INFO_BLOCK_SIZE = 3;

// Transmission flags of an export
export const NBD_EXPORT_HAS_FLAGS = 1;
export const NBD_EXPORT_SEND_FLUSH = 4;
export const NBD_EXPORT_SEND_FUA = 8;
export const NBD_EXPORT_SEND_TRIM = 32;
export const NBD_EXPORT_SEND_WRITE_ZEROES = 64;
/** A read may ask for its data in one piece; only with structured replies. */
export const NBD_EXPORT_SEND_DF = 128;
/** A flush on one connection covers what was acknowledged on all. */
export const NBD_EXPORT_CAN_MULTI_CONN = 256;

// Transmission
export const NBD_REQUEST_MAGIC = 0x2560_9513;
export const NBD_REPLY_MAGIC = 0x6744_6698;
/** magic u32, flags u16, type u16, cookie u64, offset u64, length u32; big-endian. */
export const NBD_REQUEST_BYTES = 28;
/** magic u32, error u32, cookie u64. */
export const NBD_REPLY_BYTES = 16;
export const NBD_CHUNK_MAGIC = 0x668e_33ef;
/** Header of a chunk of a structured reply: magic u32, flags u16, type u16, cookie u64, length u32. */
export const NBD_CHUNK_BYTES = 20;
/** The last chunk of its reply. */
export const NBD_CHUNK_DONE = 1;
/** offset u64, data */
export const NBD_CHUNK_OFFSET_DATA = 1;
/** context u32, then length u32 and flags u32 of each extent */
export const NBD_CHUNK_BLOCK_STATUS = 5;
/** error u32, length u16 of a text, the text */
export const NBD_CHUNK_ERROR = 0x8001;
/** Room before the data of a read's reply in one chunk. */
export const NBD_DATA_CHUNK_BYTES = NBD_CHUNK_BYTES + 8;
/** A whole chunk that tells an error, without a text. */
export const NBD_ERROR_CHUNK_BYTES = NBD_CHUNK_BYTES + 6;

/** The metadata context that tells what is allocated. */
export const NBD_BASE_ALLOCATION = 'base:allocation';
export const NBD_STATE_HOLE = 1;
export const NBD_STATE_ZERO = 2;

export const NBD_CMD_READ = 0;
export const NBD_CMD_WRITE = 1;
export const NBD_CMD_DISC = 2;
export const NBD_CMD_FLUSH = 3;
export const NBD_CMD_TRIM = 4;
export const NBD_CMD_WRITE_ZEROES = 6;
export const NBD_CMD_BLOCK_STATUS = 7;

export const NBD_CMD_FLAG_FUA = 1;
export const NBD_CMD_FLAG_NO_HOLE = 2;
export const NBD_CMD_FLAG_DF = 4;
export const NBD_CMD_FLAG_REQ_ONE = 8;

export const NBD_EPERM = 1;
export const NBD_EIO = 5;
export const NBD_ENOMEM = 12;
export const NBD_EINVAL = 22;
export const NBD_ENOSPC = 28;

const FLAGS_AT = 4;
const TYPE_AT = 6;
const COOKIE_AT = 8;
const OFFSET_AT = 16;
const LENGTH_AT = 24;
const TWO_32 = 0x1_0000_0000;
/** High words at or above this give offsets that a number cannot hold exactly (2^53 = 2^21 · 2^32). */
const HIGH_WORD_LIMIT = 0x20_0000;

function readU32(from: Uint8Array, at: number): number {
  return (
    (((from[at] as number) << 24) |
      ((from[at + 1] as number) << 16) |
      ((from[at + 2] as number) << 8) |
      (from[at + 3] as number)) >>>
    0
  );
}

function writeU32(into: Uint8Array, at: number, value: number): void {
  into[at] = value >>> 24;
  into[at + 1] = value >>> 16;
  into[at + 2] = value >>> 8;
  into[at + 3] = value;
}

/** Compare with NBD_REQUEST_MAGIC before anything else is read. */
export function requestMagic(from: Uint8Array, at: number): number {
  return readU32(from, at);
}

export function requestFlags(from: Uint8Array, at: number): number {
  return ((from[at + FLAGS_AT] as number) << 8) | (from[at + FLAGS_AT + 1] as number);
}

export function requestType(from: Uint8Array, at: number): number {
  return ((from[at + TYPE_AT] as number) << 8) | (from[at + TYPE_AT + 1] as number);
}

/** The cookie is only ever echoed: two words without a meaning. */
export function requestCookieHigh(from: Uint8Array, at: number): number {
  return readU32(from, at + COOKIE_AT);
}

export function requestCookieLow(from: Uint8Array, at: number): number {
  return readU32(from, at + COOKIE_AT + 4);
}

/** The offset, or -1 if it is above 2^53 - 1: a peer may send anything. */
export function requestOffset(from: Uint8Array, at: number): number {
  const high = readU32(from, at + OFFSET_AT);
  if (high >= HIGH_WORD_LIMIT) return -1;
  return high * TWO_32 + readU32(from, at + OFFSET_AT + 4);
}

export function requestLength(from: Uint8Array, at: number): number {
  return readU32(from, at + LENGTH_AT);
}

/** Writes the header of a simple reply. */
export function writeReply(into: Uint8Array, at: number, error: number, cookieHigh: number, cookieLow: number): void {
  writeU32(into, at, NBD_REPLY_MAGIC);
  writeU32(into, at + 4, error);
  writeU32(into, at + 8, cookieHigh);
  writeU32(into, at + 12, cookieLow);
}

/** Writes the header of a chunk that is its whole reply. `bytes`: of what comes after the header. */
export function writeChunk(
  into: Uint8Array,
  at: number,
  type: number,
  cookieHigh: number,
  cookieLow: number,
  bytes: number,
): void {
  writeU32(into, at, NBD_CHUNK_MAGIC);
  writeU32(into, at + 4, (NBD_CHUNK_DONE << 16) | type);
  writeU32(into, at + 8, cookieHigh);
  writeU32(into, at + 12, cookieLow);
  writeU32(into, at + 16, bytes);
}

/** Writes what stands before the data of a read's reply, `NBD_DATA_CHUNK_BYTES`. */
export function writeDataChunk(
  into: Uint8Array,
  at: number,
  cookieHigh: number,
  cookieLow: number,
  offset: number,
  bytes: number,
): void {
  writeChunk(into, at, NBD_CHUNK_OFFSET_DATA, cookieHigh, cookieLow, 8 + bytes);
  writeU32(into, at + NBD_CHUNK_BYTES, Math.floor(offset / TWO_32));
  writeU32(into, at + NBD_CHUNK_BYTES + 4, offset % TWO_32);
}

/** Writes the reply of a request that failed, `NBD_ERROR_CHUNK_BYTES`. */
export function writeErrorChunk(
  into: Uint8Array,
  at: number,
  cookieHigh: number,
  cookieLow: number,
  error: number,
): void {
  writeChunk(into, at, NBD_CHUNK_ERROR, cookieHigh, cookieLow, NBD_ERROR_CHUNK_BYTES - NBD_CHUNK_BYTES);
  writeU32(into, at + NBD_CHUNK_BYTES, error);
  into[at + NBD_CHUNK_BYTES + 4] = 0;
  into[at + NBD_CHUNK_BYTES + 5] = 0;
}

/** Linux errno to NBD's error numbers; the wire knows only these. */
export function nbdError(errno: number): number {
  switch (errno) {
    case 0:
    case NBD_EPERM:
    case NBD_EIO:
    case NBD_ENOMEM:
    case NBD_EINVAL:
    case NBD_ENOSPC:
      return errno;
    default:
      return NBD_EIO;
  }
}
