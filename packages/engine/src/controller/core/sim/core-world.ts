/**
 * A volume's core among simulated replicas, with clients that do random I/O, a control side that keeps to the rules, and
 * faults by seed. Checks, at every completion:
 *
 * - each operation completes exactly once, not while I/O is held, and a pause drains what is in flight;
 * - a write is acknowledged only when every member has it, with FUA only when every one has it durably;
 * - a flush is answered only when every member has durably what was acknowledged before it was submitted;
 * - reads agree with the history, come only from members that serve reads, and only while all of those have been heard of;
 * - nothing is sent to a failed member;
 * - at the end all members hold the same bytes.
 */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import type { CompletionSink } from '../../../frontend/frontend.ts';
import { seededRandom, type Random } from '../../../membership/random.ts';
import { FRAME_READ } from '../../../protocol/replica-frame.ts';
import { CORE_LIMITS, REGION_BYTES, type CoreLimits } from '../core-limits.ts';
import type { MemberId, MemberRole } from '../core-api.ts';
import { VolumeCore } from '../volume-core.ts';
import { History, type Written } from './history.ts';
import { SimClock } from './sim-clock.ts';
import { SECTOR_BYTES, SimLink, SimReplica, type Lie } from './sim-link.ts';

const HEADROOM = 26;
const TIMEOUT_MS = 8000;
const ENOSPC = 28;
const EIO = 5;

export interface WorldOptions {
  readonly seed: number;
  readonly replicas: number;
  readonly operations: number;
  /** Replicas of upstream: frames in any order, no flush. */
  readonly isForeign: boolean;
  readonly isLocal: boolean;
  /** Regions that begin in doubt, with different contents. */
  readonly doubtRegions: number;
  /** Of one of the replicas. */
  readonly lie?: Lie;
  /** Which faults may happen; each about this often per operation. */
  readonly faults: Readonly<Partial<Record<Fault, number>>>;
}

export type Fault = 'kill' | 'hang' | 'error' | 'full' | 'stop' | 'pause' | 'hold' | 'rebuild' | 'remove';

interface Running {
  readonly kind: 'read' | 'write' | 'unmap' | 'flush';
  readonly offset: number;
  readonly length: number;
  readonly buffer: Buffer;
  readonly begun: number;
  readonly isFua: boolean;
  readonly written: Written | null;
  /** Acknowledged before this flush was submitted. */
  readonly before: ReadonlySet<number>;
}

export class CoreWorld implements CompletionSink {
  readonly random: Random;
  readonly clock = new SimClock();
  readonly core: VolumeCore;
  /** What happened, for a failing seed. */
  readonly log: string[] = [];
  completed = 0;
  errors = 0;
  private readonly options: WorldOptions;
  private readonly history: History;
  private readonly sizeBytes = 6 * REGION_BYTES;
  private readonly links = new Map<MemberId, SimLink>();
  private readonly running = new Map<number, Running>();
  private readonly acknowledged = new Set<number>();
  private readonly unreleased = new Set<MemberId>();
  private readonly holds = new Set<string>();
  private nextSlot = 1;
  private submitted = 0;
  private replicaCount = 0;
  private pauses = 0;
  private isPaused = false;
  private isSubmitting = false;
  private rebuilding: MemberId | null = null;
  private isRebuildDue = false;
  private isHealing = false;

  constructor(options: WorldOptions) {
    this.options = options;
    this.random = seededRandom(options.seed);
    this.history = new History(this.sizeBytes);
    const limits: CoreLimits = {
      ...CORE_LIMITS,
      operationsMax: 200,
      copiesMax: 3,
      copyBytesMax: REGION_BYTES,
      gatherPayloadMax: this.random.pick([1024, 4096, 16384]),
      gatherBufferBytes: 64 << 10,
      unmapPieceBytes: 8192,
      readRunMax: 2,
    };
    this.core = new VolumeCore({
      sizeBytes: this.sizeBytes,
      clock: this.clock,
      limits,
      replicaTimeoutMs: TIMEOUT_MS,
      onMemberFailed: (id, failure, role) => this.onMemberFailed(id, failure.reason, role),
    });
    const replicas = Array.from({ length: options.replicas }, () => this.newReplica());
    if (replicas[0]) replicas[0].lie = options.lie ?? null;
    if (options.doubtRegions > 0) this.diverge(replicas);
    for (const replica of replicas) this.connect(replica, 'reading');
  }

