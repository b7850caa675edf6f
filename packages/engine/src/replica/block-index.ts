/**
 * Which layer holds each 4096 byte block of a volume: 0 = none, else a layer number up to 255.
 *
 * Kept in pages of 16384 blocks (64 MiB of volume). A page that is all one layer takes no memory; others use 1, 2 or 4
 * bits a block with a palette of the layers that occur in it, or a byte a block. So 1 TiB of randomly written volume
 * with one snapshot takes 64 MiB, and a typical volume some kilobytes.
 */

/** Blocks of one page. */
export const PAGE_BLOCKS = 16_384;
const PALETTE = 16;

export class BlockIndex {
  private blocks: number;
  /** bits per block of each page: 0 (uniform), 1, 2, 4 or 8 */
  private widths: Uint8Array;
  /** layers that occur in a page, by color; of a page with 8 bits unused */
  private palettes: Uint8Array;
  private colorCounts: Uint8Array;
  private cells: (Uint8Array | null)[];

  constructor(blocks: number) {
    const pages = Math.ceil(blocks / PAGE_BLOCKS);
    this.blocks = blocks;
    this.widths = new Uint8Array(pages);
    this.palettes = new Uint8Array(pages * PALETTE);
    this.colorCounts = new Uint8Array(pages).fill(1);
    this.cells = Array.from({ length: pages }, () => null);
  }

  /** Number of blocks. */
  get length(): number {
    return this.blocks;
  }

  /** Bytes of memory, without the fixed part of a few bytes per page. */
  get memoryBytes(): number {
    let sum = this.palettes.length;
    for (const cell of this.cells) sum += cell === null ? 0 : cell.length;
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
    grown.colorCounts.set(this.colorCounts);
    for (let page = 0; page < before; page++) grown.cells[page] = this.cells[page] ?? null;
    this.widths = grown.widths;
    this.palettes = grown.palettes;
    this.colorCounts = grown.colorCounts;
    this.cells = grown.cells;
  }

  /** The layer of one block. */
  get(block: number): number {
    const page = Math.floor(block / PAGE_BLOCKS);
    return this.valueIn(page, block - page * PAGE_BLOCKS);
  }

  private valueIn(page: number, i: number): number {
    const width = this.widths[page] as number;
    if (width === 0) return this.palettes[page * PALETTE] as number;
    const cell = this.cells[page] as Uint8Array;
    if (width === 8) return cell[i] as number;
    const bit = i * width;
    const color = ((cell[bit >>> 3] as number) >>> (bit & 7)) & ((1 << width) - 1);
    return this.palettes[page * PALETTE + color] as number;
  }

