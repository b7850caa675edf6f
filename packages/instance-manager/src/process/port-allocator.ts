/**
 * Hands out ranges of ports, next fit: the search starts behind the last range, so that freed ports rest before
 * they are used again. A range belongs to an owner and can be freed by that owner only.
 */

export interface PortRange {
  readonly start: number;
  /** inclusive */
  readonly end: number;
}

/** Parses `10000-20000`. */
export function parsePortRange(text: string): PortRange {
  const match = /^(\d{1,5})-(\d{1,5})$/.exec(text);
  const start = Number(match?.[1]);
  const end = Number(match?.[2]);
  if (!match || start < 1 || end > 65_535 || start > end) {
    throw new Error(`invalid port range ${JSON.stringify(text)}: write START-END, for example 10000-20000`);
  }
  return { start, end };
}

export class PortAllocator {
  private readonly range: PortRange;
  private readonly owners = new Map<symbol, PortRange>();
  private next: number;

  constructor(range: PortRange) {
    this.range = range;
    this.next = range.start;
  }

  /** `count` consecutive free ports for `owner`; throws when there are none. */
  allocate(owner: symbol, count: number): PortRange {
    if (this.owners.has(owner)) throw new Error(`ports are already allocated for ${owner.description}`);
    const start = this.find(this.next, count) ?? this.find(this.range.start, count);
    if (start === null) {
      throw new Error(`failed to allocate ${count} ports: cannot find an empty port range`);
    }
    const allocated = { start, end: start + count - 1 };
    this.owners.set(owner, allocated);
    this.next = allocated.end + 1;
    return allocated;
  }

  /** Frees what `owner` holds; nothing held is fine, so that a late release cannot hit a stranger's ports. */
  release(owner: symbol): void {
    this.owners.delete(owner);
  }

  /** Lowest start at or behind `from` of `count` free ports, or null. */
  private find(from: number, count: number): number | null {
    const taken = [...this.owners.values()].toSorted((a, b) => a.start - b.start);
    let start = from;
    for (const range of taken) {
      if (range.end < start) continue;
      if (range.start >= start + count) break;
      start = range.end + 1;
    }
    return start + count - 1 <= this.range.end ? start : null;
  }
}
