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
