/**
 * Which regions may differ between the members that an engine starts with.
 *
 * A member that kept its memory knows what was written since the last FLUSHED; the union over such members covers
 * every write that the dead engine had in flight. A member whose process restarted lost its list, so everything that
 * its head (and the others' heads) hold is in doubt: layers below the head were synced when they were made.
 */

/** What one member reports. */
export interface MemberRegions {
  readonly name: string;
  /** its list is complete: the process runs without a break since the record's epoch was opened */
  readonly complete: boolean;
  /** bit i of byte i >> 3, least significant first: regions written since the last FLUSHED, and inherited ones */
  readonly written: Uint8Array;
  /** regions with an allocated extent in the head layer; null = not asked for */
  readonly head: Uint8Array | null;
}

/** True when the whole heads must be compared, so that every member must report its head's extents. */
export function needsHeadExtents(members: readonly Pick<MemberRegions, 'complete'>[]): boolean {
  return members.length > 1 && members.some((member) => !member.complete);
}

/**
 * Union of what may differ, `regionCount` bits. One member alone agrees with itself: nothing is in doubt.
 * Throws when a head's extents are needed and missing.
 */
export function regionsInDoubt(members: readonly MemberRegions[], regionCount: number): Uint8Array {
  const doubt = new Uint8Array(Math.ceil(regionCount / 8));
  if (members.length <= 1) return doubt;
  const compareHeads = needsHeadExtents(members);
  for (const member of members) {
    addBits(doubt, member.written);
    if (!compareHeads) continue;
    if (!member.head) throw new Error(`replica ${member.name} did not report the extents of its head`);
    addBits(doubt, member.head);
  }
  const lastBits = regionCount % 8;
  const last = doubt.length - 1;
  if (lastBits !== 0) doubt[last] = (doubt[last] ?? 0) & ((1 << lastBits) - 1);
  return doubt;
}

/** Sets in `into` every bit of `bits`; bits beyond its length are dropped. */
export function addBits(into: Uint8Array, bits: Uint8Array): void {
  const length = Math.min(into.length, bits.length);
  for (let index = 0; index < length; index++) into[index] = (into[index] ?? 0) | (bits[index] ?? 0);
}

/** Number of set bits. */
export function countBits(bits: Uint8Array): number {
  let count = 0;
  for (let byte of bits) {
    for (; byte !== 0; byte &= byte - 1) count++;
  }
  return count;
}
