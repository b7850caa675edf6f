/**
 * The same requests against local-cluster and a real API server. Which one: the cluster of API_COMPARISON_KUBECONFIG, or
 * one made of the programs in ETCD, KUBE_APISERVER and KUBE_CONTROLLER_MANAGER. With neither it is skipped.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compare, REQUESTS, type Comparison } from '../src/api-comparison/compare.ts';
import { ControlPlane, programsFrom } from '../src/api-comparison/control-plane.ts';
import { reportOf } from '../src/api-comparison/report.ts';
import { NAMESPACE } from '../src/kube.ts';
import { waitFor } from '../src/wait.ts';

const LOCAL_CLUSTER = resolve(import.meta.dirname, '../../local-cluster/dist/local-cluster');
const INSTANCE = '80';
const given = process.env['API_COMPARISON_KUBECONFIG'];
const programs = programsFrom(process.env);
const isPossible = given !== undefined || programs !== null;
if (!isPossible)
  console.log(
    'the comparison of API servers is skipped: give API_COMPARISON_KUBECONFIG, or ETCD, KUBE_APISERVER and KUBE_CONTROLLER_MANAGER',
  );

const folder = mkdtempSync(join(tmpdir(), 'api-comparison-'));

async function startLocal(): Promise<ChildProcess> {
  const manifests = join(folder, 'manifests');
  mkdirSync(manifests);
  writeFileSync(
    join(manifests, 'namespace.yaml'),
    `apiVersion: v1\nkind: Namespace\nmetadata: { name: ${NAMESPACE} }\n`,
  );
  const words = ['up', '--nodes=1', '--plain-disks', `--instance=${INSTANCE}`, '--api-port=0', '--ui-port=0'];
  const child = spawn(LOCAL_CLUSTER, [...words, '--manifests', manifests, '--dir', join(folder, 'local')], {
    stdio: 'ignore',
  });
  await waitFor('local-cluster', 60_000, () => Promise.resolve(existsSync(join(folder, 'local/addresses.json'))));
  return child;
}

describe.skipIf(!isPossible)('local-cluster and a real API server', () => {
  let local: ChildProcess | null = null;
  let plane: ControlPlane | null = null;
  let comparison: Comparison;

  beforeAll(async () => {
    local = await startLocal();
    if (given === undefined && programs !== null) {
      plane = new ControlPlane(join(folder, 'real'), programs);
      await plane.start();
    }
    const real = given ?? plane?.kubeconfig ?? '';
    const webhook = process.env['API_COMPARISON_WEBHOOK_ADDRESS'] ?? '127.0.0.1';
    comparison = await compare(join(folder, 'local/kubeconfig'), real, webhook);
  }, 600_000);

  afterAll(async () => {
    await plane?.stop();
    if (local !== null) {
      local.kill('SIGTERM');
      await once(local, 'exit');
    }
    rmSync(folder, { recursive: true, force: true });
  });

  it('give the same answers, but for what is accepted with a reason', () => {
    expect(comparison.open, reportOf(comparison)).toEqual([]);
  });

  it('differ in everything that is accepted', () => {
    expect(comparison.outdated.map(({ reason }) => reason)).toEqual([]);
  });

  it('are asked at least 200 requests, each of its own name', () => {
    expect(REQUESTS.length).toBeGreaterThanOrEqual(200);
    expect(new Set(REQUESTS.map(({ name }) => name)).size).toBe(REQUESTS.length);
  });
});
