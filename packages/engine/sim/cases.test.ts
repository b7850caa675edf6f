/** The cases that have a name: crashes and absences that a design can get wrong, each played in a world of its own. */
import { describe, expect, it } from 'vitest';
import { FULL_REASON } from '../src/controller/full-disks.ts';
import { asBase, type MembershipRecord } from '../src/membership/record.ts';
import { SERVED_MS, engineOf, ioState, served, settle, writeAndFlush } from './case-world.ts';
import { SimDevice } from './sim-device.ts';
import { SimEngine } from './sim-engine.ts';
import { VOLUME_BLOCKS, VOLUME_BYTES, World } from './world.ts';

describe('a single replica', () => {
  it('fails the open device when its node reboots, and serves what was flushed once attached anew', async () => {
    const world = await served(1);
    // The engine is on another node than the replica, so that the device outlives it.
    await world.wait(world.plane.detach());
    world.plane.attach(world.node(1));
    expect(await world.until(() => world.isHealthy(), SERVED_MS)).toBe(true);
    await writeAndFlush(world, 0, 8);
    world.device.write(0, 2);
    await settle(world);
    world.cutPower(world.node(0));
    await world.run(2000);
    world.device.write(16, 2);
    world.node(0).powerOn();
    const failed = engineOf(world);
    expect(await world.until(() => failed.context.io.state === 'failed', SERVED_MS)).toBe(true);
    expect(failed.context.io.reason).toContain('restarted');
    expect(world.device.errors).toBeGreaterThan(0);
    await world.end();
  });

  it('keeps what was flushed under a snapshot when later writes are lost half way, whatever came of each block', async () => {
    for (let seed = 1; seed <= 8; seed++) {
      const world = await served(1, seed);
      await writeAndFlush(world, 0, 2, 4, 6);
      await world.wait(engineOf(world).engine.snapshot('', {}, false));
      world.device.discard(0, 2);
      await settle(world);
      world.device.flush();
      await settle(world);
      for (const block of [0, 2, 4, 6]) world.device.write(block, 2);
      await settle(world);
      world.cutPower(world.node(0));
      await world.run(2000);
      world.node(0).powerOn();
      await world.end();
      expect(world.violations()).toEqual([]);
    }
  });

  it('shows nothing older than what was discarded when it loses power, also where a removed snapshot held that', async () => {
    for (let seed = 1; seed <= 8; seed++) {
      const world = await served(1, seed);
      const { engine } = engineOf(world);
      const blocks = [0, 2, 40, 80];
      await writeAndFlush(world, ...blocks);
      await world.wait(engine.snapshot('kept', {}, false));
      await writeAndFlush(world, ...blocks);
      await world.wait(engine.snapshot('removed', {}, false));
      await world.wait(world.markRemoved(world.replica(0), 'volume-snap-removed.img'));
      for (const block of blocks) world.device.discard(block, 2);
      await settle(world);
      world.cutPower(world.node(0));
      await world.run(2000);
      world.node(0).powerOn();
      await world.end();
      expect(world.violations()).toEqual([]);
    }
  });

  it.each([false, true])(
    'is served again when it ends in the middle of a snapshot, which it took or did not take (%j)',
    async (isTaken) => {
      const world = await served(1);
      await writeAndFlush(world, 0, 8);
      const { context, engine } = engineOf(world);
      const entry = context.replicas.get('tcp://r0');
      if (!entry) throw new Error('no r0');
      const { client } = entry;
      const snapshot = async (...call: Parameters<typeof client.ReplicaSnapshot>): Promise<never> => {
        if (isTaken) await client.ReplicaSnapshot(...call);
        world.replica(0).kill();
        while (entry.stage !== 'lost') await engineOf(world).clock.pause(10);
        throw new Error('connection closed');
      };
      const failing = new Proxy(client, {
        get: (calls, name): unknown => (name === 'ReplicaSnapshot' ? snapshot : Reflect.get(calls, name)),
      });
      Object.assign(entry, { client: failing });
      await expect(world.wait(engine.snapshot('one', {}, false))).rejects.toThrow('connection closed');
      await world.end();
      const { layout, keeper } = context;
      expect(layout.chain.includes('volume-snap-one.img')).toBe(isTaken);
      expect(keeper?.active?.members).toEqual(['r0']);
      expect(keeper?.active?.chain).toEqual(layout.chain);
    },
  );

  it('is served again when it failed in the middle of a snapshot, which its next process may find taken', async () => {
    for (let seed = 1; seed <= 40; seed++) {
      const world = await served(1, seed);
      await writeAndFlush(world, 0, 8);
      const { disk } = world.node(0);
      const { context, engine } = engineOf(world);
      const entry = context.replicas.get('tcp://r0');
      if (!entry) throw new Error('no r0');
      const { client } = entry;
      const snapshot = (...call: Parameters<typeof client.ReplicaSnapshot>): Promise<unknown> => {
        disk.failing = 'syncs';
        return client.ReplicaSnapshot(...call);
      };
      const failing = new Proxy(client, {
        get: (calls, name): unknown => (name === 'ReplicaSnapshot' ? snapshot : Reflect.get(calls, name)),
      });
      Object.assign(entry, { client: failing });
      engine.snapshot('one', {}, false).catch(() => undefined);
      await world.run(500);
      disk.failing = 'nothing';
      expect(await world.until(() => world.isHealthy(), SERVED_MS)).toBe(true);
      const record = engineOf(world).context.keeper?.active;
      expect(record?.chain).toEqual(world.replica(0).process?.server.io.open?.chainBelowHead());
      await world.run(1000);
      for (const node of world.cluster.nodes) world.cutPower(node);
      await world.run(2000);
      for (const node of world.cluster.nodes) node.powerOn();
      await world.end();
      expect(world.violations()).toEqual([]);
    }
  });

  it('serves on when it could not store a record once', async () => {
    const world = await served(1);
    const { context, engine } = engineOf(world);
    const entry = context.replicas.get('tcp://r0');
    if (!entry) throw new Error('no r0');
    let failures = 1;
    const failing = new Proxy(entry.client, {
      get: (calls, name): unknown => {
        const isRefused = name === 'MembershipPropose' && failures-- > 0;
        return isRefused ? () => Promise.reject(new Error('no space left on device')) : Reflect.get(calls, name);
      },
    });
    Object.assign(entry, { client: failing });
    await expect(world.wait(engine.snapshot('one', {}, false))).rejects.toThrow('did not store');
    expect(ioState(world)).toBe('serving');
    await writeAndFlush(world, 0, 8);
    await world.wait(engine.snapshot('two', {}, false));
    await world.end();
  });

  it('is served again when it ends while it stores a record, and the answer comes late', async () => {
    const world = await served(1);
    const { context, engine } = engineOf(world);
    const entry = context.replicas.get('tcp://r0');
    if (!entry) throw new Error('no r0');
    const { client } = entry;
    const propose = async (): Promise<never> => {
      Object.assign(entry, { client });
      world.replica(0).kill();
      while (entry.stage !== 'lost') await engineOf(world).clock.pause(10);
      throw new Error('context deadline exceeded');
    };
    const failing = new Proxy(client, {
      get: (calls, name): unknown => (name === 'MembershipPropose' ? propose : Reflect.get(calls, name)),
    });
    Object.assign(entry, { client: failing });
    await expect(world.wait(engine.snapshot('one', {}, false))).rejects.toThrow('did not store');
    await writeAndFlush(world, 0, 8);
    await world.end();
  });

  it('is raised to two, and back to the new one', async () => {
    const world = await served(1);
    await writeAndFlush(world, 0, 4, 8);
    const second = world.cluster.addReplica('r9', world.node(1), VOLUME_BYTES);
    expect(await world.until(() => world.isHealthy(), SERVED_MS)).toBe(true);
    await writeAndFlush(world, 4, 12);
    world.plane.rebuilds = false;
    await world.wait(engineOf(world).engine.removeReplica('tcp://r0'));
    world.cluster.replicas.splice(0, 1);
    await writeAndFlush(world, 8);
    expect(world.cluster.replicas).toEqual([second]);
    await world.end();
  });
});