  /** End of the run of blocks with the layer of `block`; at most `end`. */
  runEnd(block: number, end: number): number {
    const value = this.get(block);
    let at = block + 1;
    while (at < end) {
      const page = Math.floor(at / PAGE_BLOCKS);
      const pageStart = page * PAGE_BLOCKS;
      const pageEnd = Math.min(pageStart + PAGE_BLOCKS, end);
      if (this.widths[page] === 0) {
        if (this.palettes[page * PALETTE] !== value) return at;
        at = pageEnd;
        continue;
      }
      while (at < pageEnd) {
        if (this.valueIn(page, at - pageStart) !== value) return at;
        at++;
      }
    }
    return end;
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
    const isWhole = from === 0 && (to === PAGE_BLOCKS || page * PAGE_BLOCKS + to === this.blocks);
    if (isWhole) {
      this.makeUniform(page, value);
      return;
    }
    if (this.widths[page] === 0 && this.palettes[page * PALETTE] === value) return;
    const color = this.colorFor(page, value);
    const width = this.widths[page] as number;
    const cell = this.cells[page] as Uint8Array;
    if (width === 8) {
      cell.fill(value, from, to);
      return;
    }
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

  private makeUniform(page: number, value: number): void {
    this.widths[page] = 0;
    this.palettes[page * PALETTE] = value;
    this.colorCounts[page] = 1;
    this.cells[page] = null;
  }

  /** The color of a layer in a page, which is made wider when it has none left. */
  private colorFor(page: number, value: number): number {
    if (this.widths[page] === 8) return value;
    const found = this.findColor(page, value);
    if (found >= 0 && this.widths[page] !== 0) return found;
    if (found < 0 && this.colorCounts[page] === 1 << (this.widths[page] as number)) this.repack(page);
    const width = this.widths[page] as number;
    const count = this.colorCounts[page] as number;
    if (width === 0 || count === 1 << width) this.widen(page, width === 0 ? 1 : width * 2);
    if (this.widths[page] === 8) return value;
    this.palettes[page * PALETTE + count] = value;
    this.colorCounts[page] = count + 1;
    return count;
  }

  private findColor(page: number, value: number): number {
    const count = this.colorCounts[page] as number;
    for (let color = 0; color < count; color++) {
      if (this.palettes[page * PALETTE + color] === value) return color;
    }
    return -1;
  }

  private widen(page: number, width: number): void {
    const cell = new Uint8Array((PAGE_BLOCKS * width) / 8);
    const old = this.widths[page] as number;
    if (old === 0 && width < 8) {
      this.cells[page] = cell;
      this.widths[page] = width;
      return;
    }
    const from = this.cells[page] as Uint8Array;
    for (let i = 0; i < PAGE_BLOCKS; i++) {
      const bit = i * old;
      const color = ((from[bit >>> 3] as number) >>> (bit & 7)) & ((1 << old) - 1);
      if (width === 8) cell[i] = this.palettes[page * PALETTE + color] as number;
      else setBits(cell, i, width, color);
    }
    this.cells[page] = cell;
    this.widths[page] = width;
  }

  /** Drops colors that no block has any more; a page that turns out to be uniform gives its memory back. */
  private repack(page: number): void {
    if (this.widths[page] === 0) return;
    const last = Math.min(PAGE_BLOCKS, this.blocks - page * PAGE_BLOCKS);
    const used = new Uint8Array(256);
    for (let i = 0; i < last; i++) used[this.valueIn(page, i)] = 1;
    const values: number[] = [];
    for (let value = 0; value < 256; value++) if (used[value] === 1) values.push(value);
    if (values.length === 1) {
      this.makeUniform(page, values[0] as number);
      return;
    }
    if (values.length > PALETTE) return;
    const width = values.length <= 2 ? 1 : values.length <= 4 ? 2 : 4;
    const colorOf = new Uint8Array(256);
    values.forEach((value, color) => (colorOf[value] = color));
    const cell = new Uint8Array((PAGE_BLOCKS * width) / 8);
    for (let i = 0; i < last; i++) setBits(cell, i, width, colorOf[this.valueIn(page, i)] as number);
    this.palettes.set(values, page * PALETTE);
    this.colorCounts[page] = values.length;
    this.cells[page] = cell;
    this.widths[page] = width;
  }

  /** Renumbers all layers: a block of layer n is then of layer `map[n]`. */
  remap(map: Uint8Array): void {
    for (let page = 0; page < this.widths.length; page++) {
      if (this.widths[page] === 8) {
        const cell = this.cells[page] as Uint8Array;
        for (let i = 0; i < cell.length; i++) cell[i] = map[cell[i] as number] as number;
      } else {
        const count = this.colorCounts[page] as number;
        for (let k = page * PALETTE; k < page * PALETTE + count; k++) {
          this.palettes[k] = map[this.palettes[k] as number] as number;
        }
      }
      this.repack(page);
    }
  }
}

function setBits(cell: Uint8Array, i: number, width: number, color: number): void {
  const bit = i * width;
  const mask = ((1 << width) - 1) << (bit & 7);
  cell[bit >>> 3] = ((cell[bit >>> 3] as number) & ~mask) | (color << (bit & 7));
}
