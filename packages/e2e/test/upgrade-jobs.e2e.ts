/** `lhctl` and the jobs around an upgrade as programs against local-cluster's API server. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { at, Kube, NAMESPACE } from '../src/kube.ts';
import { PlainServer } from '../src/plain-server.ts';

const ROOT = resolve(import.meta.dirname, '../../..');
const MANAGER = join(ROOT, 'packages/manager/dist/longhorn-manager');
const LHCTL = join(ROOT, 'packages/manager/dist/lhctl');
const folder = mkdtempSync(join(tmpdir(), 'upgrade-jobs-'));
const DEFINITION = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions/volumes.longhorn.io';
const SETTING = `/apis/longhorn.io/v1beta2/namespaces/${NAMESPACE}/settings/current-longhorn-version`;

let server: PlainServer;
let kube: Kube;

beforeAll(async () => {
  server = await PlainServer.start(folder, 81);
  kube = new Kube(server.kubeconfig);
});

afterAll(async () => {
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function program(path: string, ...args: string[]): Promise<{ code: number | null; out: string; errors: string }> {
  const env = { ...process.env, KUBECONFIG: server.kubeconfig, POD_NAMESPACE: NAMESPACE };
  const child = spawn(path, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const result = { code: null as number | null, out: '', errors: '' };
  child.stdout.on('data', (chunk: Buffer) => (result.out += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (result.errors += chunk.toString()));
  await once(child, 'close');
  return { ...result, code: child.exitCode };
}

async function events(job: string): Promise<string[]> {
  const list = await kube.call(
    'GET',
    `/api/v1/namespaces/${NAMESPACE}/events?fieldSelector=involvedObject.name%3D${job}`,
  );
  return (list as { items: { reason: string; message: string }[] }).items.map((e) => `${e.reason}: ${e.message}`);
}

async function setVersion(value: string): Promise<void> {
  if ((await kube.call('GET', SETTING)) !== null)
    await kube.call('PATCH', SETTING, { value }, 'application/merge-patch+json');
  else
    await kube.create(
      'settings',
      Object.assign(
        { value },
        { apiVersion: 'longhorn.io/v1beta2', kind: 'Setting', metadata: { name: 'current-longhorn-version' } },
      ),
    );
}

describe('the pre-upgrade job', () => {
  it('passes on an empty cluster', async () => {
    expect((await program(MANAGER, 'pre-upgrade')).code).toBe(0);
    expect(await events('longhorn-pre-upgrade')).toEqual(['PassedUpgradeCheck: pre-upgrade check passed']);
  });

  it.each([
    ['v1.8.3', 'failed to upgrade since upgrading from v1.8.3 to v1.10.1 for minor version is not supported'],
    ['v1.11.0', 'failed to upgrade since downgrading from v1.11.0 to v1.10.1 is not supported'],
  ])('refuses to come from %s', async (version, text) => {
    await setVersion(version);
    const { code, errors } = await program(MANAGER, 'pre-upgrade');
    expect([code, errors]).toEqual([1, expect.stringContaining(text)]);
    expect(await events('longhorn-pre-upgrade')).toContain(`FailedUpgradePreCheck: ${text}`);
  });

  it('brings stored objects to the version that is served, and forgets the other', async () => {
    await setVersion('v1.9.2');
    const stored = { status: { storedVersions: ['v1beta1', 'v1beta2'] } };
    await kube.call('PATCH', `${DEFINITION}/status`, stored, 'application/merge-patch+json');
    await kube.create('volumes', {
      apiVersion: 'longhorn.io/v1beta2',
      kind: 'Volume',
      metadata: { name: 'old' },
      spec: { size: '2097152' },
    });
    const { code, errors } = await program(MANAGER, 'pre-upgrade');
    expect([code, errors]).toEqual([0, '']);
    expect(at(await kube.call('GET', DEFINITION), 'status.storedVersions')).toEqual(['v1beta2']);
    expect(at(await kube.get('volumes', 'old'), 'spec.size')).toBe('2097152');
  });

  it('wants to know the namespace', async () => {
    const { code, errors } = await program(MANAGER, 'pre-upgrade', '--namespace', '');
    expect([code, errors]).toEqual([1, expect.stringContaining('namespace is required')]);
  });
});

describe('lhctl', () => {
  it('says its build and what it is compatible with', async () => {
    const { code, out } = await program(LHCTL, 'version');
    expect([code, out]).toEqual([0, expect.stringMatching(/^lhctl v\S+, compatible with Longhorn v1\.10\.1\n$/)]);
  });

  it('explains itself, and refuses what it does not know', async () => {
    expect(await program(LHCTL, 'check', '--help')).toMatchObject({
      code: 0,
      out: expect.stringContaining('Exit codes') as string,
    });
    expect((await program(LHCTL, 'chekc')).code).toBe(2);
    expect((await program(LHCTL, 'check', '--output', 'xml')).code).toBe(2);
  });

  it('checks the machine that it runs on, as text and as JSON', async () => {
    const { code, out } = await program(LHCTL, 'check', '--local', '--output', 'json');
    expect([0, 1]).toContain(code);
    const [report] = Object.values(JSON.parse(out) as Record<string, { error: string[]; info: string[] }>);
    expect(code).toBe((report?.error.length ?? 0) > 0 ? 1 : 0);
    expect(report?.info.some((line) => line.startsWith('[Kernel]'))).toBe(true);
  });

  it('ends with 2 when the API server does not answer', async () => {
    const nobody = join(folder, 'nobody');
    writeFileSync(
      nobody,
      `apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: c, user: u}}]\nclusters: [{name: c, cluster: {server: 'http://127.0.0.1:9', insecure-skip-tls-verify: true}}]\nusers: [{name: u, user: {}}]\n`,
    );
    const { code, errors } = await program(LHCTL, 'check', '--kubeconfig', nobody);
    expect([code, errors]).toEqual([2, expect.stringContaining('the API server does not answer')]);
  });

  it('prints the DaemonSet that the API server takes', async () => {
    const { out } = await program(LHCTL, 'check', '--print-manifest');
    const made = await kube.call(
      'POST',
      `/apis/apps/v1/namespaces/${NAMESPACE}/daemonsets?dryRun=All&fieldValidation=Strict`,
      JSON.parse(out),
    );
    expect(at(made, 'metadata.name')).toBe('longhorn-environment-check');
  });
});
