/**
 * A world by seed: three nodes with replicas, engines of rising epochs, a control plane, a device and its user, and faults.
 *
 * Checks: the contract of the device (checker.ts), that no process breaks an invariant, and that after the last
 * fault everything becomes healthy by itself, with equal contents on all replicas.
 */
import { seededRandom, type Random } from '../src/membership/random.ts';
import { DeviceChecker } from './checker.ts';
import { SimCluster } from './sim-cluster.ts';
import { BLOCK_BYTES, SECTORS, SimDevice } from './sim-device.ts';
import type { SimNode, SimReplica } from './sim-node.ts';
import type { SimEngine } from './sim-engine.ts';
import { SimPlane } from './sim-plane.ts';
import { SimTime } from './sim-time.ts';
import { SnapshotChecker, snapshotOf } from './snapshot-checker.ts';

/** Eight regions of 64 KiB. */
export const VOLUME_BLOCKS = 128;
export const VOLUME_BYTES = VOLUME_BLOCKS * BLOCK_BYTES;
const USER_STEP_MS = 15;
const HEAL_MS_MAX = 600_000;
const NOTICE_MS = 25_000;
/** Lines of history in the report of a failing seed. */
const HISTORY_LINES = Number(process.env['SIM_HISTORY_LINES'] ?? 60);

export interface WorldOptions {
  readonly seed: number;
  readonly nodes: number;
  readonly replicas: number;
  readonly ioHoldTimeoutMs?: number;
}

export class World {
  readonly time = new SimTime();
  readonly random: Random;
  readonly checker = new DeviceChecker(VOLUME_BLOCKS * SECTORS);
  readonly cluster: SimCluster;
  readonly device: SimDevice;
  readonly plane: SimPlane;
  readonly history: string[] = [];
  readonly snapshots: SnapshotChecker;
  private readonly broken: string[] = [];
  private isUserActive = true;

  constructor({ seed, nodes, replicas, ioHoldTimeoutMs = 60_000 }: WorldOptions) {
    this.random = seededRandom(seed);
    const log = (text: string): void => {
      this.history.push(`${Math.round(this.time.nowMs())} ${text}`);
    };
    this.snapshots = new SnapshotChecker(this.time, this.random);
    this.cluster = new SimCluster(this.time, this.random, nodes, replicas, VOLUME_BYTES, log);
    this.device = new SimDevice(this.checker, this.random, VOLUME_BLOCKS);
    const options = {
      cluster: this.cluster,
      device: this.device,
      sizeBytes: VOLUME_BYTES,
      ioHoldTimeoutMs,
      log,
      violation: (text: string) => this.violation(text),
    };
    this.plane = new SimPlane(options, this.node(0));
    this.plane.run();
    this.user();
  }

  node(index: number): SimNode {
    const node = this.cluster.nodes[index];
    if (!node) throw new Error(`no node ${index}`);
    return node;
  }

  replica(index: number): SimReplica {
    const replica = this.cluster.replicas[index];
    if (!replica) throw new Error(`no replica ${index}`);
    return replica;
  }

  fault(text: string): void {
    this.cluster.faults.blows++;
    this.note(text);
  }

  note(text: string): void {
    this.history.push(`${Math.round(this.time.nowMs())} -- ${text}`);
  }

  violation(text: string): void {
    this.broken.push(text);
  }

  violations(): string[] {
    return [...this.broken, ...this.checker.violations, ...this.snapshots.violations];
  }

  /** Lets the world run; throws when something was violated. */
  async run(forMs: number): Promise<void> {
    await this.until(() => false, forMs);
  }

  /** Runs until it holds; false when it does not within that time. */
  async until(holds: () => boolean, withinMs: number): Promise<boolean> {
    await this.time.run(this.time.nowMs() + withinMs, () => holds() || this.violations().length > 0);
    const violations = this.violations();
    if (violations.length > 0)
      throw new Error(`${violations.join('\n')}\n${this.history.slice(-HISTORY_LINES).join('\n')}`);
    return holds();
  }

