/**
 * Copies between layers for the removal of snapshots. Both are safe beside running I/O: `fold` writes only where the upper
 * layer hides the lower one, and unmap keeps off both layers meanwhile; `prune` frees only what the head hides
 * at that moment.
 */
import type { DataFile, Folder } from '../io/disk.ts';
import { BLOCK_BYTES, COPY_PIECE_BYTES, COPY_WRITEBACK_BYTES } from '../limits.ts';
import type { OpenReplica } from './open-replica.ts';
import { yieldToOthers, type Layer, type Volume } from './volume.ts';

const PAIRS = 256;
const ZEROS = Buffer.alloc(COPY_PIECE_BYTES);
/** Runs of blocks that `prune` frees before it lets other work in. */
const PRUNE_RUNS_MAX = 64;
/** Runs that `prune` remembers between a sync and what it frees after it. */
const PRUNE_SYNC_RUNS_MAX = 16_384;

/** Between two pieces of work: resolves when the next one may begin. */
export type Rest = () => Promise<void>;

/**
 * Copies the data of `upper` into `lower`, which then holds both disks' content, on stable storage. An `onProgress` that throws
 * stops it.
 */
export async function fold(
  folder: Folder,
  upper: string,
  lower: string,
  onProgress: (percent: number) => void,
  rest: Rest,
): Promise<void> {
  const [upperStat, lowerStat] = [await folder.stat(upper), await folder.stat(lower)];
  if (upperStat === null || lowerStat === null) throw new Error(`cannot merge ${upper} into ${lower}: not found`);
  if (upperStat.inode === lowerStat.inode) return;
  if (upperStat.sizeBytes < lowerStat.sizeBytes) {
    throw new Error('file sizes are not equal and the parent file is larger than the child file');
  }
  const source = await folder.open(upper, 'read');
  try {
    const target = await folder.open(lower, 'write');
    try {
      if (upperStat.sizeBytes > lowerStat.sizeBytes) await target.truncate(upperStat.sizeBytes);
      await copyExtents(source, target, upperStat.sizeBytes, onProgress, rest);
      await target.sync();
    } finally {
      await target.close();
    }
  } finally {
    await source.close();
  }
}

async function copyExtents(
  source: DataFile,
  target: DataFile,
  sizeBytes: number,
  onProgress: (percent: number) => void,
  rest: Rest,
): Promise<void> {
  const pairs = new Float64Array(PAIRS * 2);
  const buffer = Buffer.allocUnsafeSlow(COPY_PIECE_BYTES);
  let sinceWriteback = 0;
  for (let at = 0; at < sizeBytes;) {
    const count = source.extents(at, sizeBytes, pairs);
    for (let i = 0; i < count; i++) {
      const start = Math.floor((pairs[i * 2] as number) / BLOCK_BYTES) * BLOCK_BYTES;
      const end = Math.min(Math.ceil((pairs[i * 2 + 1] as number) / BLOCK_BYTES) * BLOCK_BYTES, sizeBytes);
      for (let piece = start; piece < end; piece += COPY_PIECE_BYTES) {
        const length = Math.min(COPY_PIECE_BYTES, end - piece);
        const percent = Math.floor(((piece + length) / sizeBytes) * 100);
        await copyPiece(source, target, buffer, length, piece, () => onProgress(percent));
        sinceWriteback += length;
        await rest();
      }
      if (sinceWriteback >= COPY_WRITEBACK_BYTES) {
        await target.startWriteback();
        sinceWriteback = 0;
      }
      at = end;
    }
    if (count < PAIRS) return;
  }
}

/** Allocated zeros stay allocated zeros: they hide what older layers hold, and take no room when written so. */
async function copyPiece(
  source: DataFile,
  target: DataFile,
  buffer: Buffer,
  length: number,
  offset: number,
  mayWrite: () => void,
): Promise<void> {
  const got = await source.read(buffer, 0, length, offset);
  mayWrite();
  if (got < length) buffer.fill(0, got, length);
  if (buffer.compare(ZEROS, 0, length, 0, length) === 0) target.zero(offset, length);
  else await target.writeLater(buffer, 0, length, offset);
}

/**
 * Frees in a removed snapshot directly under the head what the head hides. The head is synced before: what is freed may
 * be the flushed content that a loss of power would bring back in the place of a later, unflushed write.
 */
export async function prune(replica: OpenReplica, name: string, rest: Rest): Promise<void> {
  const { volume } = replica;
  for (let block = 0; block < volume.index.length;) {
    const { runs, next } = headRuns(replica, block);
    if (runs.length > 0) {
      await replica.sync();
      await punchRuns(replica, name, runs, rest);
    }
    block = next;
  }
}

/** Runs of blocks that the head holds, as start/end pairs; bounded, `next` is where to go on. */
function headRuns(replica: OpenReplica, from: number): { runs: number[]; next: number } {
  const { index, headNumber } = replica.volume;
  const runs: number[] = [];
  let block = from;
  while (block < index.length && runs.length < PRUNE_SYNC_RUNS_MAX * 2) {
    const end = index.runEnd(block, index.length);
    if (index.get(block) === headNumber) runs.push(block, end);
    block = end;
  }
  return { runs, next: block };
}

async function punchRuns(replica: OpenReplica, name: string, runs: readonly number[], rest: Rest): Promise<void> {
  const { volume } = replica;
  for (let i = 0; i < runs.length; i += 2) {
    if (i % (PRUNE_RUNS_MAX * 2) === 0) {
      await yieldToOthers();
      await rest();
    }
    if (replica.volume !== volume) throw new Error(`the chain has changed while ${name} was pruned`);
    const number = volume.numberOf(name);
    const layer = volume.layers[number - 1];
    // A newer snapshot may have come between: then the next purge merges it.
    if (layer === undefined || number !== volume.headNumber - 1) return;
    punchStillHidden(volume, layer, runs[i] as number, runs[i + 1] as number);
  }
}

/** Of a run that the head held when it was synced, what it still holds. */
function punchStillHidden(volume: Volume, layer: Layer, from: number, to: number): void {
  for (let block = from; block < to;) {
    const end = volume.index.runEnd(block, to);
    const offset = block * BLOCK_BYTES;
    const length = Math.min(end * BLOCK_BYTES, layer.sizeBytes) - offset;
    if (volume.index.get(block) === volume.headNumber && length > 0) layer.file.punch(offset, length);
    block = end;
  }
}