describe('a disk whose sync failed', () => {
  it('is not believed afterwards: what it should have written is brought there again', async () => {
    for (let seed = 1; seed <= 6; seed++) {
      const world = await served(3, seed);
      const { disk } = world.node(1);
      disk.failing = 'syncs';
      for (let block = 0; world.isHealthy() && block < 60; block += 2) await writeAndFlush(world, block);
      expect(world.isHealthy()).toBe(false);
      disk.failing = 'nothing';
      expect(await world.until(() => world.isHealthy(), SERVED_MS)).toBe(true);
      for (const node of world.cluster.nodes) world.cutPower(node);
      await world.run(2000);
      for (const node of world.cluster.nodes) node.powerOn();
      await world.end();
      expect(world.violations()).toEqual([]);
    }
  });
});

describe('a replica killed with its writes in the page cache', () => {
  it('keeps what is flushed later, when the first sync of the next process fails', async () => {
    for (let seed = 1; seed <= 8; seed++) {
      const world = await served(1, seed);
      const { disk } = world.node(0);
      world.device.write(0, 2);
      await settle(world);
      world.replica(0).kill();
      disk.failing = 'syncs';
      const errorsBefore = world.cluster.faults.diskErrors;
      expect(await world.until(() => world.cluster.faults.diskErrors > errorsBefore, SERVED_MS)).toBe(true);
      disk.failing = 'nothing';
      expect(await world.until(() => world.isHealthy(), SERVED_MS)).toBe(true);
      await writeAndFlush(world, 20);
      world.cutPower(world.node(0));
      await world.run(2000);
      world.node(0).powerOn();
      await world.end();
      expect(world.violations()).toEqual([]);
    }
  });
});

