/**
 * The members of a volume as the core sees them, as objects and as bit masks, and what keeps I/O back: a
 * member that failed while reading and is not off the record yet, or members not heard of for too long.
 */
import assert from 'node:assert/strict';
import type { MemberId, MemberRole, MemberState } from './core-api.ts';
import { FrameLane } from './frame-lane.ts';
import type { CoreLimits } from './core-limits.ts';
import type { MemberLink } from './member-link.ts';

/** Frames for one member only are few or small: reads, copies, what is sent again. */
const LANE_BYTES = 128 << 10;

export interface Member {
  readonly id: MemberId;
  readonly bit: number;
  readonly link: MemberLink;
  readonly lane: FrameLane;
  role: MemberRole;
  /** It was there at this time: an operation or a ping that was sent then has been answered. */
  proofMs: number;
  readsInFlight: number;
}

export class MemberSet {
  /** Those that get frames. */
  readonly active: Member[] = [];
  /** Were reading, failed, and wait for `releaseFailed`. */
  readonly failed: Member[] = [];
  allMask = 0;
  readingMask = 0;
  joiningMask = 0;
  flushMask = 0;
  readingCount = 0;
  /** All active members execute overlapping frames in order. */
  isOrdered = true;
  private readonly limits: CoreLimits;
  private nextId = 1;
  private lastReader: Member | null = null;
  private run = 0;
  private freshUntilMs = Number.NEGATIVE_INFINITY;

  constructor(limits: CoreLimits) {
    this.limits = limits;
  }

  add(link: MemberLink, role: MemberRole, nowMs: number): Member {
    let taken = 0;
    for (const member of this.active) taken |= member.bit;
    for (const member of this.failed) taken |= member.bit;
    let index = 0;
    while (index < this.limits.membersMax && (taken & (1 << index)) !== 0) index++;
    if (index === this.limits.membersMax) throw new Error(`a volume has at most ${this.limits.membersMax} members`);
    const lane = new FrameLane(
      Math.max(LANE_BYTES, 2 * this.limits.gatherPayloadMax + 1024),
      this.limits.gatherPayloadMax,
    );
    const member: Member = {
      id: this.nextId++,
      bit: 1 << index,
      link,
      lane,
      role,
      proofMs: nowMs,
      readsInFlight: 0,
    };
    this.active.push(member);
    this.recompute();
    return member;
  }

  find(id: MemberId): Member | null {
    return this.active.find((member) => member.id === id) ?? null;
  }

  /** Takes a member out of those that get frames. */
  drop(member: Member): void {
    const at = this.active.indexOf(member);
    assert(at >= 0, 'only an active member can be dropped');
    this.active.splice(at, 1);
    if (this.lastReader === member) this.lastReader = null;
    this.recompute();
  }

  forgetFailed(id: MemberId): boolean {
    const at = this.failed.findIndex((member) => member.id === id);
    if (at < 0) return false;
    this.failed.splice(at, 1);
    return true;
  }

  /** After a change of roles. */
  recompute(): void {
    this.allMask = 0;
    this.readingMask = 0;
    this.joiningMask = 0;
    this.flushMask = 0;
    this.readingCount = 0;
    this.isOrdered = true;
    this.freshUntilMs = Number.NEGATIVE_INFINITY;
    for (const member of this.active) {
      this.allMask |= member.bit;
      if (member.role === 'reading') {
        this.readingMask |= member.bit;
        this.readingCount++;
      } else {
        this.joiningMask |= member.bit;
      }
      if (member.link.canFlush) this.flushMask |= member.bit;
      if (!member.link.isOrdered) this.isOrdered = false;
    }
  }

  /** The member with the lowest id that serves reads: the same one as long as it lives. */
  first(): Member | null {
    let first: Member | null = null;
    for (const member of this.active) {
      if (member.role === 'reading' && (first === null || member.id < first.id)) first = member;
    }
    return first;
  }

  /**
   * The member for the next read: a local one, else the one with the fewest reads in flight, in runs of `readRunMax`, so
   * that neighbouring reads of one wake-up share a socket write.
   */
  pickReader(): Member | null {
    const last = this.lastReader;
    if (last !== null && (last.link.isLocal || this.run < this.limits.readRunMax)) {
      this.run++;
      return last;
    }
    let best: Member | null = null;
    const count = this.active.length;
    const after = last === null ? 0 : this.active.indexOf(last) + 1;
    for (let k = 0; k < count; k++) {
      const member = this.active[(after + k) % count] as Member;
      if (member.role !== 'reading') continue;
      if (member.link.isLocal) {
        best = member;
        break;
      }
      if (best === null || member.readsInFlight < best.readsInFlight) best = member;
    }
    this.lastReader = best;
    this.run = 1;
    return best;
  }

  /** After members came or changed their role: a better reader may be there. */
  forgetReader(): void {
    this.lastReader = null;
  }

  /** Every reading member was there less than `timeoutMs` ago; a single one proves itself by its answer. */
  isFresh(nowMs: number, timeoutMs: number): boolean {
    if (nowMs <= this.freshUntilMs || this.readingCount <= 1) return true;
    let oldest = Number.POSITIVE_INFINITY;
    for (const member of this.active) {
      if (member.role === 'reading' && member.proofMs < oldest) oldest = member.proofMs;
    }
    this.freshUntilMs = oldest + timeoutMs;
    return nowMs <= this.freshUntilMs;
  }

  states(): MemberState[] {
    const live = this.active.map((m): MemberState => ({ id: m.id, address: m.link.address, role: m.role }));
    const failed = this.failed.map((m): MemberState => ({ id: m.id, address: m.link.address, role: 'failed' }));
    return [...live, ...failed].sort((a, b) => a.id - b.id);
  }
}
