/**
 * The control side's view of a volume's core. `VolumeCore` (volume-core.ts) implements it beside `BlockTarget`.
 *
 * Promises are made only here, for the control side; the data path has none.
 */
import type { Buffer } from 'node:buffer';
import type { CoreLimits } from './core-limits.ts';
import type { CoreClock, MemberFailure, MemberLink } from './member-link.ts';

/** Never used twice in the life of a core. */
export type MemberId = number;

/** `reading` serves reads and counts for acknowledgements; `joining` gets all writes but serves no read. */
export type MemberRole = 'reading' | 'joining';

export interface MemberState {
  readonly id: MemberId;
  readonly address: string;
  /** `failed`: was reading, failed, and waits for `releaseFailed`. */
  readonly role: MemberRole | 'failed';
}

/** Makes one region equal on all members and then calls `done(0)`; another errno fails the I/O that waits for it. */
export type Settle = (regionIndex: number, done: (errno: number) => void) => void;

export interface VolumeCoreOptions {
  readonly sizeBytes: number;
  readonly clock: CoreClock;
  readonly limits: CoreLimits;
  /** `engine-replica-timeout`, already validated; the last reading member gets twice as long. */
  readonly replicaTimeoutMs?: number;
  /**
   * Called once per failed member, never from inside a call of the control side to the core: a member that counted and that the
   * control side has taken out in the meantime is not told of.
   */
  readonly onMemberFailed: (id: MemberId, failure: MemberFailure, role: MemberRole) => void;
  /** Without it the core settles by itself: `copyRange` from one reading member to all others. */
  readonly settle?: Settle;
  /** A write was refused because no member had space, told at most once a tick; never from inside a call of the control side. */
  readonly onNoSpace?: () => void;
}

/** Of the last full second, as `MetricsGet` reports it. */
export interface CoreMetrics {
  readonly readThroughput: number;
  readonly writeThroughput: number;
  /** nanoseconds */
  readonly readLatency: number;
  /** nanoseconds */
  readonly writeLatency: number;
  readonly readIops: number;
  readonly writeIops: number;
}

/** What the control side does with the core. */
export interface CoreControl {
  /**
   * Adds an opened link. Allowed at any time: what is not acknowledged yet is sent to it too, in the order of
   * submission. The control side answers for its content: a `reading` member holds everything acknowledged.
   */
  addMember(link: MemberLink, role: MemberRole): MemberId;
  /** A joining member turns reading. */
  promote(id: MemberId): void;
  /** Takes a member out that has not failed (its link is closed); the record without it is already stored. A failed one: as `releaseFailed`. */
  removeMember(id: MemberId): void;
  /** The record without this failed member is stored everywhere: what waited for that goes on. Unknown ids are ignored. */
  releaseFailed(id: MemberId): void;
  members(): MemberState[];

  /** New I/O waits; resolves when none is in flight. Nests; each needs its `resume`. Held I/O is in flight: it ends by release or by `failAll`. */
  pause(): Promise<void>;
  resume(): void;
  /** Nothing is acknowledged and nothing is served until `unhold` with the same reason. */
  hold(reason: string): void;
  unhold(reason: string): void;
  /** Everything held and everything new ends with this errno, until `reset`. */
  failAll(errno: number): void;
  reset(): void;

  /** Replaces the doubt map: bit i of byte i>>3, least significant first, is region i (64 KiB) of the volume. */
  setDoubt(bitmap: Uint8Array): void;
  clearDoubt(regionIndex: number): void;
  /** Differs from an earlier answer when the region came into doubt (again) since. */
  doubtMark(regionIndex: number): number;
  isInDoubt(regionIndex: number): boolean;
  doubtCount(): number;
  /** The first region in doubt at or after `fromRegion`, -1 when there is none. */
  nextDoubt(fromRegion: number): number;

  /**
   * Copies one range between members, excluding overlapping client I/O while it runs. `from` null: the reading member with
   * the lowest id; `to` null: every other member. For settling regions and for bringing a returning replica in line.
   * `done(0)` once every target has it; a target that fails meanwhile is reported by `onMemberFailed` and does not count.
   */
  copyRange(
    offset: number,
    length: number,
    from: MemberId | null,
    to: readonly MemberId[] | null,
    done: (errno: number) => void,
  ): void;
  /** A flush of the control side: 0 once every member with the capability has everything acknowledged on stable storage. */
  flushNow(): Promise<number>;
  /** Reads through the same rules as a client (holds, doubt); for comparisons by the control side. */
  readNow(offset: number, length: number, into: Buffer, intoStart: number): Promise<number>;

  /** Only while paused. */
  setSize(sizeBytes: number): void;
  metrics(): CoreMetrics;
  /** Everything ends: waiting I/O with EIO, links closed. */
  close(): void;
}
