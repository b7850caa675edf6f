/** Cases of volumes with two replicas, where one may be all that is left. */
import { describe, expect, it } from 'vitest';
import { LIVE_CHAIN_MAX } from '../src/limits.ts';
import type { ReplicaServer } from '../src/replica/replica-server.ts';
import { SERVED_MS, engineOf, ioState, served, settle, writeAndFlush } from './case-world.ts';
import type { World } from './world.ts';

/** The next call of the replica is this instead. */
function replaceOnce(
  world: World,
  name: string,
  method: 'ReplicaSnapshot' | 'SnapshotPrepare' | 'RangeHash' | 'ReplicaGet' | 'MembershipPropose',
  call: (original: (...request: unknown[]) => Promise<unknown>, ...request: unknown[]) => Promise<unknown>,
): void {
  const entry = engineOf(world).context.replicas.get(`tcp://${name}`);
  if (!entry) throw new Error(`no ${name}`);
  const { client } = entry;
  const original = (...request: unknown[]): Promise<unknown> => Reflect.apply(client[method], client, request);
  const replaced = new Proxy(client, {
    get: (calls, key): unknown =>
      key === method ? (...request: unknown[]) => once(...request) : Reflect.get(calls, key),
  });
  const once = (...request: unknown[]): Promise<unknown> => {
    Object.assign(entry, { client });
    return call(original, ...request);
  };
  Object.assign(entry, { client: replaced });
}

async function snapshotsOfOneBlockEach(world: World, ...names: string[]): Promise<void> {
  for (const [index, name] of names.entries()) {
    await writeAndFlush(world, index * 2);
    await world.wait(engineOf(world).engine.snapshot(name, {}, true));
  }
}

/** Once, when a rebuild has brought all files of r1, and its process is about to read them by `reload`. */
function onReload(world: World, work: (server: ReplicaServer, reload: () => Promise<void>) => Promise<void>): void {
  const server = world.replica(1).process?.server;
  if (!server) throw new Error('r1 does not run');
  const reload = server.reload.bind(server);
  server.reload = async () => {
    server.reload = reload;
    await work(server, reload);
  };
}

function newestSnapshot({ io }: ReplicaServer): string {
  return io.open?.volume.layers.at(-2)?.name ?? '';
}

/** The layers under a replica's head, as lines. */
function disksOf(world: World, replica: number): string[] {
  const open = world.replica(replica).process?.server.io.open;
  const disks = [...(open?.disks.values() ?? [])].filter(({ name }) => name !== open?.meta.head);
  return disks.map(({ name, parent, isRemoved }) => `${name} on ${parent}${isRemoved ? ', removed' : ''}`).toSorted();
}

