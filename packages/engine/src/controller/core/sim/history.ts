/**
 * What a block device may answer, sector by sector. A write is visible from its acknowledgement or from the first read that saw it,
 * whichever came first; a read must not return what a visible later write has replaced.
 *
 * Not checked: sectors under an unmap may read as zeros from then on.
 */
import assert from 'node:assert/strict';
import type { Buffer } from 'node:buffer';
import { SECTOR_BYTES } from './sim-link.ts';

export interface Written {
  readonly id: number;
  readonly submitted: number;
  acknowledged: number;
  /** It ended with an error: what is read of it does not bind, the member that it is seen on may fail. */
  failed: number;
  /** What would be wrong if it did not fail in the end: members that run out of space stop at different sectors. */
  suspicion: string;
}

/** A write in one sector: one that failed half way may be seen in some sectors and not in others. */
interface Version {
  readonly written: Written;
  seen: number;
}

const NEVER = Number.POSITIVE_INFINITY;

/** Number in the sectors that nobody has written. */
export const UNTOUCHED = 0;

export class History {
  /** Steps order all events. */
  step = 1;
  private nextId = 1;
  private readonly sectors: Version[][];
  private readonly isUnmapped: boolean[];
  /** Where replicas began with different contents: the one that was read first. */
  private readonly chosen = new Map<number, number>();

  constructor(sizeBytes: number) {
    const count = sizeBytes / SECTOR_BYTES;
    this.sectors = Array.from({ length: count }, () => [initial(UNTOUCHED, 0)]);
    this.isUnmapped = Array.from({ length: count }, () => false);
  }

  /** The sector may have this content or the one before, whichever is read first. */
  addInitial(sector: number): number {
    const id = this.nextId++;
    const list = this.sectors[sector];
    assert(list);
    if (list.length === 1) list[0] = initial(UNTOUCHED, NEVER);
    list.push(initial(id, NEVER));
    this.chosen.set(sector, -1);
    return id;
  }

  /** A write begins: fills its payload. */
  write(offset: number, payload: Buffer): Written {
    const written: Written = {
      id: this.nextId++,
      submitted: this.step++,
      acknowledged: NEVER,
      failed: NEVER,
      suspicion: '',
    };
    for (let at = 0; at < payload.length; at += SECTOR_BYTES) {
      payload.fill(written.id & 0xff, at, at + SECTOR_BYTES);
      payload.writeUInt32LE(written.id, at);
      this.sectors[(offset + at) / SECTOR_BYTES]?.push({ written, seen: NEVER });
    }
    return written;
  }

  acknowledge(written: Written): void {
    assert.equal(written.suspicion, '');
    written.acknowledged = this.step++;
  }

  /** It ended with an error: each sector holds it or not. */
  fail(written: Written): void {
    written.failed = this.step++;
    for (const [sector, list] of this.sectors.entries()) {
      for (const version of list) {
        if (version.written !== written) continue;
        version.seen = NEVER;
        this.chosen.delete(sector);
      }
    }
  }

  unmap(offset: number, length: number): void {
    for (let at = offset; at < offset + length; at += SECTOR_BYTES) this.isUnmapped[at / SECTOR_BYTES] = true;
  }

  /** A read that was submitted at step `begun` returned `data`. */
  checkRead(offset: number, data: Buffer, begun: number): void {
    const now = this.step++;
    for (let at = 0; at < data.length; at += SECTOR_BYTES) {
      this.checkSector((offset + at) / SECTOR_BYTES, data.readUInt32LE(at), begun, now);
    }
  }

  private checkSector(sector: number, id: number, begun: number, now: number): void {
    if (id === UNTOUCHED && this.isUnmapped[sector]) return;
    const list = this.sectors[sector] ?? [];
    const found = list.find(({ written }) => written.id === id);
    assert(found, `sector ${sector} holds ${id}, which nobody wrote there`);
    const chosen = this.chosen.get(sector);
    if (found.written.submitted === 0 && chosen !== undefined) {
      assert(chosen === -1 || chosen === id, `sector ${sector} changed from ${chosen} to ${id} without a write`);
      this.chosen.set(sector, id);
    }
    for (const later of list) {
      const isStale = visibleFrom(found) < later.written.submitted && visibleFrom(later) < begun;
      if (!isStale) continue;
      const text = `sector ${sector} holds ${id}, which ${later.written.id} had replaced`;
      assert(later.written.acknowledged === NEVER, text);
      later.written.suspicion = text;
    }
    if (found.written.failed === NEVER) found.seen = Math.min(found.seen, now);
  }
}

function initial(id: number, acknowledged: number): Version {
  return { written: { id, submitted: 0, acknowledged, failed: NEVER, suspicion: '' }, seen: NEVER };
}

function visibleFrom({ written, seen }: Version): number {
  return Math.min(written.acknowledged, seen);
}
