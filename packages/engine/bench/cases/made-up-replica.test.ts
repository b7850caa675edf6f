import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BLOCK_BYTES } from '../../src/limits.ts';
import { startTestReplica } from '../../test/replica-fixture.ts';
import { blocksOfSnapshot, makeReplica } from './made-up-replica.ts';

const SIZE_BYTES = 64 << 20;
const LAYOUT = { sizeBytes: SIZE_BYTES, snapshots: 3, extents: 10 };

let path: string;
beforeEach(() => {
  path = mkdtempSync(join(tmpdir(), 'bench-made-up-'));
});
afterEach(() => {
  rmSync(path, { recursive: true });
});

describe('the extents of snapshots', () => {
  it.each([
    { spread: 'scattered', first: [0, 4915, 9830, 14745] },
    { spread: 'in areas', first: [0, 1638, 3276, 4915] },
  ] as const)('are all there, apart from each other: $spread', ({ spread, first }) => {
    const each = [0, 1, 2].map((index) => [...blocksOfSnapshot(index, { ...LAYOUT, spread })]);
    expect(each[0]).toEqual(first);
    const all = each.flat().toSorted((a, b) => a - b);
    expect(all).toHaveLength(LAYOUT.extents);
    for (const [i, block] of all.slice(1).entries()) expect(block - (all[i] ?? 0)).toBeGreaterThan(1);
    expect(all.at(-1)).toBeLessThan(SIZE_BYTES / BLOCK_BYTES);
  });

  it('are refused when they would touch each other', () => {
    const crowded = { ...LAYOUT, extents: SIZE_BYTES / BLOCK_BYTES, spread: 'scattered' } as const;
    expect(() => [...blocksOfSnapshot(0, crowded)]).toThrow('do not fit apart');
  });
});

it('makes a folder that a replica opens with these extents in its index', async () => {
  const headExtents = { count: 2, bytes: 2 * BLOCK_BYTES };
  await makeReplica({ path, ...LAYOUT, spread: 'scattered', headExtents });
  const { server, io } = await startTestReplica(path);
  await server.open();
  const index = io.open?.volume.index;
  // The head's extents are at blocks 0 and 8192, two blocks each.
  expect([0, 1, 2, 1638, 1639, 3276, 4915, 8192, 8193, 8194].map((block) => index?.get(block))).toEqual([
    4, 4, 0, 2, 0, 3, 1, 4, 4, 0,
  ]);
  await server.close();
});
