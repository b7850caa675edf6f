/** Three managers over one API server in memory: one of them, the owner, writes who uses a volume, when that changes. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { NAMESPACE, SimulatedCluster } from '../../../sim/simulated-cluster.ts';
import { rfc3339 } from '../../clock.ts';
import { EVENT_RESOURCE } from '../../datastore/core-kinds.ts';
import { ApiError, type RawObject } from '../../datastore/kube-transport.ts';
import { WORKLOAD_RESOURCES } from '../../datastore/workload-kinds.ts';
import type { KubernetesStatus } from './plan.ts';

const { pods, persistentVolumes } = WORKLOAD_RESOURCES;
const SHOP = 'shop';
const OWNER = 'node-2';
let cluster: SimulatedCluster;

beforeEach(async () => {
  cluster = new SimulatedCluster(12);
  await cluster.start();
  await cluster.createVolume('vol', 1);
  await cluster.attach('vol', OWNER);
  const isReady = (): boolean => cluster.datastore.stores.Volume.get('vol')?.status.robustness === 'healthy';
  if (!(await cluster.until(isReady, 30_000))) throw new Error('the volume does not become healthy');
  await cluster.run(5_000);
});

afterEach(() => cluster.stop());

async function makePersistentVolume(phase: string): Promise<void> {
  await cluster.api.create(persistentVolumes, '', {
    metadata: { name: 'pv' },
    spec: {
      csi: { driver: 'driver.longhorn.io', volumeHandle: 'vol' },
      claimRef: { namespace: SHOP, name: 'data' },
    },
    status: { phase },
  });
}

async function makePod(namespace: string, name: string): Promise<void> {
  await cluster.api.create(pods, namespace, {
    metadata: { name, ownerReferences: [{ apiVersion: 'apps/v1', kind: 'StatefulSet', name: 'web', uid: 'u' }] },
    spec: { nodeName: 'node-1', volumes: [{ name: 'v', persistentVolumeClaim: { claimName: 'data' } }] },
    status: { phase: 'Pending' },
  });
}

function use(): KubernetesStatus | undefined {
  return cluster.datastore.stores.Volume.get('vol')?.status.kubernetesStatus;
}

/** Each with who wrote it, and how often. */
async function events(): Promise<string[]> {
  const { items } = await cluster.api.list(EVENT_RESOURCE, NAMESPACE);
  const source = (event: RawObject): { component?: unknown; host?: unknown } => Object(event['source']);
  return items
    .filter((event) => source(event).component === 'longhorn-kubernetes-pv-controller')
    .map((event) => [event['reason'], source(event).host, event['count'], event['message']].map(String).join(' '));
}

/** Writes of the volume's status during the work. */
async function writesDuring(work: () => Promise<unknown> | void): Promise<number> {
  const before = cluster.api.writes.length;
  await work();
  await cluster.run(2_000);
  return cluster.api.writes.slice(before).filter(({ verb, kind }) => verb === 'updateStatus' && kind === 'Volume')
    .length;
}

const WEB = { podName: 'web-0', podStatus: 'Pending', workloadName: 'web', workloadType: 'StatefulSet' };
const BOUND = {
  lastPVCRefAt: '',
  lastPodRefAt: '',
  namespace: SHOP,
  pvName: 'pv',
  pvStatus: 'Bound',
  pvcName: 'data',
  workloadsStatus: [WEB],
};

const STARTED = `Start ${OWNER} 1 Persistent Volume pv started to use/reuse Longhorn volume vol`;

it('follows persistent volume and pods, with one write for each change', async () => {
  expect(await writesDuring(() => makePersistentVolume('Pending'))).toBe(1);
  expect(use()).toMatchObject({ pvName: 'pv', pvStatus: 'Pending', pvcName: '' });
  const bind = (): void => cluster.api.force(persistentVolumes, '', 'pv', { status: { phase: 'Bound' } });
  expect(await writesDuring(bind)).toBe(1);
  expect(await writesDuring(() => makePod(SHOP, 'web-0'))).toBe(1);
  expect(use()).toEqual(BOUND);
  const run = (): void => cluster.api.force(pods, SHOP, 'web-0', { status: { phase: 'Running' } });
  expect(await writesDuring(run)).toBe(1);
  expect(use()?.workloadsStatus).toEqual([{ ...WEB, podStatus: 'Running' }]);
  const touch = (): void => cluster.api.force(pods, SHOP, 'web-0', { metadata: { labels: { a: 'b' } } });
  expect(await writesDuring(touch)).toBe(0);
  expect(await writesDuring(() => makePod('other', 'web-0'))).toBe(0);
  expect(await writesDuring(() => cluster.api.delete(pods, SHOP, 'web-0', {}))).toBe(1);
  expect(use()?.lastPodRefAt).not.toBe('');
  expect(await events()).toEqual([STARTED]);
  expect(await writesDuring(() => cluster.run(600_000))).toBe(0);
});

it('keeps history when the persistent volume is gone, and says so', async () => {
  await makePersistentVolume('Bound');
  await makePod(SHOP, 'web-0');
  await cluster.run(2_000);
  expect(use()).toEqual(BOUND);
  const now = rfc3339(cluster.clock.now());
  expect(await writesDuring(() => cluster.api.delete(persistentVolumes, '', 'pv', {}))).toBe(1);
  expect(use()).toEqual({ ...BOUND, pvName: '', pvStatus: '', lastPVCRefAt: now, lastPodRefAt: now });
  expect(await events()).toEqual([STARTED, `Stop ${OWNER} 1 Persistent Volume pv stopped to use Longhorn volume vol`]);
});

it('writes in spite of conflicts', async () => {
  let conflicts = 3;
  cluster.api.fault = (verb, kind) => {
    if (verb !== 'updateStatus' || kind !== 'Volume' || conflicts === 0) return;
    conflicts -= 1;
    throw new ApiError(409, 'Conflict', 'the object has been modified');
  };
  expect(await writesDuring(() => makePersistentVolume('Bound'))).toBe(1);
  expect(conflicts).toBe(0);
  expect(use()?.pvcName).toBe('data');
  expect(await events()).toEqual([STARTED]);
});

it('writes nothing of a bound persistent volume without a claim', async () => {
  await makePersistentVolume('Bound');
  await cluster.run(2_000);
  const before = use();
  cluster.api.force(persistentVolumes, '', 'pv', { spec: { claimRef: null } });
  await cluster.run(2_000);
  expect(use()).toEqual(before);
});

it('knows the users of a volume that came after its persistent volume', async () => {
  await cluster.api.create(persistentVolumes, '', {
    metadata: { name: 'pv-2' },
    spec: { csi: { driver: 'io.rancher.longhorn', volumeHandle: 'late' } },
    status: { phase: 'Available' },
  });
  await cluster.run(1_000);
  await cluster.createVolume('late', 1);
  await cluster.run(2_000);
  expect(cluster.datastore.stores.Volume.get('late')?.status.kubernetesStatus.pvName).toBe('pv-2');
});
