/** What becomes of engines and their devices when instance managers are replaced, stuck or left behind. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { newObject } from '@longhorn/shared-types';
import { CORE_RESOURCES } from '../src/datastore/core-kinds.ts';
import { NAMESPACE, SimulatedCluster } from './simulated-cluster.ts';

let cluster: SimulatedCluster;

beforeEach(async () => {
  cluster = new SimulatedCluster(1, 4);
  await cluster.start();
});

afterEach(async () => {
  await cluster.stop();
});

function isHealthy(): boolean {
  const status = cluster.datastore.stores.Volume.get('vol')?.status;
  return status?.state === 'attached' && status.robustness === 'healthy';
}

function isDetached(): boolean {
  return cluster.datastore.stores.Volume.get('vol')?.status.state === 'detached';
}

/** Attached on the one of four nodes that has no replica: nothing but the engine keeps its instance manager busy. */
async function attachBesideReplicas(): Promise<string> {
  await cluster.createVolume('vol', 3);
  const used = cluster.datastore.stores.Replica.list().map(({ spec }) => spec.nodeID);
  const node = cluster.nodes.find((name) => !used.includes(name)) ?? '';
  await cluster.attach('vol', node);
  expect(await cluster.until(isHealthy, 60_000)).toBe(true);
  return node;
}

async function detach(): Promise<void> {
  await cluster.attach('vol', null);
  expect(await cluster.until(isDetached, 60_000)).toBe(true);
}

function imagesOn(node: string): string[] {
  return cluster.datastore.stores.InstanceManager.byIndex('node', node).map(({ spec }) => spec.image);
}

it('an engine names its instance manager before that is asked for the process', async () => {
  const namesWhileStarting = new Set<string>();
  cluster.datastore.stores.Engine.onChange((engine) => {
    if (engine?.status.starting === true) namesWhileStarting.add(engine.status.instanceManagerName);
  });
  const node = await attachBesideReplicas();
  const [manager] = cluster.datastore.stores.InstanceManager.byIndex('node', node);
  expect([...namesWhileStarting]).toEqual([manager?.metadata.name]);
}, 60_000);

const NEW_IMAGE = 'longhornio/longhorn-instance-manager:v1.10.2';

describe('a new instance manager image', () => {
  let node: string;

  beforeEach(async () => {
    node = await attachBesideReplicas();
    await cluster.datastore.update('Setting', 'default-instance-manager-image', (setting) => ({
      ...setting,
      value: NEW_IMAGE,
    }));
    await cluster.run(20_000);
  });

  it('does not cut an engine that is started again off from its device', async () => {
    const [before] = imagesOn(node);
    const device = cluster.world.deviceOn(node);
    for (let round = 0; round < 3; round += 1) {
      const uuid = cluster.world.processes.get('vol-e-0')?.uuid;
      cluster.world.kill('vol-e-0');
      const isBack = (): boolean => cluster.world.processes.get('vol-e-0')?.uuid !== uuid && isHealthy();
      expect(await cluster.until(isBack, 60_000)).toBe(true);
      expect(cluster.world.processes.has('vol-e-0')).toBe(true);
      expect(cluster.world.deviceOn(node)).toBe(device);
      expect(imagesOn(node)).toContain(before);
    }
  }, 60_000);

  it('is the only one left after a detachment, and used from then on', async () => {
    await detach();
    expect(await cluster.until(() => imagesOn(node).join() === NEW_IMAGE, 60_000)).toBe(true);
    await cluster.attach('vol', node);
    expect(await cluster.until(isHealthy, 60_000)).toBe(true);
    const name = cluster.datastore.stores.Engine.get('vol-e-0')?.status.instanceManagerName ?? '';
    expect(cluster.datastore.stores.InstanceManager.get(name)?.spec.image).toBe(NEW_IMAGE);
  }, 60_000);
});

/** The node is cordoned, and its instance manager is evicted: no other comes before the end of that. */
async function drain(node: string): Promise<void> {
  cluster.api.force(CORE_RESOURCES.kubeNodes, '', node, { spec: { unschedulable: true } });
  const [manager] = cluster.datastore.stores.InstanceManager.byIndex('node', node);
  const name = manager?.metadata.name ?? '';
  expect(await cluster.until(() => cluster.datastore.budgets.get(name) === null, 60_000)).toBe(true);
  await cluster.api.delete(CORE_RESOURCES.pods, NAMESPACE, name, {});
  const isGone = (): boolean => cluster.datastore.stores.InstanceManager.get(name)?.status.currentState === 'stopped';
  expect(await cluster.until(isGone, 60_000)).toBe(true);
}

describe('work on a detached volume whose owner is drained', () => {
  beforeEach(async () => {
    await attachBesideReplicas();
    await detach();
    await drain(cluster.datastore.stores.Volume.get('vol')?.status.ownerID ?? '');
  });

  const snapshot = (): Promise<unknown> => {
    const wanted = newObject('Snapshot', NAMESPACE, 'snap');
    Object.assign(wanted.spec, { volume: 'vol', createSnapshot: true });
    return cluster.datastore.create('Snapshot', wanted);
  };
  const grow = (): Promise<unknown> =>
    cluster.datastore.update('Volume', 'vol', (volume) => {
      volume.spec.size = String(2 ** 31);
      return volume;
    });

  it.each([
    ['a snapshot', snapshot],
    ['growth', grow],
  ])(
    'is done from another node: %s',
    async (_work, ask) => {
      await ask();
      const isAttached = (): boolean => cluster.datastore.stores.Volume.get('vol')?.status.state === 'attached';
      expect(await cluster.until(isAttached, 60_000)).toBe(true);
    },
    60_000,
  );

  it('goes on from a third node when the second cannot run an engine any more', async () => {
    const { stores } = cluster.datastore;
    const wanted = (): string => stores.Volume.get('vol')?.spec.nodeID ?? '';
    await grow();
    expect(await cluster.until(() => wanted() !== '', 60_000)).toBe(true);
    const second = wanted();
    cluster.cutPower(second);
    const isElsewhere = (): boolean =>
      stores.Volume.get('vol')?.status.state === 'attached' && !['', second].includes(wanted());
    expect(await cluster.until(isElsewhere, 120_000)).toBe(true);
  }, 60_000);
});

