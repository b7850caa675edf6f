/** Probes the disks of this node now and then, and says when what it found differs from before. */
import { isDeepStrictEqual } from 'node:util';
import type { Node } from '@longhorn/shared-types';
import type { Clock } from '../../clock.ts';
import type { DiskProbe, ProbeOptions } from '../../io/disk-probe.ts';
import { limits } from '../../limits.ts';
import { findCondition } from '../conditions.ts';
import type { NodeIo } from '../context.ts';

export class DiskMonitor {
  readonly #clock: Clock;
  readonly #probeDisk: NodeIo['probeDisk'];
  readonly #options: ProbeOptions;
  readonly #node: () => Node | null;
  readonly #onChange: () => void;
  #probes: ReadonlyMap<string, DiskProbe> = new Map();
  #probing = false;
  #probeAgain = false;
  #stopped = false;
  #cancelTimer: (() => void) | null = null;

  constructor(clock: Clock, io: NodeIo, options: ProbeOptions, node: () => Node | null, onChange: () => void) {
    this.#clock = clock;
    this.#probeDisk = io.probeDisk;
    this.#options = options;
    this.#node = node;
    this.#onChange = onChange;
  }

  get probes(): ReadonlyMap<string, DiskProbe> {
    return this.#probes;
  }

  /** Looks now, if the disks of the spec are not those that were looked at. */
  follow(node: Node): void {
    const names = Object.keys(node.spec.disks);
    const same = names.length === this.#probes.size && names.every((name) => this.#probes.has(name));
    if (!same) this.probe();
  }

  probe(): void {
    this.#probeAgain = true;
    if (!this.#probing) void this.#run();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancelTimer?.();
  }

  #intervalMs(): number {
    const disks = Object.values(this.#node()?.status.diskStatus ?? {});
    const isShort = disks.some(({ conditions }) => findCondition(conditions, 'Schedulable')?.reason === 'DiskPressure');
    return isShort ? limits.shortDiskPollMs : limits.diskPollMs;
  }

  async #run(): Promise<void> {
    this.#probing = true;
    this.#cancelTimer?.();
    while (this.#probeAgain && !this.#stopped) {
      this.#probeAgain = false;
      const found = new Map<string, DiskProbe>();
      const node = this.#node();
      for (const [name, disk] of Object.entries(node?.spec.disks ?? {})) {
        if (disk.diskType === 'block') continue;
        const knownUuid = node?.status.diskStatus[name]?.diskUUID ?? '';
        found.set(name, await this.#probeDisk({ name, path: disk.path, knownUuid }, this.#options));
      }
      const changed = !isDeepStrictEqual(found, this.#probes);
      this.#probes = found;
      if (changed) this.#onChange();
    }
    this.#probing = false;
    if (!this.#stopped) this.#cancelTimer = this.#clock.after(this.#intervalMs(), () => this.probe());
  }
}
