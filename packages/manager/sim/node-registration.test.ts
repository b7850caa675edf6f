/** Nodes that leave Kubernetes, for seconds or for longer, while volumes use them. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { addKubeNode } from '../test/manager-context.ts';
import { CORE_RESOURCES } from '../src/datastore/core-kinds.ts';
import { limits } from '../src/limits.ts';
import { SimulatedCluster } from './simulated-cluster.ts';

const NODE = 'node-3';
let cluster: SimulatedCluster;

function isHealthy(): boolean {
  const status = cluster.datastore.stores.Volume.get('vol')?.status;
  return status?.state === 'attached' && status.robustness === 'healthy';
}

function processes(): string[] {
  return [...cluster.world.processes.values()].map(({ name, uuid, state }) => `${name} ${uuid} ${state}`).toSorted();
}

const ourNode = (): string => cluster.datastore.stores.Node.get(NODE)?.metadata.uid ?? 'none';
const remove = (): Promise<void> => cluster.api.delete(CORE_RESOURCES.kubeNodes, '', NODE, {});
const register = (): Promise<void> => addKubeNode(cluster.api, NODE);

beforeEach(async () => {
  cluster = new SimulatedCluster(1);
  await cluster.start();
  await cluster.createVolume('vol', 3);
  await cluster.attach('vol', NODE);
  if (!(await cluster.until(isHealthy, 60_000))) throw new Error('the volume does not get healthy');
});

afterEach(() => cluster.stop());

describe('a node that is removed from Kubernetes', () => {
  it('keeps all that runs on it if it registers anew within seconds', async () => {
    const before = [ourNode(), ...processes()];
    await remove();
    await cluster.run(10_000);
    await register();
    await cluster.run(30_000);
    expect([ourNode(), ...processes()]).toEqual(before);
    expect(isHealthy()).toBe(true);
    expect(cluster.world.violations).toEqual([]);
  });

  it('is not forgotten for absences that are short each', async () => {
    const before = ourNode();
    for (let round = 0; round < 3; round += 1) {
      await remove();
      await cluster.run(limits.nodeRemovedAfterMs - 10_000);
      await register();
      await cluster.run(1_000);
    }
    expect(ourNode()).toBe(before);
  });

  it('is forgotten when it stays away, and taken in again without a restart when it comes back', async () => {
    const before = ourNode();
    await remove();
    await cluster.run(limits.nodeRemovedAfterMs - 1_000);
    expect(ourNode()).toBe(before);
    await cluster.run(2_000);
    expect(ourNode()).toBe('none');
    await cluster.run(30_000);
    await register();
    expect(await cluster.until(() => ourNode() !== 'none', 5_000)).toBe(true);
    const managers = cluster.datastore.stores.InstanceManager;
    const runs = (): boolean => managers.byIndex('node', NODE).some(({ status }) => status.currentState === 'running');
    expect(await cluster.until(runs, 60_000)).toBe(true);
    expect(await cluster.until(isHealthy, 300_000)).toBe(true);
    expect(cluster.world.violations).toEqual([]);
  }, 60_000);
});
