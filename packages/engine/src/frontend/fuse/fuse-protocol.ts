/**
 * The FUSE kernel protocol (7.31 and later) as far as a file system of one regular file needs it.
 *
 * Requests are read, and replies are written, in place: a reply is built over the request that it answers, because
 * `unique` lies at offset 8 of both. All integers have the byte order of the machine, hence `Uint32Array` views;
 * `word` is the index of a message's first 32-bit word, so messages start on multiples of 4.
 *
 *     request header (40)   0 len | 4 opcode | 8 unique (8) | 16 nodeid (8) | 24 uid | 28 gid | 32 pid | 36 extension
 *     READ, WRITE (+40)    40 fh (8) | 48 offset (8) | 56 size | 60 flags | 64 lock owner (8) | 72 open flags | 76 -
 *     WRITE payload        80 …                            so 80 bytes of room lie before it
 *     FALLOCATE (+32)      40 fh (8) | 48 offset (8) | 56 length (8) | 64 mode | 68 -
 *     INIT (+64)           40 major | 44 minor | 48 max readahead | 52 flags | 56 flags2
 *     reply header (16)     0 len | 4 error (negative errno) | 8 unique (8)
 */
import { FUSE_BACKGROUND_MAX, FUSE_CONGESTION_THRESHOLD, FUSE_IO_BYTES_MAX, FUSE_PAGES_MAX } from './limits.ts';

export const OPCODE = {
  FORGET: 2,
  GETATTR: 3,
  OPEN: 14,
  READ: 15,
  WRITE: 16,
  STATFS: 17,
  RELEASE: 18,
  FSYNC: 20,
  INIT: 26,
  ACCESS: 34,
  INTERRUPT: 36,
  DESTROY: 38,
  BATCH_FORGET: 42,
  FALLOCATE: 43,
} as const;

export const REQUEST_HEADER_BYTES = 40;
export const REPLY_HEADER_BYTES = 16;
/** Length of a READ or WRITE request without its payload. */
export const IO_REQUEST_BYTES = 80;
export const WRITE_REPLY_BYTES = 24;
const PROTOCOL_MAJOR = 7;
const PROTOCOL_MINOR = 38;
/** First minor with max_pages; older kernels (before 4.20) are refused. */
const PROTOCOL_MINOR_MIN = 28;

const INIT_ASYNC_READ = 1 << 0;
const INIT_BIG_WRITES = 1 << 5;
const INIT_ASYNC_DIO = 1 << 15;
const INIT_PARALLEL_DIROPS = 1 << 18;
const INIT_MAX_PAGES = 1 << 22;
const INIT_EXT = 1 << 30;
/** Bit 39 of the flags: the kernel hands out unanswered requests again when it is asked to (Linux 6.9). */
const INIT2_HAS_RESEND = 1 << 7;
const OPEN_DIRECT_IO = 1 << 0;
const OPEN_NOFLUSH = 1 << 5;
const OPEN_PARALLEL_DIRECT_WRITES = 1 << 6;
const NOTIFY_INVAL_INODE = 2;
const NOTIFY_RESEND = 7;
/** Seconds that the kernel may rely on attributes: until it is told otherwise. */
const ATTRIBUTES_VALID_SECONDS = 0x7fff_ffff;
const ROOT_NODE_ID = 1;

export const FALLOCATE_KEEP_SIZE = 1;
export const FALLOCATE_PUNCH_HOLE = 2;

const MODE_REGULAR_0600 = 0o100600;
const BLOCK_BYTES = 4096;
const TWO_32 = 2 ** 32;

/** What a kernel offered in INIT. */
export interface InitOffer {
  major: number;
  minor: number;
  canResend: boolean;
}

const readU64 = (words: Uint32Array, word: number): number => (words[word] ?? 0) + (words[word + 1] ?? 0) * TWO_32;

const writeU64 = (words: Uint32Array, word: number, value: number): void => {
  words[word] = value % TWO_32;
  words[word + 1] = Math.floor(value / TWO_32);
};

export const requestLength = (words: Uint32Array, word: number): number => words[word] ?? 0;
export const requestOpcode = (words: Uint32Array, word: number): number => words[word + 1] ?? 0;
export const ioOffset = (words: Uint32Array, word: number): number => readU64(words, word + 12);
export const ioSize = (words: Uint32Array, word: number): number => words[word + 14] ?? 0;
export const fallocateLength = (words: Uint32Array, word: number): number => readU64(words, word + 14);
export const fallocateMode = (words: Uint32Array, word: number): number => words[word + 16] ?? 0;

/** Turns a request into the header of its reply; `unique` is in its place already. */
export const setReply = (words: Uint32Array, word: number, length: number, errno: number): void => {
  words[word] = length;
  words[word + 1] = errno === 0 ? 0 : TWO_32 - errno;
};

/** Turns a WRITE request into its successful reply. */
export const setWriteReply = (words: Uint32Array, word: number, size: number): void => {
  setReply(words, word, WRITE_REPLY_BYTES, 0);
  words[word + 4] = size;
  words[word + 5] = 0;
};

