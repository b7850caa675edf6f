/** Random faults on a world: what breaks, how long, and that it comes back. */
import type { SimNode } from './sim-node.ts';
import type { World } from './world.ts';

const ROUND_MS = 400;

/** About one fault every few seconds of virtual time, until `untilMs`. */
export async function breakAtRandom(world: World, rounds: number): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    await world.run(ROUND_MS + world.random.below(ROUND_MS));
    if (world.random.chance(0.35)) oneFault(world);
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
  if (chance < 0.2) {
    world.fault(`kill replica ${replica.name}`);
    replica.kill();
  } else if (chance < 0.32) {
    world.fault('kill the engine');
    plane.killEngine();
  } else if (chance < 0.4) stopReplica(world, replica.name);
  else if (chance < 0.53) cutPower(world, [node]);
  else if (chance < 0.6) cutPower(world, cluster.nodes);
  else if (chance < 0.7) cutNetwork(world, node);
  else if (chance < 0.77) {
    world.fault('the API server is away');
    plane.isUp = false;
    later(world, 1000 + random.below(20_000), () => {
      plane.isUp = true;
    });
  } else if (chance < 0.8) {
    world.fault(`the disk of ${node.name} is full`);
    node.disk.isFull = true;
    later(world, 1000 + random.below(6000), () => {
      node.disk.isFull = false;
    });
  } else if (chance < 0.83) diskErrors(world, node);
  else if (chance < 0.92) snapshot(world);
  else if (chance < 0.96) removeSnapshots(world);
  else detachAndAttach(world);
}

/** Marks the snapshots right under the head as removed, on every replica that runs: an unmap may then free what they hold. */
function removeSnapshots(world: World): void {
  world.note('remove snapshots');
  for (const { process, name } of world.cluster.replicas) {
    const open = process?.server.io.open;
    for (const layer of open?.volume.layers.slice(-3, -1) ?? []) {
      process?.server.markRemoved(layer.name).catch((error: unknown) => world.note(`${name}: ${String(error)}`));
    }
  }
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
  engine.engine.snapshot('', {}, false).catch((error: unknown) => world.note(`snapshot failed: ${String(error)}`));
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
  world.fault(`${node.name} cannot be reached by engine ${engine.epoch}`);
  engine.cutFrom.add(node);
  later(world, 500 + world.random.below(15_000), () => engine.cutFrom.delete(node));
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