describe('three replicas', () => {
  it('serve after the engine and one replica die together and another loses power', async () => {
    const world = await served(3);
    await writeAndFlush(world, 0, 20);
    world.device.write(40, 4);
    world.device.write(60, 4);
    await world.run(2);
    world.plane.killEngine();
    world.replica(1).kill();
    world.cutPower(world.node(2));
    await world.run(5000);
    await world.end();
    expect(world.violations()).toEqual([]);
  });

  it('serve by a rebuilt replica after a total power loss', async () => {
    const world = await served(3);
    await writeAndFlush(world, 0, 20, 40);
    world.replica(2).kill();
    expect(await world.until(() => world.plane.rebuilt > 0 && world.isHealthy(), SERVED_MS)).toBe(true);
    world.plane.restartsReplicas = false;
    for (const node of world.cluster.nodes) world.cutPower(node);
    await world.run(2000);
    await world.end();
  });

  it('keep what was written through two engine deaths with a flush between', async () => {
    const world = await served(3);
    for (let round = 0; round < 3; round++) {
      for (let block = 0; block < 64; block += 4) world.device.write(block, 4);
      await world.run(3);
      world.plane.killEngine();
      expect(await world.until(() => world.plane.engine?.isServing === true, SERVED_MS)).toBe(true);
      world.device.flush();
      await settle(world);
      world.device.readAll();
      await settle(world);
    }
    await world.end();
  });

  it('wait for the last member when the others return with older data', async () => {
    const world = await served(3);
    world.plane.rebuilds = false;
    await writeAndFlush(world, 0, 8);
    world.cutPower(world.node(2));
    await world.run(15_000);
    await writeAndFlush(world, 0, 16);
    world.cutPower(world.node(1));
    await world.run(15_000);
    await writeAndFlush(world, 8, 24);
    world.cutPower(world.node(0));
    await world.run(1000);
    world.node(1).powerOn();
    world.node(2).powerOn();
    await world.run(20_000);
    expect(ioState(world)).toBe('waiting');
    expect(engineOf(world).context.io.reason).toContain('Waiting for replica r0.');
    await world.end();
  });

  it('go on by themselves without the API server when one dies', async () => {
    const world = await served(3);
    world.plane.isUp = false;
    world.replica(1).kill();
    world.plane.restartsReplicas = false;
    await writeAndFlush(world, 0, 8);
    expect(ioState(world)).toBe('serving');
    await world.end();
  });

  it('serve through a rolling reboot of all nodes', async () => {
    const world = await served(3);
    world.setUser(true);
    for (const node of world.cluster.nodes) {
      world.cutPower(node);
      await world.run(12_000);
      node.powerOn();
      expect(await world.until(() => world.isHealthy(), 300_000)).toBe(true);
    }
    await world.end();
  });

  it('start without one that was never there', async () => {
    const world = new World({ seed: 3, nodes: 3, replicas: 3 });
    world.setUser(false);
    world.node(2).isUp = false;
    expect(await world.until(() => world.plane.engine?.isServing === true, SERVED_MS)).toBe(true);
    await writeAndFlush(world, 0, 8);
    await world.end();
  });

  it('let an engine go above their epoch after etcd was restored from an older backup', async () => {
    const world = await served(3);
    const backup = { epoch: world.plane.epoch, record: world.plane.record };
    for (let round = 0; round < 3; round++) {
      world.plane.killEngine();
      expect(await world.until(() => world.plane.engine?.isServing === true, SERVED_MS)).toBe(true);
      await writeAndFlush(world, round * 8);
    }
    world.plane.isAttached = false;
    world.plane.killEngine();
    world.device.lose();
    world.plane.epoch = backup.epoch;
    world.plane.record = backup.record;
    world.plane.isAttached = true;
    await world.end();
    expect(world.plane.epoch).toBeGreaterThan(backup.epoch + 3);
  });

  it('serve without replicas that were removed while the volume was detached', async () => {
    const world = await served(3);
    await writeAndFlush(world, 0, 8);
    world.plane.rebuilds = false;
    world.replica(2).kill();
    world.plane.restartsReplicas = false;
    await writeAndFlush(world, 8, 16);
    await world.run(2000);
    await world.wait(world.plane.detach());
    // A person deletes r0; the control plane writes the next record without it.
    const { epoch, count } = world.plane.record;
    world.replica(0).wipe();
    world.cluster.replicas.splice(0, 1);
    world.plane.record = { ...asBase(world.plane.record), epoch, count: count + 1, members: ['r1'], decided: true };
    world.plane.restartsReplicas = true;
    world.plane.attach(world.node(1));
    await world.end();
    expect(world.plane.record.members).toEqual(['r1', 'r2']);
  });
});

