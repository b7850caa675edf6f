/**
 * A qcow2 image as a file of the guest's bytes, read only. Tables and unpacked clusters are kept as far as a bound allows; what
 * is not there is asked of the image's own file, in the same manner in which the content was asked for.
 *
 *     first table (whole in memory) -> second-level tables (cached) -> clusters: zeros | plain | deflated (cached unpacked)
 */
import { Buffer } from 'node:buffer';
import { inflateRawSync } from 'node:zlib';
import { DiskError, NOT_CACHED, type DataFile, type FileStat } from '../io/disk.ts';
import {
  QCOW2_HEADER_BYTES,
  clusterPlace,
  l2TableOffset,
  parseQcow2Header,
  type Qcow2Header,
  type Qcow2Place,
} from './qcow2-header.ts';

/** Tables and unpacked clusters of one image in memory, each. */
const CACHE_BYTES = 8 << 20;
/** Also of the largest clusters, 2 MiB. */
const COUNT_MIN = 8;

/** What was used last, at most so many. */
class RecentBuffers {
  private readonly countMax: number;
  private readonly items = new Map<number, Buffer>();

  constructor(bytesEach: number) {
    this.countMax = Math.max(COUNT_MIN, Math.floor(CACHE_BYTES / bytesEach));
  }

  get(key: number): Buffer | undefined {
    const found = this.items.get(key);
    if (found === undefined) return undefined;
    this.items.delete(key);
    this.items.set(key, found);
    return found;
  }

  set(key: number, value: Buffer): void {
    this.items.set(key, value);
    const [oldest] = this.items.keys();
    if (this.items.size > this.countMax && oldest !== undefined) this.items.delete(oldest);
  }
}

/** Reads from the image's file into a buffer, or tells what would have to be waited for. */
type Fetch = (into: Buffer, length: number, offset: number) => number;

/** A range of the image that has to be read before anything can be said. */
interface Wanted {
  readonly offset: number;
  readonly length: number;
  readonly accept: (bytes: Buffer, got: number) => void;
}

export class Qcow2File implements DataFile {
  readonly name: string;
  readonly header: Qcow2Header;
  readonly bytesWritten = 0;
  private readonly file: DataFile;
  private readonly l1: Buffer;
  private readonly tables: RecentBuffers;
  private readonly unpacked: RecentBuffers;

  private constructor(file: DataFile, header: Qcow2Header, l1: Buffer) {
    this.name = file.name;
    this.file = file;
    this.header = header;
    this.l1 = l1;
    this.tables = new RecentBuffers(header.clusterBytes);
    this.unpacked = new RecentBuffers(header.clusterBytes);
  }

  /** Takes the image's own file over. Throws what keeps it from being read. */
  static async open(file: DataFile): Promise<Qcow2File> {
    const start = Buffer.alloc(QCOW2_HEADER_BYTES);
    const header = parseQcow2Header(start, await file.read(start, 0, start.length, 0));
    const l1 = Buffer.alloc(header.l1Entries * 8);
    if ((await file.read(l1, 0, l1.length, header.l1Offset)) < l1.length) throw new Error('its first table is cut off');
    return new Qcow2File(file, header, l1);
  }

  readCached(into: Buffer, at: number, length: number, offset: number): number {
    return this.readBy((to, count, from) => this.file.readCached(to, 0, count, from), into, at, length, offset);
  }

  readSync(into: Buffer, at: number, length: number, offset: number): number {
    return this.readBy((to, count, from) => this.file.readSync(to, 0, count, from), into, at, length, offset);
  }

  async read(into: Buffer, at: number, length: number, offset: number): Promise<number> {
    const end = Math.min(offset + length, this.header.virtualBytes);
    for (let position = offset; position < end;) {
      const target = into.subarray(at + position - offset);
      const count = this.withinCluster(position, end);
      const place = this.placeOf(position);
      if ('accept' in place) await this.fetchLater(place);
      else if (place.kind === 'plain') {
        const inside = place.offset + (position % this.header.clusterBytes);
        fillRest(target, await this.file.read(target, 0, count, inside), count);
        position += count;
      } else {
        const missing = this.copyOut(place, position, target, count);
        if (missing === null) position += count;
        else await this.fetchLater(missing);
      }
    }
    return Math.max(end - offset, 0);
  }

  /** Reads cluster by cluster; NOT_CACHED as soon as `fetch` says that. */
  private readBy(fetch: Fetch, into: Buffer, at: number, length: number, offset: number): number {
    const end = Math.min(offset + length, this.header.virtualBytes);
    for (let position = offset; position < end;) {
      const target = into.subarray(at + position - offset);
      const count = this.withinCluster(position, end);
      const place = this.placeOf(position);
      const isPlain = !('accept' in place) && place.kind === 'plain';
      if (isPlain) {
        const got = fetch(target, count, place.offset + (position % this.header.clusterBytes));
        if (got === NOT_CACHED) return NOT_CACHED;
        fillRest(target, got, count);
        position += count;
        continue;
      }
      const missing = 'accept' in place ? place : this.copyOut(place, position, target, count);
      if (missing === null) position += count;
      else if (!this.fetchNow(fetch, missing)) return NOT_CACHED;
    }
    return Math.max(end - offset, 0);
  }

