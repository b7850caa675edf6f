/**
 * What of a volume holds data, for clients that copy only that.
 *
 * Asked of one reading replica. It had applied each write that was acknowledged before, if it still is one when its answer has
 * come. What may differ between replicas (regions in doubt) counts as data, as does everything while nobody can tell.
 */
import { ALLOCATION_BYTES_MAX, ALLOCATION_RUNS_MAX } from '../limits.ts';
import type { GetAllocation } from '../frontend/frontend.ts';
import { REGION_BYTES } from './core/core-limits.ts';
import type { VolumeContext } from './volume-context.ts';

interface Range {
  readonly start: number;
  readonly end: number;
}

/** Questions are asked one after the other: clients shall not keep a replica busy with them. */
export function allocationOf(context: VolumeContext): GetAllocation {
  let before: Promise<unknown> = Promise.resolve();
  return (offset, length) => {
    const answer = before.then(() => ask(context, offset, Math.min(length, ALLOCATION_BYTES_MAX)));
    before = answer;
    return answer;
  };
}

async function ask(context: VolumeContext, offset: number, length: number): Promise<readonly number[]> {
  const [source] = context.replicas.inStage('reading');
  if (source === undefined || context.isOver()) return [0, length];
  // What comes into line meanwhile was perhaps not yet when the replica looked: both times count.
  const doubtful = regionsInDoubt(context, offset, length);
  try {
    const request = { offset, length, runsMax: ALLOCATION_RUNS_MAX };
    const { runs } = await source.client.AllocationGet(request, { timeoutMs: context.options.replicaTimeoutMs });
    if (source.stage !== 'reading' || context.isOver() || !isPart(runs, length)) return [0, length];
    return withData(runs, offset, [...doubtful, ...regionsInDoubt(context, offset, length)]);
  } catch {
    // An engine binary of before has no answer; whatever else it is, the next read or write meets it, too.
    return [0, length];
  }
}

const isPart = (runs: readonly number[], length: number): boolean => {
  const sum = runs.reduce((total, run) => total + run, 0);
  return sum > 0 && sum <= length && runs.every((run, index) => run > 0 || (run === 0 && index === 0));
};

function regionsInDoubt({ core }: VolumeContext, offset: number, length: number): Range[] {
  if (core.doubtCount() === 0) return [];
  const ranges: Range[] = [];
  const end = Math.ceil((offset + length) / REGION_BYTES);
  for (let region = core.nextDoubt(Math.floor(offset / REGION_BYTES)); region >= 0 && region < end;) {
    ranges.push({ start: region * REGION_BYTES, end: (region + 1) * REGION_BYTES });
    region = core.nextDoubt(region + 1);
  }
  return ranges;
}

/** The runs of a range, with more of it counted as data. */
export function withData(runs: readonly number[], offset: number, data: readonly Range[]): number[] {
  if (data.length === 0) return [...runs];
  const end = offset + runs.reduce((total, run) => total + run, 0);
  let at = offset;
  const held = runs.flatMap((run, index): Range[] => {
    const start = at;
    at += run;
    return index % 2 === 1 ? [{ start, end: at }] : [];
  });
  const all = [
    ...held,
    ...data.map((range) => ({ start: Math.max(range.start, offset), end: Math.min(range.end, end) })),
  ];
  const merged: number[] = [];
  at = offset;
  for (const range of all.filter(({ start, end: to }) => to > start).toSorted((a, b) => a.start - b.start)) {
    if (merged.length > 0 && range.start <= at) {
      merged[merged.length - 1] = (merged.at(-1) ?? 0) + Math.max(range.end - at, 0);
    } else {
      merged.push(range.start - at, range.end - range.start);
    }
    at = Math.max(at, range.end);
  }
  return at < end ? [...merged, end - at] : merged;
}
