/**
 * A window of a file in transfer: up to 2 MiB, told as ranges with data and the data itself.
 *
 *     | count u32 | (start u32, length u32) × count | data of range 1 | data of range 2 | …
 *
 * Starts are relative to the window; what no range covers is a hole. Both ends hash this form, so that equal hashes
 * mean equal data in an equal layout: a hole and zeros are not the same in a layer.
 *
 * Where hashes differ, both ends hash each block, and what is sent is a difference: the same form with only those blocks that differ.
 */
import { hash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { NOT_CACHED, type DataFile } from '../io/disk.ts';
import { BLOCK_BYTES, COPY_PIECE_BYTES, COPY_RANGES_MAX } from '../limits.ts';

/** Of a block's SHA-256, as many bytes are compared. */
const BLOCK_SUM_BYTES = 16;
/** Blocks that are hashed in one turn: the process that hashes serves I/O, too. */
const BLOCKS_PER_TURN = 64;
/** Ranges up to this size are written at once: into the page cache that is faster than handing them to a thread. */
const SMALL_WRITE_BYTES = 64 << 10;

export const WINDOW_BYTES_MAX = 4 + COPY_RANGES_MAX * 8 + COPY_PIECE_BYTES;

export interface WindowBuffer {
  readonly bytes: Buffer;
  readonly pairs: Float64Array;
}

export function windowBuffer(): WindowBuffer {
  return { bytes: Buffer.allocUnsafeSlow(WINDOW_BYTES_MAX), pairs: new Float64Array(COPY_RANGES_MAX * 2) };
}

/** What windows are read from: a file, or a snapshot with all that it stands on. */
export interface WindowSource {
  readonly sizeBytes: number;
  /** As `DataFile.extents`, in whole blocks or up to the end of the file. */
  extents(from: number, to: number, into: Float64Array): number;
  read(into: Buffer, at: number, length: number, offset: number): Promise<number>;
}

/** A file as a source: what is in the page cache is taken at once, which a thread could not do as fast for small ranges. */
export function fileSource(file: DataFile, sizeBytes: number): WindowSource {
  return {
    sizeBytes,
    extents: (from, to, into) => file.extents(from, to, into),
    read: async (into, at, length, offset) => {
      const got = file.readCached(into, at, length, offset);
      return got === NOT_CACHED ? file.read(into, at, length, offset) : got;
    },
  };
}

/** Ranges of whole blocks: two that share a block become one. */
export function blockRanges(pairs: Float64Array, count: number, from: number, to: number): number {
  let kept = 0;
  for (let i = 0; i < count; i++) {
    const start = Math.max(Math.floor((pairs[i * 2] as number) / BLOCK_BYTES) * BLOCK_BYTES, from);
    const end = Math.min(Math.ceil((pairs[i * 2 + 1] as number) / BLOCK_BYTES) * BLOCK_BYTES, to);
    if (kept > 0 && start <= (pairs[kept * 2 - 1] as number)) {
      pairs[kept * 2 - 1] = end;
      continue;
    }
    pairs[kept * 2] = start;
    pairs[kept * 2 + 1] = end;
    kept++;
  }
  return kept;
}

export interface Window {
  /** bytes of the whole form in the buffer */
  readonly length: number;
  readonly dataBytes: number;
}

/** Reads [begin, end) of a source into the form above. */
export async function readWindow(
  source: WindowSource,
  buffer: WindowBuffer,
  begin: number,
  end: number,
): Promise<Window> {
  const { bytes, pairs } = buffer;
  const count = blockRanges(pairs, source.extents(begin, end, pairs), begin, end);
  bytes.writeUInt32LE(count, 0);
  let at = 4 + count * 8;
  for (let i = 0; i < count; i++) {
    const start = pairs[i * 2] as number;
    const length = (pairs[i * 2 + 1] as number) - start;
    bytes.writeUInt32LE(start - begin, 4 + i * 8);
    bytes.writeUInt32LE(length, 8 + i * 8);
    const got = await source.read(bytes, at, length, start);
    if (got < length) bytes.fill(0, at + got, at + length);
    at += length;
  }
  return { length: at, dataBytes: at - 4 - count * 8 };
}

/** A part of a window that is data: where it lies in the file and in the form's buffer. */
interface DataRange {
  readonly start: number;
  readonly length: number;
  readonly at: number;
}

function* dataRanges(bytes: Buffer, begin: number): Generator<DataRange> {
  const count = bytes.readUInt32LE(0);
  let at = 4 + count * 8;
  for (let i = 0; i < count; i++) {
    const length = bytes.readUInt32LE(8 + i * 8);
    yield { start: begin + bytes.readUInt32LE(4 + i * 8), length, at };
    at += length;
  }
}

/**
 * Hashes each block of a window in the form that `readWindow` made; `begin` is at the border of a block.
 * Returns 16 bytes for each block of [begin, end): zeros for a hole.
 */
export async function blockSums(bytes: Buffer, begin: number, end: number): Promise<Buffer> {
  const sums = Buffer.alloc(Math.ceil((end - begin) / BLOCK_BYTES) * BLOCK_SUM_BYTES);
  let hashed = 0;
  for (const { start, length, at } of dataRanges(bytes, begin)) {
    for (let done = 0; done < length; done += BLOCK_BYTES) {
      const block = bytes.subarray(at + done, at + Math.min(done + BLOCK_BYTES, length));
      const place = ((start + done - begin) / BLOCK_BYTES) * BLOCK_SUM_BYTES;
      hash('sha256', block, 'buffer').copy(sums, place, 0, BLOCK_SUM_BYTES);
      if (++hashed % BLOCKS_PER_TURN === 0) await nextTurn();
    }
  }
  return sums;
}

/** What makes the other end's window equal to ours. */
export interface Difference {
  /** data that it has not, in the form of a window; what no range covers stays as it is. Empty: there is none */
  readonly body: Buffer;
  /** what it has to make a hole of */
  readonly holes: readonly { readonly begin: number; readonly end: number }[];
}

/** @throws when the other end's sums are not of as many blocks as ours */
export function windowDifference(
  bytes: Buffer,
  { begin, end }: { begin: number; end: number },
  ours: Buffer,
  theirs: Buffer,
): Difference {
  if (theirs.length !== ours.length)
    throw new Error(`${theirs.length} bytes of checksums, ${ours.length} were expected`);
  const differs = (start: number): boolean => {
    const at = ((start - begin) / BLOCK_BYTES) * BLOCK_SUM_BYTES;
    return ours.compare(theirs, at, at + BLOCK_SUM_BYTES, at, at + BLOCK_SUM_BYTES) !== 0;
  };
  const data: DataRange[] = [];
  const holes: { begin: number; end: number }[] = [];
  let position = begin;
  const passHole = (to: number): void => {
    for (const [from, until] of runsOf(position, to, differs)) holes.push({ begin: from, end: until });
  };
  for (const range of dataRanges(bytes, begin)) {
    passHole(range.start);
    position = range.start + range.length;
    for (const [from, until] of runsOf(range.start, position, differs))
      data.push({ start: from, length: until - from, at: range.at + from - range.start });
  }
  passHole(end);
  return { body: windowOf(bytes, begin, data), holes };
}

/** Blocks of [from, to) next to each other for which that is true. */
function* runsOf(from: number, to: number, is: (start: number) => boolean): Generator<[number, number]> {
  let begun = -1;
  for (let start = from; start < to; start += BLOCK_BYTES) {
    const isIn = is(start);
    if (isIn && begun < 0) begun = start;
    if (isIn || begun < 0) continue;
    yield [begun, start];
    begun = -1;
  }
  if (begun >= 0) yield [begun, to];
}

function windowOf(bytes: Buffer, begin: number, ranges: readonly DataRange[]): Buffer {
  if (ranges.length === 0) return Buffer.alloc(0);
  const head = Buffer.alloc(4 + ranges.length * 8);
  head.writeUInt32LE(ranges.length, 0);
  for (const [i, { start, length }] of ranges.entries()) {
    head.writeUInt32LE(start - begin, 4 + i * 8);
    head.writeUInt32LE(length, 8 + i * 8);
  }
  return Buffer.concat([head, ...ranges.map(({ at, length }) => bytes.subarray(at, at + length))]);
}

/**
 * Writes a received window: data is written, and what no range covers becomes a hole, or stays (`keepsRest`: it is one already, or
 * the window is a difference). Throws for one that is not well formed.
 */
export async function writeWindow(
  file: DataFile,
  bytes: Buffer,
  begin: number,
  end: number,
  keepsRest: boolean,
): Promise<number> {
  const { length } = bytes;
  const count = length >= 4 ? bytes.readUInt32LE(0) : COPY_RANGES_MAX + 1;
  if (count > COPY_RANGES_MAX || length < 4 + count * 8) throw new Error('window: wrong number of ranges');
  let at = 4 + count * 8;
  let position = begin;
  for (let i = 0; i < count; i++) {
    const start = begin + bytes.readUInt32LE(4 + i * 8);
    const size = bytes.readUInt32LE(8 + i * 8);
    if (start < position || size === 0 || start + size > end || at + size > length) {
      throw new Error(`window: range ${i} is outside the window or out of order`);
    }
    if (start > position && !keepsRest) file.punch(position, start - position);
    if (size <= SMALL_WRITE_BYTES) file.write(bytes, at, size, start);
    else await file.writeLater(bytes, at, size, start);
    at += size;
    position = start + size;
  }
  if (at !== length) throw new Error('window: data that belongs to no range');
  if (end > position && !keepsRest) file.punch(position, end - position);
  return at - 4 - count * 8;
}
