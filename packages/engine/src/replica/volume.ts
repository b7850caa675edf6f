/**
 * A volume as its live chain of layers holds it: read, write and unmap of bytes. Layer 1 is the oldest, the last one
 * is the head, the only one that is written.
 *
 * - A read sees what was written or unmapped last, whichever layer holds it.
 * - A block that is partly written and lives in an older layer is completed with the old content first.
 * - An unmapped range reads as zeros, now and after the layers are loaded again: where an older layer that must not
 *   be touched has data, zeros are written into the head (never an unwritten extent: in a head that is what a loss of
 *   power leaves of a lost write, see `head-leftovers.ts`); elsewhere the space is freed. Freeing stops at the first layer
 *   that is not removed, unlike upstream's.
 * - A failed write leaves blocks old, new, or (an unaligned one) as before; never half a block of zeros.
 */
import { BLOCK_BYTES } from '../limits.ts';
import { NOT_CACHED, type DataFile } from '../io/disk.ts';
import { BlockIndex } from './block-index.ts';
import type { RegionList } from './region-list.ts';

export interface Layer {
  /** file name of the disk; changes when the head becomes a snapshot */
  name: string;
  file: DataFile;
  sizeBytes: number;
  /** A backing file: read only, every block of it counts as data. */
  readonly isBacking: boolean;
}

/** What an unmap did on disk. */
export interface UnmapResult {
  readonly freedBytes: number;
  /** zeros written over what must not be freed */
  readonly zeroedBytes: number;
}

const EXTENT_PAIRS = 512;
const ZEROS = Buffer.alloc(1 << 20);
const UNEXPECTED_EOF = 'unexpected EOF';

