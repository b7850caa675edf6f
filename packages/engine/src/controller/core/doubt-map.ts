/**
 * Regions in which the members may differ: after a crash with writes in flight, or where all of them ran out of space in
 * the middle of a write. One bit per region, and for each whether it is being settled.
 */
import { addBits } from '../../membership/doubt.ts';
import { REGION_BYTES } from './core-limits.ts';

export class DoubtMap {
  /** Regions in doubt. */
  count = 0;
  private doubt: Uint8Array;
  private readonly settling = new Set<number>();
  /** Could not be settled for want of space: served by one member until tried again. */
  private readonly unsettleable = new Set<number>();
  /**
   * Born here and not noted by any replica: no FLUSHED may be sent, or the replicas would forget these regions. The value is the
   * order of operations at that time: a write that was sent before may lie under what is in doubt.
   */
  private readonly own = new Map<number, number>();
  private regions: number;
  /** What was in doubt when a member failed that may come back; it has no part in how that is settled meanwhile. */
  private missed: Uint8Array | null = null;

  constructor(sizeBytes: number) {
    this.regions = Math.ceil(sizeBytes / REGION_BYTES);
    this.doubt = new Uint8Array(Math.ceil(this.regions / 8));
  }

  /** Keeps the map; regions beyond the new end are dropped. */
  resize(sizeBytes: number): void {
    const before = this.doubt;
    this.regions = Math.ceil(sizeBytes / REGION_BYTES);
    this.doubt = new Uint8Array(Math.ceil(this.regions / 8));
    this.load(before);
  }

  /** Replaces the map by `bitmap`, least significant bit first. */
  replace(bitmap: Uint8Array): void {
    this.unsettleable.clear();
    this.own.clear();
    this.load(bitmap);
  }

  has(region: number): boolean {
    return isSet(this.doubt, region);
  }

  /** First region in doubt at or after `from`, -1 if none. */
  next(from: number): number {
    return this.count === 0 ? -1 : firstIn(this.doubt, Math.max(0, from), this.regions);
  }

  /** A region that came into doubt in this process. */
  addOwn(region: number, order: number): void {
    this.own.set(region, order);
    if (this.has(region)) return;
    this.doubt[region >> 3] = (this.doubt[region >> 3] ?? 0) | (1 << (region & 7));
    this.count++;
  }

  /** A member failed. */
  noteMissed(): void {
    if (this.count === 0) return;
    const union = new Uint8Array(this.doubt.length);
    addBits(union, this.doubt);
    if (this.missed !== null) addBits(union, this.missed);
    this.missed = union;
  }

  /** A member came, perhaps one of those that failed: `order` as for `addOwn`. */
  restoreMissed(order: number): void {
    const { missed } = this;
    if (missed === null) return;
    for (
      let region = firstIn(missed, 0, this.regions);
      region >= 0;
      region = firstIn(missed, region + 1, this.regions)
    ) {
      this.addOwn(region, order);
    }
  }

  /** None of those that failed comes back. */
  forgetMissed(): void {
    this.missed = null;
  }

  clear(region: number): void {
    this.unsettleable.delete(region);
    this.own.delete(region);
    if (!this.has(region)) return;
    this.doubt[region >> 3] = (this.doubt[region >> 3] ?? 0) & ~(1 << (region & 7));
    this.count--;
  }

  /** Clears the regions that lie wholly within the range of a write that was sent as number `order`. */
  clearCovered(offset: number, length: number, order: number): void {
    const end = offset + length;
    for (let region = Math.ceil(offset / REGION_BYTES); (region + 1) * REGION_BYTES <= end; region++) {
      if ((this.own.get(region) ?? 0) <= order) this.clear(region);
    }
  }

  /** Order of the operation that put the region in doubt last; 0: none of this process. */
  mark(region: number): number {
    return this.own.get(region) ?? 0;
  }

  hasOwn(): boolean {
    return this.own.size > 0;
  }

  /** False if the region is being settled already. */
  startSettling(region: number): boolean {
    if (this.settling.has(region)) return false;
    this.settling.add(region);
    return true;
  }

  endSettling(region: number): void {
    this.settling.delete(region);
  }

  settlingCount(): number {
    return this.settling.size;
  }

  noteUnsettleable(region: number): void {
    this.unsettleable.add(region);
  }

  isUnsettleable(region: number): boolean {
    return this.unsettleable.has(region);
  }

  /** Space may have been freed meanwhile. */
  retryUnsettleable(): void {
    this.unsettleable.clear();
  }

  private load(bitmap: Uint8Array): void {
    this.doubt.fill(0);
    this.doubt.set(bitmap.subarray(0, this.doubt.length));
    const spare = this.doubt.length * 8 - this.regions;
    const last = this.doubt.length - 1;
    if (spare > 0 && last >= 0) this.doubt[last] = (this.doubt[last] ?? 0) & (0xff >>> spare);
    this.count = 0;
    for (const byte of this.doubt) {
      for (let bits = byte; bits !== 0; bits &= bits - 1) this.count++;
    }
  }
}

function isSet(bitmap: Uint8Array, region: number): boolean {
  return ((bitmap[region >> 3] ?? 0) & (1 << (region & 7))) !== 0;
}

/** First region at or after `from` whose bit is set, -1 if none. */
function firstIn(bitmap: Uint8Array, from: number, regions: number): number {
  for (let region = from; region < regions; region++) {
    if ((region & 7) === 0 && bitmap[region >> 3] === 0) region += 7;
    else if (isSet(bitmap, region)) return region;
  }
  return -1;
}
