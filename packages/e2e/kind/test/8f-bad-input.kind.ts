/** What people and nodes get wrong on a real cluster: each is told in words, where they look, and nothing is left stuck. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { at } from '../../src/kube.ts';
import { ROOT } from '../images.ts';
import { untilVolumesGone, volumeInventory, type Inventory } from '../inventory.ts';
import { apply, dropNamespace, get, inPod, kubectl, list, makeNamespace, NAMESPACE, until } from '../kubectl.ts';
import { onNode, workers } from '../nodes.ts';
import { claim, DATA, deletePod, eventOf, pod, podReady, volumeIs, volumeOf } from '../workloads.ts';

const SPACE = 'e2e-bad-input';
const CLASS = 'e2e-bad-input';
const SOCKETS = '/var/lib/kubelet/plugins/driver.longhorn.io';
const TOLD_MS = 120_000;
/** Longer than lhctl waits for the nodes. */
const CHECK_MS = 180_000;

let before: Inventory = [];
let node = '';

async function makeClass(parameters: Readonly<Record<string, string>>): Promise<void> {
  await kubectl(['delete', 'storageclass', CLASS, '--ignore-not-found']);
  const made = {
    apiVersion: 'storage.k8s.io/v1',
    kind: 'StorageClass',
    metadata: { name: CLASS },
    provisioner: 'driver.longhorn.io',
    parameters,
  };
  await apply(SPACE, [made]);
}

beforeAll(async () => {
  before = await volumeInventory();
  [node = ''] = await workers();
});
beforeEach(() => makeNamespace(SPACE));
afterEach(() => dropNamespace(SPACE));
afterAll(() => kubectl(['delete', 'storageclass', CLASS, '--ignore-not-found']));

it.each([
  ['numberOfReplicas', 'many', /ProvisioningFailed.*numberOfReplicas: "many" must be a whole number from 0 to 20/],
  ['dataLocality', 'near', /ProvisioningFailed.*dataLocality: "near" must be one of disabled, best-effort, strict-/],
  ['encrypted', 'maybe', /ProvisioningFailed.*encrypted: "maybe" must be "true" or "false"/],
  ['fsType', 'ntfs', /ProvisioningFailed.*fsType "ntfs" is not supported, use one of ext4, ext3, xfs/],
])('tells at the claim that %s is not %s', async (parameter, value, pattern) => {
  await makeClass({ [parameter]: value });
  await apply(SPACE, [claim('data', { storageClass: CLASS })]);
  await eventOf(SPACE, 'data', pattern);
  expect(at(await get('pvc', 'data', SPACE), 'status.phase')).toBe('Pending');
  expect(await untilVolumesGone(before)).toEqual([]);
});

it('makes a volume of a class with an unknown parameter, and names that in an event', async () => {
  await makeClass({ numberOfReplica: '2' });
  await apply(SPACE, [claim('data', { storageClass: CLASS })]);
  const volume = await volumeOf(SPACE, 'data');
  expect(await eventOf(NAMESPACE, volume, /UnknownParameters/)).toMatch(/UnknownParameters.*numberOfReplica/);
});

it('refuses a second driver on a node, and the first one goes on', async () => {
  const plugin = (await list('daemonsets')).find(({ metadata }) => metadata.name === 'longhorn-csi-plugin');
  const containers = at(plugin, 'spec.template.spec.containers') as { name: string; image: string; args: string[] }[];
  const first = containers.find(({ name }) => name === 'longhorn-csi-plugin');
  const args = first?.args.map((word) => word.replace('//longhorn-backend:', `//longhorn-backend.${NAMESPACE}:`));
  const second = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'second-driver' },
    spec: {
      nodeName: node,
      restartPolicy: 'Never',
      containers: [{ ...first, args, ports: [], livenessProbe: null, startupProbe: null, lifecycle: null }],
      volumes: at(plugin, 'spec.template.spec.volumes'),
    },
  };
  await apply(SPACE, [second]);
  await until('the second driver ends', TOLD_MS, async () => {
    return at(await get('pod', 'second-driver', SPACE), 'status.phase') === 'Failed';
  });
  const said = await kubectl(['logs', 'second-driver', '--namespace', SPACE]);
  expect(said).toMatch(/another plugin \(driver\.longhorn\.io\) serves .*stop it first/);
  expect(await onNode(node, `ls ${SOCKETS}`)).toContain('csi.sock');
  await apply(SPACE, [claim('data'), pod('app', { claims: { data: 'file system' }, node })]);
  await podReady(SPACE, 'app');
});

/** A manager looks at its node when it starts, and then every five minutes. */
async function lookAgain(): Promise<void> {
  await kubectl([
    'delete',
    'pod',
    '--namespace',
    NAMESPACE,
    '--selector=app=longhorn-manager',
    `--field-selector=spec.nodeName=${node}`,
  ]);
}

async function blockDevices(): Promise<{ status?: string; message?: string }> {
  const conditions = at(await get('nodes.longhorn.io', node), 'status.conditions');
  const all = (Array.isArray(conditions) ? conditions : []) as { type: string; status: string; message: string }[];
  return all.find(({ type }) => type === 'BlockDeviceAvailable') ?? {};
}

it('tells a pod on a node without /dev/fuse how to get it, and starts it when it is there', async () => {
  await onNode(node, 'mv /dev/fuse /dev/fuse-away');
  try {
    await lookAgain();
    await until('the node says so', TOLD_MS, async () => (await blockDevices()).status === 'False');
    expect((await blockDevices()).message).toMatch(/there is no \/dev\/fuse.*modprobe fuse/);
    await apply(SPACE, [claim('data'), pod('app', { claims: { data: 'file system' }, node })]);
    await eventOf(SPACE, 'app', /FailedAttachVolume.*\/dev\/fuse/);
  } finally {
    await onNode(node, 'mv /dev/fuse-away /dev/fuse');
    await lookAgain();
  }
  await until('the node says so', TOLD_MS, async () => (await blockDevices()).status === 'True');
  await podReady(SPACE, 'app');
});

it('deletes a volume under a running pod, and leaves neither pod nor node stuck', async () => {
  await apply(SPACE, [claim('data'), pod('app', { claims: { data: 'file system' }, node })]);
  await podReady(SPACE, 'app');
  const volume = await volumeOf(SPACE, 'data');
  await volumeIs(volume, { robustness: 'healthy' });
  await inPod(SPACE, 'app', `echo kept > ${DATA}/who`);
  await kubectl(['delete', 'volumes.longhorn.io', volume, '--namespace', NAMESPACE, '--timeout=120s'], '', 130_000);
  await deletePod(SPACE, 'app');
  await kubectl(['delete', 'pvc', 'data', '--namespace', SPACE, '--timeout=120s'], '', 130_000);
  expect(await untilVolumesGone(before)).toEqual([]);
});

it('tells by a job what each node lacks', async () => {
  const manifest = readFileSync(join(ROOT, 'docs/examples/environment-check.yaml'), 'utf8');
  const job = 'longhorn-environment-check';
  await apply(NAMESPACE, manifest);
  try {
    await until('the check has ended', CHECK_MS, async () => {
      const status = (await get('job', job))?.['status'];
      return Number(at(status, 'succeeded') ?? 0) + Number(at(status, 'failed') ?? 0) > 0;
    });
    const said = await kubectl(['logs', `job/${job}`, '--namespace', NAMESPACE]);
    for (const each of await workers()) expect(said).toMatch(new RegExp(`^${each}\n +(info|warn|error) +\\[`, 'm'));
  } finally {
    await kubectl(['delete', '--filename', '-', '--ignore-not-found'], manifest);
  }
});
