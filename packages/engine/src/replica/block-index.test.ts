import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../test/seeded-random.ts';
import { BlockIndex, PAGE_BLOCKS } from './block-index.ts';

/** Blocks and run ends that differ from the model. */
function differences(index: BlockIndex, model: Uint8Array): string[] {
  const found: string[] = [];
  for (let block = 0; block < model.length; block++) {
    if (index.get(block) !== model[block]) found.push(`block ${block}: ${index.get(block)}, not ${model[block]}`);
  }
  for (let block = 0; block < model.length;) {
    let end = block + 1;
    while (end < model.length && model[end] === model[block]) end++;
    if (index.runEnd(block, model.length) !== end) found.push(`run at ${block}`);
    block = end;
  }
  return found;
}

/** An index and the array it has to agree with. */
class Both {
  readonly index: BlockIndex;
  model: Uint8Array;

  constructor(length: number) {
    this.index = new BlockIndex(length);
    this.model = new Uint8Array(length);
  }

  set(from: number, to: number, value: number): void {
    const end = Math.min(to, this.model.length);
    this.index.setRange(from, end, value);
    this.model.fill(value, from, end);
  }

  extend(length: number): void {
    const grown = new Uint8Array(length);
    grown.set(this.model);
    this.model = grown;
    this.index.extend(length);
  }

  remap(map: Uint8Array): void {
    this.index.remap(map);
    this.model = this.model.map((k) => map[k] as number);
  }
}

type Random = () => number;

function scatter(both: Both, random: Random, count: number, layers: number, longest: number): void {
  for (let step = 0; step < count; step++) {
    const from = Math.floor(random() * both.model.length);
    both.set(from, from + 1 + Math.floor(random() * longest), Math.floor(random() * (layers + 1)));
  }
}

/** What is done with an index; each is done several times in a row, with growth and renumbering between. */
const PATTERNS = {
  'few blocks of many layers, layer by layer': (both: Both, random: Random) => {
    const distance = 40 + Math.floor(random() * 400);
    for (let layer = 1; layer <= 250; layer++) {
      for (let at = layer * distance; at < both.model.length; at += distance * 250) both.set(at, at + 1, layer);
    }
  },
  'blocks side by side, upwards and downwards': (both: Both, random: Random) => {
    const layer = 1 + Math.floor(random() * 250);
    for (let at = 0; at < 3000; at++) both.set(at, at + 1, layer);
    const { length } = both.model;
    for (let at = length - 1; at > length - 3000; at--) both.set(at, at + 1, layer);
  },
  'single blocks of few layers, up to most of them': (both: Both, random: Random) =>
    scatter(both, random, 20_000, 3, 1),
  'single blocks of all layers, up to most of them': (both: Both, random: Random) =>
    scatter(both, random, 20_000, 255, 1),
  'ranges of any length': (both: Both, random: Random) => scatter(both, random, 2000, 250, PAGE_BLOCKS * 2),
  'many runs that long ranges then cover': (both: Both, random: Random) => {
    scatter(both, random, 6000, 250, 3);
    scatter(both, random, 8, 250, PAGE_BLOCKS);
    scatter(both, random, 300, 20, 3);
  },
  'colors that come and go': (both: Both, random: Random) => {
    for (let base = 0; base < 240; base += 1 + Math.floor(random() * 30)) {
      for (let at = 0; at < both.model.length; at += 23) both.set(at, at + 9, base + (at % 3));
      both.set(Math.floor(random() * 100), both.model.length, base);
    }
  },
  'around the borders of pages': (both: Both, random: Random) => {
    for (let step = 0; step < 2000; step++) {
      const border = PAGE_BLOCKS * Math.floor(random() * 4);
      const from = Math.min(Math.max(border - Math.floor(random() * 5), 0), both.model.length - 1);
      both.set(from, from + 1 + Math.floor(random() * 8), Math.floor(random() * 250));
      if (step % 50 === 0) both.set(border, border + PAGE_BLOCKS, Math.floor(random() * 3));
    }
  },
  'a whole page but for one block': (both: Both, random: Random) => {
    for (let step = 0; step < 300; step++) {
      const first = Math.floor(random() * 2);
      both.set(first, PAGE_BLOCKS * 2 - 1 + Math.floor(random() * 2), Math.floor(random() * 250));
      both.set(0, both.model.length - Math.floor(random() * 3), Math.floor(random() * 2));
    }
  },
};

