/**
 * The machine that a node pretends to be: its disk, its memory (processes), its network, and the switch.
 *
 *     off ──powerOn──▶ on ──powerCut──▶ off         a new boot id with every power-on after a cut
 *     on ──shutDown──▶ off (orderly)                the boot id stays: nothing was lost
 *
 * A power-cut happens in this order: processes are frozen, so that none sees the world end; packets are dropped; the file
 * system is cut off, so that what was not synced never gets to disk; then processes are killed and what the kernel
 * keeps of them is taken away.
 */
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { SERVER_VERSION } from '../api/discovery.ts';
import { releaseUsers, tearDownDevices } from './devices.ts';
import { createDisk, cutDisk, dropDisk, mountDisk, trimDisk, unmountDisk, type Disk, type DiskKind } from './disk.ts';
import { trimEveryMs } from '../limits.ts';
import { Kubelet, type KubeletParts } from './kubelet.ts';
import type { NodeFacts } from './node-object.ts';
import type { PacketFilter } from './packet-filter.ts';
import { NODE_MARK } from './pod-environment.ts';

export type Power = 'on' | 'off';

export interface MachineParts extends KubeletParts {
  filter: PacketFilter;
  isRoot: boolean;
  diskSizeBytes: number;
  /** of a node that is new */
  diskKind: DiskKind;
  uuid: () => string;
}

/** What is remembered of a node over restarts. */
interface NodeState {
  disk: DiskKind;
  power: Power;
  /** of the real machine, at the last power-on */
  hostBootId: string;
}

const hostBootId = (): string => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();

function replaceFile(path: string, text: string): void {
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
}

export class Machine {
  readonly #parts: MachineParts;
  readonly #disk: Disk;
  #state: NodeState;
  #kubelet: Kubelet | null = null;
  #switching: Promise<unknown> = Promise.resolve();
  #trimming: NodeJS.Timeout | null = null;

  private constructor(parts: MachineParts, disk: Disk, state: NodeState) {
    this.#parts = parts;
    this.#disk = disk;
    this.#state = state;
  }

  /** Finds a node in its folder, or makes it. It is off as far as this process is concerned. */
  static async open(parts: MachineParts): Promise<Machine> {
    const { paths } = parts;
    mkdirSync(paths.root, { recursive: true });
    const known = existsSync(paths.state) ? (JSON.parse(readFileSync(paths.state, 'utf8')) as NodeState) : null;
    if (known?.disk === 'ext4' && !parts.isRoot)
      throw new Error(
        `the disk of ${parts.addresses.name} is a file system that only root can mount: start as root again, or run "npm run reset" to begin anew`,
      );
    const kind = known?.disk ?? parts.diskKind;
    const disk = await createDisk(paths, kind, parts.diskSizeBytes);
    const machine = new Machine(parts, disk, known ?? { disk: kind, power: 'on', hostBootId: '' });
    machine.#remember({});
    return machine;
  }

  get name(): string {
    return this.#parts.addresses.name;
  }

  get kubelet(): Kubelet | null {
    return this.#kubelet;
  }

  /** Whether it was left without power when the cluster ended. */
  get wasCut(): boolean {
    return this.#state.power === 'off';
  }

  /** What a power-cut of this node does and does not do. */
  describe(): {
    name: string;
    address: string;
    pods: string;
    power: Power;
    bootId: string;
    disk: DiskKind;
    losesUnsynced: string;
    dropsPackets: string;
  } {
    const { addresses, filter } = this.#parts;
    return {
      name: addresses.name,
      address: addresses.address,
      pods: addresses.podRange,
      power: this.#kubelet === null ? 'off' : 'on',
      bootId: this.#bootId(),
      disk: this.#disk.kind,
      losesUnsynced:
        this.#disk.kind === 'ext4'
          ? 'at once: the file system is cut off its disk'
          : 'replicas only, when they are started again: they take back what was not synced',
      dropsPackets: filter.means ?? 'no',
    };
  }

  #remember(change: Partial<NodeState>): void {
    this.#state = { ...this.#state, ...change };
    replaceFile(this.#parts.paths.state, `${JSON.stringify(this.#state)}\n`);
  }

