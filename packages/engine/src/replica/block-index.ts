/**
 * Which layer holds each 4096 byte block of a volume: 0 = none, else a layer number up to 255.
 *
 * Kept in pages of 16384 blocks (64 MiB of volume), each in the form that is small for it:
 *
 *     form       memory                          of a page
 *     uniform    none                            that is all one layer
 *     runs       4 bytes a run of equal blocks   of few runs, of any layers
 *     colored    1, 2 or 4 bits a block          of many runs of up to 2, 4 or 16 layers, which its palette names
 *     plain      a byte a block                  of many runs of more layers
 *
 * So 1 TiB of randomly written volume with one snapshot takes 64 MiB, a million blocks of a TiB scattered over 249 snapshots
 * 8 MiB, and a typical volume some kilobytes.
 *
 * A page of runs becomes colored or plain when that takes less for one more run. It becomes a page of runs again only where all of it is
 * looked at anyway, and if it has half as many as that: so it does not go to and fro between two writes.
 */
import {
  NO_ROOM,
  PAGE_BLOCKS,
  collectRuns,
  countRuns,
  findRun,
  markLayers,
  putRun,
  remapRuns,
  runEndAt,
  runLayer,
} from './page-runs.ts';

export { PAGE_BLOCKS };

const PALETTE = 16;
/** Bits of a block in a plain page. */
const PLAIN = 8;
/** In the place of a width: a page of runs. */
const RUNS = 16;
/** A page of as many runs takes as much as a bit a block. */
const RUNS_PER_BIT = PAGE_BLOCKS / 8 / Uint32Array.BYTES_PER_ELEMENT;
/** Room of a page that is no longer uniform, in runs. */
const RUNS_MIN = 8;

/** The page that is brought into another form. */
const layersOfPage = new Uint8Array(PAGE_BLOCKS);

export class BlockIndex {
  private blocks: number;
  /** bits per block of each page: 0 (uniform), 1, 2, 4 or PLAIN; or RUNS */
  private widths: Uint8Array;
  /** the layer of a uniform page; layers that occur in a colored one, by color; of others unused */
  private palettes: Uint8Array;
  /** colors of a uniform or colored page, runs of a page of runs */
  private counts: Uint16Array;
  /** of colored and plain pages */
  private cells: (Uint8Array | null)[];
  /** of pages of runs */
  private runs: (Uint32Array | null)[];

  constructor(blocks: number) {
    const pages = Math.ceil(blocks / PAGE_BLOCKS);
    this.blocks = blocks;
    this.widths = new Uint8Array(pages);
    this.palettes = new Uint8Array(pages * PALETTE);
    this.counts = new Uint16Array(pages).fill(1);
    this.cells = Array.from({ length: pages }, () => null);
    this.runs = Array.from({ length: pages }, () => null);
  }

  /** Number of blocks. */
  get length(): number {
    return this.blocks;
  }

  /** Bytes of memory, without the fixed part of a few bytes per page. */
  get memoryBytes(): number {
    let sum = this.palettes.length;
    for (const cell of this.cells) sum += cell === null ? 0 : cell.length;
    for (const runs of this.runs) sum += runs === null ? 0 : runs.byteLength;
    return sum;
  }

  /** More blocks, held by no layer. */
  extend(blocks: number): void {
    const pages = Math.ceil(blocks / PAGE_BLOCKS);
    const before = this.widths.length;
    const first = this.blocks;
    this.blocks = blocks;
    if (pages > before) this.addPages(blocks, before);
    // What a page holds past the old end was never looked at and may be anything.
    this.setRange(first, Math.min(before * PAGE_BLOCKS, blocks), 0);
  }

  private addPages(blocks: number, before: number): void {
    const grown = new BlockIndex(blocks);
    grown.widths.set(this.widths);
    grown.palettes.set(this.palettes);
    grown.counts.set(this.counts);
    for (let page = 0; page < before; page++) {
      grown.cells[page] = this.cells[page] ?? null;
      grown.runs[page] = this.runs[page] ?? null;
    }
    this.widths = grown.widths;
    this.palettes = grown.palettes;
    this.counts = grown.counts;
    this.cells = grown.cells;
    this.runs = grown.runs;
  }