  /** Does all operations under faults, heals, and compares. */
  async run(): Promise<void> {
    const hour = 3_600_000;
    assert(await this.clock.run(hour, () => this.step()), 'everything ends');
    this.heal();
    assert(
      await this.clock.run(2 * hour, () => this.step()),
      `everything ends once healed; ${this.running.size} are left`,
    );
    // What could not be settled for want of space is tried again by then.
    const settledMs = this.clock.nowMs() + 2000;
    await this.clock.run(3 * hour, () => this.clock.nowMs() > settledMs);
    this.readAll();
    assert(await this.clock.run(3 * hour, () => this.running.size === 0), 'all can be read');
    this.compare();
    this.core.close();
  }

  // Clients

  private step(): boolean {
    while (this.running.size < 12 && this.submitted < this.options.operations && !this.isSubmitting) {
      this.submitSome();
      this.disturb();
    }
    return this.running.size === 0 && this.submitted >= this.options.operations && this.pauses === 0 && this.isQuiet();
  }

  /** The control side has nothing to do any more. */
  private isQuiet(): boolean {
    return !this.isHealing || (this.rebuilding === null && this.unreleased.size === 0 && this.holds.size === 0);
  }

  private submitSome(): void {
    this.isSubmitting = true;
    const count = 1 + this.random.below(4);
    for (let i = 0; i < count; i++) this.submitOne();
    this.core.submitBatch();
    this.isSubmitting = false;
  }

  private submitOne(): void {
    this.submitted++;
    const kind = this.random.pick(['read', 'read', 'write', 'write', 'write', 'write', 'flush', 'unmap'] as const);
    const sectors = this.random.pick([1, 3, 8, 8, 8, 16, 40, 128]);
    const length = sectors * SECTOR_BYTES;
    const unit = sectors === 128 && this.random.chance(0.5) ? length : SECTOR_BYTES * this.random.pick([1, 8, 8]);
    const offset = Math.min(this.random.below(this.sizeBytes / unit) * unit, this.sizeBytes - length);
    this.submit(kind, offset, length, this.random.chance(0.2));
  }

  private submit(kind: Running['kind'], offset: number, length: number, isFua: boolean): void {
    const slot = this.nextSlot++;
    const buffer = Buffer.alloc(HEADROOM + length, 0xee);
    const payload = buffer.subarray(HEADROOM);
    const written = kind === 'write' ? this.history.write(offset, payload) : null;
    const begun = this.history.step++;
    const before = new Set(kind === 'flush' ? this.acknowledged : []);
    this.running.set(slot, { kind, offset, length, buffer, begun, isFua, written, before });
    if (kind === 'read') this.core.read(this, slot, offset, length, buffer, HEADROOM);
    else if (kind === 'write') {
      const headroom = this.random.pick([0, HEADROOM]);
      this.core.write(this, slot, offset, length, buffer, HEADROOM, headroom, isFua);
    } else if (kind === 'unmap') {
      this.history.unmap(offset, length);
      this.core.unmap(this, slot, offset, length);
    } else this.core.flush(this, slot);
  }

  complete(slot: number, errno: number): void {
    assert(!this.isSubmitting, 'no completion inside a submission');
    const operation = this.running.get(slot);
    assert(operation, `operation ${slot} completes once`);
    this.running.delete(slot);
    this.completed++;
    assert(this.holds.size === 0 && this.unreleased.size === 0, 'nothing completes while I/O is held');
    if (errno !== 0) {
      this.errors++;
      // A write that is not made of blocks reads, too, while a member is joining.
      const isChange = operation.kind === 'unmap' || operation.kind === 'flush';
      const isExpected =
        (errno === ENOSPC && (operation.kind === 'write' || operation.kind === 'unmap')) ||
        (errno === EIO && !isChange);
      assert(isExpected, `${operation.kind} ended with errno ${errno}`);
      if (operation.written) this.history.fail(operation.written);
      return;
    }
    if (operation.kind === 'read') this.checkRead(operation);
    else if (operation.written) this.checkWrite(operation, operation.written);
    else if (operation.kind === 'flush') {
      for (const { replica } of this.membersNow('reading')) this.assertDurable(replica, operation.before);
    }
  }

  flushCompletions(): void {
    this.history.step++;
  }