describe('an instance manager that does not come up', () => {
  let stuck: string;

  beforeEach(async () => {
    const node = await attachBesideReplicas();
    await detach();
    stuck = cluster.datastore.stores.Replica.list()[0]?.spec.nodeID ?? '';
    cluster.withoutImages.add(stuck);
    cluster.killInstanceManager(stuck);
    await cluster.run(10_000);
    await cluster.attach('vol', node);
  });

  const status = () => cluster.datastore.stores.Volume.get('vol')?.status;

  it('is waited for when a volume with a replica there is attached, but not for ever', async () => {
    await cluster.run(10_000);
    expect(status()?.state).toBe('attaching');
    expect(status()?.blockedBy.map(({ reason }) => reason)).toContain(
      `the instance manager of node ${stuck} is starting`,
    );
    expect(await cluster.until(() => status()?.state === 'attached', 30_000)).toBe(true);
    expect(status()?.robustness).toBe('degraded');
  }, 60_000);

  it('keeps a replica out until that is replaced', async () => {
    expect(await cluster.until(() => status()?.state === 'attached', 60_000)).toBe(true);
    expect(await cluster.until(isHealthy, 15 * 60_000)).toBe(true);
    const good = cluster.datastore.stores.Replica.list().filter(({ spec }) => spec.failedAt === '');
    expect(good.map(({ spec }) => spec.nodeID).toSorted()).toEqual(cluster.nodes.filter((name) => name !== stuck));
    expect(cluster.world.violations).toEqual([]);
  }, 60_000);

  it('gets its replica back when it comes up after all', async () => {
    expect(await cluster.until(() => status()?.state === 'attached', 60_000)).toBe(true);
    cluster.withoutImages.delete(stuck);
    const [manager] = cluster.datastore.stores.InstanceManager.byIndex('node', stuck);
    await cluster.api.delete(CORE_RESOURCES.pods, NAMESPACE, manager?.metadata.name ?? '', {});
    expect(await cluster.until(isHealthy, 120_000)).toBe(true);
    expect(cluster.datastore.stores.Replica.list().map(({ spec }) => spec.nodeID)).toContain(stuck);
    expect(cluster.world.violations).toEqual([]);
  }, 60_000);
});

it('a volume that is detached while the instance manager of its engine comes up is detached when it is up', async () => {
  const node = await attachBesideReplicas();
  cluster.withoutImages.add(node);
  cluster.killInstanceManager(node);
  await cluster.run(10_000);
  await cluster.attach('vol', null);
  await cluster.run(10_000);
  expect(isDetached()).toBe(false);
  cluster.pullImages(node);
  expect(await cluster.until(isDetached, 10_000)).toBe(true);
}, 60_000);

describe('an engine process on a node that was away', () => {
  let node: string;

  beforeEach(async () => {
    node = await attachBesideReplicas();
    cluster.cutNetwork(node);
    await cluster.run(20_000);
  });

  /** Whether the node could be drained. */
  async function isFree(): Promise<boolean> {
    cluster.api.force(CORE_RESOURCES.kubeNodes, '', node, { spec: { unschedulable: true } });
    const [manager] = cluster.datastore.stores.InstanceManager.byIndex('node', node);
    return cluster.until(() => cluster.datastore.budgets.get(manager?.metadata.name ?? '') === null, 20_000);
  }

  const ways: [string, () => Promise<unknown>, () => boolean][] = [
    ['was detached', () => cluster.attach('vol', null), isDetached],
    [
      'was deleted',
      () => cluster.datastore.delete('Volume', 'vol'),
      () => cluster.datastore.stores.Engine.get('vol-e-0') === null,
    ],
  ];

  it.each(ways)(
    'is ended when its volume %s meanwhile, after a while',
    async (_way, act, isDone) => {
      await act();
      expect(await cluster.until(isDone, 60_000)).toBe(true);
      await cluster.restoreNetwork(node);
      await cluster.run(50_000);
      expect(cluster.world.processes.has('vol-e-0')).toBe(true);
      await cluster.run(90_000);
      expect(cluster.world.processes.has('vol-e-0')).toBe(false);
      expect(await isFree()).toBe(true);
    },
    60_000,
  );

  it('goes on when its volume is still attached there', async () => {
    const uuid = cluster.world.processes.get('vol-e-0')?.uuid;
    await cluster.restoreNetwork(node);
    expect(await cluster.until(isHealthy, 60_000)).toBe(true);
    await cluster.run(180_000);
    expect(cluster.world.processes.get('vol-e-0')?.uuid).toBe(uuid);
    expect(await isFree()).toBe(false);
  }, 60_000);
});
