/**
 * The data plane of a replica: what connections and control calls share. Who may do I/O (epoch, opened or not), the
 * gate, the region list, flushes and writeback.
 */
import { WRITEBACK_AFTER_MS, WRITEBACK_BYTES } from '../limits.ts';
import type { ReplicaClock } from '../io/replica-clock.ts';
import { IoGate } from './io-gate.ts';
import type { OpenReplica } from './open-replica.ts';
import { RegionList } from './region-list.ts';
import type { RevisionCounter } from './revision-counter.ts';

/** Text for I/O of an engine that has been replaced; also the gRPC answer. */
export function fencedText(epoch: number, highest: number): string {
  return `epoch ${epoch} is fenced by epoch ${highest}`;
}

export class ReplicaIo {
  readonly gate = new IoGate();
  readonly regions = new RegionList(0);
  /** null: not opened */
  open: OpenReplica | null = null;
  revision: RevisionCounter | null = null;
  /** highest epoch that the replica was opened with */
  epoch = 0;
  /** how often a client had something for this replica */
  activity = 0;
  /** something was changed since the replica was opened */
  hasChanged = false;
  /** marks the removable part of the chain as removed before an unmap; null: the setting is off */
  markChainRemoved: (() => Promise<void>) | null = null;
  private readonly clock: ReplicaClock;
  private runningSync: Promise<void> | null = null;
  private nextSync: Promise<void> | null = null;
  private unsyncedBytes = 0;
  private cancelTimer: (() => void) | null = null;
  private isWritingBack = false;

  constructor(clock: ReplicaClock) {
    this.clock = clock;
  }

  /** Why I/O is refused, or null. */
  refusal(): string | null {
    if (this.open === null) return 'replica no longer exist';
    return this.open.fault;
  }

  /** Why a ping is answered with an error, or null. */
  pingProblem(): string | null {
    if (this.open === null) return 'ping failure: replica state closed';
    return this.open.fault === null ? null : `ping failure due to ${this.open.fault}`;
  }

  /** Counts written bytes; starts writeback when they are many. */
  noteWritten(bytes: number): void {
    this.hasChanged = true;
    this.unsyncedBytes += bytes;
    if (this.cancelTimer === null) {
      this.cancelTimer = this.clock.after(WRITEBACK_AFTER_MS, () => {
        this.cancelTimer = null;
        this.syncInBackground();
      });
    }
    if (this.unsyncedBytes >= WRITEBACK_BYTES && !this.isWritingBack) this.startWriteback();
  }

  private startWriteback(): void {
    const { open } = this;
    if (open === null) return;
    this.unsyncedBytes = 0;
    this.isWritingBack = true;
    this.gate.enter();
    open.volume.head.file
      .startWriteback()
      .catch((error: unknown) => open.fail(`writeback: ${error instanceof Error ? error.message : String(error)}`))
      .finally(() => {
        this.isWritingBack = false;
        this.gate.leave();
      });
  }

  private syncInBackground(): void {
    if (this.open === null) return;
    // A failed sync has already put the replica out of use; the next I/O and the next ping say so.
    if (this.gate.isClosed) this.gate.whenOpen(() => this.syncInBackground());
    else this.flush().catch(() => undefined);
  }

  /**
   * All that was written or unmapped before this call is on stable storage when it is done. Calls share a sync
   * that has not started yet.
   */
  async flush(): Promise<void> {
    // Counted from here, not from when its sync starts: the chain must not change under a flush that waits its turn.
    this.gate.enter();
    try {
      await this.joinSync();
    } finally {
      this.gate.leave();
    }
  }

  private joinSync(): Promise<void> {
    if (this.runningSync === null) return this.startSync();
    this.nextSync ??= this.runningSync.then(
      () => this.startSync(),
      () => this.startSync(),
    );
    return this.nextSync;
  }

  private startSync(): Promise<void> {
    this.nextSync = null;
    this.unsyncedBytes = 0;
    const running = this.syncOnce().finally(() => {
      if (this.runningSync === running) this.runningSync = null;
    });
    this.runningSync = running;
    return running;
  }

  private async syncOnce(): Promise<void> {
    const { open } = this;
    if (open === null) throw new Error('replica no longer exist');
    await open.sync();
  }

  /** No timer fires after this. */
  stop(): void {
    this.cancelTimer?.();
    this.cancelTimer = null;
  }
}