describe('block index', () => {
  it('agrees with an array under random changes, renumbering and growth', () => {
    for (let seed = 1; seed <= 12; seed++) {
      const random = seededRandom(seed);
      let model = new Uint8Array(PAGE_BLOCKS + 1 + Math.floor(random() * PAGE_BLOCKS * 2));
      const index = new BlockIndex(model.length);
      const layers = seed % 3 === 0 ? 240 : seed % 3 === 1 ? 3 : 20;
      for (let step = 0; step < 400; step++) {
        const what = random();
        const from = Math.floor(random() * model.length);
        const width = random() < 0.8 ? 60 : model.length;
        const to = Math.min(from + 1 + Math.floor(random() * width), model.length);
        const value = Math.floor(random() * (layers + 1));
        if (what < 0.9) {
          index.setRange(from, to, value);
          model.fill(value, from, to);
        } else if (what < 0.95) {
          const gone = 1 + Math.floor(random() * layers);
          const map = new Uint8Array(256).map((_, k) => (k > gone ? k - 1 : k));
          index.remap(map);
          model = model.map((k) => map[k] as number);
        } else if (model.length < PAGE_BLOCKS * 4) {
          const grown = new Uint8Array(model.length + Math.floor(random() * 5000));
          grown.set(model);
          model = grown;
          index.extend(model.length);
        }
      }
      expect(differences(index, model), `seed ${seed}`).toEqual([]);
    }
  });

  it.each(Object.keys(PATTERNS) as (keyof typeof PATTERNS)[])('agrees with an array: %s', (name) => {
    for (let seed = 1; seed <= 6; seed++) {
      const random = seededRandom(seed * 1000 + name.length);
      // The last page is partial, down to one block of it.
      const length = PAGE_BLOCKS * 2 + (seed === 1 ? 1 : 1 + Math.floor(random() * PAGE_BLOCKS));
      const both = new Both(length);
      for (let round = 0; round < 3; round++) {
        PATTERNS[name](both, random);
        expect(differences(both.index, both.model), `${name}, seed ${seed}, round ${round}`).toEqual([]);
        both.extend(both.model.length + Math.floor(random() * PAGE_BLOCKS * 1.5));
        const gone = 1 + Math.floor(random() * 250);
        if (round > 0) both.remap(new Uint8Array(256).map((_, k) => (k >= gone ? k - 1 : k)));
        expect(differences(both.index, both.model), `${name}, seed ${seed}, round ${round}, grown`).toEqual([]);
      }
    }
  });

  it('never takes more for a page than the smallest form that has no runs', () => {
    for (const [layers, bits] of [
      [2, 1],
      [4, 2],
      [16, 4],
      [250, 8],
    ] as const) {
      const random = seededRandom(layers);
      const both = new Both(PAGE_BLOCKS);
      const fixed = both.index.memoryBytes;
      for (let step = 0; step < 30_000; step++) {
        const block = Math.floor(random() * PAGE_BLOCKS);
        both.set(block, block + 1, Math.floor(random() * layers));
        const used = both.index.memoryBytes - fixed;
        if (used > (PAGE_BLOCKS * bits) / 8) throw new Error(`${used} bytes of ${layers} layers, step ${step}`);
      }
      expect(both.index.memoryBytes - fixed).toBe((PAGE_BLOCKS * bits) / 8);
      expect(differences(both.index, both.model)).toEqual([]);
    }
  });

  it('makes a page of many layers small again when few runs are left and it is renumbered', () => {
    const both = new Both(PAGE_BLOCKS);
    const fixed = both.index.memoryBytes;
    for (let block = 0; block < PAGE_BLOCKS; block++) both.set(block, block + 1, 1 + (block % 250));
    expect(both.index.memoryBytes - fixed).toBe(PAGE_BLOCKS);
    both.set(100, PAGE_BLOCKS - 100, 3);
    both.remap(new Uint8Array(256).map((_, k) => (k > 7 ? k - 1 : k)));
    expect(both.index.memoryBytes - fixed).toBeLessThan(1200);
    expect(differences(both.index, both.model)).toEqual([]);
    both.remap(new Uint8Array(256).map((_, k) => (k === 3 ? 3 : 9)));
    expect(both.index.memoryBytes - fixed).toBeLessThan(64);
    expect(differences(both.index, both.model)).toEqual([]);
  });

  it('gives a new layer room in a page whose other layers have left but one', () => {
    for (const colors of [2, 4, 16]) {
      const both = new Both(PAGE_BLOCKS);
      for (let block = 0; block < PAGE_BLOCKS; block++) both.set(block, block + 1, block % colors);
      // In two halves: a whole page at once would be uniform without more ado.
      both.set(0, 5000, 1);
      both.set(5000, PAGE_BLOCKS, 1);
      both.set(77, 78, 200);
      expect(differences(both.index, both.model), `${colors} layers`).toEqual([]);
    }
  });

  it('takes little memory for a million blocks scattered over the layers of 1 TiB', () => {
    const blocks = 2 ** 28;
    const [layers, extents] = [249, 1_000_000];
    const index = new BlockIndex(blocks);
    const model = new Map<number, number>();
    for (let layer = 1; layer <= layers; layer++) {
      for (let i = layer - 1; i < extents; i += layers) {
        const block = Math.floor((i * blocks) / extents);
        index.setRange(block, block + 1, layer);
        if (i % 97 === 0) model.set(block, layer);
      }
    }
    expect(index.memoryBytes).toBeLessThan(12 << 20);
    let runs = 0;
    for (let block = 0; block < blocks; runs++) block = index.runEnd(block, blocks);
    expect(runs).toBe(extents * 2);
    for (const [block, layer] of model) {
      if (index.get(block) !== layer || index.get(block + 1) !== 0) throw new Error(`block ${block}`);
    }
  });

  it('takes little memory: 1 TiB empty, full, and with every other block written', () => {
    const blocks = 2 ** 28;
    const index = new BlockIndex(blocks);
    expect(index.memoryBytes).toBeLessThan(1 << 20);
    index.setRange(0, blocks, 1);
    expect(index.memoryBytes).toBeLessThan(1 << 20);
    const pages = 64;
    for (let block = 0; block < pages * PAGE_BLOCKS; block += 2) index.setRange(block, block + 1, 2);
    const perPage = (index.memoryBytes - (1 << 18)) / pages;
    expect(perPage * (blocks / PAGE_BLOCKS)).toBeLessThan(48 << 20);
  });

  it('gives memory back when a page becomes uniform again', () => {
    const index = new BlockIndex(PAGE_BLOCKS);
    for (let block = 0; block < PAGE_BLOCKS; block++) index.setRange(block, block + 1, block % 100);
    const fragmented = index.memoryBytes;
    index.remap(new Uint8Array(256).fill(1));
    expect(index.memoryBytes).toBeLessThan(fragmented - PAGE_BLOCKS + 1);
    expect(index.runEnd(0, PAGE_BLOCKS)).toBe(PAGE_BLOCKS);
  });
});
