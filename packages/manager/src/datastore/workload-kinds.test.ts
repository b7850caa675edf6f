import { describe, expect, it } from 'vitest';
import { pino } from 'pino';
import { VirtualClock } from '../virtual-clock.ts';
import { Datastore } from './datastore.ts';
import { MemoryApi } from './memory-api.ts';
import {
  decodeKubeAttachment,
  decodePersistentVolume,
  decodeWorkloadPod,
  WORKLOAD_RESOURCES,
} from './workload-kinds.ts';

const EMPTY_METADATA = { generation: 0, labels: {}, annotations: {}, finalizers: [], ownerReferences: [] };

const claimOf = (claimName: string): object => ({ name: claimName, persistentVolumeClaim: { claimName } });

describe('a pod', () => {
  const labels = { app: 'web' };
  const annotations = { long: 'x'.repeat(1000) };
  const containers = [{ name: 'c', image: 'i' }];

  it('is kept with what is needed of it', () => {
    const owners = [
      { apiVersion: 'v1', kind: '', name: 'x' },
      { apiVersion: 'batch/v1', kind: 'Job', name: 'first', uid: 'u' },
      { apiVersion: 'apps/v1', kind: 'StatefulSet', name: 'web', uid: 'u', controller: true },
    ];
    const pod = decodeWorkloadPod({
      metadata: {
        name: 'web-0',
        namespace: 'shop',
        uid: 'u1',
        resourceVersion: '7',
        labels,
        annotations,
        creationTimestamp: '2026-01-01T00:00:00Z',
        deletionTimestamp: '2026-01-01T00:00:30Z',
        deletionGracePeriodSeconds: 30,
        ownerReferences: owners,
      },
      spec: {
        nodeName: 'node-1',
        containers,
        volumes: [claimOf('data'), { name: 'tmp', emptyDir: {} }, { name: 'scratch', ephemeral: {} }],
      },
      status: { phase: 'Running', startTime: '2026-01-01T00:00:01Z', podIP: '10.0.0.1', containerStatuses: [{}] },
    });
    expect(pod).toEqual({
      metadata: {
        ...EMPTY_METADATA,
        name: 'web-0',
        namespace: 'shop',
        uid: 'u1',
        resourceVersion: '7',
        creationTimestamp: '2026-01-01T00:00:00Z',
        deletionTimestamp: '2026-01-01T00:00:30Z',
      },
      nodeName: 'node-1',
      phase: 'Running',
      startTime: '2026-01-01T00:00:01Z',
      deletionGraceS: 30,
      claims: ['data', 'web-0-scratch'],
      controller: { apiVersion: 'apps/v1', kind: 'StatefulSet', name: 'web' },
      owner: { apiVersion: 'batch/v1', kind: 'Job', name: 'first' },
    });
  });

  it('without claims is not kept', () => {
    expect(decodeWorkloadPod({ metadata: { name: 'p' }, spec: { volumes: [{ name: 't', emptyDir: {} }] } })).toBeNull();
    expect(decodeWorkloadPod({ metadata: { name: 'p' } })).toBeNull();
  });
});

describe('a persistent volume', () => {
  const pv = (csi: object, claimRef?: object): ReturnType<typeof decodePersistentVolume> =>
    decodePersistentVolume({
      metadata: { name: 'pv', labels: { a: 'b' } },
      spec: { csi, claimRef },
      status: { phase: 'Bound' },
    });

  it.each(['driver.longhorn.io', 'io.rancher.longhorn'])('of the driver %s is kept', (driver) => {
    expect(pv({ driver, volumeHandle: 'vol' }, { namespace: 'shop', name: 'data', uid: 'u' })).toEqual({
      metadata: {
        ...EMPTY_METADATA,
        name: 'pv',
        namespace: '',
        uid: '',
        resourceVersion: '',
        creationTimestamp: null,
        deletionTimestamp: null,
      },
      driver,
      volumeHandle: 'vol',
      phase: 'Bound',
      claim: { namespace: 'shop', name: 'data' },
    });
    expect(pv({ driver, volumeHandle: 'vol' })?.claim).toBeNull();
  });

  it('of others is not', () => {
    expect(pv({ driver: 'other', volumeHandle: 'vol' })).toBeNull();
    expect(pv({ driver: 'driver.longhorn.io' })).toBeNull();
    expect(decodePersistentVolume({ metadata: { name: 'pv' }, spec: { nfs: {} } })).toBeNull();
  });
});

describe('an attachment', () => {
  const attachment = (attacher: string): ReturnType<typeof decodeKubeAttachment> =>
    decodeKubeAttachment({
      metadata: { name: 'csi-1' },
      spec: { attacher, nodeName: 'node-1', source: { persistentVolumeName: 'pv' } },
      status: { attached: true },
    });

  it('of our driver is kept, of others not', () => {
    expect(attachment('driver.longhorn.io')).toMatchObject({
      nodeName: 'node-1',
      persistentVolume: 'pv',
      isAttached: true,
    });
    expect(attachment('io.rancher.longhorn')).toBeNull();
  });
});

describe('the caches of workloads', () => {
  it('hold those of all namespaces that have something of ours, pods of one name apart', async () => {
    const api = new MemoryApi();
    const log = pino({ level: 'silent' });
    const make = (namespace: string, name: string, claims: string[]): Promise<unknown> =>
      api.create(WORKLOAD_RESOURCES.pods, namespace, {
        metadata: { name },
        spec: { nodeName: 'n', volumes: claims.map(claimOf) },
      });
    await make('shop', 'web-0', ['data']);
    await make('shop', 'plain', []);
    const datastore = new Datastore({ transport: api, namespace: 'ns', clock: new VirtualClock(), log });
    await datastore.start();
    try {
      await make('other', 'web-0', ['data']);
      await make('other', 'plain', []);
      const names = (): string[] =>
        datastore.workloadPods.list().map(({ metadata }) => `${metadata.namespace}/${metadata.name}`);
      expect(names()).toEqual(['shop/web-0', 'other/web-0']);
      expect(datastore.workloadPods.byIndex('claim', 'other/data').map(({ metadata }) => metadata.namespace)).toEqual([
        'other',
      ]);
      expect(datastore.pods.size).toBe(0);
      await api.delete(WORKLOAD_RESOURCES.pods, 'shop', 'web-0', {});
      expect(names()).toEqual(['other/web-0']);
    } finally {
      await datastore.stop();
    }
  });
});
