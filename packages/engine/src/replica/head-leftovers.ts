/**
 * What a loss of power leaves in a head, taken out before the head is read.
 *
 *     write into a hole of the head        file                          after a loss of power here
 *     ─ in the page cache                  hole                          hole: the older layer shows
 *     ─ place noted (journal)              unwritten extent, zeros       unwritten extent: hides the older layer
 *     ─ content written, extent converted  data                          data
 *
 * A sector belongs to the newest layer in which it is allocated, for us as for upstream; so the middle state would put zeros
 * in the place of flushed data. Our heads never hold an unwritten extent for another reason (zeros that must hide
 * something are written), and a flush leaves none behind (fdatasync waits for the conversion). Therefore, in a head that only our
 * replica has written, an unwritten extent is a write that was lost, and is freed: the file then reads the same to
 * upstream, too. Which heads those are is kept in `longhorn-state.json` (`ReplicaState.hasWrittenZeros`). In any other, one that
 * upstream wrote last for example, it reads as zeros as it always has there, and is turned into written zeros once.
 *
 * Layers below the head need no such care: they were synced before they became snapshots, or before a merge counts. There an
 * unwritten extent is zeros, put there by a merge or by a restore.
 */
import type { DataFile } from '../io/disk.ts';
import { BLOCK_BYTES, COPY_PIECE_BYTES } from '../limits.ts';

const PAIRS = 256;

/** `free`: an unwritten extent is a lost write; `fill`: it is zeros. */
export type LeftoverRule = 'free' | 'fill';

/**
 * Leaves no unwritten extent in a head whose content counts up to `sizeBytes`; returns the number of blocks that had one.
 * Done means on stable storage. Cut short by a crash it is done again by the next open.
 */
export async function settleLeftovers(head: DataFile, sizeBytes: number, rule: LeftoverRule): Promise<number> {
  // The process before may have died with its writes in the page cache: unwritten extents that have content.
  await head.sync();
  const pairs = new Float64Array(PAIRS * 2);
  let blocks = 0;
  for (let at = 0; at < sizeBytes;) {
    const count = head.unwritten(at, sizeBytes, pairs);
    for (let i = 0; i < count; i++) {
      // Of a block that has come half, on a file system of smaller blocks, the other half was lost with the same write.
      const start = Math.max(Math.floor((pairs[i * 2] as number) / BLOCK_BYTES) * BLOCK_BYTES, at);
      const end = Math.ceil((pairs[i * 2 + 1] as number) / BLOCK_BYTES) * BLOCK_BYTES;
      if (end <= start) continue;
      if (rule === 'free') head.punch(start, end - start);
      else await writeBack(head, start, Math.min(end, sizeBytes));
      blocks += (end - start) / BLOCK_BYTES;
      at = end;
    }
    if (count < PAIRS) break;
  }
  if (blocks > 0) await head.sync();
  return blocks;
}

/** Writes what the range reads as. */
async function writeBack(head: DataFile, from: number, to: number): Promise<void> {
  const buffer = Buffer.alloc(Math.min(COPY_PIECE_BYTES, to - from));
  for (let at = from; at < to; at += buffer.length) {
    const length = Math.min(buffer.length, to - at);
    const got = await head.read(buffer, 0, length, at);
    buffer.fill(0, got, length);
    await head.writeLater(buffer, 0, length, at);
  }
}
