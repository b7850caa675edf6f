/**
 * The same requests against local-cluster and a real API server. Which one: the cluster of API_COMPARISON_KUBECONFIG, or
 * one made of the programs in ETCD, KUBE_APISERVER and KUBE_CONTROLLER_MANAGER. With neither it is skipped.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compare, REQUESTS, type Comparison } from '../src/api-comparison/compare.ts';
import { ControlPlane, programsFrom } from '../src/api-comparison/control-plane.ts';
import { reportOf } from '../src/api-comparison/report.ts';
import { PlainServer } from '../src/plain-server.ts';

const INSTANCE = 80;
const given = process.env['API_COMPARISON_KUBECONFIG'];
const programs = programsFrom(process.env);
const isPossible = given !== undefined || programs !== null;
if (!isPossible)
  console.log(
    'the comparison of API servers is skipped: give API_COMPARISON_KUBECONFIG, or ETCD, KUBE_APISERVER and KUBE_CONTROLLER_MANAGER',
  );

const folder = mkdtempSync(join(tmpdir(), 'api-comparison-'));

describe.skipIf(!isPossible)('local-cluster and a real API server', () => {
  let local: PlainServer | null = null;
  let plane: ControlPlane | null = null;
  let comparison: Comparison;

  beforeAll(async () => {
    local = await PlainServer.start(folder, INSTANCE);
    if (given === undefined && programs !== null) {
      plane = new ControlPlane(join(folder, 'real'), programs);
      await plane.start();
    }
    const real = given ?? plane?.kubeconfig ?? '';
    const webhook = process.env['API_COMPARISON_WEBHOOK_ADDRESS'] ?? '127.0.0.1';
    comparison = await compare(local.kubeconfig, real, webhook);
  }, 600_000);

  afterAll(async () => {
    await plane?.stop();
    await local?.stop();
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
