/**
 * Header of the data connection protocol (engine to replica, and the `socket` frontend): 26 bytes, packed,
 * little-endian, read and written in place. No allocation, no BigInt; nothing here knows sockets.
 *
 *     0        2              6              10                      18             22              26
 *     | magic  | seq u32      | type u32     | offset i64            | size u32     | data length   | payload …
 *     | 01 1b  |              |              |                       |              | u32           |
 */

/** Bytes of a frame's header; the payload follows. */
export const FRAME_HEADER_BYTES = 26;

/** First two bytes of every frame, read as little-endian u16. */
export const FRAME_MAGIC = 0x1b01;

/** Upstream's types are 0 to 8; 16 to 18 are ours, sent only to a replica that lists them in `capabilities`. */
export const FRAME_READ = 0;
export const FRAME_WRITE = 1;
export const FRAME_RESPONSE = 2;
export const FRAME_ERROR = 3;
export const FRAME_EOF = 4;
export const FRAME_CLOSE = 5;
export const FRAME_PING = 6;
export const FRAME_UNMAP = 7;
/** Answered by an engine's frontend only; a replica answers a full disk with FRAME_ERROR and the text. */
export const FRAME_ENOSPC = 8;
/** Offset 0, Size 0; answered by FRAME_RESPONSE after everything written before it is on stable storage. */
export const FRAME_FLUSH = 16;
/** Offset = Seq of the FLUSH that every member has answered; no answer. */
export const FRAME_FLUSHED = 17;
/** First frame of a connection: Offset = the engine's epoch. */
export const FRAME_HELLO = 18;

/** Text of upstream for a full disk: in FRAME_ENOSPC, and contained in a replica's FRAME_ERROR. */
export const NO_SPACE_TEXT = 'no space left on device';

const SEQ_AT = 2;
const TYPE_AT = 6;
const OFFSET_AT = 10;
const SIZE_AT = 18;
const LENGTH_AT = 22;
const TWO_32 = 0x1_0000_0000;
/** High words at or above this give offsets that a number cannot hold exactly (2^53 = 2^21 · 2^32). */
const HIGH_WORD_LIMIT = 0x20_0000;

function readU32(from: Uint8Array, at: number): number {
  return (
    ((from[at] as number) |
      ((from[at + 1] as number) << 8) |
      ((from[at + 2] as number) << 16) |
      ((from[at + 3] as number) << 24)) >>>
    0
  );
}

function writeU32(into: Uint8Array, at: number, value: number): void {
  into[at] = value;
  into[at + 1] = value >>> 8;
  into[at + 2] = value >>> 16;
  into[at + 3] = value >>> 24;
}

/** Writes a whole header at `at`. `offset` must be a non-negative safe integer, the rest u32. */
export function writeFrameHeader(
  into: Uint8Array,
  at: number,
  seq: number,
  type: number,
  offset: number,
  size: number,
  dataLength: number,
): void {
  into[at] = FRAME_MAGIC & 0xff;
  into[at + 1] = FRAME_MAGIC >>> 8;
  writeU32(into, at + SEQ_AT, seq);
  writeU32(into, at + TYPE_AT, type);
  writeU32(into, at + OFFSET_AT, offset >>> 0);
  writeU32(into, at + OFFSET_AT + 4, Math.floor(offset / TWO_32));
  writeU32(into, at + SIZE_AT, size);
  writeU32(into, at + LENGTH_AT, dataLength);
}

/** The magic at `at`; compare with FRAME_MAGIC before anything else is read. */
export function frameMagic(from: Uint8Array, at: number): number {
  return (from[at] as number) | ((from[at + 1] as number) << 8);
}

export function frameSeq(from: Uint8Array, at: number): number {
  return readU32(from, at + SEQ_AT);
}

export function frameType(from: Uint8Array, at: number): number {
  return readU32(from, at + TYPE_AT);
}

/** The offset, or -1 if it is negative or above 2^53 - 1: a peer may send anything, so callers must check. */
export function frameOffset(from: Uint8Array, at: number): number {
  const high = readU32(from, at + OFFSET_AT + 4);
  if (high >= HIGH_WORD_LIMIT) return -1;
  return high * TWO_32 + readU32(from, at + OFFSET_AT);
}

/** Copies the eight bytes of the offset from one header to another: an answer echoes what it cannot even represent. */
export function copyFrameOffset(into: Uint8Array, intoAt: number, from: Uint8Array, fromAt: number): void {
  for (let i = OFFSET_AT; i < OFFSET_AT + 8; i++) into[intoAt + i] = from[fromAt + i] as number;
}

export function frameSize(from: Uint8Array, at: number): number {
  return readU32(from, at + SIZE_AT);
}

/** Bytes of payload that follow the header. */
export function frameDataLength(from: Uint8Array, at: number): number {
  return readU32(from, at + LENGTH_AT);
}

/** Message for a frame with another magic; the connection is closed with it. */
export function wrongMagicText(magic: number): string {
  return `wrong API version received: 0x${magic.toString(16)}`;
}
