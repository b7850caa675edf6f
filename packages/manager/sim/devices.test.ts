/**
 * Users of a volume lose its device only with what holds it: an engine that dies is followed by one that takes it over,
 * and nobody is disturbed; when the instance manager dies, the pods that use the volume are made anew, once.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { rfc3339 } from '../src/clock.ts';
import { WORKLOAD_RESOURCES } from '../src/datastore/workload-kinds.ts';
import { OWN_ANNOTATION } from '../src/own-annotations.ts';
import { SimulatedCluster } from './simulated-cluster.ts';

const { pods, persistentVolumes } = WORKLOAD_RESOURCES;
const NODE = 'node-1';
let cluster: SimulatedCluster;

function healthy(): boolean {
  const volume = cluster.datastore.stores.Volume.get('vol');
  const engine = cluster.datastore.stores.Engine.byIndex('volume', 'vol')[0];
  return (
    volume?.status.state === 'attached' &&
    volume.status.robustness === 'healthy' &&
    volume.status.currentNodeID === NODE &&
    engine?.status.ioState === 'serving'
  );
}

beforeEach(async () => {
  cluster = new SimulatedCluster(21);
  await cluster.start();
  await cluster.createVolume('vol', 3);
  await cluster.attach('vol', NODE);
  if (!(await cluster.until(healthy, 60_000))) throw new Error('the volume does not become healthy');
  await cluster.api.create(persistentVolumes, '', {
    metadata: { name: 'pv' },
    spec: {
      csi: { driver: 'driver.longhorn.io', volumeHandle: 'vol' },
      claimRef: { namespace: 'shop', name: 'data' },
    },
    status: { phase: 'Bound' },
  });
  const owner = { apiVersion: 'apps/v1', kind: 'StatefulSet', name: 'web', uid: 'u', controller: true };
  await cluster.api.create(pods, 'shop', {
    metadata: { name: 'web-0', ownerReferences: [owner] },
    spec: { nodeName: NODE, volumes: [{ name: 'v', persistentVolumeClaim: { claimName: 'data' } }] },
    status: { phase: 'Running', startTime: rfc3339(cluster.clock.now()) },
  });
  await cluster.run(3_000);
});

afterEach(() => cluster.stop());

function requestedAt(): string | undefined {
  return cluster.datastore.stores.Volume.get('vol')?.status.remountRequestedAt;
}

/** How often somebody deleted the pod. */
function podDeletions(): number {
  return cluster.api.writes.filter(({ verb, kind, name }) => verb === 'delete' && kind === 'Pod' && name === 'web-0')
    .length;
}

/** Of the process that serves the volume. */
function engineUuid(): string | undefined {
  return cluster.datastore.stores.Engine.byIndex('volume', 'vol')[0]?.status.uuid;
}

function killEngine(): void {
  for (const { name, type } of cluster.world.processes.values()) if (type === 'engine') cluster.world.kill(name);
}

describe('the pod that uses a volume', () => {
  it.each<[string, 'new engine' | 'same engine', () => Promise<void> | void]>([
    ['the engine dies', 'new engine', () => killEngine()],
    [
      'engine and a replica die',
      'new engine',
      () => {
        const replica = [...cluster.world.processes.values()].find(({ type }) => type === 'replica');
        cluster.world.kill(replica?.name ?? '');
        killEngine();
      },
    ],
    ['the instance manager of a replica dies', 'same engine', () => cluster.killInstanceManager('node-2')],
    [
      'its node loses power and returns',
      'new engine',
      async () => {
        cluster.cutPower(NODE);
        await cluster.run(10_000);
        await cluster.restorePower(NODE);
      },
    ],
  ])('stays when %s (%s)', async (_case, expected, fault) => {
    const before = engineUuid();
    await fault();
    await cluster.run(1_000);
    expect(await cluster.until(healthy, 120_000)).toBe(true);
    expect(engineUuid() === before).toBe(expected === 'same engine');
    await cluster.run(30_000);
    expect(requestedAt()).toBe('');
    expect(podDeletions()).toBe(0);
  });

  it.each([['dies'], ['dies right after the engine']])(
    'is made anew when the instance manager of its node %s',
    async (how) => {
      if (how !== 'dies') killEngine();
      cluster.killInstanceManager(NODE);
      expect(await cluster.until(() => !healthy(), 5_000)).toBe(true);
      expect(requestedAt()).toBe('');
      expect(await cluster.until(healthy, 120_000)).toBe(true);
      await cluster.run(30_000);
      expect(requestedAt()).not.toBe('');
      expect(podDeletions()).toBe(1);
      await cluster.run(60_000);
      expect(podDeletions()).toBe(1);
    },
  );

  it('stays when its volume is detached and attached anew: that device is its first', async () => {
    await cluster.attach('vol', null);
    const isDetached = (): boolean => cluster.datastore.stores.Volume.get('vol')?.status.state === 'detached';
    expect(await cluster.until(isDetached, 60_000)).toBe(true);
    expect(cluster.datastore.stores.Volume.get('vol')?.metadata.annotations[OWN_ANNOTATION.device]).toBeUndefined();
    await cluster.attach('vol', NODE);
    expect(await cluster.until(healthy, 60_000)).toBe(true);
    await cluster.run(30_000);
    expect(requestedAt()).toBe('');
    expect(podDeletions()).toBe(0);
  });
});
