/**
 * Removes block devices that dead engines left, and only when no successor may still take them over.
 *
 *     engine ends, exit code not 0 ── deleted without keepDevice ──────────────> clean up
 *                                  └─ left for its hold time, no successor ────> clean up (I/O then fails instead of hanging)
 *     clean-up finds the device in use ── tried again every now and then, until nobody uses it
 *     engine of the same volume runs ──> the device is its own; nothing is pending any more
 *
 * The hold time counts from the first death: a successor that dies before it runs does not extend it. Clean-up
 * and the start of an engine of the same volume exclude each other.
 */
import { errorText } from '@longhorn/shared-types/grpc/rpc-error';
import { CLEANUP_ATTEMPTS_MAX, CLEANUP_LATER_MS, CLEANUP_RETRY_MS } from '../limits.ts';
import type { EngineDevice } from './process-spec.ts';

export interface GuardHost {
  /** Runs `BINARY frontend cleanup --volume V`; throws when something is left. */
  cleanUp(binary: string, volume: string): Promise<void>;
  /** Whether an engine of the volume is registered and has not ended. */
  hasLiveEngine(volume: string): boolean;
  logger: { info(text: string): void; error(text: string): void };
}

/**
 * What an engine's end means for the device: `removed` by itself in an orderly end after it served, left by a `dead`
 * engine, or `untouched`: it ended before it served, so what an earlier engine left is still there.
 */
export type EngineEnd = 'removed' | 'dead' | 'untouched';

interface LeftDevice {
  readonly device: EngineDevice;
  timer: NodeJS.Timeout | null;
  /** the hold time is over; whoever sees no live engine cleans up */
  overdue: boolean;
}

export class DeviceGuard {
  private readonly host: GuardHost;
  private readonly left = new Map<string, LeftDevice>();
  private readonly cleaning = new Map<string, Promise<void>>();
  private closed = false;

  constructor(host: GuardHost) {
    this.host = host;
  }

  /** An engine serves its volume: it has made or taken over the device. */
  engineRuns({ volume }: EngineDevice): void {
    this.forget(volume);
  }

  /** Whether a dead engine's device waits for a successor. */
  isLeft(volume: string): boolean {
    return this.left.has(volume);
  }

  /** An engine is gone. */
  engineEnded(device: EngineDevice, end: EngineEnd): void {
    if (this.closed) return;
    if (end === 'removed') {
      this.forget(device.volume);
      return;
    }
    const present = this.left.get(device.volume);
    if (!present) {
      if (end === 'untouched') return;
      const entry: LeftDevice = { device, timer: null, overdue: false };
      this.left.set(device.volume, entry);
      if (device.holdMs !== null) entry.timer = setTimeout(() => this.holdIsOver(device.volume), device.holdMs);
    } else if (present.overdue) this.holdIsOver(device.volume);
  }

  private holdIsOver(volume: string): void {
    const entry = this.left.get(volume);
    if (!entry) return;
    entry.overdue = true;
    // A successor on its way: its start or its end decides.
    if (this.host.hasLiveEngine(volume)) return;
    this.host.logger.info(`no engine serves the device of ${volume} any more: removing it`);
    void this.remove(entry.device);
  }

  /** What uses the device, a mount of a pod for instance, is given time to go: then it is tried again. */
  private tryLater(device: EngineDevice): void {
    const { volume } = device;
    const timer = setTimeout(() => this.holdIsOver(volume), CLEANUP_LATER_MS);
    timer.unref();
    this.left.set(volume, { device, timer, overdue: true });
  }

  private forget(volume: string): void {
    const entry = this.left.get(volume);
    if (entry?.timer) clearTimeout(entry.timer);
    this.left.delete(volume);
  }

  /** Removes the device that a dead engine left; resolves when it is gone or put off, and never throws. */
  remove(device: EngineDevice): Promise<void> {
    this.forget(device.volume);
    const running = this.cleaning.get(device.volume);
    if (running) return running;
    const work = this.cleanUp(device).finally(() => this.cleaning.delete(device.volume));
    this.cleaning.set(device.volume, work);
    return work;
  }

  private async cleanUp(device: EngineDevice): Promise<void> {
    const { binary, volume } = device;
    for (let attempt = 1; attempt <= CLEANUP_ATTEMPTS_MAX; attempt++) {
      try {
        await this.host.cleanUp(binary, volume);
        return;
      } catch (error) {
        this.host.logger.error(`device of ${volume} is not removed (attempt ${attempt}): ${errorText(error)}`);
      }
      await new Promise((resolve) => setTimeout(resolve, CLEANUP_RETRY_MS));
      if (this.closed) return;
    }
    this.tryLater(device);
  }

  /** Resolves when no clean-up of the volume runs: only then may an engine of it start. */
  async idle(volume: string): Promise<void> {
    await this.cleaning.get(volume);
  }

  close(): void {
    this.closed = true;
    for (const volume of this.left.keys()) this.forget(volume);
  }
}
