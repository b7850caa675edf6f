/** Three managers over one API server in memory: what they delete, of which incarnation, and that they do it once. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NAMESPACE, SimulatedCluster } from '../../../sim/simulated-cluster.ts';
import { rfc3339 } from '../../clock.ts';
import { CORE_RESOURCES, EVENT_RESOURCE } from '../../datastore/core-kinds.ts';
import { ApiError, type DeleteOptions, type RawObject } from '../../datastore/kube-transport.ts';
import { WORKLOAD_RESOURCES } from '../../datastore/workload-kinds.ts';

const { pods, persistentVolumes, claims, attachments } = WORKLOAD_RESOURCES;
const SHOP = 'shop';
const POLICY = 'node-down-pod-deletion-policy';
const BOTH = 'delete-both-statefulset-and-deployment-pod';

interface Deletion extends DeleteOptions {
  kind: string;
  name: string;
}

let cluster: SimulatedCluster;
/** Every call, also those that came too late. */
let deletions: Deletion[];
let beforeDelete: (deletion: Deletion) => Promise<void> | void;

beforeEach(async () => {
  cluster = new SimulatedCluster(11);
  deletions = [];
  beforeDelete = () => undefined;
  const { api } = cluster;
  const forward = api.delete.bind(api);
  api.delete = async (resource, namespace, name, options) => {
    if (namespace === NAMESPACE) return forward(resource, namespace, name, options);
    const deletion = { kind: resource.kind, name, ...options };
    deletions.push(deletion);
    await beforeDelete(deletion);
    return forward(resource, namespace, name, options);
  };
  await cluster.start();
  await cluster.createVolume('vol', 1);
  const claimRef = { namespace: SHOP, name: 'data' };
  await api.create(persistentVolumes, '', {
    metadata: { name: 'pv' },
    spec: { csi: { driver: 'driver.longhorn.io', volumeHandle: 'vol' }, claimRef },
    status: { phase: 'Bound' },
  });
  await api.create(claims, SHOP, { metadata: { name: 'data' }, spec: { volumeName: 'pv' } });
});

afterEach(() => cluster.stop());

async function makePod(name: string, nodeName: string, change: Partial<RawObject['metadata']> = {}): Promise<string> {
  const owner = { apiVersion: 'apps/v1', kind: 'StatefulSet', name: 'web', uid: 'u', controller: true };
  const volumes = ['missing', 'data'].map((claimName) => ({ name: claimName, persistentVolumeClaim: { claimName } }));
  const { metadata } = await cluster.api.create(pods, SHOP, {
    metadata: { name, ownerReferences: [owner], ...change },
    spec: { nodeName, volumes },
    status: { phase: 'Running', startTime: rfc3339(cluster.clock.now()) },
  });
  return metadata.uid ?? '';
}

async function makeAttachment(
  name: string,
  nodeName: string,
  finalizers: string[] = [],
  persistentVolumeName = 'pv',
): Promise<string> {
  const { metadata } = await cluster.api.create(attachments, '', {
    metadata: { name, finalizers },
    spec: { attacher: 'driver.longhorn.io', nodeName, source: { persistentVolumeName } },
    status: { attached: true },
  });
  return metadata.uid ?? '';
}

/** Null if there is none. */
async function pod(name = 'web-0'): Promise<RawObject | null> {
  const { items } = await cluster.api.list(pods, SHOP);
  return items.find(({ metadata }) => metadata.name === name) ?? null;
}

function isTerminating(object: RawObject | null): boolean {
  return object !== null && typeof object.metadata['deletionTimestamp'] === 'string';
}

/** At a whole second: what is stored has no parts of one. */
async function requestRemount(): Promise<void> {
  await cluster.run(1_000 - (cluster.clock.now() % 1_000));
  await cluster.datastore.update('Volume', 'vol', (volume) => {
    volume.status.remountRequestedAt = rfc3339(cluster.clock.now());
    return volume;
  });
}

async function setSetting(name: string, value: string): Promise<void> {
  const setting = await cluster.datastore.update('Setting', name, (present) => ({ ...present, value }));
  if (setting?.value !== value) throw new Error(`there is no setting ${name}`);
}

