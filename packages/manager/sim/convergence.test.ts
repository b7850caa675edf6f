/**
 * From whatever state a volume is in, with any one fault, it becomes healthy again by itself, no replica is left over,
 * no acknowledged write is lost and the last good replica is never deleted. A failing seed is a bug report.
 */
import { describe, expect, it } from 'vitest';
import { newObject } from '@longhorn/shared-types';
import { snapshotTicketId } from '../src/controllers/snapshot/ticket.ts';
import { NAMESPACE, SimulatedCluster } from './simulated-cluster.ts';

type Fault = (cluster: SimulatedCluster) => Promise<void> | void;

function pick<T>(random: () => number, items: readonly T[]): T {
  const item = items[Math.floor(random() * items.length)];
  if (item === undefined) throw new Error('nothing to pick from');
  return item;
}

function processes(cluster: SimulatedCluster, type: string): string[] {
  return [...cluster.world.processes.values()]
    .filter((process) => process.type === type && process.state === 'running')
    .map(({ name }) => name);
}

const FAULTS: Record<string, Fault> = {
  'a replica process dies': (cluster) => {
    const names = processes(cluster, 'replica');
    if (names.length > 0) cluster.world.kill(pick(cluster.random, names));
  },
  'the engine process dies': (cluster) => {
    for (const name of processes(cluster, 'engine')) cluster.world.kill(name);
  },
  'engine and a replica die together': (cluster) => {
    const names = processes(cluster, 'replica');
    if (names.length > 0) cluster.world.kill(pick(cluster.random, names));
    for (const name of processes(cluster, 'engine')) cluster.world.kill(name);
  },
  'all replica processes die': (cluster) => {
    for (const name of processes(cluster, 'replica')) cluster.world.kill(name);
  },
  'an instance manager dies': (cluster) => cluster.killInstanceManager(pick(cluster.random, cluster.nodes)),
  'a node loses power and returns': async (cluster) => {
    const node = pick(cluster.random, cluster.nodes);
    cluster.cutPower(node);
    await cluster.run(Math.floor(cluster.random() * 30_000));
    await cluster.restorePower(node);
  },
  'all nodes lose power and return': async (cluster) => {
    for (const node of cluster.nodes) cluster.cutPower(node);
    await cluster.run(5_000);
    for (const node of cluster.nodes) {
      await cluster.run(Math.floor(cluster.random() * 20_000));
      await cluster.restorePower(node);
    }
  },
  'the API server ends all watches': (cluster) => cluster.api.endWatches({ kind: 'gone' }),
  'the volume is wanted elsewhere': (cluster) => cluster.attach('vol', pick(cluster.random, cluster.nodes)),
};

function healthy(cluster: SimulatedCluster, replicas: number): boolean {
  const { stores } = cluster.datastore;
  const volume = stores.Volume.get('vol');
  const all = stores.Replica.byIndex('volume', 'vol');
  return (
    volume?.status.state === 'attached' &&
    volume.status.robustness === 'healthy' &&
    volume.spec.nodeID === volume.status.currentNodeID &&
    volume.status.blockedBy.length === 0 &&
    all.length === replicas &&
    all.every(({ spec }) => spec.failedAt === '' && spec.healthyAt !== '')
  );
}

function explain(cluster: SimulatedCluster): string {
  const { stores } = cluster.datastore;
  const volume = stores.Volume.get('vol');
  const engine = stores.Engine.byIndex('volume', 'vol')[0];
  const replicas = stores.Replica.byIndex('volume', 'vol').map(({ metadata, spec, status }) => ({
    name: metadata.name,
    node: spec.nodeID,
    desire: spec.desireState,
    failed: spec.failedAt,
    state: status.currentState,
  }));
  return JSON.stringify({ status: volume?.status, engine: engine?.status, spec: engine?.spec, replicas }, null, 1);
}

async function expectRecovery(seed: number, faults: readonly string[], replicas: number): Promise<void> {
  const cluster = new SimulatedCluster(seed);
  await cluster.start();
  try {
    await cluster.createVolume('vol', replicas);
    await cluster.attach('vol', pick(cluster.random, cluster.nodes));
    expect(await cluster.until(() => healthy(cluster, replicas), 60_000), explain(cluster)).toBe(true);
    for (const name of faults) {
      await cluster.run(Math.floor(cluster.random() * 3_000));
      await FAULTS[name]?.(cluster);
      const recovered = await cluster.until(() => healthy(cluster, replicas), 300_000);
      expect(recovered, `seed ${seed}, after "${name}": ${explain(cluster)}`).toBe(true);
      expect(cluster.world.violations, `seed ${seed}, after "${name}"`).toEqual([]);
    }
  } finally {
    await cluster.stop();
  }
}