  /** The layer of one block. */
  get(block: number): number {
    const page = Math.floor(block / PAGE_BLOCKS);
    return this.valueIn(page, block - page * PAGE_BLOCKS);
  }

  private valueIn(page: number, i: number): number {
    const width = this.widths[page] as number;
    if (width === 0) return this.palettes[page * PALETTE] as number;
    if (width === RUNS) return this.valueInRuns(page, i);
    const cell = this.cells[page] as Uint8Array;
    if (width === PLAIN) return cell[i] as number;
    const bit = i * width;
    const color = ((cell[bit >>> 3] as number) >>> (bit & 7)) & ((1 << width) - 1);
    return this.palettes[page * PALETTE + color] as number;
  }

  private valueInRuns(page: number, i: number): number {
    const runs = this.runs[page] as Uint32Array;
    return runLayer(runs, findRun(runs, this.counts[page] as number, i));
  }

  /** End of the run of blocks with the layer of `block`; at most `end`. */
  runEnd(block: number, end: number): number {
    const value = this.get(block);
    let at = block + 1;
    while (at < end) {
      const page = Math.floor(at / PAGE_BLOCKS);
      const pageStart = page * PAGE_BLOCKS;
      const pageEnd = Math.min(pageStart + PAGE_BLOCKS, end);
      const width = this.widths[page] as number;
      if (width === 0) {
        if (this.palettes[page * PALETTE] !== value) return at;
        at = pageEnd;
        continue;
      }
      const from = at - pageStart;
      const to = pageEnd - pageStart;
      at =
        pageStart + (width === RUNS ? this.endInRuns(page, from, to, value) : this.endInCells(page, from, to, value));
      if (at < pageEnd) return at;
    }
    return end;
  }

  /** In a page of runs: the first block of [from, to) that is not of the layer `value`, or `to`. */
  private endInRuns(page: number, from: number, to: number, value: number): number {
    const runs = this.runs[page] as Uint32Array;
    const count = this.counts[page] as number;
    const k = findRun(runs, count, from);
    return runLayer(runs, k) === value ? Math.min(runEndAt(runs, count, k), to) : from;
  }

  /** The same in a colored or plain page. */
  private endInCells(page: number, from: number, to: number, value: number): number {
    const cell = this.cells[page] as Uint8Array;
    const width = this.widths[page] as number;
    let at = from;
    if (width === PLAIN) {
      while (at < to && cell[at] === value) at++;
      return at;
    }
    const mask = (1 << width) - 1;
    const palette = page * PALETTE;
    for (; at < to; at++) {
      const bit = at * width;
      const color = ((cell[bit >>> 3] as number) >>> (bit & 7)) & mask;
      if (this.palettes[palette + color] !== value) return at;
    }
    return to;
  }

  /** Sets the blocks [from, to). */
  setRange(from: number, to: number, value: number): void {
    let at = from;
    while (at < to) {
      const page = Math.floor(at / PAGE_BLOCKS);
      const pageStart = page * PAGE_BLOCKS;
      const pageEnd = Math.min(pageStart + PAGE_BLOCKS, to);
      this.setInPage(page, at - pageStart, pageEnd - pageStart, value);
      at = pageEnd;
    }
  }

  private setInPage(page: number, from: number, to: number, value: number): void {
    // What the last page has past the volume's end is never looked at: it is set along, so that it makes no run of its own.
    const end = page * PAGE_BLOCKS + to === this.blocks ? PAGE_BLOCKS : to;
    if (from === 0 && end === PAGE_BLOCKS) {
      this.makeUniform(page, value);
      return;
    }
    // Each turn gives a page of runs more room, or makes it or a colored one into one that has enough.
    while (!this.setInForm(page, from, end, value)) this.makeRoom(page, value);
  }

  /** False, and nothing is set, when the page has no room for it in its form. */
  private setInForm(page: number, from: number, to: number, value: number): boolean {
    const width = this.widths[page] as number;
    if (width === RUNS) return this.setRun(page, from, to, value);
    if (width !== 0) return this.setCells(page, from, to, value);
    if (this.palettes[page * PALETTE] === value) return true;
    this.startRuns(page);
    return this.setRun(page, from, to, value);
  }

