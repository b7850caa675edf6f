/**
 * Listens to one running engine: its state by a stream, as it changes; snapshots and progress by asking, often only
 * while something is in progress. It decides nothing: each change makes the engine's key come up.
 */
import type { Logger } from 'pino';
import { backoffMs, pause, type Clock } from '../../clock.ts';
import type { EngineTarget, EngineVolume, InstanceManagerCalls } from '../../instance-client/instance-managers.ts';
import { limits } from '../../limits.ts';
import type { EngineObservation } from './observation.ts';
import { ReplicaMode } from '@longhorn/shared-types/generated/ptypes';

export interface EngineMonitorOptions {
  managers: InstanceManagerCalls;
  target: EngineTarget;
  clock: Clock;
  log: Logger;
  onChange: () => void;
  /** The engine waits for a word on its membership; not to be held up by anything else. */
  onQuestion: () => void;
}

export class EngineMonitor {
  readonly #options: EngineMonitorOptions;
  readonly #stop = new AbortController();
  #observation: EngineObservation | null = null;
  #refreshing = false;
  #refreshAgain = false;
  #purgeExpected = false;
  #followsClone = false;
  #cancelTimer: (() => void) | null = null;

  constructor(options: EngineMonitorOptions) {
    this.#options = options;
    void this.#listen();
  }

  get observation(): EngineObservation | null {
    return this.#observation;
  }

  get target(): EngineTarget {
    return this.#options.target;
  }

  stop(): void {
    this.#stop.abort();
    this.#cancelTimer?.();
  }

  /** A purge was started: its progress is asked for until it is over. */
  expectPurge(): void {
    this.#purgeExpected = true;
    this.refresh();
  }

  /** A copy is asked for (or not any more): what the replicas say about it is listened to. */
  followClone(isWanted: boolean): void {
    if (this.#followsClone === isWanted) return;
    this.#followsClone = isWanted;
    if (isWanted) this.refresh();
    else if (this.#observation !== null) this.#observation = { ...this.#observation, clones: null };
  }

  /** Asks for snapshots and progress now. */
  refresh(): void {
    this.#refreshAgain = true;
    if (!this.#refreshing) void this.#refreshAll();
  }

  async #listen(): Promise<void> {
    const { managers, target, clock, log } = this.#options;
    let failures = 0;
    while (!this.#stop.signal.aborted) {
      try {
        for await (const { volume } of managers.watchVolume(target, this.#stop.signal)) {
          failures = 0;
          if (volume !== null) this.#receive(volume);
        }
      } catch (error) {
        log.debug({ engine: target.engineName, err: error }, 'engine watch ended');
      }
      failures += 1;
      await pause(clock, backoffMs(limits.streamRetryMinMs, limits.streamRetryMaxMs, failures), this.#stop.signal);
    }
  }

  #receive(volume: EngineVolume): void {
    const before = this.#observation;
    this.#observation = {
      snapshots: null,
      snapshotsError: '',
      rebuilds: {},
      purges: {},
      clones: null,
      ...before,
      volume,
    };
    if (volume.membershipRequest !== null) this.#options.onQuestion();
    this.#options.onChange();
    const served = volume.ioState === 'serving' || volume.ioState === 'held' || volume.ioState === '';
    if (served) this.refresh();
  }

  async #refreshAll(): Promise<void> {
    this.#refreshing = true;
    this.#cancelTimer?.();
    while (this.#refreshAgain && !this.#stop.signal.aborted) {
      this.#refreshAgain = false;
      await this.#refreshOnce();
    }
    this.#refreshing = false;
    if (this.#stop.signal.aborted) return;
    const delayMs = this.#isBusy() ? limits.progressPollMs : limits.snapshotPollMs;
    this.#cancelTimer = this.#options.clock.after(delayMs, () => this.refresh());
  }

  #isBusy(): boolean {
    const modes = this.#observation?.volume.replicas ?? [];
    return this.#purgeExpected || this.#followsClone || modes.some(({ mode }) => mode === ReplicaMode.WO);
  }

  async #refreshOnce(): Promise<void> {
    const { managers, target, log } = this.#options;
    const proxy = managers.proxy(target);
    const request = managers.plainRequest(target);
    const call = { timeoutMs: limits.proxyCallTimeoutMs, signal: this.#stop.signal };
    const part: Partial<EngineObservation> = {};
    try {
      part.snapshots = (await proxy.SnapshotList(request, call)).disks;
      part.snapshotsError = '';
      const rebuilding = (this.#observation?.volume.replicas ?? []).some(({ mode }) => mode === ReplicaMode.WO);
      part.rebuilds = rebuilding ? (await proxy.ReplicaRebuildingStatus(request, call)).status : {};
      if (this.#followsClone) part.clones = (await proxy.SnapshotCloneStatus(request, call)).status;
      if (this.#purgeExpected) {
        const purges = (await proxy.SnapshotPurgeStatus(request, call)).status;
        this.#purgeExpected = Object.values(purges).some(({ is_purging: isPurging }) => isPurging);
        part.purges = this.#purgeExpected ? purges : {};
      }
    } catch (error) {
      log.debug({ engine: target.engineName, err: error }, 'engine could not be asked');
      if (part.snapshots === undefined) part.snapshotsError = error instanceof Error ? error.message : String(error);
    }
    if (this.#observation === null || this.#stop.signal.aborted) return;
    if (!this.#followsClone) part.clones = null;
    this.#observation = { ...this.#observation, ...part };
    this.#options.onChange();
  }
}