describe('a volume converges', () => {
  for (const name of Object.keys(FAULTS)) {
    it(`with three replicas, after: ${name}`, () => expectRecovery(1, [name], 3), 60_000);
    it(`with two replicas, after: ${name}`, () => expectRecovery(2, [name], 2), 60_000);
  }

  it('with one replica, after its process dies', () => expectRecovery(3, ['a replica process dies'], 1), 60_000);

  it('through random faults, one after the other', async () => {
    for (let seed = 100; seed < 104; seed += 1) {
      const faults = Array.from(
        { length: 4 },
        (_, index) => Object.keys(FAULTS)[(seed * 7 + index * 5) % Object.keys(FAULTS).length] ?? '',
      );
      await expectRecovery(seed, faults, 2 + (seed % 2));
    }
  }, 120_000);
});

describe('a rebuild that gets no answer', () => {
  it('is given up when the process of its replica has another address', async () => {
    const cluster = new SimulatedCluster(8);
    await cluster.start();
    try {
      await cluster.createVolume('vol', 3);
      await cluster.attach('vol', 'node-1');
      expect(await cluster.until(() => healthy(cluster, 3), 60_000), explain(cluster)).toBe(true);
      const [name = ''] = processes(cluster, 'replica');
      cluster.world.silentAdds = 1;
      cluster.world.kill(name);
      expect(await cluster.until(() => cluster.world.silentAdds === 0, 60_000), explain(cluster)).toBe(true);
      await cluster.run(10_000);
      expect(healthy(cluster, 3)).toBe(false);
      cluster.world.kill(name);
      expect(await cluster.until(() => healthy(cluster, 3), 60_000), explain(cluster)).toBe(true);
    } finally {
      await cluster.stop();
    }
  }, 60_000);

  it('does not keep the volume from going on when the last good replica has another address', async () => {
    const cluster = new SimulatedCluster(9);
    await cluster.start();
    try {
      await cluster.createVolume('vol', 2);
      await cluster.attach('vol', 'node-1');
      expect(await cluster.until(() => healthy(cluster, 2), 60_000), explain(cluster)).toBe(true);
      const [name = '', source = ''] = processes(cluster, 'replica');
      cluster.world.silentAdds = 1;
      cluster.world.kill(name);
      expect(await cluster.until(() => cluster.world.silentAdds === 0, 60_000), explain(cluster)).toBe(true);
      await cluster.run(10_000);
      cluster.world.kill(source);
      expect(await cluster.until(() => healthy(cluster, 2), 60_000), explain(cluster)).toBe(true);
    } finally {
      await cluster.stop();
    }
  }, 60_000);
});

describe('a node that stays away', () => {
  it('is replaced after the replenishment wait, and nothing of it is left when it returns', async () => {
    const cluster = new SimulatedCluster(7, 4);
    await cluster.start();
    try {
      await cluster.createVolume('vol', 3);
      await cluster.until(() => cluster.datastore.stores.Replica.size === 3, 10_000);
      const used = cluster.datastore.stores.Replica.list().map(({ spec }) => spec.nodeID);
      await cluster.attach('vol', used[0] ?? '');
      expect(await cluster.until(() => healthy(cluster, 3), 60_000), explain(cluster)).toBe(true);
      const lost = used[1] ?? '';
      cluster.cutPower(lost);
      await cluster.run(590_000);
      expect(cluster.datastore.stores.Volume.get('vol')?.status.robustness).toBe('degraded');
      expect(await cluster.until(() => healthy(cluster, 3), 120_000), explain(cluster)).toBe(true);
      expect(cluster.datastore.stores.Replica.list().map(({ spec }) => spec.nodeID)).not.toContain(lost);
      await cluster.restorePower(lost);
      expect(await cluster.until(() => cluster.datastore.stores.Orphan.size === 0, 60_000)).toBe(true);
      expect(cluster.world.folders.size).toBe(3);
      expect(cluster.world.violations).toEqual([]);
    } finally {
      await cluster.stop();
    }
  }, 120_000);
});