describe('a remount that is asked for', () => {
  it('deletes the pod once, with grace, more than five seconds later', async () => {
    const uid = await makePod('web-0', 'node-2');
    await cluster.run(3_000);
    await requestRemount();
    await cluster.run(5_000);
    expect(deletions).toEqual([]);
    await cluster.run(500);
    expect(deletions).toEqual([{ kind: 'Pod', name: 'web-0', uid, gracePeriodSeconds: 30 }]);
    expect(isTerminating(await pod())).toBe(true);
    await cluster.run(60_000);
    expect(deletions).toHaveLength(1);
  });

  it('never deletes the pod that came in its place', async () => {
    await makePod('web-0', 'node-2');
    await cluster.run(3_000);
    await requestRemount();
    beforeDelete = async () => {
      beforeDelete = () => undefined;
      await cluster.api.delete(pods, SHOP, 'web-0', {});
      await makePod('web-0', 'node-2');
    };
    await cluster.run(10_000);
    expect(deletions).toHaveLength(2);
    expect(isTerminating(await pod())).toBe(false);
    expect(await pod()).not.toBeNull();
  });

  it('is carried out in spite of an API server that does not answer, and of a pod that is gone', async () => {
    await makePod('web-0', 'node-2');
    await cluster.run(3_000);
    await requestRemount();
    beforeDelete = () => {
      beforeDelete = () => undefined;
      throw new ApiError(0, 'Unreachable', 'no answer');
    };
    await cluster.run(6_000);
    expect(deletions).toHaveLength(2);
    expect(isTerminating(await pod())).toBe(true);
    await makePod('web-1', 'node-1');
    await cluster.run(3_000);
    beforeDelete = async ({ name }) => {
      beforeDelete = () => undefined;
      await cluster.api.delete(pods, SHOP, name, {});
    };
    await requestRemount();
    await cluster.run(60_000);
    expect(await pod('web-1')).toBeNull();
    expect(deletions).toHaveLength(4);
  });

  it('follows the settings as they change', async () => {
    const name = 'blacklist-for-auto-delete-pod-when-volume-detached-unexpectedly';
    await setSetting(name, 'apps/StatefulSet');
    await makePod('web-0', 'node-2');
    await cluster.run(3_000);
    await requestRemount();
    await cluster.run(20_000);
    expect(deletions).toEqual([]);
    await setSetting(name, '');
    await cluster.run(1_000);
    expect(isTerminating(await pod())).toBe(true);
  });

  it('is none of a volume with another driver', async () => {
    cluster.api.force(persistentVolumes, '', 'pv', { spec: { csi: { driver: 'io.rancher.longhorn' } } });
    await makePod('web-0', 'node-2');
    await cluster.run(3_000);
    await requestRemount();
    await cluster.run(20_000);
    expect(deletions).toEqual([]);
  });

  it.each([
    [false, false],
    [true, true],
  ])('of a volume for many writers that is migratable (%s) deletes the pod: %s', async (migratable, expected) => {
    await cluster.datastore.update('Volume', 'vol', (volume) => {
      Object.assign(volume.spec, { accessMode: 'rwx', migratable });
      return volume;
    });
    await makePod('web-0', 'node-2');
    await cluster.run(3_000);
    await requestRemount();
    await cluster.run(10_000);
    expect(isTerminating(await pod())).toBe(expected);
  });

  it('is carried out once it is known whose volume it is', async () => {
    cluster.api.force(persistentVolumes, '', 'pv', { status: { phase: 'Available' } });
    await makePod('web-0', 'node-2');
    await cluster.run(3_000);
    await requestRemount();
    await cluster.run(10_000);
    expect(deletions).toEqual([]);
    cluster.api.force(persistentVolumes, '', 'pv', { status: { phase: 'Bound' } });
    await cluster.run(1_000);
    expect(isTerminating(await pod())).toBe(true);
  });

  it('is none of a volume that the claim had once', async () => {
    cluster.api.force(persistentVolumes, '', 'pv', { status: { phase: 'Released' } });
    await makePod('web-0', 'node-2');
    await cluster.run(3_000);
    await requestRemount();
    await cluster.run(20_000);
    expect(deletions).toEqual([]);
  });
});

