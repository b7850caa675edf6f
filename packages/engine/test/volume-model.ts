/**
 * What a volume should hold, kept the simplest way: one number per 512 bytes. Sectors are written with their
 * number repeated; 0 is zeros.
 *
 * After a loss of power a sector holds its flushed number or one written since (a purge syncs by itself); one that was unmapped and not flushed may
 * hold anything that it held before (a discard is no promise until it is flushed).
 */
import { createHash } from 'node:crypto';

export const SECTOR = 512;

export class VolumeModel {
  now: Uint32Array;
  private flushed: Uint32Array;
  private readonly loose = new Set<number>();
  /** numbers written since the last flush, by sector */
  private readonly since = new Map<number, Set<number>>();
  readonly snapshots = new Map<string, Uint32Array>();

  constructor(sizeBytes: number) {
    this.now = new Uint32Array(sizeBytes / SECTOR);
    this.flushed = this.now.slice();
  }

  clone(): VolumeModel {
    const copy = new VolumeModel(0);
    copy.now = this.now.slice();
    copy.flushed = this.flushed.slice();
    for (const sector of this.loose) copy.loose.add(sector);
    for (const [sector, values] of this.since) copy.since.set(sector, new Set(values));
    for (const [name, content] of this.snapshots) copy.snapshots.set(name, content);
    return copy;
  }

  write(first: number, count: number, value: number): void {
    this.now.fill(value, first, first + count);
    for (let sector = first; sector < first + count; sector++) {
      const values = this.since.get(sector) ?? new Set();
      this.since.set(sector, values.add(value));
    }
  }

  unmap(first: number, count: number): void {
    // Only whole blocks of 4096 bytes inside the range.
    const from = Math.ceil(first / 8) * 8;
    const to = Math.floor((first + count) / 8) * 8;
    if (to <= from) return;
    this.now.fill(0, from, to);
    for (let sector = from; sector < to; sector++) this.loose.add(sector);
  }

  flush(): void {
    this.flushed = this.now.slice();
    this.loose.clear();
    this.since.clear();
  }

  snapshot(name: string): void {
    this.flush();
    this.snapshots.set(name, this.now.slice());
  }

  revert(name: string): void {
    const content = this.snapshots.get(name);
    if (content === undefined) throw new Error(`no snapshot ${name}`);
    const grown = new Uint32Array(this.now.length);
    grown.set(content);
    this.now = grown;
    this.flush();
  }

  expand(sizeBytes: number): void {
    this.flush();
    const grown = new Uint32Array(sizeBytes / SECTOR);
    grown.set(this.now);
    this.now = grown;
    this.flush();
  }

  /** The sectors of `content` that are wrong; `isPowerLost`: unflushed ones may be old. Takes over what it finds. */
  wrongSectors(content: Buffer, isPowerLost: boolean): string[] {
    const wrong: string[] = [];
    if (content.length !== this.now.length * SECTOR) return [`size ${content.length}`];
    for (let sector = 0; sector < this.now.length; sector++) {
      const found = numberOf(content, sector);
      const isFine =
        found === this.now[sector] ||
        (isPowerLost &&
          found !== null &&
          (found === this.flushed[sector] || this.since.get(sector)?.has(found) === true || this.loose.has(sector)));
      if (!isFine) wrong.push(`sector ${sector}: ${found} is neither ${this.now[sector]} nor ${this.flushed[sector]}`);
      else if (found !== null) this.now[sector] = found;
    }
    // After a loss of power the disk is all there is; a crash of the process leaves the page cache as it was.
    if (isPowerLost) this.flush();
    return wrong;
  }
}

/** The number that a sector is full of; null: torn. */
function numberOf(content: Buffer, sector: number): number | null {
  const start = sector * SECTOR;
  const first = content.readUInt32LE(start);
  for (let at = start + 4; at < start + SECTOR; at += 4) if (content.readUInt32LE(at) !== first) return null;
  return first;
}

/** `count` sectors full of a number. */
export function sectorsOf(value: number, count: number): Buffer {
  const bytes = Buffer.alloc(count * SECTOR);
  for (let at = 0; at < bytes.length; at += 4) bytes.writeUInt32LE(value, at);
  return bytes;
}

/** For messages: a short name of a content. */
export function fingerprint(content: Uint32Array): string {
  return createHash('sha256').update(content).digest('hex').slice(0, 12);
}