describe('disks that are all full', () => {
  it('refuse new data and say so; with space again the replicas are made equal by themselves', async () => {
    const world = await served(3);
    await writeAndFlush(world, 0, 8);
    for (const node of world.cluster.nodes) node.disk.isFull = true;
    world.device.write(40, 2);
    world.device.write(100, 2);
    await settle(world);
    expect(world.device.errors).toBe(2);
    const { core, io, replicas } = engineOf(world).context;
    expect(core.doubtCount()).toBeGreaterThan(0);
    // One of them got further than the others before it was full.
    const [first] = replicas.inStage('reading');
    const index = world.cluster.replicas.findIndex(({ name }) => name === first?.name);
    const volume = world.replica((index + 1) % 3).process?.server.io.open?.volume;
    world.node((index + 1) % 3).disk.isFull = false;
    volume?.write(Buffer.alloc(4096, 9), 0, 4096, 100 * 4096);
    world.node((index + 1) % 3).disk.isFull = true;
    await world.run(5000);
    expect([io.state, io.reason]).toEqual(['serving', FULL_REASON]);
    for (const node of world.cluster.nodes) node.disk.isFull = false;
    expect(await world.until(() => core.doubtCount() === 0 && io.reason === '', 10_000)).toBe(true);
    const contents = await Promise.all([0, 1, 2].map((number) => contentOf(world, number)));
    expect(contents.every((content) => content.equals(contents[0] ?? Buffer.alloc(0)))).toBe(true);
    expect(replicas.inStage('reading')).toHaveLength(3);
    await world.end();
  });
});