describe('a node that is down', () => {
  /** A pod that somebody deletes, with 30 s, and its attachment. */
  async function terminate(
    finalizers: string[] = ['external-attacher/driver-longhorn-io'],
    node = 'node-3',
  ): Promise<[string, string]> {
    const podUid = await makePod('web-0', node);
    const attachmentUid = await makeAttachment('csi-1', node, finalizers);
    await cluster.api.delete(pods, SHOP, 'web-0', { gracePeriodSeconds: 30 });
    deletions = [];
    return [podUid, attachmentUid];
  }

  const kinds = (): string[] => [...new Set(deletions.map(({ kind }) => kind))];

  it('loses attachment and pod by all managers, in this order, each of one incarnation', async () => {
    await setSetting(POLICY, BOTH);
    const [podUid, attachmentUid] = await terminate();
    await makeAttachment('csi-of-another-pod', 'node-3', [], 'pv-2');
    await makeAttachment('csi-of-another-node', 'node-2');
    cluster.cutPower('node-3');
    await cluster.run(60_000);
    expect(kinds()).toEqual(['VolumeAttachment']);
    expect(await pod()).not.toBeNull();
    cluster.api.force(attachments, '', 'csi-1', { metadata: { finalizers: [] } });
    await cluster.run(1_000);
    expect(await pod()).toBeNull();
    expect(kinds()).toEqual(['VolumeAttachment', 'Pod']);
    const seen = new Set(deletions.map((deletion) => JSON.stringify(deletion)));
    expect([...seen].map((text): unknown => JSON.parse(text))).toEqual([
      { kind: 'VolumeAttachment', name: 'csi-1', uid: attachmentUid },
      { kind: 'Pod', name: 'web-0', uid: podUid, gracePeriodSeconds: 0 },
    ]);
    expect(deletions.length).toBeLessThanOrEqual(2 * cluster.nodes.length);
  });

  it('loses the pod only when its time is over', async () => {
    await setSetting(POLICY, BOTH);
    await terminate([]);
    cluster.cutPower('node-3');
    await cluster.run(20_000);
    expect(await pod()).not.toBeNull();
    await cluster.run(15_000);
    expect(await pod()).toBeNull();
  });

  it.each([
    [404, 'NotFound'],
    [409, 'Conflict'],
  ])('loses the other attachments when one is gone, or made anew, meanwhile (%i)', async (status, reason) => {
    await setSetting(POLICY, BOTH);
    await terminate();
    const uid = await makeAttachment('csi-2', 'node-3');
    beforeDelete = ({ name }) => {
      if (name === 'csi-1') throw new ApiError(status, reason, 'not this one');
    };
    cluster.cutPower('node-3');
    await cluster.run(20_000);
    expect(deletions.filter(({ name }) => name === 'csi-2')).toContainEqual({
      kind: 'VolumeAttachment',
      name: 'csi-2',
      uid,
    });
  });

  it('loses nothing without the policy, and all as soon as it is set', async () => {
    await terminate([]);
    cluster.cutPower('node-3');
    await cluster.run(60_000);
    expect(deletions).toEqual([]);
    await setSetting(POLICY, BOTH);
    await cluster.run(2_000);
    expect(await pod()).toBeNull();
  });

  function setReady(node: string, status: string): void {
    const condition = { type: 'Ready', status, lastTransitionTime: rfc3339(cluster.clock.now()) };
    cluster.api.force(CORE_RESOURCES.kubeNodes, '', node, { status: { conditions: [condition] } });
  }

  it('loses a pod that somebody deletes only then', async () => {
    await setSetting(POLICY, BOTH);
    await makePod('web-0', 'node-3');
    cluster.cutPower('node-3');
    await cluster.run(60_000);
    await cluster.api.delete(pods, SHOP, 'web-0', { gracePeriodSeconds: 30 });
    await cluster.run(29_000);
    expect(await pod()).not.toBeNull();
    await cluster.run(2_000);
    expect(await pod()).toBeNull();
  });

  it('loses them once its kubelet has said so for a while', async () => {
    await setSetting(POLICY, BOTH);
    await terminate([]);
    await cluster.run(31_000);
    setReady('node-3', 'False');
    await cluster.run(10_000);
    expect(deletions).toEqual([]);
    await cluster.run(10_000);
    expect(await pod()).toBeNull();
  });

  it('loses them also when no manager ever ran there', async () => {
    await setSetting(POLICY, BOTH);
    await cluster.api.create(CORE_RESOURCES.kubeNodes, '', { metadata: { name: 'node-9' } });
    setReady('node-9', 'True');
    await terminate([], 'node-9');
    await cluster.run(60_000);
    expect(deletions).toEqual([]);
    setReady('node-9', 'Unknown');
    await cluster.run(1_000);
    expect(await pod()).toBeNull();
  });

  it('loses nothing when it is not down', async () => {
    await setSetting(POLICY, BOTH);
    await terminate([]);
    await cluster.run(120_000);
    expect(deletions).toEqual([]);
  });

  it('loses nothing when the API server says that it is back, whatever the caches say', async () => {
    await setSetting(POLICY, BOTH);
    await terminate([]);
    cluster.cutPower('node-3');
    const { api } = cluster;
    const get = api.get.bind(api);
    api.get = async (resource, namespace, name) => {
      const object = await get(resource, namespace, name);
      if (resource !== CORE_RESOURCES.kubeNodes) return object;
      return { ...object, status: { conditions: [{ type: 'Ready', status: 'True' }] } };
    };
    await cluster.run(120_000);
    expect(deletions).toEqual([]);
    api.get = get;
    await cluster.run(5_000);
    expect(await pod()).toBeNull();
  });

  it('that is gone from Kubernetes loses them, too', async () => {
    await setSetting(POLICY, BOTH);
    await terminate([]);
    cluster.cutPower('node-3');
    await cluster.api.delete(CORE_RESOURCES.kubeNodes, '', 'node-3', {});
    await cluster.run(40_000);
    expect(await pod()).toBeNull();
  });

  it('keeps pods without a volume of ours', async () => {
    await setSetting(POLICY, BOTH);
    cluster.api.force(persistentVolumes, '', 'pv', { spec: { claimRef: { name: 'other' } } });
    await terminate([]);
    cluster.cutPower('node-3');
    await cluster.run(60_000);
    expect(deletions).toEqual([]);
  });
});