/** Lets other work run between two pieces of a long one. */
export function yieldToOthers(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

export class Volume {
  sizeBytes: number;
  /** oldest first; layer number n is `layers[n - 1]` */
  readonly layers: Layer[];
  readonly index: BlockIndex;
  /** files besides the head that changed since the last sync */
  private readonly changed = new Set<DataFile>();
  /** the syncs of those that were begun, up to the last one */
  private othersSynced: Promise<unknown> = Promise.resolve();
  private readonly regions: RegionList;
  private readonly bounce = Buffer.alloc(BLOCK_BYTES);
  private readonly pairs = new Float64Array(EXTENT_PAIRS * 2);

  private constructor(sizeBytes: number, layers: Layer[], regions: RegionList) {
    this.sizeBytes = sizeBytes;
    this.layers = layers;
    this.regions = regions;
    this.index = new BlockIndex(Math.ceil(sizeBytes / BLOCK_BYTES));
  }

  /** Finds out which layer holds what; takes time in proportion to the number of extents. */
  static async load(sizeBytes: number, layers: Layer[], regions: RegionList): Promise<Volume> {
    const volume = new Volume(sizeBytes, layers, regions);
    for (let number = 1; number <= layers.length; number++) {
      await volume.loadLayer(number);
    }
    // The process before may have died before it synced what it did to them.
    for (const layer of layers.slice(0, -1)) if (!layer.isBacking) volume.changed.add(layer.file);
    return volume;
  }

  private async loadLayer(number: number): Promise<void> {
    const { file, isBacking, sizeBytes } = this.layer(number);
    const end = Math.min(sizeBytes, this.sizeBytes);
    if (isBacking) {
      this.index.setRange(0, Math.ceil(end / BLOCK_BYTES), number);
      return;
    }
    for (let at = 0; at < end;) {
      const count = file.extents(at, end, this.pairs);
      this.raise(count, number, 0, this.index.length);
      if (count < EXTENT_PAIRS) return;
      at = this.pairs[count * 2 - 1] as number;
      await yieldToOthers();
    }
  }

  /** Takes the extents in `pairs` for blocks of a layer, newer than what the index says; whole blocks in [from, to). */
  private raise(count: number, number: number, from: number, to: number): void {
    for (let i = 0; i < count; i++) {
      const start = Math.max(Math.floor((this.pairs[i * 2] as number) / BLOCK_BYTES), from);
      const end = Math.min(Math.ceil((this.pairs[i * 2 + 1] as number) / BLOCK_BYTES), to);
      if (end > start) this.index.setRange(start, end, number);
    }
  }

  private layer(number: number): Layer {
    const layer = this.layers[number - 1];
    if (layer === undefined) throw new Error(`no layer ${number} of ${this.layers.length}`);
    return layer;
  }

  get headNumber(): number {
    return this.layers.length;
  }

  get head(): Layer {
    return this.layer(this.layers.length);
  }

  /** Throws upstream's text for a range outside the volume. */
  checkRange(offset: number, length: number): void {
    if (offset < 0 || offset + length > this.sizeBytes) throw new Error(UNEXPECTED_EOF);
  }

  /** Reads what the page cache holds; false if some of it is not there (the buffer's content is then undefined). */
  readCached(into: Buffer, at: number, length: number, offset: number): boolean {
    return this.readCachedUpTo(into, at, length, offset) === offset + length;
  }

  /** Reads without holding up the calling thread; the layers must stay until it is done. */
  async read(into: Buffer, at: number, length: number, offset: number): Promise<void> {
    const end = offset + length;
    for (let position = offset; position < end;) {
      const start = at + position - offset;
      const cold = this.readCachedUpTo(into, start, end - position, position);
      if (cold === end) return;
      position = this.runEnd(cold, end);
      const { file } = this.layer(this.index.get(Math.floor(cold / BLOCK_BYTES)));
      const got = await file.read(into, at + cold - offset, position - cold, cold);
      if (got < position - cold) into.fill(0, at + cold - offset + got, at + position - offset);
    }
  }

  /** End of the run at `position` that one layer holds; at most `end`. */
  private runEnd(position: number, end: number): number {
    const runEnd = this.index.runEnd(Math.floor(position / BLOCK_BYTES), Math.ceil(end / BLOCK_BYTES));
    return Math.min(runEnd * BLOCK_BYTES, end);
  }

  /** Reads run by run until one is not in the page cache; returns where that one starts, or the end. */
  private readCachedUpTo(into: Buffer, at: number, length: number, offset: number): number {
    const end = offset + length;
    let position = offset;
    while (position < end) {
      const number = this.index.get(Math.floor(position / BLOCK_BYTES));
      const runEnd = this.runEnd(position, end);
      const start = at + position - offset;
      const count = runEnd - position;
      let got = 0;
      if (number !== 0) {
        got = (this.layers[number - 1] as Layer).file.readCached(into, start, count, position);
        if (got === NOT_CACHED) return position;
      }
      // What no layer holds, and what lies beyond a layer from before an expansion.
      if (got < count) into.fill(0, start + got, start + count);
      position = runEnd;
    }
    return end;
  }

  /** Writes into the head. */
  write(from: Buffer, at: number, length: number, offset: number): void {
    if (length === 0) return;
    this.regions.mark(offset, length);
    const end = offset + length;
    if (offset % BLOCK_BYTES === 0 && end % BLOCK_BYTES === 0) {
      this.writePlain(from, at, length, offset);
      return;
    }
    const middle = Math.min(Math.ceil(offset / BLOCK_BYTES) * BLOCK_BYTES, end);
    const tail = Math.max(Math.floor(end / BLOCK_BYTES) * BLOCK_BYTES, middle);
    if (middle > offset) this.writePartly(from, at, middle - offset, offset);
    if (tail > middle) this.writePlain(from, at + middle - offset, tail - middle, middle);
    if (end > tail) this.writePartly(from, at + tail - offset, end - tail, tail);
  }

  /** Whole blocks that lie in several pieces, one after the other. */
  writeJoined(pieces: readonly Buffer[], length: number, offset: number): void {
    this.regions.mark(offset, length);
    const { file } = this.head;
    try {
      file.writeJoined(pieces, length, offset);
    } catch (error) {
      this.noteShortWrite(offset, file.bytesWritten);
      throw error;
    }
    this.index.setRange(offset / BLOCK_BYTES, (offset + length) / BLOCK_BYTES, this.headNumber);
  }

  private writePlain(from: Buffer, at: number, length: number, offset: number): void {
    const { file } = this.head;
    try {
      file.write(from, at, length, offset);
    } catch (error) {
      this.noteShortWrite(offset, file.bytesWritten);
      throw error;
    }
    this.index.setRange(offset / BLOCK_BYTES, (offset + length) / BLOCK_BYTES, this.headNumber);
  }

  /** Part of one block: its other part is taken along when an older layer holds it. */
  private writePartly(from: Buffer, at: number, length: number, offset: number): void {
    const block = Math.floor(offset / BLOCK_BYTES);
    const number = this.index.get(block);
    const { file } = this.head;
    if (number === this.headNumber) {
      file.write(from, at, length, offset);
      return;
    }
    const start = block * BLOCK_BYTES;
    const count = Math.min(BLOCK_BYTES, this.sizeBytes - start);
    const got = number === 0 ? 0 : this.layer(number).file.readSync(this.bounce, 0, count, start);
    this.bounce.fill(0, got, count);
    from.copy(this.bounce, offset - start, at, at + length);
    try {
      file.write(this.bounce, 0, count, start);
    } catch (error) {
      this.noteShortWrite(start, file.bytesWritten);
      throw error;
    }
    this.index.setRange(block, block + 1, this.headNumber);
  }

  /** After a failed write of whole blocks: those written count, a half written one must not hide the old content. */
  private noteShortWrite(offset: number, written: number): void {
    const first = offset / BLOCK_BYTES;
    const whole = first + Math.floor(written / BLOCK_BYTES);
    if (whole > first) this.index.setRange(first, whole, this.headNumber);
    if (written % BLOCK_BYTES === 0 || this.index.get(whole) === this.headNumber) return;
    this.head.file.punch(whole * BLOCK_BYTES, BLOCK_BYTES);
  }

  /**
   * Unmaps the whole blocks inside [offset, offset+length). `isRemovable` says of a layer below the head that nobody but
   * the live chain above it reads it.
   */
  unmap(offset: number, length: number, isRemovable: (name: string) => boolean): UnmapResult {
    const from = Math.ceil(offset / BLOCK_BYTES);
    const to = Math.floor((offset + length) / BLOCK_BYTES);
    const result = { freedBytes: 0, zeroedBytes: 0 };
    if (to <= from) return result;
    this.regions.mark(offset, length);
    const punched = this.layersToPunch(isRemovable);
    const hidden = this.blocksOfOlderLayers(from, to, this.headNumber - punched.length);
    let at = from;
    while (at < to) {
      let end = at + 1;
      while (end < to && hidden[end - from] === hidden[at - from]) end++;
      this.unmapRun(at, end, hidden[at - from] === 1, punched, result);
      at = end;
    }
    return result;
  }

  /**
   * Number of the oldest layer that an unmap may free blocks of: from there up, replicas may differ after all of them have
   * lost power, since what was freed without a flush is there or not.
   */
  oldestChanging(isRemovable: (name: string) => boolean): number {
    return this.headNumber - this.layersToPunch(isRemovable).length + 1;
  }

  /** The head and the removed layers under it, newest first. */
  private layersToPunch(isRemovable: (name: string) => boolean): Layer[] {
    const layers = [this.head];
    for (let number = this.headNumber - 1; number >= 1; number--) {
      const layer = this.layer(number);
      if (layer.isBacking || !isRemovable(layer.name)) break;
      layers.push(layer);
    }
    return layers;
  }

  /** 1 for every block of [from, to) in which a layer up to `newest` has data. */
  private blocksOfOlderLayers(from: number, to: number, newest: number): Uint8Array {
    const found = new Uint8Array(to - from);
    for (let number = newest; number >= 1; number--) {
      const { file, isBacking, sizeBytes } = this.layer(number);
      const end = Math.min(to * BLOCK_BYTES, sizeBytes);
      if (isBacking) {
        found.fill(1, 0, Math.max(Math.ceil(end / BLOCK_BYTES) - from, 0));
        continue;
      }
      for (let at = from * BLOCK_BYTES; at < end;) {
        const count = file.extents(at, end, this.pairs);
        for (let i = 0; i < count; i++) {
          const start = Math.floor((this.pairs[i * 2] as number) / BLOCK_BYTES) - from;
          found.fill(1, Math.max(start, 0), Math.ceil((this.pairs[i * 2 + 1] as number) / BLOCK_BYTES) - from);
        }
        if (count < EXTENT_PAIRS) break;
        at = this.pairs[count * 2 - 1] as number;
      }
    }
    return found;
  }

  private unmapRun(
    from: number,
    to: number,
    isHidden: boolean,
    punched: readonly Layer[],
    result: { freedBytes: number; zeroedBytes: number },
  ): void {
    if (!isHidden && this.index.get(from) === 0 && this.index.runEnd(from, to) === to) return;
    const offset = from * BLOCK_BYTES;
    const end = Math.min(to * BLOCK_BYTES, this.sizeBytes);
    try {
      if (isHidden) {
        this.writeZeros(offset, end - offset);
        result.zeroedBytes += end - offset;
      }
      // Oldest first: cut short, what the newer layers hold is still what is read. Over hidden data nothing is freed: a loss of
      // power could keep that and lose the zeros, and what is older than both would be read. A purge frees it.
      for (const layer of isHidden ? [] : punched.toReversed()) {
        const length = Math.min(end, layer.sizeBytes) - offset;
        if (length <= 0) continue;
        const before = layer.file.statNow().allocatedBytes;
        layer.file.punch(offset, length);
        if (layer !== this.head) this.changed.add(layer.file);
        result.freedBytes += Math.max(before - layer.file.statNow().allocatedBytes, 0);
      }
    } catch (error) {
      this.reload(from, to);
      throw error;
    }
    this.index.setRange(from, to, isHidden ? this.headNumber : 0);
  }

  private writeZeros(offset: number, length: number): void {
    for (let done = 0; done < length; done += ZEROS.length) {
      this.writePlain(ZEROS, 0, Math.min(ZEROS.length, length - done), offset + done);
    }
  }

  /** Finds out anew which layer holds the blocks [from, to). */
  private reload(from: number, to: number): void {
    this.index.setRange(from, to, 0);
    for (let number = 1; number <= this.layers.length; number++) {
      const { file, isBacking, sizeBytes } = this.layer(number);
      const end = Math.min(to * BLOCK_BYTES, sizeBytes);
      if (isBacking) {
        this.index.setRange(from, Math.max(from, Math.ceil(end / BLOCK_BYTES)), number);
        continue;
      }
      for (let at = from * BLOCK_BYTES; at < end;) {
        const count = file.extents(at, end, this.pairs);
        this.raise(count, number, from, to);
        if (count < EXTENT_PAIRS) break;
        at = this.pairs[count * 2 - 1] as number;
      }
    }
  }

  /** Everything written or unmapped so far is on stable storage when this is done; also what a sync before it has begun with. */
  async sync(): Promise<void> {
    const others = [...this.changed].map((file) => file.sync());
    this.changed.clear();
    if (others.length > 0) this.othersSynced = Promise.all([this.othersSynced, ...others]);
    await Promise.all([this.head.file.sync(), this.othersSynced]);
  }

  /** A new head on top; the old one is now called `snapshot`. */
  pushHead(snapshot: string, head: Layer): void {
    this.changed.add(this.head.file);
    this.head.name = snapshot;
    this.layers.push(head);
    if (head.sizeBytes > this.sizeBytes) {
      this.sizeBytes = head.sizeBytes;
      this.index.extend(Math.ceil(head.sizeBytes / BLOCK_BYTES));
      this.regions.resize(head.sizeBytes);
    }
  }

  /** Layer `number` and the one above it were joined into `file`, which takes the upper one's place. */
  mergeUp(number: number, file: DataFile, sizeBytes: number): void {
    const upper = this.layer(number + 1);
    this.changed.delete(upper.file);
    this.changed.delete(this.layer(number).file);
    upper.file = file;
    upper.sizeBytes = sizeBytes;
    this.layers.splice(number - 1, 1);
    const map = new Uint8Array(256);
    for (let k = 0; k < 256; k++) map[k] = k > number ? k - 1 : k;
    this.index.remap(map);
  }

  /** Number of the layer with this file name; 0 if the live chain has none. */
  numberOf(name: string): number {
    return this.layers.findIndex((layer) => layer.name === name) + 1;
  }

  /** Closes all files. */
  async close(): Promise<void> {
    for (const layer of this.layers) await layer.file.close();
  }
}