describe('a disk that is full before the others', () => {
  /** All files but what the next replacement of `volume.meta` writes over. */
  const namesOf = (world: World): string[][] =>
    world.cluster.replicas.map(({ node, folderPath }) =>
      [...node.disk.folder(folderPath).names.keys()].filter((name) => name !== 'volume.meta.tmp').toSorted(),
    );

  it('has a snapshot and an expansion refused: no replica is given up for them, and nothing is left of them', async () => {
    const world = await served(3);
    await writeAndFlush(world, 0, 8);
    const { engine, context } = engineOf(world);
    const before = namesOf(world);
    world.node(1).disk.isFull = true;
    await expect(world.wait(engine.snapshot('one', {}, false))).rejects.toThrow(
      /^tcp:\/\/r1: .*no space left on device$/,
    );
    engine.expand(VOLUME_BYTES * 2);
    expect(await world.until(() => !context.isExpanding, 10_000)).toBe(true);
    expect(context.lastExpansionError).toMatch(/^tcp:\/\/r1: .*no space left on device$/);
    expect([context.replicas.inStage('reading').length, ioState(world)]).toEqual([3, 'serving']);
    expect(namesOf(world)).toEqual(before);
    world.node(1).disk.isFull = false;
    await world.wait(engine.snapshot('one', {}, false));
    expect(context.replicas.inStage('reading')).toHaveLength(3);
    await world.end();
  });

  it('lets a rebuild wait that would leave one replica alone', async () => {
    const world = await served(2);
    await writeAndFlush(world, 0, 8);
    const { replicas } = engineOf(world).context;
    world.node(1).disk.isFull = true;
    world.cluster.addReplica('r9', world.node(2), VOLUME_BYTES);
    await world.run(10_000);
    expect(
      replicas
        .inStage('reading')
        .map(({ address }) => address)
        .toSorted(),
    ).toEqual(['tcp://r0', 'tcp://r1']);
    world.node(1).disk.isFull = false;
    expect(await world.until(() => world.isHealthy(), SERVED_MS)).toBe(true);
    expect(replicas.inStage('reading')).toHaveLength(3);
    await world.end();
  });

  it('gives way to a rebuild elsewhere when two others are left', async () => {
    const world = await served(3);
    await writeAndFlush(world, 0, 8);
    const { replicas } = engineOf(world).context;
    world.node(1).disk.isFull = true;
    world.cluster.addReplica('r9', world.node(0), VOLUME_BYTES);
    const members = (): string[] => replicas.inStage('reading').map(({ address }) => address);
    expect(await world.until(() => !members().includes('tcp://r1'), SERVED_MS)).toBe(true);
    expect(members()).toHaveLength(2);
    world.node(1).disk.isFull = false;
    expect(await world.until(() => world.isHealthy(), SERVED_MS)).toBe(true);
    await world.end();
  });
});

/** The next engine of the volume, on another node. */
function startedOn(world: World, node: number, device: SimDevice): SimEngine {
  const engine = new SimEngine({
    cluster: world.cluster,
    node: world.node(node),
    epoch: ++world.plane.epoch,
    known: world.plane.record,
    sizeBytes: VOLUME_BYTES,
    device,
    ioHoldTimeoutMs: 0,
    log: (text) => world.note(text),
    violation: (text) => world.note(`violation ${text}`),
  });
  world.plane.engine = engine;
  const addresses = world.cluster.replicas.map(({ name }) => `tcp://${name}`);
  engine.engine.start(addresses, VOLUME_BYTES, VOLUME_BYTES).catch(() => undefined);
  return engine;
}