describe('two replicas', () => {
  it('have the same layers when one did nothing for a snapshot, as another process, and both are back', async () => {
    const world = await served(2);
    await writeAndFlush(world, 0, 8);
    const { engine } = engineOf(world);
    replaceOnce(world, 'r0', 'ReplicaSnapshot', async (original, ...request) => {
      world.replica(0).kill();
      await world.replica(0).start();
      return original(...request);
    });
    replaceOnce(world, 'r1', 'ReplicaSnapshot', async (original, ...request) => {
      const answer = await original(...request);
      for (const link of engineOf(world).links) link.reset();
      return answer;
    });
    await world.wait(engine.snapshot('one', {}, false));
    await writeAndFlush(world, 4);
    await world.end();
    expect(engineOf(world).context.layout.chain).toContain('volume-snap-one.img');
    expect(world.violations()).toEqual([]);
  });

  it('have no snapshot, and it is not reported, when the only one that took it is lost for ever', async () => {
    const world = await served(2);
    await writeAndFlush(world, 0, 8);
    const { engine } = engineOf(world);
    world.plane.restartsReplicas = false;
    replaceOnce(world, 'r0', 'ReplicaSnapshot', async (original, ...request) => {
      world.replica(0).kill();
      await world.replica(0).start();
      return original(...request);
    });
    replaceOnce(world, 'r1', 'ReplicaSnapshot', async (original, ...request) => {
      const answer = await original(...request);
      world.replica(1).kill();
      return answer;
    });
    await expect(world.wait(engine.snapshot('one', {}, false))).rejects.toThrow('were lost before the others');
    await writeAndFlush(world, 4);
    expect(engineOf(world).context.layout.chain).not.toContain('volume-snap-one.img');
    world.replica(1).wipe();
    await world.end();
    expect(world.violations()).toEqual([]);
  });

  it('keep the one that is taken out when the other turns out to be dead', async () => {
    const world = await served(2);
    await writeAndFlush(world, 0, 8);
    const { context, engine } = engineOf(world);
    world.plane.restartsReplicas = false;
    world.plane.rebuilds = false;
    world.replica(1).kill();
    await expect(world.wait(engine.removeReplica('tcp://r0'))).rejects.toThrow('stays a member');
    expect(context.keeper?.active?.members).toEqual(['r0']);
    await writeAndFlush(world, 4);
    await world.end();
    expect(world.violations()).toEqual([]);
  });

  it('keep one that was taken out twice at once and added again before the slower call was done', async () => {
    const world = await served(2);
    await writeAndFlush(world, 0, 8);
    const { context, engine } = engineOf(world);
    const slow = Promise.withResolvers<void>();
    replaceOnce(world, 'r1', 'ReplicaGet', async () => {
      await slow.promise;
      throw new Error('no answer');
    });
    const removals = Promise.all([engine.removeReplica('tcp://r1'), engine.removeReplica('tcp://r1')]);
    await world.run(5000);
    slow.resolve();
    await world.wait(removals);
    expect(await world.until(() => world.isHealthy(), SERVED_MS)).toBe(true);
    expect(context.replicas.get('tcp://r1')?.stage).toBe('reading');
    world.replica(1).kill();
    await writeAndFlush(world, 4);
    await world.end();
    expect(world.violations()).toEqual([]);
  });

  it('are not closed as long as the record counts on them, however often one is taken out', async () => {
    const world = await served(2);
    world.plane.rebuilds = false;
    await writeAndFlush(world, 0, 8);
    const { engine } = engineOf(world);
    const slow = Promise.withResolvers<void>();
    replaceOnce(world, 'r0', 'MembershipPropose', async (original, ...request) => {
      await slow.promise;
      return original(...request);
    });
    const removals = Promise.all([engine.removeReplica('tcp://r1'), engine.removeReplica('tcp://r1')]);
    await world.run(1000);
    expect(world.replica(1).process?.server.io.open).not.toBeNull();
    slow.resolve();
    await world.wait(removals);
    expect(world.replica(1).process?.server.io.open).toBeNull();
    await writeAndFlush(world, 4);
    await world.end();
    expect(world.violations()).toEqual([]);
  });

  it('have all snapshots, and marked alike, when some are removed while one is rebuilt', async () => {
    const world = await served(2);
    await snapshotsOfOneBlockEach(world, 'one', 'two');
    let refusal = '';
    onReload(world, async (server, reload) => {
      // As an unmap with `unmap-mark-snap-chain-removed` does, when the files are there and not looked at yet.
      await world.markRemoved(world.replica(0), 'volume-snap-two.img');
      await server.markRemoved(newestSnapshot(server)).catch((error: unknown) => {
        refusal = String(error);
      });
      await reload();
    });
    await world.wait(engineOf(world).engine.removeReplica('tcp://r1'));
    await world.end();
    expect(refusal).toContain('the replica is being rebuilt');
    expect(disksOf(world, 1)).toEqual(disksOf(world, 0));
    expect(disksOf(world, 1)).toContain('volume-snap-two.img on volume-snap-one.img, removed');
    expect(world.violations()).toEqual([]);
  });

  it('do not become two again when the layers of the second do not hang together as those of the first', async () => {
    const world = await served(2);
    await snapshotsOfOneBlockEach(world, 'one', 'two');
    onReload(world, async (server, reload) => {
      await reload();
      const disk = server.io.open?.disks.get('volume-snap-two.img');
      if (disk) server.io.open?.disks.set(disk.name, { ...disk, parent: '' });
    });
    await world.wait(engineOf(world).engine.removeReplica('tcp://r1'));
    await world.end();
    expect(world.history.join('\n')).toContain('[volume-snap-two.img] have other parents');
    expect(disksOf(world, 1)).toEqual(disksOf(world, 0));
    expect(world.violations()).toEqual([]);
  });

  it('say which snapshots only one of them has', async () => {
    const world = await served(2);
    const { engine } = engineOf(world);
    await world.wait(engine.snapshot('one', {}, false));
    const { server } = world.replica(0).process ?? {};
    await world.wait(server?.removeDisk('volume-snap-one.img', true) ?? Promise.reject(new Error('r0 does not run')));
    await expect(world.wait(engine.snapshot('two', {}, false))).rejects.toThrow('only some have: tcp://r0 lacks one');
  });

  it('take one back that has as many layers as a replica can have, none of which the other has', async () => {
    const world = await served(2);
    world.plane.rebuilds = false;
    const { context, engine } = engineOf(world);
    await world.wait(engine.removeReplica('tcp://r1'));
    await writeAndFlush(world, 0, 8);
    const { server } = world.replica(1).process ?? {};
    if (!server) throw new Error('r1 does not run');
    await world.wait(server.openEpoch(context.options.epoch, 'e1'));
    const left = (layer: number): Promise<void> =>
      world.wait(server.snapshot(`left-${layer}`, false, '2026-01-01T00:00:00Z', {}));
    for (let layers = server.io.open?.disks.size ?? 0; layers < LIVE_CHAIN_MAX; layers++) await left(layers);
    await expect(left(0)).rejects.toThrow('too many active disks');
    await world.wait(server.close());
    await world.end();
    expect(world.violations()).toEqual([]);
  });

  it('have no snapshot of what they differ in, when a write finds both disks full while it is taken', async () => {
    const world = await served(2);
    await writeAndFlush(world, 0, 8);
    const { engine, context } = engineOf(world);
    const fill = (isFull: boolean): void => {
      for (const { disk } of world.cluster.nodes) disk.isFull = isFull;
    };
    const isPrepared = Promise.withResolvers<undefined>();
    replaceOnce(world, 'r0', 'SnapshotPrepare', (original, ...request) =>
      original(...request).finally(() => isPrepared.resolve(undefined)),
    );
    const isOver = Promise.withResolvers<undefined>();
    replaceOnce(world, 'r1', 'SnapshotPrepare', async (original, ...request) => {
      const answer = await original(...request);
      await isPrepared.promise;
      fill(true);
      world.device.write(100, 2);
      replaceOnce(world, 'r1', 'RangeHash', async (hash, ...range) => {
        fill(false);
        await isOver.promise;
        return hash(...range);
      });
      return answer;
    });
    await expect(world.wait(engine.snapshot('one', {}, false))).rejects.toThrow(
      /differ in 1 regions .*try again later/,
    );
    isOver.resolve(undefined);
    expect(world.device.errors).toBe(1);
    expect(await world.until(() => context.core.doubtCount() === 0, 10_000)).toBe(true);
    await world.wait(engine.snapshot('two', {}, false));
    await world.end();
    expect(world.violations()).toEqual([]);
  });

  it('agree on what a discard freed in a removed snapshot, when both lose power', async () => {
    for (let seed = 1; seed <= 8; seed++) {
      const world = await served(2, seed);
      await writeAndFlush(world, 0, 2, 40, 80);
      await world.wait(engineOf(world).engine.snapshot('', {}, false));
      for (const replica of world.cluster.replicas) {
        const snapshot = replica.process?.server.io.open?.volume.layers.at(-2)?.name ?? '';
        await world.wait(world.markRemoved(replica, snapshot));
      }
      for (const block of [0, 2, 40, 80]) world.device.discard(block, 2);
      await settle(world);
      for (const node of [world.node(0), world.node(1)]) world.cutPower(node);
      await world.run(2000);
      for (const node of [world.node(0), world.node(1)]) node.powerOn();
      await world.end();
      expect(world.violations()).toEqual([]);
    }
  });

  it('stay in doubt about what differs while the connection to one of them breaks and is made anew', async () => {
    const inDoubt: number[] = [];
    for (let seed = 1; seed <= 12; seed++) {
      const world = await served(2, seed);
      await writeAndFlush(world, 0, 20, 40, 60, 80, 100);
      for (const block of [0, 20, 40, 60, 80, 100]) world.device.write(block, 4);
      await settle(world);
      for (const node of [world.node(0), world.node(1)]) world.cutPower(node);
      await world.run(2000);
      for (const node of [world.node(0), world.node(1)]) node.powerOn();
      expect(await world.until(() => world.plane.engine?.isServing === true, SERVED_MS)).toBe(true);
      world.plane.isUp = false;
      inDoubt.push(engineOf(world).context.core.doubtCount());
      for (const link of engineOf(world).links) if (link.address === `tcp://r${seed % 2}`) link.reset();
      await world.run(1000);
      await world.end();
    }
    expect(Math.max(...inDoubt)).toBeGreaterThan(3);
  });

  it('hold I/O while the API server is away and one dies, and go on when it is back', async () => {
    const world = await served(2);
    world.plane.isUp = false;
    world.plane.restartsReplicas = false;
    world.replica(1).kill();
    world.device.write(0, 4);
    await world.run(20_000);
    expect(ioState(world)).toBe('held');
    expect(world.device.inFlight).toBe(1);
    world.plane.isUp = true;
    await settle(world);
    expect(world.plane.record.members).toEqual(['r0']);
    await world.end();
  });

  it('go on without the API server when the one that died is back with all it had', async () => {
    const world = await served(2);
    world.plane.isUp = false;
    world.replica(1).kill();
    world.device.write(0, 4);
    await settle(world);
    expect(engineOf(world).context.keeper?.active?.members).toEqual(['r0', 'r1']);
    await world.end();
  });

  it('fail over by themselves when the node of the engine crashes', async () => {
    const world = await served(2);
    await writeAndFlush(world, 0, 8);
    world.cutPower(world.node(0));
    expect(await world.until(() => world.plane.engine?.isServing === true, SERVED_MS)).toBe(true);
    expect(engineOf(world).node.name).toBe('n1');
    world.device.readAll();
    await settle(world);
    await world.end();
  });
});
