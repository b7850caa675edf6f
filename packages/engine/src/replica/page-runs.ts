/**
 * A page of blocks as its runs of equal layers: entries of a Uint32Array, `start << 8 | layer`, of which the first `count` hold.
 *
 *     blocks 0 … 4 of no layer, 5 of layer 3, the others of layer 1        0<<8|0  5<<8|3  6<<8|1
 *
 * The first entry starts at block 0, the last one goes on to the page's end, starts ascend, and neighbours differ in their layer, so
 * that there is one way to write a page.
 */

/** Blocks of one page. */
export const PAGE_BLOCKS = 16_384;

/** `putRun`: the array has no room. */
export const NO_ROOM = -1;

const LAYER_BITS = 8;
const LAYER_MASK = 0xff;

/** The number of the entry that block `i` belongs to. */
export function findRun(runs: Uint32Array, count: number, i: number): number {
  const key = (i << LAYER_BITS) | LAYER_MASK;
  let low = 0;
  let high = count;
  while (high - low > 1) {
    const middle = (low + high) >>> 1;
    if ((runs[middle] as number) <= key) low = middle;
    else high = middle;
  }
  return low;
}

/** The layer of an entry. */
export function runLayer(runs: Uint32Array, k: number): number {
  return (runs[k] as number) & LAYER_MASK;
}

/** Where an entry's blocks end. */
export function runEndAt(runs: Uint32Array, count: number, k: number): number {
  return k + 1 < count ? (runs[k + 1] as number) >>> LAYER_BITS : PAGE_BLOCKS;
}

/** Gives the blocks [from, to) to a layer; returns the new number of entries, or NO_ROOM and then nothing has changed. */
export function putRun(runs: Uint32Array, count: number, from: number, to: number, layer: number): number {
  const first = findRun(runs, count, from);
  const firstLayer = runLayer(runs, first);
  const firstEnd = runEndAt(runs, count, first);
  if (firstLayer === layer && firstEnd >= to) return count;
  const last = firstEnd >= to ? first : findRun(runs, count, to - 1);
  const lastLayer = runLayer(runs, last);
  const lastEnd = runEndAt(runs, count, last);

  // Entries [0, kept) stay, then come one for `from` and one for `to` where they are needed, then what was [tail, count).
  const kept = (runs[first] as number) >>> LAYER_BITS < from ? first + 1 : first;
  const isJoinedBefore = kept > 0 && runLayer(runs, kept - 1) === layer;
  const isCut = to < lastEnd && lastLayer !== layer;
  const isJoinedAfter = to === lastEnd && last + 1 < count && runLayer(runs, last + 1) === layer;
  const tail = isJoinedAfter ? last + 2 : last + 1;
  const moved = kept + (isJoinedBefore ? 0 : 1) + (isCut ? 1 : 0);
  const total = moved + count - tail;
  if (total > runs.length) return NO_ROOM;
  if (moved !== tail && tail < count) runs.copyWithin(moved, tail, count);
  if (!isJoinedBefore) runs[kept] = (from << LAYER_BITS) | layer;
  if (isCut) runs[moved - 1] = (to << LAYER_BITS) | lastLayer;
  return total;
}

/** Renumbers the layers: of layer n is then of layer `map[n]`. Returns the new number of entries. */
export function remapRuns(runs: Uint32Array, count: number, map: Uint8Array): number {
  let total = 0;
  for (let k = 0; k < count; k++) {
    const layer = map[runLayer(runs, k)] as number;
    if (total > 0 && runLayer(runs, total - 1) === layer) continue;
    runs[total++] = ((runs[k] as number) & ~LAYER_MASK) | layer;
  }
  return total;
}

/** Marks in `isUsed` the layers that occur. */
export function markLayers(runs: Uint32Array, count: number, isUsed: Uint8Array): void {
  for (let k = 0; k < count; k++) isUsed[runLayer(runs, k)] = 1;
}

/** Number of entries that a page with these layers takes. */
export function countRuns(layers: Uint8Array): number {
  let count = 1;
  for (let i = 1; i < layers.length; i++) if (layers[i] !== layers[i - 1]) count++;
  return count;
}

/** Writes the runs of a page with these layers into an array with room for all; returns the number of entries. */
export function collectRuns(layers: Uint8Array, runs: Uint32Array): number {
  let count = 0;
  for (let i = 0; i < layers.length; i++) {
    if (i === 0 || layers[i] !== layers[i - 1]) runs[count++] = (i << LAYER_BITS) | (layers[i] as number);
  }
  return count;
}
