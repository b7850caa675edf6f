/**
 * Compares what a rebuilt replica reads with what a member reads, over the whole volume.
 *
 * First while writes go on: blocks that were written meanwhile differ by chance and are looked at again. What still differs is
 * compared once more while I/O is paused; that pass decides.
 */
import { pauseFor } from './control-clock.ts';
import { COMPARE_BLOCK_BYTES, COMPARE_BYTES, COMPARE_PASSES_MAX, RETRY_MS } from './control-limits.ts';
import { REGION_BYTES } from './core/core-limits.ts';
import { hashRange, sameBlock } from './doubt-settling.ts';
import type { ReplicaEntry } from './replica-set.ts';
import type { VolumeContext } from './volume-context.ts';

/** Regions that are few enough to be compared while I/O is paused. */
const PAUSED_REGIONS_MAX = 1024;

/** Regions that differ after passes over a volume in use; rejects when they do not become few. */
export async function compareInUse(
  context: VolumeContext,
  source: ReplicaEntry,
  joiner: ReplicaEntry,
): Promise<number[]> {
  let differing = await compareRuns(context, source, joiner, wholeVolume(context.layout.sizeBytes));
  for (let pass = 1; pass < COMPARE_PASSES_MAX && differing.length > 0; pass++) {
    await pauseFor(context.clock, RETRY_MS / 4, context.stopping.signal);
    differing = await compareRuns(context, source, joiner, runsOf(differing));
  }
  if (differing.length > PAUSED_REGIONS_MAX) throw differenceError(source, joiner, differing);
  return differing;
}

/** The last word, under paused I/O: rejects when a region still differs. */
export async function compareAtRest(
  context: VolumeContext,
  source: ReplicaEntry,
  joiner: ReplicaEntry,
  regions: readonly number[],
): Promise<void> {
  const differing = await compareRuns(context, source, joiner, runsOf(regions));
  if (differing.length > 0) throw differenceError(source, joiner, differing);
}

function differenceError(source: ReplicaEntry, joiner: ReplicaEntry, differing: readonly number[]): Error {
  const offset = (differing[0] ?? 0) * REGION_BYTES;
  return new Error(
    `the rebuilt replica ${joiner.address} differs from ${source.address} in ${differing.length} regions of 64 KiB, the first at offset ${offset}`,
  );
}

interface Run {
  readonly first: number;
  readonly count: number;
}

const REGIONS_PER_CALL = COMPARE_BYTES / REGION_BYTES;
const REGIONS_PER_PART = COMPARE_BLOCK_BYTES / REGION_BYTES;

function* wholeVolume(sizeBytes: number): Generator<Run> {
  const regions = Math.ceil(sizeBytes / REGION_BYTES);
  for (let first = 0; first < regions; first += REGIONS_PER_CALL) {
    yield { first, count: Math.min(REGIONS_PER_CALL, regions - first) };
  }
}

function* runsOf(regions: readonly number[]): Generator<Run> {
  let first = -1;
  let count = 0;
  for (const region of regions) {
    if (count > 0 && region === first + count && count < REGIONS_PER_CALL) {
      count++;
      continue;
    }
    if (count > 0) yield { first, count };
    first = region;
    count = 1;
  }
  if (count > 0) yield { first, count };
}

async function compareRuns(
  context: VolumeContext,
  source: ReplicaEntry,
  joiner: ReplicaEntry,
  runs: Iterable<Run>,
): Promise<number[]> {
  const differing: number[] = [];
  const pair = [source, joiner];
  for (const run of runs) {
    if (context.isOver() || joiner.stage !== 'joining')
      throw new Error(`replica ${joiner.address} is not being rebuilt`);
    // Large blocks are hashed much faster; regions are looked at where they differ.
    const isSmall = run.count <= REGIONS_PER_PART;
    for (const part of isSmall ? [run] : await differingParts(context, pair, run, REGIONS_PER_PART)) {
      for (const { first } of await differingParts(context, pair, part, 1)) differing.push(first);
    }
  }
  return differing;
}

/** Those parts of a run, of so many regions each, that the replicas read differently. */
async function differingParts(
  context: VolumeContext,
  replicas: readonly ReplicaEntry[],
  { first, count }: Run,
  regions: number,
): Promise<Run[]> {
  const offset = first * REGION_BYTES;
  const length = Math.min(count * REGION_BYTES, context.layout.sizeBytes - offset);
  const hashes = await hashRange(context, replicas, offset, length, regions * REGION_BYTES);
  const parts: Run[] = [];
  for (let begin = 0; begin < count; begin += regions) {
    const part = { first: first + begin, count: Math.min(regions, count - begin) };
    if (!sameBlock(hashes, begin / regions)) parts.push(part);
  }
  return parts;
}