  private makeUniform(page: number, value: number): void {
    this.widths[page] = 0;
    this.palettes[page * PALETTE] = value;
    this.counts[page] = 1;
    this.cells[page] = null;
    this.runs[page] = null;
  }

  /** A uniform page becomes one of a single run. */
  private startRuns(page: number): void {
    const runs = new Uint32Array(RUNS_MIN);
    runs[0] = this.palettes[page * PALETTE] as number;
    this.runs[page] = runs;
    this.widths[page] = RUNS;
  }

  private setRun(page: number, from: number, to: number, value: number): boolean {
    const runs = this.runs[page] as Uint32Array;
    const count = putRun(runs, this.counts[page] as number, from, to, value);
    if (count === NO_ROOM) return false;
    if (count === 1) this.makeUniform(page, runLayer(runs, 0));
    else this.counts[page] = count;
    return true;
  }

  private setCells(page: number, from: number, to: number, value: number): boolean {
    const cell = this.cells[page] as Uint8Array;
    const width = this.widths[page] as number;
    if (width === PLAIN) {
      cell.fill(value, from, to);
      return true;
    }
    const color = this.colorFor(page, value);
    if (color < 0) return false;
    fillBits(cell, from, to, width, color);
    return true;
  }

  /** The color of a layer in a colored page, a new one if need be; -1: none is left. */
  private colorFor(page: number, value: number): number {
    const count = this.counts[page] as number;
    for (let color = 0; color < count; color++) {
      if (this.palettes[page * PALETTE + color] === value) return color;
    }
    if (count === 1 << (this.widths[page] as number)) return -1;
    this.palettes[page * PALETTE + count] = value;
    this.counts[page] = count + 1;
    return count;
  }

  /** Gives a page of runs more room, or another form that has enough; a colored page a color for this layer. */
  private makeRoom(page: number, value: number): void {
    if (this.widths[page] === RUNS) {
      this.growRuns(page, value);
      return;
    }
    this.expand(page);
    this.rebuild(page, value);
  }

  private growRuns(page: number, value: number): void {
    const runs = this.runs[page] as Uint32Array;
    const wanted = runs.length + (runs.length >>> 1);
    let runsMax = RUNS_PER_BIT;
    if (wanted > runsMax) {
      const isUsed = new Uint8Array(256);
      markLayers(runs, this.counts[page] as number, isUsed);
      isUsed[value] = 1;
      runsMax = widthFor(isUsed) * RUNS_PER_BIT;
      if (runs.length >= runsMax) {
        this.paintRuns(page, isUsed);
        return;
      }
    }
    const grown = new Uint32Array(Math.min(wanted, runsMax));
    grown.set(runs);
    this.runs[page] = grown;
  }

  /** A page of runs becomes a colored or plain one. */
  private paintRuns(page: number, isUsed: Uint8Array): void {
    const runs = this.runs[page] as Uint32Array;
    const count = this.counts[page] as number;
    const colorOf = this.takeCells(page, isUsed);
    const cell = this.cells[page] as Uint8Array;
    const width = this.widths[page] as number;
    let start = 0;
    for (let k = 0; k < count; k++) {
      const end = runEndAt(runs, count, k);
      fillBits(cell, start, end, width, colorOf[runLayer(runs, k)] as number);
      start = end;
    }
  }

  /** Writes a colored or plain page into `layersOfPage`. */
  private expand(page: number): void {
    const last = Math.min(PAGE_BLOCKS, this.blocks - page * PAGE_BLOCKS);
    if (this.widths[page] === PLAIN) layersOfPage.set(this.cells[page] as Uint8Array);
    else for (let i = 0; i < last; i++) layersOfPage[i] = this.valueIn(page, i);
    layersOfPage.fill(layersOfPage[last - 1] as number, last);
  }

