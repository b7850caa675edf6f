/**
 * Makes the members equal where a crash, or a write that found all disks full, may have left them different.
 *
 * A region in doubt is settled by the core before it is served. The rest is compared here in the background, by hashes, and
 * copied only where it differs; then everything is flushed and the replicas forget that it was in doubt.
 */
import { randomBytes } from 'node:crypto';
import { errorText } from '@longhorn/shared-types/grpc/rpc-error';
import { addBits, countBits, needsHeadExtents, regionsInDoubt, type MemberRegions } from '../membership/doubt.ts';
import { pauseFor } from './control-clock.ts';
import { COMPARE_BYTES, RANGE_HASH_TIMEOUT_MS, RETRY_MS, SETTLED_WAIT_MS } from './control-limits.ts';
import { REGION_BYTES } from './core/core-limits.ts';
import { ENOSPC } from './core/errno.ts';
import type { ReplicaEntry } from './replica-set.ts';
import type { VolumeContext } from './volume-context.ts';
import { whileAnswering } from './while-answering.ts';

/** Bytes of one block's hash in the answer of RangeHash. */
const HASH_BYTES = 16;
const HASH_KEY_BYTES = 16;
const REGIONS_PER_COMPARISON = COMPARE_BYTES / REGION_BYTES;

/** Asks all members for what may differ. Rejects when one does not answer: then it cannot be a member. */
export async function collectDoubt(
  context: VolumeContext,
  members: readonly ReplicaEntry[],
  sizeBytes: number,
): Promise<Uint8Array> {
  const timeoutMs = context.options.replicaTimeoutMs;
  const lists = await Promise.all(
    members.map(async (entry) => {
      const { complete, regionSize, bitmap } = await entry.client.RegionsGet({}, { timeoutMs });
      if (regionSize !== REGION_BYTES) throw new Error(`replica ${entry.name} keeps regions of ${regionSize} bytes`);
      return { name: entry.name, complete: complete && entry.report?.keptMemory === true, written: bitmap };
    }),
  );
  const whole = needsHeadExtents(lists);
  const reports = await Promise.all(
    lists.map(async (list, index): Promise<MemberRegions> => {
      const entry = members[index];
      if (!whole || !entry) return { ...list, head: null };
      const { bitmap } = await entry.client.HeadExtents({}, { timeoutMs });
      return { ...list, head: bitmap };
    }),
  );
  return regionsInDoubt(reports, Math.ceil(sizeBytes / REGION_BYTES));
}

/**
 * The members note what is in doubt before they get this engine's record: should the engine die before it is settled, the
 * next one finds it in their lists.
 */
export async function inheritDoubt(
  context: VolumeContext,
  members: readonly ReplicaEntry[],
  doubt: Uint8Array,
): Promise<void> {
  const request = { epoch: context.options.epoch, bitmap: Buffer.from(doubt) };
  const timeoutMs = context.options.replicaTimeoutMs;
  await Promise.all(members.map((entry) => entry.client.RegionsInherit(request, { timeoutMs })));
}

/** Settles what `setDoubt` has put in doubt, until nothing is left and the members have forgotten it. Runs once per engine start. */
export class DoubtSettling {
  private readonly context: VolumeContext;
  private settled = true;
  private waiters: (() => void)[] = [];
  /** why the last pass did not end */
  private obstacle = '';

  constructor(context: VolumeContext) {
    this.context = context;
  }

  /** Puts the regions in doubt and begins; before any I/O is served. */
  begin(doubt: Uint8Array): void {
    const regions = countBits(doubt);
    if (regions === 0) return;
    this.context.core.setDoubt(doubt);
    this.context.log.info('comparing what a crash may have left different', { regions });
    this.goOn();
  }

  /** Something came into doubt: goes on until nothing is. */
  goOn(): void {
    if (!this.settled) return;
    this.settled = false;
    this.run().catch(this.context.crash);
  }

  isSettled(): boolean {
    return this.settled;
  }

  /** Resolves once nothing is in doubt; rejects when that takes too long for an operation to wait. */
  async whenSettled(): Promise<void> {
    if (this.settled) return;
    const { clock } = this.context;
    const isInTime = await new Promise<boolean>((resolve) => {
      const cancel = clock.after(SETTLED_WAIT_MS, () => resolve(false));
      this.waiters.push(() => {
        cancel();
        resolve(true);
      });
    });
    if (isInTime) return;
    throw new Error(
      `the replicas are still made equal (${this.context.core.doubtCount()} regions left${this.obstacle === '' ? '' : `: ${this.obstacle}`}); try again later`,
    );
  }