describe('a force-deleted pod that something keeps', () => {
  beforeEach(async () => {
    await makePod('web-0', 'node-2', { finalizers: ['keep'] });
    await cluster.api.delete(pods, SHOP, 'web-0', {});
    cluster.api.force(pods, SHOP, 'web-0', { metadata: { deletionGracePeriodSeconds: 0 } });
    deletions = [];
  });

  async function waitFor(name: string): Promise<void> {
    await cluster.api.create(EVENT_RESOURCE, SHOP, {
      metadata: { name: 'e1' },
      involvedObject: { kind: 'Pod', name: 'web-x', namespace: SHOP },
      message: `Multi-Attach error for volume "pv" Volume is already used by pod(s) ${name}`,
    });
  }

  it('loses its attachment when another pod waits for that, by one manager, once', async () => {
    const uid = await makeAttachment('csi-1', 'node-2', ['external-attacher/driver-longhorn-io']);
    await makePod('web-x', 'node-1');
    await cluster.run(15_000);
    await waitFor('web-0');
    await cluster.run(15_000);
    // It runs: what the event says was once.
    expect(deletions).toEqual([]);
    cluster.api.force(pods, SHOP, 'web-x', { status: { phase: 'Pending' } });
    await cluster.run(15_000);
    expect(deletions).toEqual([{ kind: 'VolumeAttachment', name: 'csi-1', uid }]);
    await cluster.run(60_000);
    expect(deletions).toHaveLength(1);
  });

  it('keeps it while its kubelet has the volume mounted, unless that kubelet is gone', async () => {
    const mount = (ready: string): void =>
      cluster.api.force(CORE_RESOURCES.kubeNodes, '', 'node-2', {
        status: {
          conditions: [{ type: 'Ready', status: ready, lastTransitionTime: rfc3339(cluster.clock.now()) }],
          volumesInUse: ['kubernetes.io/csi/driver.longhorn.io^vol'],
        },
      });
    mount('True');
    await makeAttachment('csi-1', 'node-2');
    await makePod('web-x', 'node-1');
    cluster.api.force(pods, SHOP, 'web-x', { status: { phase: 'Pending' } });
    await waitFor('web-0');
    await cluster.run(30_000);
    expect(deletions).toEqual([]);
    mount('Unknown');
    await cluster.run(15_000);
    // Who is responsible for a node that is not there may differ for a moment.
    expect(new Set(deletions.map(({ name }) => name))).toEqual(new Set(['csi-1']));
  });

  it('keeps it while the others wait for somebody else', async () => {
    await makeAttachment('csi-1', 'node-2');
    await makePod('web-x', 'node-1');
    cluster.api.force(pods, SHOP, 'web-x', { status: { phase: 'Pending' } });
    await waitFor('web-00');
    await cluster.run(30_000);
    expect(deletions).toEqual([]);
  });

  it('loses it when its persistent volume has no claim any more', async () => {
    await makeAttachment('csi-1', 'node-2');
    await makeAttachment('csi-2', 'node-1');
    await cluster.run(15_000);
    expect(deletions).toEqual([]);
    cluster.api.force(persistentVolumes, '', 'pv', { spec: { claimRef: null } });
    await cluster.run(15_000);
    expect(deletions.map(({ name }) => name)).toEqual(['csi-1']);
  });

  it('without a claim has nothing to lose', async () => {
    await makeAttachment('csi-1', 'node-2');
    await cluster.api.delete(claims, SHOP, 'data', {});
    deletions = [];
    await cluster.run(15_000);
    expect(deletions).toEqual([]);
  });
});