describe('a ticket that was left behind', () => {
  const detached = (cluster: SimulatedCluster): boolean =>
    cluster.datastore.stores.Volume.get('vol')?.status.state === 'detached' &&
    Object.keys(cluster.datastore.stores.VolumeAttachment.get('vol')?.spec.attachmentTickets ?? {}).length === 0;
  const leave = (cluster: SimulatedCluster, id: string): Promise<unknown> =>
    cluster.datastore.update('VolumeAttachment', 'vol', (attachment) => {
      const ticket = { id, type: 'snapshot-controller', nodeID: 'node-2', parameters: {}, generation: 0 } as const;
      attachment.spec.attachmentTickets[id] = ticket;
      return attachment;
    });

  it('of a snapshot that is gone does not keep the volume attached', async () => {
    const cluster = new SimulatedCluster(10);
    await cluster.start();
    try {
      await cluster.createVolume('vol', 2);
      await leave(cluster, snapshotTicketId('gone'));
      await cluster.run(1_000);
      expect(await cluster.until(() => detached(cluster), 30_000), explain(cluster)).toBe(true);
    } finally {
      await cluster.stop();
    }
  }, 60_000);

  it('goes when its snapshot goes without a word', async () => {
    const cluster = new SimulatedCluster(11);
    await cluster.start();
    try {
      await cluster.createVolume('vol', 2);
      const snapshot = newObject('Snapshot', NAMESPACE, 's');
      snapshot.spec = { createSnapshot: true, labels: {}, volume: 'vol' };
      await cluster.datastore.create('Snapshot', snapshot);
      expect(await cluster.until(() => healthy(cluster, 2), 60_000), explain(cluster)).toBe(true);
      await cluster.datastore.delete('Snapshot', 's');
      expect(await cluster.until(() => detached(cluster), 30_000), explain(cluster)).toBe(true);
    } finally {
      await cluster.stop();
    }
  }, 60_000);

  it('goes when its snapshot wants nothing any more', async () => {
    const cluster = new SimulatedCluster(12);
    await cluster.start();
    try {
      cluster.world.snapshots.add('s');
      await cluster.createVolume('vol', 2);
      await cluster.attach('vol', 'node-1');
      const isThere = (): boolean => cluster.datastore.stores.Snapshot.get('s')?.status.readyToUse === true;
      expect(await cluster.until(() => healthy(cluster, 2) && isThere(), 60_000), explain(cluster)).toBe(true);
      await leave(cluster, snapshotTicketId('s'));
      const tickets = (): string[] =>
        Object.keys(cluster.datastore.stores.VolumeAttachment.get('vol')?.spec.attachmentTickets ?? {});
      expect(await cluster.until(() => tickets().length === 1, 30_000)).toBe(true);
      expect(healthy(cluster, 2)).toBe(true);
    } finally {
      await cluster.stop();
    }
  }, 60_000);
});

describe('quiet', () => {
  it('writes nothing while a volume is healthy', async () => {
    const cluster = new SimulatedCluster(5);
    await cluster.start();
    try {
      await cluster.createVolume('vol', 3);
      await cluster.attach('vol', 'node-1');
      expect(await cluster.until(() => healthy(cluster, 3), 60_000), explain(cluster)).toBe(true);
      await cluster.run(10_000);
      const before = cluster.api.writes.length;
      await cluster.run(120_000);
      expect(cluster.api.writes.slice(before)).toEqual([]);
    } finally {
      await cluster.stop();
    }
  }, 60_000);
});

describe('deletion', () => {
  it('leaves no process and no folder', async () => {
    const cluster = new SimulatedCluster(6);
    await cluster.start();
    try {
      await cluster.createVolume('vol', 3);
      await cluster.attach('vol', 'node-2');
      expect(await cluster.until(() => healthy(cluster, 3), 60_000), explain(cluster)).toBe(true);
      await cluster.datastore.delete('Volume', 'vol');
      expect(
        await cluster.until(() => cluster.datastore.stores.Volume.get('vol') === null, 60_000),
        explain(cluster),
      ).toBe(true);
      expect(cluster.world.processes.size).toBe(0);
      expect(cluster.world.folders.size).toBe(0);
      expect(cluster.datastore.stores.VolumeAttachment.size).toBe(0);
    } finally {
      await cluster.stop();
    }
  }, 60_000);
});
