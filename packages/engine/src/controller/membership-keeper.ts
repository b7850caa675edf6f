/**
 * The records of one engine: which is active, what the next one is, and the control plane's word where it is needed.
 *
 * A record is written to every new member, and only then active. A generation is used once: whatever became of a
 * proposal, the next one has a higher count.
 */
import { agreementFor, type Agreement } from '../membership/agreement.ts';
import type { Layout } from '../membership/layout.ts';
import {
  asBase,
  compareGenerations,
  countsAsDecided,
  sortedMembers,
  type Generation,
  type MembershipRecord,
} from '../membership/record.ts';
import { toWireRecord } from './replica-report.ts';
import type { ReplicaEntry } from './replica-set.ts';

/** The control plane's answer to a request for confirmation. */
export interface Confirmation {
  readonly confirmed: boolean;
  readonly reason: string;
}

/** A member that did not store a record. */
export interface WriteFailure {
  readonly entry: ReplicaEntry;
  readonly error: unknown;
}

export class MembershipKeeper {
  readonly epoch: number;
  /** the record that the engine serves under; null before the first */
  active: MembershipRecord | null = null;
  /** the record that waits for the control plane's word */
  request: MembershipRecord | null = null;
  private bases: readonly MembershipRecord[] = [];
  private count = 0;
  private confirmation: Confirmation | null = null;
  private hasAsked = false;
  private readonly timeoutMs: number;
  private readonly onChange: () => void;

  constructor(epoch: number, timeoutMs: number, onChange: () => void) {
    this.epoch = epoch;
    this.timeoutMs = timeoutMs;
    this.onChange = onChange;
  }

  /** What the first record of this engine comes from; `used` are generations that it must not use again. */
  startFrom(bases: readonly MembershipRecord[], used: readonly (Generation | null)[]): void {
    this.bases = bases.map(asBase);
    for (const generation of used) {
      if (generation?.epoch === this.epoch) this.count = Math.max(this.count, generation.count);
    }
  }

  /** The next record; each call uses up a generation. */
  next(members: readonly string[], layout: Layout): MembershipRecord {
    if (members.length === 0) throw new Error('a membership record without members');
    this.count++;
    return {
      epoch: this.epoch,
      count: this.count,
      members: sortedMembers(members),
      sizeBytes: layout.sizeBytes,
      chain: layout.chain,
      bases: this.bases,
      decided: false,
    };
  }

  /** Whether a running engine may go on with the record. */
  agreement(record: MembershipRecord): Agreement {
    return agreementFor(new Set(record.members), this.bases, 'running');
  }

  /**
   * Asks the control plane for its word on the record. One that comes from a decided record is to be stored as decided until it
   * is told as active: the engine may die before a member has it, and the decided one is then gone from the control plane.
   */
  ask(record: MembershipRecord): void {
    const isFirst = record.bases.length > 0 && record.bases.every(countsAsDecided);
    this.hasAsked = true;
    this.request = { ...record, decided: isFirst };
    this.confirmation = null;
    this.onChange();
  }

  /**
   * The control plane may hold what this engine asked for before it started, and let another engine start from it: this one starts with
   * nothing else without its word.
   */
  get mustAsk(): boolean {
    return this.hasAsked && this.active === null;
  }

  /** The answer to what `ask` asked for, once it is there. */
  answer(): Confirmation | null {
    return this.confirmation;
  }

  /** Nothing is asked for any more. */
  withdraw(): void {
    if (!this.request) return;
    this.request = null;
    this.confirmation = null;
    this.onChange();
  }

  /** The control plane's word; false when it is about a generation that nobody waits for (any more). */
  confirm(generation: Generation, confirmation: Confirmation): boolean {
    if (!this.request || compareGenerations(this.request, generation) !== 0) return false;
    this.confirmation = confirmation;
    this.onChange();
    return true;
  }

  /** Writes the record to all members at once; answers with those that did not confirm that they stored it. */
  async write(record: MembershipRecord, members: readonly ReplicaEntry[]): Promise<WriteFailure[]> {
    const failures: WriteFailure[] = [];
    const request = { record: toWireRecord(record), epoch: this.epoch };
    await Promise.all(
      members.map(async (entry) => {
        try {
          await entry.client.MembershipPropose(request, { timeoutMs: this.timeoutMs });
        } catch (error) {
          failures.push({ entry, error });
        }
      }),
    );
    return failures;
  }

  /** Every member has the record: it counts alone from now on. */
  activate(record: MembershipRecord): void {
    this.active = asBase(record);
    this.bases = [this.active];
    this.withdraw();
    this.onChange();
  }

  /** Lets the members forget what the active record came from. A member that misses it is asked for both, which is safe. */
  async commit(members: readonly ReplicaEntry[]): Promise<void> {
    const { active } = this;
    if (!active) throw new Error('commit without an active record');
    const request = { epoch: active.epoch, count: active.count };
    await Promise.allSettled(
      members.map((entry) => entry.client.MembershipCommit(request, { timeoutMs: this.timeoutMs })),
    );
  }
}