  private async run(): Promise<void> {
    const { context } = this;
    while (!context.isOver()) {
      try {
        if (await this.pass()) break;
      } catch (error) {
        const reason = errorText(error);
        // Tried every second: said once.
        if (reason !== this.obstacle) context.log.warn('making the replicas equal is interrupted', { reason });
        this.obstacle = reason;
      }
      await pauseFor(context.clock, RETRY_MS, context.stopping.signal);
    }
    this.obstacle = '';
    if (context.isOver()) return;
    this.settled = true;
    for (const waiter of this.waiters) waiter();
    this.waiters = [];
    context.log.info('the replicas are equal');
  }

  /** True when nothing was left and all members know it. */
  private async pass(): Promise<boolean> {
    const { context } = this;
    const { core } = context;
    for (let region = core.nextDoubt(0); region >= 0; region = core.nextDoubt(region)) {
      if (context.isOver()) return false;
      region = await this.settleRun(region);
    }
    if (core.doubtCount() > 0) return false;
    const errno = await core.flushNow();
    if (errno !== 0) throw new Error(`the flush after the comparison failed with errno ${errno}`);
    // The flush waited for members that had failed: one that came back may have missed how something was settled.
    if (core.doubtCount() > 0) return false;
    const members = context.replicas.inStage('reading', 'joining');
    const request = { epoch: context.options.epoch };
    const timeoutMs = context.options.replicaTimeoutMs;
    // A member that misses it keeps regions that are equal in its list, which is safe.
    await Promise.allSettled(members.map((entry) => entry.client.RegionsSettled(request, { timeoutMs })));
    return core.doubtCount() === 0;
  }

  /** Compares a run of regions in doubt and copies what differs; answers with the region to go on from. */
  private async settleRun(first: number): Promise<number> {
    const { core, layout } = this.context;
    let end = first + 1;
    while (end - first < REGIONS_PER_COMPARISON && core.isInDoubt(end)) end++;
    const offset = first * REGION_BYTES;
    const length = Math.min(end * REGION_BYTES, layout.sizeBytes) - offset;
    const members = this.context.replicas.inStage('reading');
    // One that is being rebuilt lacks the layers to be compared with; a copy goes to it as well.
    const isJoining = this.context.replicas.inStage('joining').length > 0;
    if (members.length <= 1 && !isJoining) {
      for (let region = first; region < end; region++) core.clearDoubt(region);
      return end;
    }
    const marks = Array.from({ length: end - first }, (_, index) => core.doubtMark(first + index));
    const hashes = isJoining ? [] : await hashRange(this.context, members, offset, length, REGION_BYTES);
    for (let region = first; region < end; region++) {
      if (!core.isInDoubt(region)) continue;
      if (isJoining || !sameBlock(hashes, region - first)) await this.copyRegion(region);
      // A write that failed meanwhile may have made the members different again: left for the next pass.
      if (core.doubtMark(region) === marks[region - first]) core.clearDoubt(region);
    }
    return end;
  }

  private async copyRegion(region: number): Promise<void> {
    const { core, layout } = this.context;
    const offset = region * REGION_BYTES;
    const length = Math.min(REGION_BYTES, layout.sizeBytes - offset);
    const errno = await new Promise<number>((resolve) => core.copyRange(offset, length, null, null, resolve));
    if (errno !== 0)
      throw new Error(
        `cannot make region ${region} equal: ${errno === ENOSPC ? 'no space left on device' : `errno ${errno}`}`,
      );
  }
}

/** Hashes of one range on each of the replicas: under one key of this call if all know that, which is faster. */
export async function hashRange(
  context: VolumeContext,
  replicas: readonly ReplicaEntry[],
  offset: number,
  length: number,
  blockSize: number,
): Promise<Buffer[]> {
  const isKeyed = replicas.every((entry) => entry.report?.knowsKeyedHash === true);
  const request = { offset, length, blockSize, key: isKeyed ? randomBytes(HASH_KEY_BYTES) : Buffer.alloc(0) };
  return Promise.all(
    replicas.map(async (entry) => {
      const { hashes } = await whileAnswering(context, entry, (options) =>
        entry.client.RangeHash(request, { ...options, timeoutMs: RANGE_HASH_TIMEOUT_MS }),
      );
      if (hashes.length !== Math.ceil(length / blockSize) * HASH_BYTES) {
        throw new Error(`replica ${entry.name} answered ${hashes.length} bytes of hashes`);
      }
      return hashes;
    }),
  );
}

/** True when all replicas have the same hash of a block. */
export function sameBlock(hashes: readonly Buffer[], index: number): boolean {
  const [first, ...others] = hashes.map((hash) => hash.subarray(index * HASH_BYTES, (index + 1) * HASH_BYTES));
  return first !== undefined && others.every((other) => other.equals(first));
}

/** Union of bitmaps that may differ in length. */
export function unionOf(bitmaps: readonly Uint8Array[], regionCount: number): Uint8Array {
  const union = new Uint8Array(Math.ceil(regionCount / 8));
  for (const bitmap of bitmaps) addBits(union, bitmap);
  return union;
}