  /** Makes a page of `layersOfPage`, in the smallest form; a colored one with a color for the layer `more`, too. */
  private rebuild(page: number, more: number | null): void {
    const isUsed = new Uint8Array(256);
    for (let i = 0; i < PAGE_BLOCKS; i++) isUsed[layersOfPage[i] as number] = 1;
    const count = countRuns(layersOfPage);
    if (count === 1) {
      this.makeUniform(page, layersOfPage[0] as number);
      return;
    }
    if (more !== null) isUsed[more] = 1;
    if (count * 2 <= widthFor(isUsed) * RUNS_PER_BIT) {
      this.takeRuns(page, count);
      return;
    }
    const colorOf = this.takeCells(page, isUsed);
    const cell = this.cells[page] as Uint8Array;
    const width = this.widths[page] as number;
    for (let i = 0; i < PAGE_BLOCKS; i++) setBits(cell, i, width, colorOf[layersOfPage[i] as number] as number);
  }

  private takeRuns(page: number, count: number): void {
    const runs = new Uint32Array(Math.max(count + (count >>> 2), RUNS_MIN));
    this.counts[page] = collectRuns(layersOfPage, runs);
    this.widths[page] = RUNS;
    this.runs[page] = runs;
    this.cells[page] = null;
  }

  /** Gives a page new cells for these layers; returns what stands there for each of them. */
  private takeCells(page: number, isUsed: Uint8Array): Uint8Array {
    const width = widthFor(isUsed);
    const colorOf = new Uint8Array(256);
    let colors = 0;
    for (let value = 0; value < 256; value++) {
      if (isUsed[value] === 0) continue;
      colorOf[value] = width === PLAIN ? value : colors;
      if (width !== PLAIN) this.palettes[page * PALETTE + colors] = value;
      colors++;
    }
    this.counts[page] = colors;
    this.widths[page] = width;
    this.cells[page] = new Uint8Array((PAGE_BLOCKS * width) / 8);
    this.runs[page] = null;
    return colorOf;
  }

  /** Renumbers all layers: a block of layer n is then of layer `map[n]`. A page that turns out to be uniform gives its memory back. */
  remap(map: Uint8Array): void {
    for (let page = 0; page < this.widths.length; page++) {
      const width = this.widths[page] as number;
      if (width === 0) {
        this.palettes[page * PALETTE] = map[this.palettes[page * PALETTE] as number] as number;
      } else if (width === RUNS) {
        this.remapRunsOf(page, map);
      } else {
        this.expand(page);
        for (let i = 0; i < PAGE_BLOCKS; i++) layersOfPage[i] = map[layersOfPage[i] as number] as number;
        this.rebuild(page, null);
      }
    }
  }

  private remapRunsOf(page: number, map: Uint8Array): void {
    const runs = this.runs[page] as Uint32Array;
    const count = remapRuns(runs, this.counts[page] as number, map);
    this.counts[page] = count;
    if (count === 1) this.makeUniform(page, runLayer(runs, 0));
    else if (runs.length > RUNS_MIN && count * 2 < runs.length) {
      this.runs[page] = runs.slice(0, Math.max(count, RUNS_MIN));
    }
  }
}

/** Bits of a block in a colored or plain page of these layers. */
function widthFor(isUsed: Uint8Array): number {
  let layers = 0;
  for (let value = 0; value < isUsed.length; value++) layers += isUsed[value] as number;
  return layers <= 2 ? 1 : layers <= 4 ? 2 : layers <= PALETTE ? 4 : PLAIN;
}

function fillBits(cell: Uint8Array, from: number, to: number, width: number, color: number): void {
  const perByte = 8 / width;
  let i = from;
  for (; i < to && i % perByte !== 0; i++) setBits(cell, i, width, color);
  const lastWhole = to - (to % perByte);
  if (lastWhole > i) {
    let pattern = 0;
    for (let bit = 0; bit < 8; bit += width) pattern |= color << bit;
    cell.fill(pattern, i / perByte, lastWhole / perByte);
    i = lastWhole;
  }
  for (; i < to; i++) setBits(cell, i, width, color);
}

function setBits(cell: Uint8Array, i: number, width: number, color: number): void {
  const bit = i * width;
  const mask = ((1 << width) - 1) << (bit & 7);
  cell[bit >>> 3] = ((cell[bit >>> 3] as number) & ~mask) | (color << (bit & 7));
}
