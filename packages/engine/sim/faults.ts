/** Random faults on a world: what breaks, how long, and that it comes back. */
import { addressOf } from './sim-cluster.ts';
import type { SimLink } from './sim-link.ts';
import type { SimNode, SimReplica } from './sim-node.ts';
import type { World } from './world.ts';

const ROUND_MS = 400;

/** About one fault a second of virtual time. */
export async function breakAtRandom(world: World, rounds: number): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    await world.run(ROUND_MS + world.random.below(ROUND_MS));
    if (world.random.chance(0.5)) oneFault(world);
  }
}

/** For a while, reads, writes or syncs of a node's disk fail now and then. */
function diskErrors(world: World, { name, disk }: SimNode): void {
  const failing = world.random.pick(['reads', 'writes', 'syncs', 'all'] as const);
  world.fault(`the disk of ${name} fails: ${failing}`);
  disk.failing = failing;
  later(world, 500 + world.random.below(6000), () => {
    disk.failing = 'nothing';
  });
}

function later(world: World, delayMs: number, run: () => void): void {
  world.time.at(delayMs, run);
}

function oneFault(world: World): void {
  const { random, cluster, plane } = world;
  const chance = random.next();
  const replica = random.pick(cluster.replicas);
  const node = random.pick(cluster.nodes);
  if (chance < 0.15) {
    world.fault(`kill replica ${replica.name}`);
    replica.kill();
  } else if (chance < 0.23) {
    world.fault('kill the engine');
    plane.killEngine();
  } else if (chance < 0.29) stopReplica(world, replica.name);
  else if (chance < 0.38) cutPower(world, [node]);
  else if (chance < 0.43) cutPower(world, cluster.nodes);
  else if (chance < 0.51) cutNetwork(world, node);
  else if (chance < 0.58) resetConnections(world);
  else if (chance < 0.64) slowNetwork(world, node);
  else if (chance < 0.67) setClock(world, node);
  else if (chance < 0.71) replaceEngine(world);
  else if (chance < 0.74) connectTwice(world, replica);
  else if (chance < 0.78) {
    world.fault('the API server is away');
    plane.isUp = false;
    later(world, 1000 + random.below(20_000), () => {
      plane.isUp = true;
    });
  } else if (chance < 0.81) {
    world.fault(`the disk of ${node.name} is full`);
    node.disk.isFull = true;
    later(world, 1000 + random.below(6000), () => {
      node.disk.isFull = false;
    });
  } else if (chance < 0.85) diskErrors(world, node);
  else if (chance < 0.93) snapshot(world);
  else if (chance < 0.955) removeSnapshots(world);
  else if (chance < 0.97) takeOut(world, replica);
  else detachAndAttach(world);
}

/** Marks the snapshots right under the head as removed, on every replica that runs: an unmap may then free what they hold. */
function removeSnapshots(world: World): void {
  world.note('remove snapshots');
  for (const replica of world.cluster.replicas) {
    for (const layer of replica.process?.server.io.open?.volume.layers.slice(-3, -1) ?? []) {
      world.markRemoved(replica, layer.name).catch((error: unknown) => world.note(`${replica.name}: ${String(error)}`));
    }
  }
}

/** As a manager does with a replica that is to go elsewhere; its place is taken by a rebuild. */
function takeOut(world: World, replica: SimReplica): void {
  const { engine } = world.plane;
  if (!engine?.isServing) return;
  world.note(`take ${replica.name} out`);
  engine.engine.removeReplica(addressOf(replica)).catch((error: unknown) => {
    world.note(`${replica.name} was not taken out: ${String(error)}`);
  });
}

function stopReplica(world: World, name: string): void {
  const replica = world.cluster.replicas.find((candidate) => candidate.name === name);
  const process = replica?.process;
  if (!process) return;
  world.fault(`stop replica ${name}`);
  process.clock.stop();
  later(world, 2000 + world.random.below(15_000), () => process.clock.resume());
}

function snapshot(world: World): void {
  const { engine } = world.plane;
  if (!engine?.isServing) return;
  world.note('snapshot');
  engine.engine.snapshot('', {}, false).then(
    (name) => {
      const [reader] = engine.context.replicas.inStage('reading');
      if (reader) void world.snapshots.taken(name, world.cluster.replicaAt(reader.address));
    },
    (error: unknown) => world.note(`snapshot failed: ${String(error)}`),
  );
}

