/**
 * Ranges that are kept free of client writes for a moment: while a region is copied between members, or while the
 * surroundings of an unaligned write are read. A claim is granted once no overlapping write is on its way and no
 * earlier claim overlaps; from the moment it is made, new overlapping writes wait.
 */
export interface Claim {
  readonly offset: number;
  readonly length: number;
  /** A pause waits for what this is for. */
  readonly isInFlight: boolean;
  readonly granted: () => void;
  isGranted: boolean;
}

export class RangeClaims {
  private readonly claims: Claim[] = [];
  private waiting = 0;

  get count(): number {
    return this.claims.length;
  }

  add(offset: number, length: number, isInFlight: boolean, granted: () => void): Claim {
    const claim = { offset, length, isInFlight, granted, isGranted: false };
    this.claims.push(claim);
    this.waiting++;
    return claim;
  }

  remove(claim: Claim): void {
    const at = this.claims.indexOf(claim);
    if (at < 0) return;
    this.claims.splice(at, 1);
    if (!claim.isGranted) this.waiting--;
  }

  overlaps(offset: number, length: number, onlyGranted: boolean): boolean {
    return this.claims.some((claim) => (claim.isGranted || !onlyGranted) && overlap(claim, offset, length));
  }

  /** Grants what can be granted; `isBusy` tells whether a write is on its way in a range. */
  grant(isPaused: boolean, isBusy: (offset: number, length: number) => boolean): void {
    if (this.waiting === 0) return;
    // A copy: `granted` may add and remove claims.
    for (const [at, claim] of [...this.claims].entries()) {
      if (claim.isGranted || !this.claims.includes(claim)) continue;
      if (isPaused && !claim.isInFlight) continue;
      // During a pause only granted claims end, so one that is in flight waits for no other.
      const earlier = isPaused ? this.claims.filter((other) => other.isGranted) : this.claims.slice(0, at);
      const isBehind = earlier.some((other) => overlap(other, claim.offset, claim.length));
      if (isBehind || isBusy(claim.offset, claim.length)) continue;
      claim.isGranted = true;
      this.waiting--;
      claim.granted();
    }
  }
}

function overlap(claim: Claim, offset: number, length: number): boolean {
  return claim.offset < offset + length && offset < claim.offset + claim.length;
}
