import { expect, it } from 'vitest';
import { BLOCK_BYTES } from '../limits.ts';
import { pickOf, type Pick } from '../../test/fuzz-seeds.ts';
import { blockSums, readWindow, windowBuffer, windowDifference, type WindowSource } from './window.ts';

const BLOCKS = 40;
const BEGIN = 16 * BLOCK_BYTES;
const END = BEGIN + BLOCKS * BLOCK_BYTES;

/** A block's fill byte, or null: a hole. */
type Layout = (number | null)[];

function sourceOf(layout: Layout): WindowSource {
  return {
    sizeBytes: END,
    extents(_from, _to, into) {
      let count = 0;
      for (const [i, fill] of layout.entries()) {
        if (fill === null) continue;
        into[count * 2] = BEGIN + i * BLOCK_BYTES;
        into[count * 2 + 1] = BEGIN + (i + 1) * BLOCK_BYTES;
        count++;
      }
      return count;
    },
    async read(into, at, length, offset) {
      for (let done = 0; done < length; done += BLOCK_BYTES) {
        const fill = layout[(offset + done - BEGIN) / BLOCK_BYTES] ?? 0;
        into.fill(fill, at + done, at + done + BLOCK_BYTES);
      }
      return length;
    },
  };
}

function someLayout(pick: Pick): Layout {
  return Array.from({ length: BLOCKS }, () => (pick(3) === 0 ? null : pick(4)));
}

/** Ours with a few blocks that are others, are holes, or are data. */
function nearlyAs(ours: Layout, pick: Pick): Layout {
  return ours.map((fill) => (pick(5) === 0 ? ([null, 7, fill][pick(3)] ?? null) : fill));
}

async function windowOf(layout: Layout): Promise<{ bytes: Buffer; sums: Buffer }> {
  const buffer = windowBuffer();
  const { length } = await readWindow(sourceOf(layout), buffer, BEGIN, END);
  const bytes = buffer.bytes.subarray(0, length);
  return { bytes, sums: await blockSums(bytes, BEGIN, END) };
}

/** What the other end has after it. */
function applied(theirs: Layout, { body, holes }: ReturnType<typeof windowDifference>): Layout {
  const after = [...theirs];
  const block = (offset: number): number => (offset - BEGIN) / BLOCK_BYTES;
  for (const { begin, end } of holes) after.fill(null, block(begin), block(end));
  const count = body.length === 0 ? 0 : body.readUInt32LE(0);
  let at = 4 + count * 8;
  for (let i = 0; i < count; i++) {
    const start = body.readUInt32LE(4 + i * 8) / BLOCK_BYTES;
    const length = body.readUInt32LE(8 + i * 8);
    for (let done = 0; done < length; done += BLOCK_BYTES) after[start + done / BLOCK_BYTES] = body[at + done] ?? 0;
    at += length;
  }
  expect(at, 'no data that belongs to no range').toBe(Math.max(body.length, 4));
  return after;
}

it('a difference makes the other window equal, and moves no block that is', async () => {
  for (let seed = 1; seed <= 200; seed++) {
    const pick = pickOf(seed);
    const ours = someLayout(pick);
    const theirs = pick(2) === 0 ? someLayout(pick) : nearlyAs(ours, pick);
    const [mine, other] = [await windowOf(ours), await windowOf(theirs)];
    const difference = windowDifference(mine.bytes, { begin: BEGIN, end: END }, mine.sums, other.sums);
    expect(applied(theirs, difference), `seed ${seed}`).toEqual(ours);
    const wanted = ours.filter((fill, i) => fill !== null && fill !== theirs[i]).length;
    const headBytes = difference.body.length === 0 ? 0 : 4 + difference.body.readUInt32LE(0) * 8;
    expect((difference.body.length - headBytes) / BLOCK_BYTES, `seed ${seed}`).toBe(wanted);
  }
});

it('refuses checksums of another number of blocks', async () => {
  const { bytes, sums } = await windowOf(someLayout(pickOf(1)));
  const short = sums.subarray(16);
  expect(() => windowDifference(bytes, { begin: BEGIN, end: END }, sums, short)).toThrow(
    `${short.length} bytes of checksums, ${sums.length} were expected`,
  );
});
