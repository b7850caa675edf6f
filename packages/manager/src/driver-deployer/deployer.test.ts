import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { CORE_RESOURCES } from '../datastore/core-kinds.ts';
import { type RawObject, type Resource } from '../datastore/kube-transport.ts';
import { MemoryApi } from '../datastore/memory-api.ts';
import { SettingsView } from '../controllers/settings-view.ts';
import { VirtualClock } from '../virtual-clock.ts';
import { deployDriver, wantedObjects, type Deployer } from './deployer.ts';
import { decide } from './difference.ts';
import { driverOptions, type DriverOptions } from './options.ts';
import { podSettings } from './settings.ts';

const NAMESPACE = 'longhorn-system';
const NODE: Resource = { group: 'longhorn.io', version: 'v1beta2', plural: 'nodes', kind: 'Node', namespaced: true };
const DEPLOYMENT: Resource = {
  group: 'apps',
  version: 'v1',
  plural: 'deployments',
  kind: 'Deployment',
  namespaced: true,
};
const FLAGS = {
  kubeletRootDir: '/var/lib/kubelet',
  managerImage: 'm:1',
  managerUrl: 'http://longhorn-backend:9500/v1',
  csiImage: 'c:1',
  csiAttacherImage: 'a:1',
  csiProvisionerImage: 'p:1',
  csiResizerImage: 'r:1',
  csiSnapshotterImage: 's:1',
  csiNodeDriverRegistrarImage: 'n:1',
  csiLivenessProbeImage: 'l:1',
};
const options = driverOptions(FLAGS, {});
const settings = podSettings(new SettingsView((name) => (name === 'taint-toleration' ? 'a=b:NoSchedule' : null)));
const NAMES = [
  'driver.longhorn.io',
  'csi-attacher',
  'csi-provisioner',
  'csi-resizer',
  'csi-snapshotter',
  'longhorn-csi-plugin',
];

function wanted(name: string, changed: DriverOptions = options, version = 'v1'): RawObject {
  const found = wantedObjects(changed, settings, '/var/lib/kubelet', version).find((o) => o.metadata.name === name);
  if (found === undefined) throw new Error(`nothing is called ${name}`);
  return structuredClone(found);
}

async function prepared(propagation: string): Promise<{ api: MemoryApi; deployer: Deployer; clock: VirtualClock }> {
  const api = new MemoryApi();
  await api.create(NODE, NAMESPACE, {
    apiVersion: 'longhorn.io/v1beta2',
    kind: 'Node',
    metadata: { name: 'node-1', namespace: NAMESPACE },
    status: { conditions: [{ type: 'MountPropagation', status: propagation }] },
  });
  const clock = new VirtualClock();
  const deployer: Deployer = {
    options,
    version: 'v1',
    transport: api,
    fetch: () => Promise.resolve(new Response('{}')),
    clock,
    log: pino({ level: 'silent' }),
    signal: new AbortController().signal,
  };
  return { api, deployer, clock };
}

describe('what is to be done to an object', () => {
  const stored = (change: (object: RawObject) => void = () => undefined): RawObject => {
    const object = wanted('csi-attacher');
    Object.assign(object.metadata, {
      uid: 'u',
      resourceVersion: '7',
      labels: { ...Object(object.metadata['labels']), other: 'x' },
    });
    Object.assign(object, { status: { replicas: 3 } });
    change(object);
    return object;
  };

  it.each<[string, RawObject | null, string]>([
    ['is made when it is missing', null, 'create'],
    ['is left alone when it is equal, whatever others added', stored(), 'nothing'],
    [
      'is waited for while it is being deleted',
      stored(({ metadata }) => (metadata['deletionTimestamp'] = 'now')),
      'wait',
    ],
    [
      'is updated when somebody changed it',
      stored((o) => (o['spec'] = { ...Object(o['spec']), replicas: 1 })),
      'update',
    ],
    ['is updated when a label of ours is gone', stored(({ metadata }) => (metadata['labels'] = {})), 'update'],
    ['is updated when another deployer wrote it', stored(({ metadata }) => (metadata['annotations'] = {})), 'update'],
    [
      'is made anew when its selector is another one',
      stored((o) => (o['spec'] = { ...Object(o['spec']), selector: { matchLabels: { app: 'x' } } })),
      'recreate',
    ],
  ])('%s', (_case, present, kind) => {
    expect(decide(present, wanted('csi-attacher')).kind).toBe(kind);
  });

  it.each<[string, Partial<typeof FLAGS> & { csiAttacherReplicaCount?: string }]>([
    ['image', { csiAttacherImage: 'a:2' }],
    ['argument or number', { csiAttacherReplicaCount: '2' }],
    ['folder', { kubeletRootDir: '/data' }],
  ])('is updated in place by another %s, keeping what others noted', (_case, change) => {
    const changed = driverOptions({ ...FLAGS, ...change }, {});
    const target = wantedObjects(changed, settings, changed.kubeletRootDir, 'v1')[1];
    if (target === undefined) throw new Error('no attacher');
    const present = stored(({ metadata }) => Object.assign(Object(metadata['annotations']), { note: 'kept' }));
    const step = decide(present, target);
    expect(step).toMatchObject({
      kind: 'update',
      object: { metadata: { resourceVersion: '7', annotations: { note: 'kept' } }, spec: target['spec'] },
    });
  });

  it('is updated when the build is another one', () => {
    expect(decide(stored(), wanted('csi-attacher', options, 'v2')).kind).toBe('update');
  });
});