  private checkRead(operation: Running): void {
    const data = operation.buffer.subarray(HEADROOM, HEADROOM + operation.length);
    this.history.checkRead(operation.offset, data, operation.begun);
    const members = this.core.members().filter((member) => member.role === 'reading');
    for (const { id } of members.length > 1 ? members : []) {
      const silentMs = this.clock.nowMs() - (this.links.get(id)?.hungSinceMs ?? 0);
      assert(!(silentMs > TIMEOUT_MS), `a read was served although member ${id} has been silent for ${silentMs} ms`);
    }
  }

  private checkWrite(operation: Running, written: Written): void {
    for (const { replica } of this.membersNow()) {
      assert(replica.applied.has(written.id), `write ${written.id} is acknowledged without ${replica.name}`);
      if (operation.isFua) this.assertDurable(replica, new Set([written.id]));
    }
    this.acknowledged.add(written.id);
    this.history.acknowledge(written);
  }

  private assertDurable(replica: SimReplica, ids: ReadonlySet<number>): void {
    if (!replica.canFlush) return;
    for (const id of ids) assert(replica.durable.has(id), `write ${id} is not durable on ${replica.name}`);
  }

  private membersNow(role: MemberRole | null = null): SimLink[] {
    return this.core.members().flatMap((member) => {
      const link = this.links.get(member.id);
      if (role !== null && member.role !== role) return [];
      // One whose connection just broke is about to be reported.
      return member.role === 'failed' || !link || link.isClosed ? [] : [link];
    });
  }

  // Faults

  private disturb(): void {
    if (this.isHealing) return;
    for (const [fault, rate] of Object.entries(this.options.faults)) {
      if (this.random.chance(rate)) this.clock.after(this.random.next() * 20, () => this.inject(fault as Fault));
    }
  }

  private inject(fault: Fault): void {
    if (this.isHealing) return;
    const links = this.membersNow();
    const link = links.length > 0 ? this.random.pick(links) : null;
    this.log.push(`${this.clock.nowMs().toFixed(1)} ${fault} ${link?.address ?? ''}`);
    switch (fault) {
      case 'kill':
        link?.kill();
        return;
      case 'hang':
        link?.hang();
        return;
      case 'error':
        if (link) link.replica.failsNext = true;
        return;
      case 'full':
        this.fill(links);
        return;
      case 'stop':
        this.clock.jump(this.random.below(30_000));
        return;
      case 'pause':
        this.pause();
        return;
      case 'hold':
        this.hold();
        return;
      case 'rebuild':
        this.rebuild();
        return;
      case 'remove':
        this.removeSome();
        return;
    }
  }

  private fill(links: readonly SimLink[]): void {
    const isEverywhere = this.random.chance(0.5);
    for (const { replica } of links) replica.isFull = isEverywhere || this.random.chance(0.3);
    this.clock.after(this.random.next() * 60, () => {
      for (const { replica } of links) replica.isFull = false;
    });
  }

  private pause(): void {
    this.pauses++;
    void this.core.pause().then(() => {
      this.isPaused = true;
      this.clock.after(this.random.next() * 10, () => {
        this.isPaused = false;
        this.pauses--;
        this.core.resume();
      });
    });
  }

  private hold(): void {
    const reason = `hold ${this.clock.nowMs()}`;
    this.core.hold(reason);
    this.holds.add(reason);
    this.clock.after(this.random.next() * 50, () => {
      this.holds.delete(reason);
      this.core.unhold(reason);
    });
  }

  /** One, or two at once: chosen before, so that the end of the first may be the failure of the second. */
  private removeSome(): void {
    const reading = this.core.members().filter((member) => member.role === 'reading');
    const first = this.random.below(Math.max(1, reading.length));
    const chosen = [...reading.slice(first), ...reading.slice(0, first)].slice(0, this.random.pick([1, 2]));
    if (reading.length <= chosen.length) return;
    for (const { id } of chosen) {
      this.core.removeMember(id);
      this.links.delete(id);
    }
  }

  // The control side

  private newReplica(): SimReplica {
    const { isForeign } = this.options;
    return new SimReplica(`r${this.replicaCount++}`, this.sizeBytes, !isForeign, !isForeign);
  }