/** Often soon after a snapshot: then most of what is lost was written where the head held nothing yet. */
function cutPower(world: World, nodes: readonly SimNode[]): void {
  if (world.random.chance(0.5)) snapshot(world);
  later(world, world.random.below(200), () => {
    for (const node of nodes) cutNode(world, node);
  });
}

function cutNode(world: World, node: SimNode): void {
  if (!node.isUp) return;
  world.cutPower(node);
  later(world, 3000 + world.random.below(20_000), () => {
    world.note(`${node.name} is up again`);
    node.powerOn();
  });
}

function cutNetwork(world: World, node: SimNode): void {
  const { engine } = world.plane;
  if (!engine || engine.node === node) return;
  const way = world.random.pick(['cutFrom', 'cutFrom', 'muteTo', 'deafTo'] as const);
  world.fault(`the network of engine ${engine.epoch} to ${node.name}: ${way}`);
  engine[way].add(node);
  later(world, 500 + world.random.below(15_000), () => engine[way].delete(node));
}

/** A middlebox drops connections: a random half of the engine's. */
function resetConnections(world: World): void {
  const [engine] = world.engines();
  if (!engine) return;
  world.fault(`connections of engine ${engine.epoch} are reset`);
  for (const link of engine.links) if (world.random.chance(0.5)) link.reset();
}

function slowNetwork(world: World, node: SimNode): void {
  const { engine } = world.plane;
  if (!engine) return;
  const delayMs = 20 + world.random.below(1000);
  world.fault(`packets between engine ${engine.epoch} and ${node.name} take up to ${delayMs} ms`);
  engine.slowTo.set(node, delayMs);
  later(world, 500 + world.random.below(8000), () => engine.slowTo.delete(node));
}

const WALL_STEPS_MS = [1, 1000, 60_000, 3_600_000, 366 * 86_400_000] as const;

/** The wall clock of a node jumps, either way. */
function setClock(world: World, { name, wall }: SimNode): void {
  const stepMs = world.random.pick(WALL_STEPS_MS) * (world.random.chance(0.5) ? 1 : -1);
  world.fault(`the clock of ${name} jumps by ${stepMs} ms`);
  wall.shiftMs += stepMs;
}

/** The control plane takes the engine's node for dead. What else the engine reaches is left to chance. */
function replaceEngine(world: World): void {
  const { plane, cluster, random } = world;
  const { engine } = plane;
  if (!engine?.isServing || !plane.isAttached || !plane.isUp) return;
  const others = cluster.nodes.filter((node) => node.isUp && node !== engine.node);
  if (others.length === 0) return;
  world.fault(`engine ${engine.epoch} is taken for dead`);
  for (const node of cluster.nodes) if (node !== engine.node && random.chance(0.5)) engine.cutFrom.add(node);
  later(world, random.below(20_000), () => engine.cutFrom.clear());
  plane.replaceEngine(random.pick(others));
}

/** Connections nobody asked for: a second one of the engine, and one of an engine before it, which a reader must refuse. */
function connectTwice(world: World, replica: SimReplica): void {
  const [engine] = world.engines();
  const entry = engine?.context.replicas.get(addressOf(replica));
  if (!engine || !replica.process || entry?.stage !== 'reading') return;
  world.fault(`engines connect to ${replica.name} once more`);
  for (const epoch of [engine.epoch, engine.epoch - 1]) {
    const link: SimLink = world.cluster.connect(engine, replica, epoch, (error) => {
      if (error === null && epoch < engine.epoch) world.violation(`${replica.name} let epoch ${epoch} connect`);
      later(world, world.random.below(1000), () => link.reset());
    });
  }
}

function detachAndAttach(world: World): void {
  const { plane, cluster, random } = world;
  if (!plane.isAttached || !plane.isUp) return;
  world.fault('detach');
  const node = random.pick(cluster.nodes);
  const attach = (): void => {
    if (!plane.isAttached) plane.attach(node);
  };
  plane.detach().then(
    () => later(world, random.below(3000), attach),
    (error: unknown) => world.note(`detach failed: ${String(error)}`),
  );
  // An engine that hangs in its shutdown is ended after a while.
  later(world, 30_000, () => {
    if (plane.isAttached) return;
    plane.engine?.kill();
    world.device.lose();
    attach();
  });
}
