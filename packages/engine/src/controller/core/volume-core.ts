/**
 * A volume's data path: what frontends drive (`BlockTarget`) and the control side steers (`CoreControl`). See
 * `op-runner.ts` for what it guarantees. It knows no sockets, disks or timers but those it is given.
 */
import assert from 'node:assert/strict';
import type { Buffer } from 'node:buffer';
import type { BlockTarget, CompletionSink } from '../../frontend/frontend.ts';
import type { CoreControl, CoreMetrics, MemberId, MemberRole, MemberState, VolumeCoreOptions } from './core-api.ts';
import { REGION_BYTES } from './core-limits.ts';
import type { MemberLink } from './member-link.ts';
import { EIO } from './errno.ts';
import { OpRunner } from './op-runner.ts';
import { FLAG_FUA, FLAG_INTERNAL, KIND_FLUSH, KIND_READ, KIND_UNMAP, KIND_WRITE } from './op-table.ts';
import { RangeCopier } from './range-copier.ts';

const TICK_MS = 500;
const REPLICA_TIMEOUT_DEFAULT_MS = 8000;

export class VolumeCore implements BlockTarget, CoreControl {
  private readonly runner: OpRunner;
  private readonly copier: RangeCopier;
  private readonly stopTicks: () => void;
  private isClosed = false;

  constructor(options: VolumeCoreOptions) {
    const { sizeBytes, clock, limits, onMemberFailed } = options;
    assert(Number.isSafeInteger(sizeBytes) && sizeBytes >= 0, 'a volume has a size');
    this.runner = new OpRunner({
      sizeBytes,
      clock,
      limits,
      onMemberFailed,
      replicaTimeoutMs: options.replicaTimeoutMs ?? REPLICA_TIMEOUT_DEFAULT_MS,
      onNoSpace: options.onNoSpace ?? (() => undefined),
      settle: options.settle ?? ((region, done) => this.settleByCopy(region, done)),
    });
    this.copier = new RangeCopier(this.runner);
    this.stopTicks = clock.every(TICK_MS, () => this.runner.tick());
  }

  // BlockTarget

  sizeBytes(): number {
    return this.runner.sizeBytes;
  }

  read(sink: CompletionSink, slot: number, offset: number, length: number, into: Buffer, intoStart: number): void {
    this.assertRange(offset, length);
    this.runner.submit(KIND_READ, 0, sink, slot, offset, length, into, intoStart, 0);
  }

  write(
    sink: CompletionSink,
    slot: number,
    offset: number,
    length: number,
    from: Buffer,
    fromStart: number,
    headroom: number,
    fua: boolean,
  ): void {
    this.assertRange(offset, length);
    this.runner.submit(KIND_WRITE, fua ? FLAG_FUA : 0, sink, slot, offset, length, from, fromStart, headroom);
  }

  unmap(sink: CompletionSink, slot: number, offset: number, length: number): void {
    this.assertRange(offset, length);
    this.runner.submit(KIND_UNMAP, 0, sink, slot, offset, length, null, 0, 0);
  }

  flush(sink: CompletionSink, slot: number): void {
    this.runner.submit(KIND_FLUSH, 0, sink, slot, 0, 0, null, 0, 0);
  }

  submitBatch(): void {
    this.runner.submitBatch();
  }

  // Members

  addMember(link: MemberLink, role: MemberRole): MemberId {
    assert(!this.isClosed, 'a closed core takes no members');
    this.copier.membersChanged();
    return this.runner.memberChanges.add(link, role).id;
  }

  promote(id: MemberId): void {
    const member = this.runner.members.find(id);
    // It may have failed a moment before; the control side is told of that.
    if (member === null) return;
    member.role = 'reading';
    this.runner.members.recompute();
    this.runner.members.forgetReader();
    this.runner.recompute();
    this.runner.kick();
  }

  removeMember(id: MemberId): void {
    const member = this.runner.members.find(id);
    if (member === null) this.releaseFailed(id);
    else this.runner.memberChanges.drop(member);
  }