describe('deploying the driver', () => {
  it('makes all objects in their order', async () => {
    const { api, deployer } = await prepared('True');
    api.writes.length = 0;
    const steps = await deployDriver(deployer);
    expect(Object.keys(steps)).toEqual(NAMES);
    expect(api.writes.map(({ verb, name }) => `${verb} ${name}`)).toEqual(NAMES.map((name) => `create ${name}`));
  });

  it('writes nothing when everything is there', async () => {
    const { api, deployer } = await prepared('True');
    await deployDriver(deployer);
    api.writes.length = 0;
    expect(Object.values(await deployDriver(deployer))).toEqual(NAMES.map(() => 'nothing'));
    expect(api.writes).toEqual([]);
  });

  it('updates only what another image changes', async () => {
    const { api, deployer } = await prepared('True');
    await deployDriver(deployer);
    api.writes.length = 0;
    await deployDriver({ ...deployer, options: driverOptions({ ...FLAGS, csiImage: 'c:2' }, {}) });
    expect(api.writes.map(({ name }) => name)).toEqual(['longhorn-csi-plugin']);
  });

  it('goes on when its write lost against another one', async () => {
    const { api, deployer } = await prepared('True');
    await deployDriver(deployer);
    let raced = false;
    api.fault = (verb, _kind, name) => {
      if (raced || verb !== 'update' || name !== 'csi-attacher') return;
      raced = true;
      api.fault = null;
      void api.patch(DEPLOYMENT, NAMESPACE, name, { metadata: { annotations: { raced: 'yes' } } });
    };
    await deployDriver({ ...deployer, options: driverOptions({ ...FLAGS, csiAttacherImage: 'a:2' }, {}) });
    const attacher = await api.get(DEPLOYMENT, NAMESPACE, 'csi-attacher');
    expect(raced).toBe(true);
    expect(attacher.metadata['annotations']).toMatchObject({ raced: 'yes' });
    expect(JSON.stringify(attacher['spec'])).toContain('"image":"a:2"');
  });

  it('refuses a node whose mounts do not reach its host', async () => {
    const { deployer } = await prepared('False');
    await expect(deployDriver(deployer)).rejects.toThrow(
      'CSI cannot be deployed because MountPropagation is not set: node node-1 is not support mount propagation',
    );
  });

  it('asks again until the API answers 200', async () => {
    const { deployer, clock } = await prepared('True');
    const answers = [
      () => Promise.reject(new Error('connect ECONNREFUSED')),
      () => Promise.resolve(new Response('', { status: 503 })),
    ];
    let asked = 0;
    const deploying = deployDriver({
      ...deployer,
      fetch: () => {
        asked += 1;
        return answers.shift()?.() ?? Promise.resolve(new Response('{}'));
      },
    });
    for (let round = 0; round < 6; round += 1) {
      await new Promise((resolve) => setImmediate(resolve));
      clock.advance(1000);
    }
    await deploying;
    expect(asked).toBe(3);
  });

  it('reads the root folder of kubelet from a pod and takes the pod away', async () => {
    const { api, deployer } = await prepared('True');
    const found = { ...deployer, options: { ...options, kubeletRootDir: '' } };
    const create = api.create.bind(api);
    api.create = async (resource, namespace, object) => {
      const made = await create(resource, namespace, object);
      if (resource.kind !== 'Pod') return made;
      const status = {
        phase: 'Succeeded',
        containerStatuses: [
          { state: { terminated: { message: 'Proc found: kubelet\nkubelet\n--root-dir=/data/kubelet\n' } } },
        ],
      };
      return api.replace(resource, namespace, { ...made, status }, 'status');
    };
    await deployDriver(found);
    const attacher = await api.get(DEPLOYMENT, NAMESPACE, 'csi-attacher');
    expect(JSON.stringify(attacher['spec'])).toContain('/data/kubelet/plugins/driver.longhorn.io');
    expect((await api.list(CORE_RESOURCES.pods, NAMESPACE)).items).toEqual([]);
  });
});
