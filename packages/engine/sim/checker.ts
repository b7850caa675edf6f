/**
 * What a block device may answer, sector by sector.
 *
 * - A read of a sector returns the last acknowledged write, or one after it whose fate is not known; what was read once stays until it is
 *   written again.
 * - A discard is a write of zeros that may also have done nothing, and what it did stays.
 * - After the device was lost (its node's power, or an error that everybody saw) and attached anew, a sector is as it was at the last flush,
 *   or as any later write left it, and stays so.
 *
 * The client has at most one operation on a sector at a time, so the writes of a sector have one order.
 */

/** Number in sectors that nobody has written. */
const UNWRITTEN = 0;

interface Sector {
  /** writes in order of submission; index 0 is the unwritten sector */
  readonly versions: number[];
  /** indexes that a read may return, ascending */
  possible: number[];
  /** nothing before this index may ever come back */
  floor: number;
}

export class DeviceChecker {
  private readonly sectors: Sector[];
  readonly violations: string[] = [];

  constructor(sectorCount: number) {
    this.sectors = Array.from({ length: sectorCount }, () => ({
      versions: [UNWRITTEN],
      possible: [0],
      floor: 0,
    }));
  }

  /** A write begins; it may be seen from now on. */
  writeBegins(sector: number, id: number): void {
    const { versions, possible } = this.at(sector);
    versions.push(id);
    possible.push(versions.length - 1);
  }

  writeAcked(sector: number, id: number): void {
    const state = this.at(sector);
    state.possible = [state.versions.lastIndexOf(id)];
  }

  /** A sector is given up: it reads as before, or as zeros, from now on. */
  discardBegins(sector: number): void {
    this.writeBegins(sector, UNWRITTEN);
  }

  /** What a flush that is submitted now must keep. */
  flushBegins(): number[] {
    return this.sectors.map(({ possible: [oldest = 0] }) => oldest);
  }

  flushAcked(kept: readonly number[]): void {
    for (let index = 0; index < kept.length; index++) {
      const state = this.at(index);
      state.floor = Math.max(state.floor, kept[index] ?? 0);
    }
  }

  read(sector: number, id: number, when: string): void {
    const state = this.at(sector);
    const matching = state.possible.filter((index) => state.versions[index] === id);
    if (matching.length === 0) {
      const allowed = state.possible.map((one) => state.versions[one]).join(' or ');
      this.violations.push(`${when}: sector ${sector} reads ${id}, allowed is ${allowed}`);
      return;
    }
    state.possible = matching;
  }

  /** The device was lost and is attached anew. */
  attachedAnew(): void {
    for (const state of this.sectors) {
      state.possible = [];
      for (let index = state.floor; index < state.versions.length; index++) state.possible.push(index);
    }
  }

  private at(sector: number): Sector {
    const state = this.sectors[sector];
    if (!state) throw new Error(`no sector ${sector}`);
    return state;
  }
}
