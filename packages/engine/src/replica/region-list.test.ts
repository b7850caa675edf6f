import { describe, expect, it } from 'vitest';
import { FLUSH_GENERATIONS_MAX, REGION_BYTES } from '../limits.ts';
import { RegionList } from './region-list.ts';

const SIZE = 200 * REGION_BYTES;

function regions(list: RegionList): number[] {
  const bitmap = list.bitmap();
  return Array.from({ length: 200 }, (_, i) => i).filter((i) => (((bitmap[i >>> 3] ?? 0) >>> (i & 7)) & 1) === 1);
}

describe('region list', () => {
  it('marks every region that a write touches', () => {
    const list = new RegionList(SIZE);
    list.mark(REGION_BYTES - 1, 2);
    list.mark(10 * REGION_BYTES, 3 * REGION_BYTES);
    expect(regions(list)).toEqual([0, 1, 10, 11, 12]);
  });

  it('drops with FLUSHED what was written before that flush and not since', () => {
    const list = new RegionList(SIZE);
    list.mark(0, 1);
    list.mark(5 * REGION_BYTES, 1);
    list.closeGeneration(1, 100);
    list.mark(5 * REGION_BYTES, 1);
    list.mark(7 * REGION_BYTES, 1);
    expect(regions(list)).toEqual([0, 5, 7]);
    list.flushed(1, 100);
    expect(regions(list)).toEqual([5, 7]);
    list.closeGeneration(1, 101);
    list.closeGeneration(1, 102);
    list.flushed(1, 102);
    expect(regions(list)).toEqual([]);
  });

  it('ignores a FLUSHED of another connection or flush', () => {
    const list = new RegionList(SIZE);
    list.mark(0, 1);
    list.closeGeneration(1, 100);
    list.flushed(2, 100);
    list.flushed(1, 99);
    expect(regions(list)).toEqual([0]);
  });

  it('keeps inherited regions until they are settled', () => {
    const list = new RegionList(SIZE);
    list.mark(3 * REGION_BYTES, 1);
    list.inherit(list.bitmap());
    list.closeGeneration(1, 1);
    list.flushed(1, 1);
    expect(regions(list)).toEqual([3]);
    list.settled();
    expect(regions(list)).toEqual([]);
  });

  it('never forgets a region early when flushes are not followed by FLUSHED', () => {
    const list = new RegionList(SIZE);
    for (let i = 0; i < FLUSH_GENERATIONS_MAX * 2; i++) {
      list.mark(i * REGION_BYTES, 1);
      list.closeGeneration(1, i);
    }
    expect(regions(list)).toHaveLength(FLUSH_GENERATIONS_MAX * 2);
    list.flushed(1, FLUSH_GENERATIONS_MAX);
    expect(regions(list).at(0)).toBe(FLUSH_GENERATIONS_MAX + 1);
    list.flushed(1, FLUSH_GENERATIONS_MAX * 2 - 1);
    expect(regions(list)).toEqual([]);
  });

  it('keeps its regions when the volume grows', () => {
    const list = new RegionList(REGION_BYTES);
    list.mark(0, 1);
    list.resize(SIZE);
    list.mark(SIZE - 1, 1);
    expect(regions(list)).toEqual([0, 199]);
  });
});