  private connect(replica: SimReplica, role: MemberRole): MemberId {
    const link = new SimLink(replica, this.clock, this.random, {
      isLocal: this.options.isLocal && this.links.size === 0,
      maxDelayMs: this.random.pick([0.5, 3, 10]),
    });
    const id = this.core.addMember(link, role);
    this.links.set(id, link);
    link.onFrame = (type) => {
      const state = this.core.members().find((member) => member.id === id);
      assert(state && state.role !== 'failed', 'frames go to members only');
      if (type === FRAME_READ) assert.equal(state.role, 'reading', 'reads go to members that serve reads');
      assert(!this.isPaused, 'nothing is sent while paused');
    };
    return id;
  }

  private onMemberFailed(id: MemberId, reason: string, role: MemberRole): void {
    this.log.push(`${this.clock.nowMs().toFixed(1)} member ${id} (${role}) failed: ${reason}`);
    const link = this.links.get(id);
    this.links.delete(id);
    if (this.rebuilding === id) this.rebuilding = null;
    if (role === 'joining') return;
    assert(link?.isClosed, 'the link of a failed member is closed');
    assert(!this.unreleased.has(id), 'a failure is told once');
    this.unreleased.add(id);
    this.clock.after(1 + this.random.next() * 30, () => this.resolveFailure(id, link.replica));
  }

  /** With another member left the failed one is off the record; else it has everything and comes back. */
  private resolveFailure(id: MemberId, replica: SimReplica): void {
    const isAlone = !this.core.members().some((member) => member.role === 'reading');
    if (isAlone) this.connect(replica, 'reading');
    this.unreleased.delete(id);
    this.core.releaseFailed(id);
  }

  private rebuild(): void {
    if (this.rebuilding !== null || this.isRebuildDue || this.core.members().length >= 5) return;
    this.isRebuildDue = true;
    this.pauses++;
    void this.core.pause().then(() => {
      const replica = this.newReplica();
      for (let at = 0; at < this.sizeBytes; at += SECTOR_BYTES) replica.content.writeUInt32LE(0xdead, at);
      const id = this.connect(replica, 'joining');
      this.rebuilding = id;
      this.isRebuildDue = false;
      this.pauses--;
      this.core.resume();
      this.core.copyRange(0, this.sizeBytes, null, [id], (errno) => {
        if (this.rebuilding !== id) return;
        this.rebuilding = null;
        if (errno !== 0) {
          this.links.delete(id);
          this.core.removeMember(id);
          return;
        }
        // What it holds was synced before it joins.
        for (const acknowledged of this.acknowledged) {
          replica.applied.add(acknowledged);
          replica.durable.add(acknowledged);
        }
        this.core.promote(id);
      });
    });
  }

  // Beginning and end

  private diverge(replicas: readonly SimReplica[]): void {
    const bitmap = new Uint8Array(1);
    for (let i = 0; i < this.options.doubtRegions; i++) {
      const region = this.random.below(this.sizeBytes / REGION_BYTES);
      if (((bitmap[0] ?? 0) & (1 << region)) !== 0) continue;
      bitmap[0] = (bitmap[0] ?? 0) | (1 << region);
      const sector = (region * REGION_BYTES) / SECTOR_BYTES + this.random.below(REGION_BYTES / SECTOR_BYTES);
      for (const replica of replicas) {
        if (this.random.chance(0.7))
          replica.content.writeUInt32LE(this.history.addInitial(sector), sector * SECTOR_BYTES);
      }
    }
    this.core.setDoubt(bitmap);
  }

  private heal(): void {
    this.isHealing = true;
    for (const { replica } of this.links.values()) {
      replica.isFull = false;
      replica.failsNext = false;
    }
    this.submitted = 0;
    this.submit('flush', 0, 0, false);
    this.submitted = this.options.operations;
    this.core.submitBatch();
  }

  private readAll(): void {
    for (const { replica } of this.links.values()) replica.failsNext = false;
    for (let offset = 0; offset < this.sizeBytes; offset += REGION_BYTES) {
      this.submit('read', offset, REGION_BYTES, false);
    }
    this.core.submitBatch();
  }

  private compare(): void {
    const healthy = this.membersNow().filter((link) => link.hungSinceMs === Number.POSITIVE_INFINITY);
    const [first, ...others] = healthy.map((link) => link.replica);
    assert(first, 'a member is left');
    for (const other of others) {
      assert(first.content.equals(other.content), `${first.name} and ${other.name} hold the same bytes`);
    }
  }
}