  /** Lets time go on until the promise is settled, and gives its outcome. */
  async wait<T>(promise: Promise<T>): Promise<T> {
    let isSettled = false;
    promise
      .finally(() => {
        isSettled = true;
      })
      .catch(() => undefined);
    if (!(await this.until(() => isSettled, HEAL_MS_MAX))) this.fail('an operation does not end');
    return promise;
  }

  /** The user writes and reads at random while it is active. */
  setUser(isActive: boolean): void {
    this.isUserActive = isActive;
  }

  private user(): void {
    if (this.isUserActive) this.device.step();
    this.time.at(USER_STEP_MS * this.random.next(), () => this.user());
  }

  cutPower(node: SimNode): void {
    const { engine, former } = this.plane;
    this.cluster.faults.blows++;
    this.cluster.cutPower(node);
    for (const { engine: old } of former) if (old.node === node) old.kill(true);
    if (engine?.node === node) {
      engine.kill(true);
      this.device.lose();
    }
  }

  /** Marks a layer of a replica that runs as removed: what it holds may be freed from now on. */
  async markRemoved({ process, name }: SimReplica, layer: string): Promise<void> {
    if (!process) throw new Error(`${name} does not run`);
    this.snapshots.willBeRemoved(snapshotOf(layer) ?? '');
    await process.server.markRemoved(layer);
  }

  /** The engines that live, the current one first. */
  engines(): SimEngine[] {
    const { engine, former } = this.plane;
    return [...(engine ? [engine] : []), ...former.map((one) => one.engine)].filter(({ isAlive }) => isAlive);
  }

  isHealthy(): boolean {
    const { engine } = this.plane;
    if (!engine?.isServing || engine.context.core.doubtCount() > 0) return false;
    return engine.context.replicas.inStage('reading').length === this.cluster.replicas.length;
  }

  /** No faults any more: everything must become healthy, agree, and read the same twice. */
  async end(): Promise<void> {
    this.note('no more faults');
    this.plane.isUp = true;
    this.plane.isAttached = true;
    this.plane.restartsReplicas = true;
    this.plane.copiesAreSound = true;
    this.plane.rebuilds = true;
    for (const engine of this.engines()) engine.reconnect();
    for (const node of this.cluster.nodes) {
      node.powerOn();
      node.disk.isFull = false;
      node.disk.failing = 'nothing';
    }
    for (const replica of this.cluster.replicas) replica.process?.clock.resume();
    // The last fault may not have been noticed yet.
    await this.run(NOTICE_MS);
    if (!(await this.until(() => this.isHealthy(), HEAL_MS_MAX))) this.fail('the volume does not become healthy');
    this.setUser(false);
    if (!(await this.until(() => this.device.inFlight === 0, HEAL_MS_MAX))) this.fail('I/O does not end');
    for (let round = 0; round < 3; round++) {
      this.device.readAll();
      if (!(await this.until(() => this.device.inFlight === 0, 60_000))) this.fail('reads do not end');
    }
    await this.compareReplicas();
    for (const replica of this.cluster.replicas) {
      if (!this.plane.rotten.has(replica)) await this.wait(this.snapshots.check(replica));
    }
  }

  private async compareReplicas(): Promise<void> {
    const contents: Buffer[] = [];
    const chains = new Set<string>();
    for (const { process, name } of this.cluster.replicas) {
      const open = process?.server.io.open;
      if (!open) this.fail(`replica ${name} is not open at the end`);
      chains.add(open.chainBelowHead().join(' '));
      const { volume } = open;
      const content = Buffer.alloc(VOLUME_BYTES);
      await volume.read(content, 0, VOLUME_BYTES, 0);
      contents.push(content);
    }
    const [first] = contents;
    if (first && contents.some((content) => !content.equals(first))) this.fail('the replicas differ at the end');
    if (chains.size > 1) this.fail(`the replicas have different layers at the end: ${[...chains].join(' | ')}`);
  }

  private fail(text: string): never {
    const { engine } = this.plane;
    const stages = engine?.context.replicas
      .all()
      .map((entry) => `${entry.name} ${entry.stage} ${entry.reason}`)
      .join('; ');
    throw new Error(
      `${text}: ${engine?.context.io.state ?? ''} ${engine?.context.io.reason ?? ''} [${stages ?? ''}]\n${this.history.slice(-HISTORY_LINES).join('\n')}`,
    );
  }
}
