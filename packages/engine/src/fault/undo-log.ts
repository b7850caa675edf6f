/**
 * What the unsynced writes to one file replaced, kept in files beside it so that a loss of power can be played on a disk
 * that has none: `unsynced-<inode>-<generation>.undo`.
 *
 *     write ── page not noted since the last sync began? ── append what it holds ── write
 *     sync  ── begin generation n + 1 ── fdatasync ── remove the logs up to n
 *     loss  ── newest generation first: put back what every record says
 *
 * A log is a header of 512 bytes (JSON, padded) and records: kind (u32: 1 hole, 2 data), length (u32), offset (u64), little
 * endian, then the data. A page is noted once in a generation, before it is written, so the end of a log that was cut off by
 * the death of its process stands for a write that never happened. Logs are never synced: they have to outlive processes,
 * not the machine, and those of an earlier boot of the machine mean nothing.
 */
import fs from 'node:fs';
import { join } from 'node:path';
import { DiskError, type DataFile } from '../io/disk.ts';
import { BLOCK_BYTES, UNDO_PIECE_BYTES } from '../limits.ts';

const HEADER_BYTES = 512;
const RECORD_BYTES = 16;
const HOLE = 1;
const DATA = 2;
/** Pages in one piece of the map of noted pages. */
const PIECE_PAGES = 4096;
const NAME = /^unsynced-(\d+)-(\d+)\.undo$/;

/** When a log was begun; a record counts only in another boot of the node and the same one of the machine. */
export interface Boot {
  /** of the node, new after each loss of power that is played */
  readonly node: string;
  /** of the real machine */
  readonly machine: string;
}

export interface LogName {
  readonly inode: string;
  readonly generation: number;
}

/** null: the name of something else. */
export function parseLogName(name: string): LogName | null {
  const [, inode, generation] = NAME.exec(name) ?? [];
  return inode === undefined ? null : { inode, generation: Number(generation) };
}

export const logName = ({ inode, generation }: LogName): string => `unsynced-${inode}-${generation}.undo`;

/** Begin of a log; null: its process died before it was written, and nothing else was. */
export function readBoot(path: string): Boot | null {
  const file = fs.openSync(path, 'r');
  try {
    const header = Buffer.alloc(HEADER_BYTES);
    if (fs.readSync(file, header, 0, HEADER_BYTES, 0) < HEADER_BYTES) return null;
    const { node, machine } = JSON.parse(header.toString('utf8')) as Record<string, unknown>;
    if (typeof node !== 'string' || typeof machine !== 'string') throw malformed(path, 'its header names no boot');
    return { node, machine };
  } finally {
    fs.closeSync(file);
  }
}

function malformed(path: string, what: string): DiskError {
  return new DiskError('undo', path, 'EINVAL', `${what}; remove it to keep what was not synced`);
}

/** Puts back what a log says, as far as the file has kept its size. Repeating it changes nothing. */
export function undo(path: string, target: DataFile): void {
  const { sizeBytes } = target.statNow();
  const file = fs.openSync(path, 'r');
  const record = Buffer.alloc(RECORD_BYTES);
  const data = Buffer.alloc(UNDO_PIECE_BYTES);
  try {
    for (let at = HEADER_BYTES; fs.readSync(file, record, 0, RECORD_BYTES, at) === RECORD_BYTES;) {
      const kind = record.readUInt32LE(0);
      const length = record.readUInt32LE(4);
      const offset = Number(record.readBigUInt64LE(8));
      at += RECORD_BYTES;
      if (kind === HOLE) target.punch(offset, length);
      else if (kind !== DATA || length > UNDO_PIECE_BYTES) throw malformed(path, `it has no record at ${at}`);
      else {
        if (fs.readSync(file, data, 0, length, at) < length) return;
        const count = Math.min(length, sizeBytes - offset);
        if (count > 0) target.write(data, 0, count, offset);
        at += length;
      }
    }
  } finally {
    fs.closeSync(file);
  }
}

/** The logs of one file, for all who have it open in this process. */
export class UndoLog {
  readonly #folder: string;
  readonly #inode: string;
  readonly #boot: Boot;
  /** generations that have a log */
  #generations: number[];
  #generation: number;
  #file: number | null = null;
  #endBytes = 0;
  readonly #noted = new Map<number, Uint8Array>();
  #later = new Set<Promise<void>>();
  #isGone = false;

  /** @param generations logs of this boot that an earlier process left */
  constructor(folder: string, inode: string, boot: Boot, generations: readonly number[]) {
    this.#folder = folder;
    this.#inode = inode;
    this.#boot = boot;
    this.#generations = [...generations];
    this.#generation = Math.max(0, ...generations) + 1;
  }

