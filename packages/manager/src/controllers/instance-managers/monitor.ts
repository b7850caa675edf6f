/** Listens to one instance manager: a stream says that something changed, then its processes are listed. */
import type { Logger } from 'pino';
import { backoffMs, pause, type Clock } from '../../clock.ts';
import type { InstanceManagerCalls, InstanceResponse } from '../../instance-client/instance-managers.ts';
import { limits } from '../../limits.ts';

export interface MonitorOptions {
  managers: InstanceManagerCalls;
  ip: string;
  clock: Clock;
  log: Logger;
  onChange: () => void;
}

export class InstanceManagerMonitor {
  readonly #options: MonitorOptions;
  readonly #stop = new AbortController();
  #processes: Record<string, InstanceResponse> | null = null;
  #listing = false;
  #listAgain = false;
  #cancelTimer: (() => void) | null = null;

  constructor(options: MonitorOptions) {
    this.#options = options;
    void this.#listen();
  }

  get ip(): string {
    return this.#options.ip;
  }

  /** Null until the first list. */
  get processes(): Record<string, InstanceResponse> | null {
    return this.#processes;
  }

  stop(): void {
    this.#stop.abort();
    this.#cancelTimer?.();
  }

  async #listen(): Promise<void> {
    const { managers, ip, clock, log } = this.#options;
    let failures = 0;
    while (!this.#stop.signal.aborted) {
      try {
        const stream = managers.watch(ip, this.#stop.signal);
        // The stream says nothing about the past: what changed before it is found by a list.
        this.#list();
        for await (const _change of stream) {
          failures = 0;
          this.#list();
        }
      } catch (error) {
        log.debug({ ip, err: error }, 'instance manager watch ended');
      }
      failures += 1;
      await pause(clock, backoffMs(limits.streamRetryMinMs, limits.streamRetryMaxMs, failures), this.#stop.signal);
    }
  }

  #list(): void {
    this.#listAgain = true;
    if (!this.#listing) void this.#listAll();
  }

  async #listAll(): Promise<void> {
    const { managers, ip, clock, log, onChange } = this.#options;
    this.#listing = true;
    this.#cancelTimer?.();
    let failures = 0;
    while (this.#listAgain && !this.#stop.signal.aborted) {
      this.#listAgain = false;
      try {
        this.#processes = await managers.list(ip);
        failures = 0;
        onChange();
      } catch (error) {
        failures += 1;
        this.#listAgain = true;
        log.debug({ ip, err: error }, 'instance manager could not be asked for its processes');
        await pause(clock, backoffMs(limits.streamRetryMinMs, limits.streamRetryMaxMs, failures), this.#stop.signal);
      }
    }
    this.#listing = false;
    if (this.#stop.signal.aborted) return;
    // Of upstream's, which do not tell when a stream has begun: a change between a list and that moment comes by neither.
    this.#cancelTimer = clock.after(limits.instanceListMs, () => this.#list());
  }
}
