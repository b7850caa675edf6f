/**
 * The control plane of the world: gives out epochs and the record that it holds, confirms, starts engines anew, restarts
 * replica processes, and drives rebuilds. What a manager does, as far as the engine depends on it.
 */
import { errorText } from '@longhorn/shared-types/grpc/rpc-error';
import { asBase, compareGenerations, type MembershipRecord } from '../src/membership/record.ts';
import { addressOf, type SimCluster } from './sim-cluster.ts';
import { BLOCK_BYTES, type SimDevice } from './sim-device.ts';
import { SimEngine } from './sim-engine.ts';
import { FormerEngine } from './sim-former-engine.ts';
import type { SimNode, SimReplica } from './sim-node.ts';

const STEP_MS = 500;
/** Of a copied file. */
const ROT_CHANCE = 0.02;

export interface PlaneOptions {
  readonly cluster: SimCluster;
  readonly device: SimDevice;
  readonly sizeBytes: number;
  readonly ioHoldTimeoutMs: number;
  readonly log: (text: string) => void;
  readonly violation: (text: string) => void;
}

export class SimPlane {
  isUp = true;
  epoch = 0;
  record: MembershipRecord;
  engine: SimEngine | null = null;
  /** where the volume is attached */
  node: SimNode;
  /** false: the volume is detached */
  isAttached = true;
  restartsReplicas = true;
  /** false: copies rot */
  copiesAreSound = false;
  rebuilds = true;
  rebuilt = 0;
  private readonly options: PlaneOptions;
  /** engines that were replaced while they lived */
  readonly former: FormerEngine[] = [];
  private rebuildingFor: SimEngine | null = null;
  /** replicas that a rebuild copies to: they refuse another one */
  private readonly filling = new Set<SimReplica>();
  /** replicas whose snapshots may have rotted where nobody looks but `snapshot hash` */
  readonly rotten = new Set<SimReplica>();

  constructor(options: PlaneOptions, node: SimNode) {
    this.options = options;
    this.node = node;
    this.record = {
      epoch: 0,
      count: 1,
      members: options.cluster.replicas.map(({ name }) => name),
      sizeBytes: 0,
      chain: [],
      bases: [],
      decided: true,
    };
  }

  /** Looks and acts every half second, for ever. */
  run(): void {
    this.step();
    this.options.cluster.time.at(STEP_MS, () => this.run());
  }

  /** Ends the engine in the way of a crash; the device stays with its user. */
  killEngine(): void {
    this.engine?.kill();
  }

  /** The volume's user has let go: an orderly end, as far as the engine can be reached. */
  async detach(): Promise<void> {
    this.isAttached = false;
    const { engine } = this;
    if (!engine?.isAlive) return this.options.device.lose();
    await engine.engine.shutdown().catch((error: unknown) => this.options.log(`shutdown: ${errorText(error)}`));
    engine.kill();
    this.options.device.lose();
    return undefined;
  }

  attach(node: SimNode): void {
    this.node = node;
    this.isAttached = true;
  }

  /** The engine's node is taken for dead: the volume is started on another one, and the engine lives on. */
  replaceEngine(node: SimNode): void {
    const { engine } = this;
    const { device, cluster, sizeBytes, violation } = this.options;
    if (!engine) throw new Error('there is no engine to replace');
    device.lose();
    this.node = node;
    this.startEngine();
    const { engine: next } = this;
    let isReplaced = false;
    this.former.push(
      new FormerEngine({
        engine,
        random: cluster.random,
        blocks: sizeBytes / BLOCK_BYTES,
        isReplaced: () => {
          isReplaced ||= next?.isServing === true;
          return isReplaced;
        },
        isTold: cluster.random.chance(0.5),
        violation,
      }),
    );
  }

  private step(): void {
    const { cluster, device } = this.options;
    if (this.restartsReplicas) for (const replica of cluster.replicas) this.restart(replica);
    if (!this.isUp) return;
    const { engine } = this;
    if (engine?.isAlive) this.watch(engine);
    else if (this.isAttached) {
      if (!this.node.isUp) {
        device.lose();
        const other = cluster.nodes.find((node) => node.isUp);
        if (!other) return;
        this.node = other;
      }
      this.startEngine();
    }
  }

  private restart(replica: SimReplica): void {
    if (replica.process || !replica.node.isUp || !this.options.cluster.random.chance(0.4)) return;
    // On a full disk it ends, and is started again later.
    replica.start().catch((error: unknown) => this.options.log(`${replica.name} does not start: ${errorText(error)}`));
  }

  startEngine(): void {
    const { cluster, device, sizeBytes, ioHoldTimeoutMs, log, violation } = this.options;
    this.epoch++;
    const engine = new SimEngine({
      cluster,
      node: this.node,
      epoch: this.epoch,
      known: this.record,
      sizeBytes,
      device,
      ioHoldTimeoutMs,
      log,
      violation,
    });
    this.engine = engine;
    log(`plane: engine ${this.epoch} on ${this.node.name}, known ${this.record.epoch}.${this.record.count}`);
    const addresses = cluster.replicas.map((replica) => addressOf(replica));
    engine.engine
      .start(addresses, sizeBytes, sizeBytes)
      .catch((error: unknown) => violation(`start: ${errorText(error)}`));
  }