export const parseInit = (words: Uint32Array, word: number): InitOffer => {
  const flags = words[word + 13] ?? 0;
  const flags2 = (flags & INIT_EXT) === 0 ? 0 : (words[word + 14] ?? 0);
  return {
    major: words[word + 10] ?? 0,
    minor: words[word + 11] ?? 0,
    canResend: (flags2 & INIT2_HAS_RESEND) !== 0,
  };
};

/** Null when the kernel's protocol will do, else what is wrong with it. */
export const initProblem = (offer: InitOffer): string | null =>
  offer.major === PROTOCOL_MAJOR && offer.minor >= PROTOCOL_MINOR_MIN
    ? null
    : `the kernel speaks FUSE ${offer.major}.${offer.minor}, needed is ${PROTOCOL_MAJOR}.${PROTOCOL_MINOR_MIN} (Linux 4.20)`;

/** Turns an INIT request into its reply, and returns the reply's length. */
export const setInitReply = (words: Uint32Array, word: number, offer: InitOffer): number => {
  const length = REPLY_HEADER_BYTES + 64;
  words.fill(0, word + 4, word + length / 4);
  setReply(words, word, length, 0);
  words[word + 4] = PROTOCOL_MAJOR;
  words[word + 5] = Math.min(PROTOCOL_MINOR, offer.minor);
  words[word + 6] = FUSE_IO_BYTES_MAX;
  words[word + 7] =
    INIT_ASYNC_READ | INIT_BIG_WRITES | INIT_ASYNC_DIO | INIT_PARALLEL_DIROPS | INIT_MAX_PAGES | INIT_EXT;
  words[word + 8] = FUSE_BACKGROUND_MAX | (FUSE_CONGESTION_THRESHOLD << 16);
  words[word + 9] = FUSE_IO_BYTES_MAX;
  words[word + 10] = 1;
  words[word + 11] = FUSE_PAGES_MAX;
  words[word + 12] = offer.canResend ? INIT2_HAS_RESEND : 0;
  return length;
};

/**
 * Turns an OPEN request into its reply: no page cache, writes side by side, and no FLUSH when a descriptor is closed.
 * The last is a matter of life: a child process that this one starts closes its copy of the descriptor in exec(2), and
 * would wait there for an answer of ours, while we wait for its exec, with locks held that stop all of /proc.
 */
export const setOpenReply = (words: Uint32Array, word: number): number => {
  const length = REPLY_HEADER_BYTES + 16;
  words.fill(0, word + 4, word + length / 4);
  setReply(words, word, length, 0);
  words[word + 6] = OPEN_DIRECT_IO | OPEN_NOFLUSH | OPEN_PARALLEL_DIRECT_WRITES;
  return length;
};

/**
 * Turns a GETATTR request into its reply. The kernel keeps it until `encodeInvalidation`: so `losetup -a`, which asks for
 * the attributes of every loop device's file, does not wait for a volume that has no engine at the moment.
 */
export const setAttrReply = (words: Uint32Array, word: number, sizeBytes: number): number => {
  const length = REPLY_HEADER_BYTES + 16 + 88;
  words.fill(0, word + 4, word + length / 4);
  setReply(words, word, length, 0);
  writeU64(words, word + 4, ATTRIBUTES_VALID_SECONDS);
  const attr = word + 8;
  writeU64(words, attr, 1);
  writeU64(words, attr + 2, sizeBytes);
  writeU64(words, attr + 4, Math.ceil(sizeBytes / 512));
  words[attr + 15] = MODE_REGULAR_0600;
  words[attr + 16] = 1;
  words[attr + 20] = BLOCK_BYTES;
  return length;
};

/** Turns a STATFS request into its reply; the loop driver takes its discard granularity from the block size. */
export const setStatfsReply = (words: Uint32Array, word: number, sizeBytes: number): number => {
  const length = REPLY_HEADER_BYTES + 80;
  words.fill(0, word + 4, word + length / 4);
  setReply(words, word, length, 0);
  writeU64(words, word + 4, Math.floor(sizeBytes / BLOCK_BYTES));
  words[word + 10] = 1;
  words[word + 14] = BLOCK_BYTES;
  words[word + 15] = 255;
  words[word + 16] = BLOCK_BYTES;
  return length;
};

/** The notification that the file's attributes (its size) have changed. */
export const encodeInvalidation = (): Buffer => {
  const words = new Uint32Array(REPLY_HEADER_BYTES / 4 + 6);
  words[0] = words.byteLength;
  words[1] = NOTIFY_INVAL_INODE;
  writeU64(words, 4, ROOT_NODE_ID);
  // Offset -1: attributes only, there are no cached pages.
  words[6] = TWO_32 - 1;
  words[7] = TWO_32 - 1;
  return Buffer.from(words.buffer);
};

/** The notification by which a server asks for everything that was handed out and not answered. */
export const encodeResend = (): Buffer => {
  const words = new Uint32Array(REPLY_HEADER_BYTES / 4);
  words[0] = REPLY_HEADER_BYTES;
  words[1] = NOTIFY_RESEND;
  return Buffer.from(words.buffer);
};
