/** Driver deployer and uninstaller as programs against local-cluster's API server, with a node that has none of the images: what they store. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { at, Kube, NAMESPACE } from '../src/kube.ts';
import { PlainServer } from '../src/plain-server.ts';

const ROOT = resolve(import.meta.dirname, '../../..');
const MANAGER = join(ROOT, 'packages/manager/dist/longhorn-manager');
const INSTANCE = 95;
const folder = mkdtempSync(join(tmpdir(), 'driver-deployer-'));
const WORKLOADS = ['csi-attacher', 'csi-provisioner', 'csi-resizer', 'csi-snapshotter'];

let server: PlainServer;
let backend: Server;
let backendStatus = 200;
let kube: Kube;

beforeAll(async () => {
  server = await PlainServer.start(folder, INSTANCE);
  kube = new Kube(server.kubeconfig);
  backend = createServer((_request, response) => {
    response.writeHead(backendStatus).end('{}');
  }).listen(0, '127.0.0.1');
  await once(backend, 'listening');
});

afterAll(async () => {
  backend.close();
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

function backendUrl(): string {
  const address = backend.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return `http://127.0.0.1:${address.port}/v1`;
}

const environment = (extra: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv => ({
  ...process.env,
  KUBECONFIG: server.kubeconfig,
  POD_NAMESPACE: NAMESPACE,
  KUBELET_ROOT_DIR: '/var/lib/kubelet',
  CSI_IMAGE: 'example/csi:1',
  CSI_ATTACHER_IMAGE: 'example/attacher:1',
  CSI_PROVISIONER_IMAGE: 'example/provisioner:1',
  CSI_RESIZER_IMAGE: 'example/resizer:1',
  CSI_SNAPSHOTTER_IMAGE: 'example/snapshotter:1',
  CSI_NODE_DRIVER_REGISTRAR_IMAGE: 'example/registrar:1',
  CSI_LIVENESS_PROBE_IMAGE: 'example/probe:1',
  ...extra,
});

/** Runs the deployer until its log has this text; ends it as Kubernetes does. Returns its log. */
async function deploy(until: string, extra: NodeJS.ProcessEnv = {}): Promise<string> {
  const child = spawn(MANAGER, ['deploy-driver', '--manager-image', 'm:1', '--manager-url', backendUrl()], {
    env: environment(extra),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(line);
    if (line.includes(until)) break;
  }
  child.kill('SIGTERM');
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  expect(lines.join('\n')).toContain(until);
  expect(child.exitCode, 'a deployer that is asked to end ends well').toBe(0);
  return lines.join('\n');
}

async function uninstall(): Promise<{ code: number | null; errors: string }> {
  const child = spawn(MANAGER, ['uninstall', '--force'], {
    env: environment({ LONGHORN_NAMESPACE: NAMESPACE }),
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
  await once(child, 'exit');
  return { code: child.exitCode, errors };
}

const PATHS: Record<string, string> = {
  ...Object.fromEntries(WORKLOADS.map((name) => [name, `/apis/apps/v1/namespaces/${NAMESPACE}/deployments/${name}`])),
  'longhorn-csi-plugin': `/apis/apps/v1/namespaces/${NAMESPACE}/daemonsets/longhorn-csi-plugin`,
  'driver.longhorn.io': '/apis/storage.k8s.io/v1/csidrivers/driver.longhorn.io',
};

/** Each object's identity and generation, which every change of its spec raises, and its annotations. */
async function generations(): Promise<Record<string, unknown>> {
  const result: Record<string, unknown> = {};
  for (const [name, path] of Object.entries(PATHS)) {
    const object = await kube.call('GET', path);
    result[name] = `${String(at(object, 'metadata.uid'))} ${String(at(object, 'metadata.generation'))}`;
  }
  return result;
}

describe('driver deployer', () => {
  it('waits while the API does not answer 200, and says so', async () => {
    backendStatus = 503;
    const log = await deploy('"attempt":2');
    backendStatus = 200;
    expect(log).toContain('waiting for the Longhorn API to answer 200');
    expect(log).toContain('status 503');
  });

  it('makes all objects', async () => {
    await deploy('CSI deployment done');
    const plugin = await kube.call('GET', PATHS['longhorn-csi-plugin'] ?? '');
    expect(JSON.stringify(at(plugin, 'spec.template.spec'))).toContain('/var/lib/kubelet/plugins/driver.longhorn.io');
    const driver = await kube.call('GET', PATHS['driver.longhorn.io'] ?? '');
    expect(at(driver, 'spec')).toMatchObject({ podInfoOnMount: true, storageCapacity: true });
    for (const name of WORKLOADS) expect(at(await kube.call('GET', PATHS[name] ?? ''), 'spec.replicas'), name).toBe(3);
  });

  it('writes nothing when it starts again', async () => {
    const before = await generations();
    const log = await deploy('CSI deployment done');
    expect(log).not.toContain('changing an object');
    expect(await generations()).toEqual(before);
  });

  it('updates in place what another image or argument changes, and nothing else', async () => {
    const before = await generations();
    await deploy('CSI deployment done', { CSI_ATTACHER_IMAGE: 'example/attacher:2', CSI_RESIZER_REPLICA_COUNT: '1' });
    const after = await generations();
    const changed = Object.keys(PATHS).filter((name) => before[name] !== after[name]);
    expect(changed).toEqual(['csi-attacher', 'csi-resizer']);
    for (const name of changed)
      expect(String(after[name]).split(' ')[0], `${name} is the same object`).toBe(String(before[name]).split(' ')[0]);
  });

  it('puts a label back that somebody took off', async () => {
    const path = PATHS['csi-snapshotter'] ?? '';
    await kube.call('PATCH', path, { metadata: { labels: { app: null } } }, 'application/merge-patch+json');
    await deploy('CSI deployment done');
    expect(at(await kube.call('GET', path), 'metadata.labels')).toMatchObject({ app: 'csi-snapshotter' });
  });
});

describe('uninstalling', () => {
  const flag = { apiVersion: 'longhorn.io/v1beta2', kind: 'Setting', metadata: { name: 'deleting-confirmation-flag' } };

  it('refuses while the flag is not set', async () => {
    await kube.create('settings', Object.assign({ value: 'false' }, flag));
    const { code, errors } = await uninstall();
    expect(code).toBe(1);
    expect(errors).toContain('cannot uninstall Longhorn because deleting-confirmation-flag is set to `false`');
    expect(await kube.call('GET', PATHS['longhorn-csi-plugin'] ?? '')).not.toBeNull();
  });

  it('removes the driver and what has a finalizer that nobody serves', async () => {
    const path = `/apis/longhorn.io/v1beta2/namespaces/${NAMESPACE}/settings/deleting-confirmation-flag`;
    await kube.call('PATCH', path, { value: 'true' }, 'application/merge-patch+json');
    await kube.create('volumes', {
      apiVersion: 'longhorn.io/v1beta2',
      kind: 'Volume',
      metadata: { name: 'left', finalizers: ['longhorn.io'] },
      spec: { size: '2097152' },
    });
    expect(await uninstall()).toEqual({ code: 0, errors: '' });
    for (const [name, objectPath] of Object.entries(PATHS)) expect(await kube.call('GET', objectPath), name).toBeNull();
    for (const plural of ['volumes', 'settings', 'nodes']) expect(await kube.list(plural), plural).toEqual([]);
  });

  it('has nothing to do the second time', async () => {
    expect(await uninstall()).toEqual({ code: 0, errors: '' });
  });
});