  /** A plain folder loses nothing by itself: there, replicas keep what they need to lose it. */
  #environment(): Readonly<Record<string, string>> {
    const { environment } = this.#parts;
    return this.#disk.kind === 'folder' ? { ...environment, LONGHORN_UNSYNCED_UNDO: '1' } : environment;
  }

  #bootId(): string {
    const { bootId } = this.#parts.paths;
    return existsSync(bootId) ? readFileSync(bootId, 'utf8').trim() : '';
  }

  #facts(): NodeFacts {
    return {
      bootId: this.#bootId(),
      cpus: cpus().length,
      memoryBytes: totalmem(),
      kernel: release(),
      version: SERVER_VERSION.gitVersion,
    };
  }

  /** One switch at a time. */
  #switch<T>(work: () => Promise<T>): Promise<T> {
    const next = this.#switching.then(work, work);
    this.#switching = next.catch(() => undefined);
    return next;
  }

  /** Starts the node. After a power-cut, or a restart of the real machine, it has a new boot id. */
  powerOn(): Promise<void> {
    return this.#switch(async () => {
      if (this.#kubelet !== null) return;
      const { filter, addresses, paths, runFolder, uuid } = this.#parts;
      await mountDisk(this.#disk, this.wasCut);
      await this.#trim();
      const host = hostBootId();
      if (this.#bootId() === '' || this.wasCut || this.#state.hostBootId !== host)
        replaceFile(paths.bootId, `${uuid()}\n`);
      this.#remember({ power: 'on', hostBootId: host });
      emptyFolder(runFolder);
      await filter.restore(addresses);
      const kubelet = new Kubelet({ ...this.#parts, environment: this.#environment() });
      this.#kubelet = kubelet;
      this.#trimming = setInterval(() => void this.#trimWhileOn(), trimEveryMs);
      await kubelet.start(this.#facts());
    });
  }

  /** A switch like the others: a power-cut waits for its end. */
  #trimWhileOn(): Promise<void> {
    return this.#switch(async () => {
      if (this.#kubelet !== null) await this.#trim();
    });
  }

  async #trim(): Promise<void> {
    try {
      await trimDisk(this.#disk);
    } catch (error) {
      this.#parts.note(`${this.name}: ${String(error)}`);
    }
  }

  /** From here on it is off. */
  #closeKubelet(): void {
    if (this.#trimming !== null) clearInterval(this.#trimming);
    this.#trimming = null;
    this.#kubelet?.close();
    this.#kubelet = null;
  }

  /** Cuts the power. Nobody is told. */
  powerCut(): Promise<void> {
    return this.#switch(async () => {
      const { filter, addresses, processes, mark, note } = this.#parts;
      if (this.#kubelet === null) return;
      // Before anything else: a crash of local-cluster in the middle of this must not bring the node back as if nothing was.
      this.#remember({ power: 'off' });
      this.#closeKubelet();
      await processes.freeze(NODE_MARK, `${mark}\0`);
      await filter.drop(addresses);
      cutDisk(this.#disk);
      const left = await this.#killAll();
      await dropDisk(this.#disk);
      if (left.length > 0) note(`${this.name}: left after the power-cut: ${left.join('; ')}`);
      emptyFolder(this.#parts.runFolder);
    });
  }

  /** Kills what runs on the node and takes away what the kernel keeps of it; returns what resisted. */
  async #killAll(): Promise<string[]> {
    const { processes, mark, runFolder, isRoot } = this.#parts;
    const killing = processes.kill(NODE_MARK, `${mark}\0`);
    // A process may hang on a device of its own; it goes when the device does.
    const devices = isRoot ? await tearDownDevices(runFolder) : [];
    const left = await killing;
    const late = isRoot ? await tearDownDevices(runFolder) : [];
    return [...(devices.length > 0 ? late : []), ...left.map((pid) => `process ${pid}`)];
  }

  /** Writes out the file systems on the node's devices before its pods end; returns those that are in use. */
  releaseUsers(): Promise<string[]> {
    return this.#parts.isRoot ? releaseUsers(this.#parts.runFolder) : Promise.resolve([]);
  }

  /** Ends the node in good order, after its pods were stopped. */
  shutDown(): Promise<void> {
    return this.#switch(async () => {
      this.#closeKubelet();
      const left = await this.#killAll();
      if (left.length > 0) this.#parts.note(`${this.name}: left after the stop: ${left.join('; ')}`);
      await unmountDisk(this.#disk);
    });
  }

  /** Removes what an earlier local-cluster of this folder left running or mounted when it was killed. */
  async clean(): Promise<void> {
    const left = await this.#killAll();
    if (left.length > 0) this.#parts.note(`${this.name}: left by the cluster before: ${left.join('; ')}`);
    if (this.wasCut) await dropDisk(this.#disk);
  }
}

function emptyFolder(folder: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  for (const name of readdirSync(folder)) rmSync(join(folder, name), { recursive: true, force: true });
}