  releaseFailed(id: MemberId): void {
    if (!this.runner.members.forgetFailed(id)) return;
    if (this.runner.members.failed.length === 0) this.runner.doubt.forgetMissed();
    this.runner.recompute();
    this.runner.kick();
  }

  members(): MemberState[] {
    return this.runner.members.states();
  }

  // Holding

  pause(): Promise<void> {
    this.runner.pauseDepth++;
    this.runner.recompute();
    return new Promise((resolve) => this.runner.whenDrained(resolve));
  }

  resume(): void {
    assert(this.runner.pauseDepth > 0, 'resume follows pause');
    this.runner.pauseDepth--;
    this.runner.recompute();
    this.runner.kick();
  }

  hold(reason: string): void {
    this.runner.holdReasons.add(reason);
    this.runner.recompute();
  }

  unhold(reason: string): void {
    this.runner.holdReasons.delete(reason);
    this.runner.recompute();
    this.runner.kick();
  }

  failAll(errno: number): void {
    assert(errno > 0, 'an errno is positive');
    this.runner.failErrno = errno;
    this.runner.recompute();
    this.runner.failWaiting();
  }

  reset(): void {
    this.runner.failErrno = 0;
    this.runner.recompute();
    this.runner.kick();
  }

  // Doubt

  setDoubt(bitmap: Uint8Array): void {
    this.runner.doubt.replace(bitmap);
    this.runner.recompute();
    this.runner.kick();
  }

  clearDoubt(regionIndex: number): void {
    this.runner.doubt.clear(regionIndex);
    this.runner.recompute();
    this.runner.kick();
  }

  doubtMark(regionIndex: number): number {
    return this.runner.doubt.mark(regionIndex);
  }

  isInDoubt(regionIndex: number): boolean {
    return this.runner.doubt.has(regionIndex);
  }

  doubtCount(): number {
    return this.runner.doubt.count;
  }

  nextDoubt(fromRegion: number): number {
    return this.runner.doubt.next(fromRegion);
  }

  // Between members

  copyRange(
    offset: number,
    length: number,
    from: MemberId | null,
    to: readonly MemberId[] | null,
    done: (errno: number) => void,
  ): void {
    this.assertRange(offset, length);
    this.copier.start(offset, length, from, to, done);
  }

  flushNow(): Promise<number> {
    return this.once((sink) => {
      this.runner.submit(KIND_FLUSH, FLAG_INTERNAL, sink, 0, 0, 0, null, 0, 0);
    });
  }

  readNow(offset: number, length: number, into: Buffer, intoStart: number): Promise<number> {
    this.assertRange(offset, length);
    return this.once((sink) => {
      this.runner.submit(KIND_READ, FLAG_INTERNAL, sink, 0, offset, length, into, intoStart, 0);
    });
  }

  // Size, metrics, end

  setSize(sizeBytes: number): void {
    assert(this.runner.pauseDepth > 0 && this.runner.inFlight === 0, 'the size changes only while paused and drained');
    this.runner.sizeBytes = sizeBytes;
    this.runner.doubt.resize(sizeBytes);
    this.runner.recompute();
  }

  metrics(): CoreMetrics {
    return this.runner.metrics.report();
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.stopTicks();
    this.runner.failErrno = EIO;
    this.runner.recompute();
    for (const member of this.runner.members.active.slice()) this.runner.memberChanges.drop(member);
    this.runner.endAll(EIO);
    this.runner.finishSoon();
  }

  private settleByCopy(region: number, done: (errno: number) => void): void {
    const offset = region * REGION_BYTES;
    const length = Math.min(REGION_BYTES, this.runner.sizeBytes - offset);
    // A write of the whole region may have been faster.
    this.copier.start(offset, length, null, null, done, () => !this.runner.doubt.has(region));
  }

  private once(submit: (sink: CompletionSink) => void): Promise<number> {
    return new Promise((resolve) => {
      submit({ complete: (_slot, errno) => resolve(errno), flushCompletions: () => this.runner.finishSoon() });
      this.runner.kick();
    });
  }

  private assertRange(offset: number, length: number): void {
    assert(offset >= 0 && length > 0 && offset + length <= this.runner.sizeBytes, 'callers check the range');
  }
}