  /** Notes what a range holds that is about to be changed. */
  note(file: DataFile, offset: number, length: number): void {
    if (this.#isGone) return;
    const end = Math.ceil((offset + length) / BLOCK_BYTES);
    for (let page = Math.floor(offset / BLOCK_BYTES); page < end; page++) {
      if (this.#isNoted(page)) continue;
      let last = page + 1;
      while (last < end && !this.#isNoted(last)) last++;
      this.#noteRun(file, page * BLOCK_BYTES, last * BLOCK_BYTES);
      for (; page < last; page++) this.#mark(page);
    }
  }

  #isNoted(page: number): boolean {
    const piece = this.#noted.get(Math.floor(page / PIECE_PAGES));
    return piece !== undefined && ((piece[(page % PIECE_PAGES) >> 3] ?? 0) & (1 << (page & 7))) !== 0;
  }

  #mark(page: number): void {
    const key = Math.floor(page / PIECE_PAGES);
    let piece = this.#noted.get(key);
    if (piece === undefined) this.#noted.set(key, (piece = new Uint8Array(PIECE_PAGES >> 3)));
    piece[(page % PIECE_PAGES) >> 3] = (piece[(page % PIECE_PAGES) >> 3] ?? 0) | (1 << (page & 7));
  }

  /** All of it as a hole, then what is allocated in it. */
  #noteRun(file: DataFile, from: number, to: number): void {
    for (let at = from; at < to; at += UNDO_PIECE_BYTES) this.#append(HOLE, at, Math.min(UNDO_PIECE_BYTES, to - at));
    const pairs = new Float64Array(128);
    for (let at = from; at < to;) {
      const count = file.extents(at, to, pairs);
      for (let pair = 0; pair < count; pair++) {
        const end = Math.min(pairs[pair * 2 + 1] ?? to, to);
        this.#noteData(file, Math.max(pairs[pair * 2] ?? to, at), end);
        if (pair === count - 1) at = end;
      }
      if (count < pairs.length >> 1) return;
    }
  }

  #noteData(file: DataFile, from: number, to: number): void {
    for (let at = from; at < to; at += UNDO_PIECE_BYTES) {
      const data = Buffer.allocUnsafe(Math.min(UNDO_PIECE_BYTES, to - at));
      const count = file.readSync(data, 0, data.length, at);
      if (count > 0) this.#append(DATA, at, count, data.subarray(0, count));
    }
  }

  #append(kind: number, offset: number, length: number, data: Buffer = Buffer.alloc(0)): void {
    const record = Buffer.alloc(RECORD_BYTES);
    record.writeUInt32LE(kind, 0);
    record.writeUInt32LE(length, 4);
    record.writeBigUInt64LE(BigInt(offset), 8);
    this.#write(Buffer.concat([record, data]));
  }

  #write(bytes: Buffer): void {
    const path = this.#path(this.#generation);
    const file = (this.#file ??= this.#begin(path));
    try {
      for (let done = 0; done < bytes.length;)
        done += fs.writeSync(file, bytes, done, bytes.length - done, this.#endBytes + done);
    } catch (error) {
      // Half a record must not stand before the next one.
      fs.ftruncateSync(file, this.#endBytes);
      throw diskError(path, error);
    }
    this.#endBytes += bytes.length;
  }

  #begin(path: string): number {
    const header = Buffer.alloc(HEADER_BYTES, ' ');
    header.write(JSON.stringify(this.#boot));
    let file = -1;
    try {
      // Known before it is there: a log that fails half made is removed with the others.
      this.#generations.push(this.#generation);
      file = fs.openSync(path, 'w', 0o600);
      if (fs.writeSync(file, header) !== HEADER_BYTES)
        throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
    } catch (error) {
      if (file >= 0) fs.closeSync(file);
      throw diskError(path, error);
    }
    this.#endBytes = HEADER_BYTES;
    return file;
  }

  #path(generation: number): string {
    return join(this.#folder, logName({ inode: this.#inode, generation }));
  }

  /** A write that ends later than it is noted: a sync that begins meanwhile waits for it. */
  track(write: Promise<void>): Promise<void> {
    const settled: Promise<void> = write.then(
      () => void this.#later.delete(settled),
      () => void this.#later.delete(settled),
    );
    this.#later.add(settled);
    return write;
  }

  /** Syncs the file; what was noted before it began is of no use then. */
  async sync(file: DataFile): Promise<void> {
    const before = this.#generation;
    this.rest();
    await Promise.all(this.#later);
    await file.sync();
    this.#drop(before);
  }

  /** Ends the present generation: what is written from now on is noted anew. */
  rest(): void {
    if (this.#file !== null) fs.closeSync(this.#file);
    this.#file = null;
    this.#noted.clear();
    this.#generation++;
  }

  #drop(upTo: number): void {
    for (const generation of this.#generations)
      if (generation <= upTo) fs.rmSync(this.#path(generation), { force: true });
    this.#generations = this.#generations.filter((generation) => generation > upTo);
  }

  /** Its last name goes: nothing of it can come back, and its number may become another file's. */
  forget(): void {
    this.rest();
    this.#drop(this.#generation);
    this.#isGone = true;
  }
}

function diskError(path: string, error: unknown): DiskError {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return new DiskError('write', path, code, error instanceof Error ? error.message : String(error), { cause: error });
}