  private withinCluster(position: number, end: number): number {
    const { clusterBytes } = this.header;
    return Math.min(clusterBytes - (position % clusterBytes), end - position);
  }

  private fetchNow(fetch: Fetch, { offset, length, accept }: Wanted): boolean {
    const bytes = Buffer.allocUnsafe(length);
    const got = fetch(bytes, length, offset);
    if (got === NOT_CACHED) return false;
    accept(bytes, got);
    return true;
  }

  private async fetchLater({ offset, length, accept }: Wanted): Promise<void> {
    const bytes = Buffer.allocUnsafe(length);
    accept(bytes, await this.file.read(bytes, 0, length, offset));
  }

  /** Where the byte at `position` is, or the table that tells. */
  private placeOf(position: number): Qcow2Place | Wanted {
    const { clusterBytes } = this.header;
    const perTable = clusterBytes / 8;
    const cluster = Math.floor(position / clusterBytes);
    const l1Index = Math.floor(cluster / perTable);
    const table = this.tables.get(l1Index);
    if (table !== undefined) return this.checked(() => clusterPlace(table, cluster % perTable, this.header));
    const offset = this.checked(() => l2TableOffset(this.l1, l1Index, this.header));
    if (offset === 0) return { kind: 'zeros' };
    const accept = (bytes: Buffer, got: number): void => {
      if (got < bytes.length) throw this.damaged(`a table at ${offset} is cut off`);
      this.tables.set(l1Index, bytes);
    };
    return { offset, length: clusterBytes, accept };
  }

  /** Fills in zeros or an unpacked cluster; returns what has to be read first, or null when it is done. */
  private copyOut(place: Qcow2Place, position: number, target: Buffer, count: number): Wanted | null {
    if (place.kind !== 'compressed') {
      target.fill(0, 0, count);
      return null;
    }
    const { clusterBytes } = this.header;
    const cluster = Math.floor(position / clusterBytes);
    const content = this.unpacked.get(cluster);
    if (content !== undefined) {
      const inside = position % clusterBytes;
      content.copy(target, 0, inside, inside + count);
      return null;
    }
    const { offset, length } = place;
    return {
      offset,
      length,
      accept: (bytes, got) => this.unpacked.set(cluster, this.unpack(bytes.subarray(0, got), offset)),
    };
  }

  private unpack(packed: Buffer, offset: number): Buffer {
    const { clusterBytes } = this.header;
    let content: Buffer;
    try {
      content = inflateRawSync(packed, { maxOutputLength: clusterBytes });
    } catch (error) {
      throw this.damaged(`a compressed cluster at ${offset} cannot be unpacked`, error);
    }
    if (content.length < clusterBytes) throw this.damaged(`a compressed cluster at ${offset} is too short`);
    return content;
  }

  private checked<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw this.damaged(error instanceof Error ? error.message : String(error), error);
    }
  }

  private damaged(what: string, cause?: unknown): DiskError {
    return new DiskError('read', this.name, 'EIO', `the qcow2 image is damaged: ${what}`, { cause });
  }

  statNow(): FileStat {
    return { ...this.file.statNow(), sizeBytes: this.header.virtualBytes };
  }

  close(): Promise<void> {
    return this.file.close();
  }

  // The rest of the contract is for files that are written, and for sparse ones.

  write(): never {
    throw this.readOnly();
  }
  writeJoined(): never {
    throw this.readOnly();
  }
  writeLater(): Promise<never> {
    return Promise.reject(this.readOnly());
  }
  punch(): never {
    throw this.readOnly();
  }
  zero(): never {
    throw this.readOnly();
  }
  truncate(): Promise<never> {
    return Promise.reject(this.readOnly());
  }
  dropCache(): Promise<void> {
    return Promise.resolve();
  }

  startWriteback(): Promise<void> {
    return Promise.resolve();
  }
  sync(): Promise<void> {
    return Promise.resolve();
  }
  /** All of it counts as data. */
  extents(from: number, to: number, into: Float64Array): number {
    const end = Math.min(to, this.header.virtualBytes);
    if (from >= end) return 0;
    into[0] = from;
    into[1] = end;
    return 1;
  }
  unwritten(): number {
    return 0;
  }

  private readOnly(): DiskError {
    return new DiskError('write', this.name, 'EROFS', 'a backing file is never written');
  }
}

/** What lies beyond the end of the image's file reads as zeros. */
function fillRest(target: Buffer, got: number, count: number): void {
  if (got < count) target.fill(0, got, count);
}
