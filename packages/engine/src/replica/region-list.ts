/**
 * The regions (64 KiB) that were written since the last flush that every member has answered, kept in memory.
 *
 *     write ──► current ──FLUSH──► generation(seq) ──FLUSHED(seq)──► gone
 *               inherited ──────────────────RegionsSettled─────────► gone
 *
 * A FLUSH closes the current generation. FLUSHED drops the generation of its flush and all before it; what was
 * written since that flush was received is in a later one. Regions taken over from an engine before are apart: no
 * FLUSHED removes them, because they may still differ between the replicas.
 */
import { FLUSH_GENERATIONS_MAX, REGION_BYTES, REGION_LIST_MAX } from '../limits.ts';

interface Generation {
  readonly connection: number;
  readonly seq: number;
  /** region numbers, or a bitmap when there were too many to list */
  readonly listed: Uint32Array | null;
  readonly bitmap: Uint8Array | null;
}

/** Bytes of a bitmap with one bit for each region of a volume. */
export function regionBitmapBytes(sizeBytes: number): number {
  return Math.ceil(Math.ceil(sizeBytes / REGION_BYTES) / 8);
}

function or(into: Uint8Array, from: Uint8Array): void {
  const length = Math.min(into.length, from.length);
  for (let i = 0; i < length; i++) into[i] = (into[i] as number) | (from[i] as number);
}

function addGeneration(into: Uint8Array, generation: Generation): void {
  if (generation.bitmap !== null) or(into, generation.bitmap);
  for (const region of generation.listed ?? []) {
    into[region >>> 3] = (into[region >>> 3] ?? 0) | (1 << (region & 7));
  }
}

export class RegionList {
  private current: Uint8Array;
  private listed = new Uint32Array(64);
  private count = 0;
  private generations: Generation[] = [];
  private inherited: Uint8Array | null = null;

  constructor(sizeBytes: number) {
    this.current = new Uint8Array(regionBitmapBytes(sizeBytes));
  }

  /** The volume has grown. */
  resize(sizeBytes: number): void {
    const grown = new Uint8Array(regionBitmapBytes(sizeBytes));
    grown.set(this.current.subarray(0, grown.length));
    this.current = grown;
  }

  /** Notes a write or unmap before it happens. */
  mark(offset: number, length: number): void {
    const last = Math.floor((offset + length - 1) / REGION_BYTES);
    for (let region = Math.floor(offset / REGION_BYTES); region <= last; region++) {
      const byte = region >>> 3;
      const bit = 1 << (region & 7);
      const before = this.current[byte] as number;
      if ((before & bit) !== 0) continue;
      this.current[byte] = before | bit;
      if (this.count < REGION_LIST_MAX) {
        if (this.count === this.listed.length) this.growList();
        this.listed[this.count] = region;
      }
      this.count++;
    }
  }

  private growList(): void {
    const grown = new Uint32Array(Math.min(this.listed.length * 4, REGION_LIST_MAX));
    grown.set(this.listed);
    this.listed = grown;
  }

  /** A FLUSH was received: what was written so far goes when its FLUSHED comes. */
  closeGeneration(connection: number, seq: number): void {
    if (this.count > REGION_LIST_MAX) {
      this.generations.push({ connection, seq, listed: null, bitmap: this.current.slice() });
      this.current.fill(0);
    } else {
      const listed = this.listed.slice(0, this.count);
      for (const region of listed) this.current[region >>> 3] = 0;
      this.generations.push({ connection, seq, listed, bitmap: null });
    }
    this.count = 0;
    if (this.generations.length > FLUSH_GENERATIONS_MAX) this.joinOldest();
  }

  /** Joins the two oldest generations under the later flush: regions stay longer than they must, never shorter. */
  private joinOldest(): void {
    const [first, second, ...rest] = this.generations;
    if (first === undefined || second === undefined) return;
    const bitmap = new Uint8Array(this.current.length);
    addGeneration(bitmap, first);
    addGeneration(bitmap, second);
    this.generations = [{ connection: second.connection, seq: second.seq, listed: null, bitmap }, ...rest];
  }

  /** Every member has answered the flush with this number; an unknown number changes nothing. */
  flushed(connection: number, seq: number): void {
    const at = this.generations.findLastIndex((g) => g.connection === connection && g.seq === seq);
    if (at >= 0) this.generations.splice(0, at + 1);
  }

  /** Adds regions that no FLUSHED removes. */
  inherit(bitmap: Uint8Array): void {
    this.inherited ??= new Uint8Array(this.current.length);
    if (this.inherited.length < this.current.length) {
      const grown = new Uint8Array(this.current.length);
      grown.set(this.inherited);
      this.inherited = grown;
    }
    or(this.inherited, bitmap);
  }

  /** The inherited regions were made equal and flushed. */
  settled(): void {
    this.inherited = null;
  }

  /** All regions of the list, bit i of byte i>>3 for region i. */
  bitmap(): Uint8Array {
    const all = this.current.slice();
    for (const generation of this.generations) addGeneration(all, generation);
    if (this.inherited !== null) or(all, this.inherited);
    return all;
  }
}
