/** Everything that the parts of an engine's control side share about its one volume. */
import type { BlockTarget } from '../frontend/frontend.ts';
import type { Layout } from '../membership/layout.ts';
import type { MembershipRecord } from '../membership/record.ts';
import type { Backends } from './backends.ts';
import type { ControlClock } from './control-clock.ts';
import type { ControlLog } from './control-log.ts';
import { FENCED_HOLD_MS, OPERATIONS_QUEUED_MAX } from './control-limits.ts';
import type { CoreControl, MemberId } from './core/core-api.ts';
import { IoStatus } from './io-status.ts';
import { MembershipKeeper } from './membership-keeper.ts';
import { ReplicaSet } from './replica-set.ts';
import { SerialQueue } from '../io/serial-queue.ts';
import { Wakeup } from './wakeup.ts';

export type VolumeCoreHandle = CoreControl & BlockTarget;

/** What an engine process was started with, validated. */
export interface EngineOptions {
  readonly volumeName: string;
  /** engine CR name; "" = not told */
  readonly engineName: string;
  /** 0 = no fencing: upstream's behaviour */
  readonly epoch: number;
  readonly known: MembershipRecord | null;
  readonly sizeBytes: number;
  readonly currentSizeBytes: number;
  readonly replicaTimeoutMs: number;
  /** 0 = for ever */
  readonly ioHoldTimeoutMs: number;
  readonly revisionCounterDisabled: boolean;
  readonly salvageRequested: boolean;
  readonly unmapMarkSnapChainRemoved: boolean;
  readonly snapshotMaxCount: number;
  readonly snapshotMaxSizeBytes: number;
  readonly fileSyncHttpTimeoutSeconds: number;
  /** a live upgrade start: replicas' flags are not compared */
  readonly upgrade: boolean;
  /** a device session of an earlier engine is still in use: it must not lose its cache unnoticed */
  readonly deviceLive: boolean;
}

export interface VolumeParts {
  readonly options: EngineOptions;
  readonly backends: Backends;
  readonly clock: ControlClock;
  readonly log: ControlLog;
  readonly randomId: () => string;
  /** ends the process: an invariant is broken */
  readonly crash: (error: unknown) => void;
}

/** Errno of Linux for I/O that cannot be served. */
export const EIO = 5;

export class VolumeContext {
  readonly options: EngineOptions;
  readonly backends: Backends;
  readonly clock: ControlClock;
  readonly log: ControlLog;
  readonly randomId: () => string;
  readonly crash: (error: unknown) => void;
  readonly core: VolumeCoreHandle;
  readonly replicas = new ReplicaSet();
  readonly io: IoStatus;
  /** null without fencing */
  readonly keeper: MembershipKeeper | null;
  /** snapshots, additions, expansions: one at a time */
  readonly operations = new SerialQueue(OPERATIONS_QUEUED_MAX);
  /** changes of the membership record: one at a time; never waited for while I/O drains */
  readonly memberLock = new SerialQueue(OPERATIONS_QUEUED_MAX);
  /** a member failed, the control plane answered, the engine stops */
  readonly memberEvents: Wakeup;
  /** connections that failed; the core lets go what waits for them once the record without them is stored */
  readonly unreleased = new Set<MemberId>();
  readonly stopping = new AbortController();
  private readonly listeners = new Set<() => void>();
  layout: Layout;
  /** an operation on the layers failed on all members, as it seemed: what they have is to be asked before it is written down */
  isLayoutInDoubt = false;
  isExpanding = false;
  /** see purge-completion.ts */
  isCompletingPurges = false;
  lastExpansionError = '';
  lastExpansionFailedAt = '';
  unmapMarkSnapChainRemoved: boolean;
  snapshotMaxCount: number;
  snapshotMaxSizeBytes: number;
  highestEpochSeen = 0;
  /** a write was refused for want of space; set by the engine */
  noSpace: () => void = () => undefined;

  constructor(parts: VolumeParts, createCore: (context: VolumeContext) => VolumeCoreHandle) {
    const { options } = parts;
    this.options = options;
    this.backends = parts.backends;
    this.clock = parts.clock;
    this.log = parts.log;
    this.randomId = parts.randomId;
    this.crash = parts.crash;
    this.layout = { sizeBytes: options.currentSizeBytes || options.sizeBytes, chain: [] };
    this.unmapMarkSnapChainRemoved = options.unmapMarkSnapChainRemoved;
    this.snapshotMaxCount = options.snapshotMaxCount;
    this.snapshotMaxSizeBytes = options.snapshotMaxSizeBytes;
    this.io = new IoStatus(parts.clock, () => this.changed());
    this.memberEvents = new Wakeup(parts.clock);
    this.keeper =
      options.epoch > 0 ? new MembershipKeeper(options.epoch, options.replicaTimeoutMs, () => this.changed()) : null;
    this.core = createCore(this);
  }

  /** Calls `listener` after every change that VolumeGet shows; the returned function ends that. */
  onChange(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  changed(): void {
    for (const listener of this.listeners) listener();
  }

  /** All I/O ends with EIO from now on; only an engine started anew serves the volume again. */
  fail(reason: string): void {
    if (this.io.state === 'failed') return;
    this.log.error('the volume fails all I/O', { reason });
    this.end(reason);
    this.core.failAll(EIO);
  }

  /**
   * A replica knows a higher epoch, or the control plane said so: this engine is not the current one. Its I/O is held for a while
   * before it fails: in a live upgrade the next engine takes the device over, once this one was ended, with all that waits.
   */
  fence(epochSeen: number, reason: string): void {
    this.highestEpochSeen = Math.max(this.highestEpochSeen, epochSeen);
    if (this.io.state === 'failed') return this.changed();
    this.log.error('the volume does no more I/O', { reason });
    this.end(reason);
    this.core.hold('fenced');
    this.clock.after(FENCED_HOLD_MS, () => this.core.failAll(EIO));
    return this.changed();
  }

  private end(reason: string): void {
    this.io.set('failed', reason);
    this.keeper?.withdraw();
    this.memberEvents.wake();
  }

  /** No further change of the membership makes sense. */
  isOver(): boolean {
    return this.io.state === 'failed' || this.stopping.signal.aborted;
  }
}
