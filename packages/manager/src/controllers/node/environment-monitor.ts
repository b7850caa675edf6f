/** Looks now and then at what this node's environment lacks, and says when that differs from before. */
import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import type { Clock } from '../../clock.ts';
import { findingsOf, type Finding } from '../../environment/node-checks.ts';
import type { HostFacts } from '../../environment/host-facts.ts';
import { limits } from '../../limits.ts';

export class EnvironmentMonitor {
  readonly #clock: Clock;
  readonly #read: () => Promise<HostFacts>;
  readonly #onChange: () => void;
  readonly #log: Logger;
  #findings: readonly Finding[] | null = null;
  #stopped = false;
  #isStarted = false;
  #cancelTimer: (() => void) | null = null;

  constructor(clock: Clock, read: () => Promise<HostFacts>, onChange: () => void, log: Logger) {
    this.#clock = clock;
    this.#read = read;
    this.#onChange = onChange;
    this.#log = log;
  }

  /** Null until it was looked once. */
  get findings(): readonly Finding[] | null {
    return this.#findings;
  }

  /** Begins to look, unless it has. */
  start(): void {
    if (this.#isStarted) return;
    this.#isStarted = true;
    void this.#look();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancelTimer?.();
  }

  async #look(): Promise<void> {
    try {
      // How much room a disk has changes all the time, and is told by the disk's own conditions.
      const findings = findingsOf(await this.#read()).filter(({ topic }) => topic !== 'Disk');
      const isNew = !isDeepStrictEqual(findings, this.#findings);
      this.#findings = findings;
      if (isNew) this.#onChange();
    } catch (error) {
      this.#log.warn({ err: error }, 'the environment of this node could not be looked at');
    }
    if (!this.#stopped) this.#cancelTimer = this.#clock.after(limits.environmentPollMs, () => void this.#look());
  }
}
