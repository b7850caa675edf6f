import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../test/seeded-random.ts';
import {
  NO_ROOM,
  PAGE_BLOCKS,
  collectRuns,
  countRuns,
  findRun,
  putRun,
  remapRuns,
  runEndAt,
  runLayer,
} from './page-runs.ts';

/** Runs as start and layer. */
function listOf(runs: Uint32Array, count: number): [number, number][] {
  return Array.from({ length: count }, (_, k) => [k === 0 ? 0 : runEndAt(runs, count, k - 1), runLayer(runs, k)]);
}

/** What `from`, `to`, `layer` make of the runs of `0 … 9: 1, 10 … 19: 2, 20 …: 1`. */
function after(from: number, to: number, layer: number): [number, number][] {
  const runs = new Uint32Array(8);
  const before = new Uint8Array(PAGE_BLOCKS).fill(1).fill(2, 10, 20);
  const count = putRun(runs, collectRuns(before, runs), from, to, layer);
  return listOf(runs, count);
}

describe('runs of a page', () => {
  it.each<[string, number, number, number, [number, number][]]>([
    [
      'cuts a run in two',
      12,
      14,
      3,
      [
        [0, 1],
        [10, 2],
        [12, 3],
        [14, 2],
        [20, 1],
      ],
    ],
    [
      'replaces a run',
      10,
      20,
      3,
      [
        [0, 1],
        [10, 3],
        [20, 1],
      ],
    ],
    [
      'takes a run that is so already',
      12,
      14,
      2,
      [
        [0, 1],
        [10, 2],
        [20, 1],
      ],
    ],
    [
      'joins with the run before',
      10,
      15,
      1,
      [
        [0, 1],
        [15, 2],
        [20, 1],
      ],
    ],
    [
      'joins with the run after',
      15,
      20,
      1,
      [
        [0, 1],
        [10, 2],
        [15, 1],
      ],
    ],
    ['joins with both', 10, 20, 1, [[0, 1]]],
    ['joins with both beyond what lies between', 5, 30, 1, [[0, 1]]],
    [
      'lengthens a run at its end',
      20,
      25,
      2,
      [
        [0, 1],
        [10, 2],
        [25, 1],
      ],
    ],
    [
      'lengthens a run at its start',
      5,
      10,
      2,
      [
        [0, 1],
        [5, 2],
        [20, 1],
      ],
    ],
    [
      'covers borders of runs',
      5,
      25,
      3,
      [
        [0, 1],
        [5, 3],
        [25, 1],
      ],
    ],
    [
      'sets the first block',
      0,
      1,
      3,
      [
        [0, 3],
        [1, 1],
        [10, 2],
        [20, 1],
      ],
    ],
    [
      'sets the last block',
      PAGE_BLOCKS - 1,
      PAGE_BLOCKS,
      3,
      [
        [0, 1],
        [10, 2],
        [20, 1],
        [PAGE_BLOCKS - 1, 3],
      ],
    ],
    [
      'sets the rest of the page',
      15,
      PAGE_BLOCKS,
      2,
      [
        [0, 1],
        [10, 2],
      ],
    ],
    ['sets the whole page', 0, PAGE_BLOCKS, 255, [[0, 255]]],
  ])('%s', (_, from, to, layer, expected) => {
    expect(after(from, to, layer)).toEqual(expected);
  });

  it('changes nothing when there is no room, and uses all there is', () => {
    const runs = new Uint32Array(4);
    let count = putRun(runs, 1, 100, 101, 7);
    expect(count).toBe(3);
    expect(putRun(runs, count, 50, 51, 7)).toBe(NO_ROOM);
    expect(listOf(runs, count)).toEqual([
      [0, 0],
      [100, 7],
      [101, 0],
    ]);
    count = putRun(runs, count, 101, 102, 8);
    expect(listOf(runs, count)).toEqual([
      [0, 0],
      [100, 7],
      [101, 8],
      [102, 0],
    ]);
    expect(putRun(runs, count, 0, 100, 7)).toBe(3);
  });

  it('agrees with an array, and has one run for each stretch of it', () => {
    for (let seed = 1; seed <= 20; seed++) {
      const random = seededRandom(seed);
      const runs = new Uint32Array(PAGE_BLOCKS);
      let model = new Uint8Array(PAGE_BLOCKS);
      let count = 1;
      const layers = seed % 2 === 0 ? 2 : 250;
      for (let step = 0; step < 1500; step++) {
        const from = Math.floor(random() * PAGE_BLOCKS);
        const to = Math.min(from + 1 + Math.floor(random() * (random() < 0.9 ? 5 : 3000)), PAGE_BLOCKS);
        const layer = Math.floor(random() * (layers + 1));
        count = putRun(runs, count, from, to, layer);
        model.fill(layer, from, to);
        if (step % 500 === 499) {
          const gone = 1 + Math.floor(random() * layers);
          const map = new Uint8Array(256).map((_, k) => (k > gone ? k - 1 : k));
          count = remapRuns(runs, count, map);
          model = model.map((k) => map[k] as number);
        }
      }
      const found = model.map((_, i) => runLayer(runs, findRun(runs, count, i)));
      expect(Buffer.compare(found, model), `seed ${seed}`).toBe(0);
      expect(count).toBe(countRuns(model));
      const collected = new Uint32Array(count);
      expect(collectRuns(model, collected)).toBe(count);
      expect(listOf(collected, count)).toEqual(listOf(runs, count));
    }
  });
});