  private watch(engine: SimEngine): void {
    const { context } = engine;
    const keeper = context.keeper;
    if (!keeper || !engine.node.isUp) return;
    if (context.io.state === 'failed') {
      this.options.log(`plane: engine ${engine.epoch} failed: ${context.io.reason}`);
      // Replicas that know a higher epoch: a control plane restored from a backup goes above it.
      this.epoch = Math.max(this.epoch, context.highestEpochSeen);
      engine.kill();
      this.options.device.lose();
      return;
    }
    if (keeper.active && compareGenerations(keeper.active, this.record) >= 0) this.record = asBase(keeper.active);
    const { request } = keeper;
    if (request) {
      const confirmed = engine.epoch === this.epoch;
      if (confirmed) this.record = asBase(request);
      engine.engine.confirmMembership(request.epoch, request.count, confirmed, 'not the current engine');
    }
    if (this.rebuilds && engine.isServing) this.rebuildOne(engine);
  }

  private rebuildOne(engine: SimEngine): void {
    if (this.rebuildingFor === engine) return;
    const wanted = this.nextToRebuild(engine);
    if (!wanted) return;
    this.rebuildingFor = engine;
    this.rebuild(engine, wanted)
      .then(
        () => {
          this.rebuilt++;
          this.options.log(`plane: ${wanted.name} is rebuilt`);
        },
        (error: unknown) => this.rebuildFailed(engine, wanted, errorText(error)),
      )
      .finally(() => {
        if (this.rebuildingFor === engine) this.rebuildingFor = null;
      })
      .catch((error: unknown) => this.options.violation(errorText(error)));
  }

  /** First the one whose rebuild has begun: an engine has one at a time. */
  private nextToRebuild(engine: SimEngine): SimReplica | undefined {
    if (!engine.node.isUp) return undefined;
    const stageOf = (replica: SimReplica): string => engine.context.replicas.get(addressOf(replica))?.stage ?? 'out';
    const idle = this.options.cluster.replicas.filter((replica) => replica.process && !this.filling.has(replica));
    return idle.find((replica) => stageOf(replica) === 'joining') ?? idle.find((replica) => stageOf(replica) === 'out');
  }

  /** A copy that lost power half way cannot be opened: as a manager would, replace the replica. */
  private rebuildFailed(engine: SimEngine, replica: SimReplica, reason: string): void {
    this.options.log(`plane: rebuild of ${replica.name}: ${reason}`);
    const isMember = engine.context.replicas.get(addressOf(replica))?.stage === 'reading';
    if (reason.includes('nothing was changed') && !isMember) replica.wipe();
  }

  private async rebuild({ engine, context, epoch }: SimEngine, target: SimReplica): Promise<void> {
    const address = addressOf(target);
    await engine.removeReplica(address);
    await engine.createReplica(address, true, 'WO');
    const calls = context.replicas.get(address)?.client;
    if (!calls) throw new Error('not there');
    await calls.RebuildingSet({ rebuilding: true });
    const source = context.replicas.inStage('reading')[0];
    if (!source) throw new Error('no source');
    const from = this.options.cluster.replicaAt(source.address);
    const files = await engine.prepareRebuild(address);
    await this.copy(
      files.map((file) => file.from_file_name),
      from,
      target,
    );
    await calls.ReplicaReload({});
    await calls.ReplicaSync({});
    await engine.verifyRebuild(address);
    await calls.RebuildingSet({ rebuilding: false });
    this.options.log(`plane: engine ${epoch} admitted ${target.name}`);
  }

  /** Now and then one bit of a copy is another: the comparison before RW must find what of it the volume shows. */
  private rot(content: Buffer, name: string, target: SimReplica): void {
    const { cluster, log } = this.options;
    if (this.copiesAreSound || content.length === 0 || !cluster.random.chance(ROT_CHANCE)) return;
    cluster.faults.blows++;
    const at = cluster.random.below(content.length);
    content[at] = (content[at] ?? 0) ^ (1 << cluster.random.below(8));
    this.rotten.add(target);
    log(`plane: byte ${at} of ${name} on ${target.name} has rotted`);
  }

  /** The target's sync agent fetches the files; it goes on when the engine dies. */
  private async copy(names: readonly string[], from: SimReplica, target: SimReplica): Promise<void> {
    const { time, random } = this.options.cluster;
    const { process } = target;
    this.filling.add(target);
    // What has rotted unseen is copied on.
    if (this.rotten.has(from)) this.rotten.add(target);
    try {
      for (const name of names) {
        await new Promise<void>((resolve) => {
          time.at(1 + random.below(5), resolve);
        });
        if (!from.node.isUp || target.process !== process) throw new Error('the copy was interrupted');
        const file = from.node.disk.folder(from.folderPath).bytesOf(name);
        if (!file) throw new Error(`${name} vanished`);
        if (name.endsWith('.img')) this.rot(file.content, name, target);
        target.node.disk.folder(target.folderPath).receive(name, file.content, file.blocks);
      }
    } finally {
      this.filling.delete(target);
    }
  }
}
