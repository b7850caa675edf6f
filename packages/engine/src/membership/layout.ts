/**
 * Does a replica's chain of layers fit a record?
 *
 * Snapshot, revert and expansion write a record with the layout to be (its bases hold the one that was) before the
 * first replica is changed, and empty the bases only after the last one was. So while bases are there a replica may
 * have either layout; without bases only one. A purge takes layers away, replica by replica and without
 * changing what reads return; so a chain that merely lacks layers of the record still fits.
 */
import type { MembershipRecord } from './record.ts';

/** Size and chain of a replica, as it reports them. */
export interface Layout {
  readonly sizeBytes: number;
  /** live chain below the head, newest first, removed layers included */
  readonly chain: readonly string[];
}

/**
 * Index of the variant that the layout fits: an exact match wins over one that lacks purged layers; null when none does.
 * Variants are tried in order, newest record first.
 */
export function fittingVariant(layout: Layout, variants: readonly MembershipRecord[]): number | null {
  const sameSize = (record: MembershipRecord): boolean => record.sizeBytes === layout.sizeBytes;
  const exact = variants.findIndex((record) => sameSize(record) && sameChain(layout.chain, record.chain));
  if (exact >= 0) return exact;
  const purged = variants.findIndex((record) => sameSize(record) && isSubsequence(layout.chain, record.chain));
  return purged >= 0 ? purged : null;
}

/** True when both chains have the same layers in the same order. */
export function sameChain(left: readonly string[], right: readonly string[]): boolean {
  return left.length === right.length && left.every((name, index) => name === right[index]);
}

/** True when size and layers are the same. */
export function sameLayout(left: Layout, right: Layout): boolean {
  return left.sizeBytes === right.sizeBytes && sameChain(left.chain, right.chain);
}

function isSubsequence(part: readonly string[], whole: readonly string[]): boolean {
  let next = 0;
  for (const name of whole) if (next < part.length && part[next] === name) next++;
  return next === part.length;
}