describe('a partitioned engine', () => {
  it('that still has its local replica acknowledges nothing more', async () => {
    const world = await served(3);
    await writeAndFlush(world, 0, 8);
    const old = engineOf(world);
    old.cutFrom.add(world.node(1));
    old.cutFrom.add(world.node(2));
    // The control plane takes the node for dead and starts the volume on another one; its device there is another.
    const device = new SimDevice(world.checker, world.random, VOLUME_BLOCKS);
    const next = startedOn(world, 1, device);
    next.cutFrom.add(world.node(0));
    expect(await world.until(() => next.isServing, SERVED_MS)).toBe(true);
    const before = world.device.completed;
    world.device.write(40, 2);
    world.device.flush();
    await world.run(30_000);
    expect(world.device.completed).toBe(before);
    expect(old.context.io.state).toBe('held');
    device.write(8, 2);
    expect(await world.until(() => device.inFlight === 0, SERVED_MS)).toBe(true);
    expect(device.errors).toBe(0);
    // The network heals: the old engine learns that it was replaced, and fails what it holds.
    old.cutFrom.clear();
    expect(await world.until(() => old.context.io.state === 'failed', SERVED_MS)).toBe(true);
    expect(old.context.highestEpochSeen).toBe(next.epoch);
    expect(await world.until(() => world.device.errors === 2, SERVED_MS)).toBe(true);
  });
});

describe('an engine whose first start was confirmed', () => {
  it('starts with other replicas only when that is confirmed, too: another engine may have gone on from there', async () => {
    const world = new World({ seed: 7, nodes: 4, replicas: 4 });
    world.setUser(false);
    const first = engineOf(world);
    first.cutFrom.add(world.node(1)).add(world.node(3));
    const isConfirmed = (): boolean => world.plane.record.members.join() === 'r0,r2';
    expect(await world.until(isConfirmed, SERVED_MS)).toBe(true);
    // It reaches nobody with that record, and the next engine serves by it.
    for (const node of world.cluster.nodes) first.cutFrom.add(node);
    const next = startedOn(world, 2, new SimDevice(world.checker, world.random, VOLUME_BLOCKS));
    for (const node of [0, 1, 3]) next.cutFrom.add(world.node(node));
    expect(await world.until(() => next.isServing, SERVED_MS)).toBe(true);
    expect(next.context.keeper?.active?.members).toEqual(['r2']);
    first.cutFrom.clear();
    first.cutFrom.add(world.node(2));
    expect(await world.until(() => first.context.io.state === 'serving', SERVED_MS)).toBe(false);
    expect(first.context.io.reason).toContain("needs the control plane's confirmation");
  });
});

describe('a revert', () => {
  it.each([1, 2, 3, 5, 8, 13])(
    'that the engine dies in leaves one side of it on all replicas (%i ms)',
    async (delayMs) => {
      const world = await served(3, 11);
      await writeAndFlush(world, 0, 8);
      await world.wait(engineOf(world).engine.snapshot('before', {}, false));
      await writeAndFlush(world, 0, 16);
      const engine = engineOf(world);
      await world.wait(engine.engine.frontend.down());
      world.device.lose();
      engine.engine.revert('before').catch(() => undefined);
      await world.run(delayMs);
      world.plane.killEngine();
      expect(await world.until(() => world.isHealthy(), 120_000)).toBe(true);
      const contents = await Promise.all(world.cluster.replicas.map((_replica, index) => contentOf(world, index)));
      expect(contents.every((content) => content.equals(contents[0] ?? Buffer.alloc(0)))).toBe(true);
      const reverted = contents[0]?.readUInt32LE(16 * 4096) === 0;
      const record: MembershipRecord | null = engineOf(world).context.keeper?.active ?? null;
      expect(record?.members).toEqual(['r0', 'r1', 'r2']);
      expect([true, false]).toContain(reverted);
    },
  );
});

async function contentOf(world: World, index: number): Promise<Buffer> {
  const volume = world.replica(index).process?.server.io.open?.volume;
  if (!volume) throw new Error('not open');
  const content = Buffer.alloc(VOLUME_BYTES);
  await volume.read(content, 0, VOLUME_BYTES, 0);
  return content;
}
