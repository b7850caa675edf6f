/**
 * Every component killed, one at a time, under load: the data are verified after each blow, no pod hangs, all is healthy in
 * the end. E2E_SEED repeats a run.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { at } from '../../src/kube.ts';
import { seededRandom } from '../../src/random.ts';
import { allReady } from '../installation.ts';
import { apply, dropNamespace, get, kubectl, list, makeNamespace, until, type KubeObject } from '../kubectl.ts';
import { LogWriter } from '../log-writer.ts';
import { controlPlane, onNode, processesOf, workers } from '../nodes.ts';
import { claim, deployment, podOf, podReady, volumeIs, volumeOf } from '../workloads.ts';

const SPACE = 'e2e-kills';
const APPS = ['one', 'two'] as const;
const ROUNDS = 30;
const SEED = Number(process.env['E2E_SEED'] ?? 1);
const CALM_MS = 300_000;

const random = seededRandom(SEED);
const writers = new Map(APPS.map((app) => [app, new LogWriter(SPACE)]));

/** Kills the processes of a node whose command line has these words; answers the node. */
async function killOn(node: string, ...words: readonly string[]): Promise<string> {
  const pids = await processesOf(node, ...words);
  if (pids.length === 0) throw new Error(`no process ${words.join(' ')} on ${node}`);
  await onNode(node, `kill -9 ${pids.join(' ')}`);
  return node;
}

const nodeOf = async (app: string): Promise<string> => String(at(await podOf(SPACE, app), 'spec.nodeName'));

async function deployerNode(): Promise<string> {
  const pod = (await list('pods')).find(({ metadata }) => metadata.name.startsWith('longhorn-driver-deployer-'));
  return String(at(pod, 'spec.nodeName'));
}

/** An instance manager's engines end with it, and so do the devices of their volumes: pods that use them are made anew. */
const COSTS_PODS = 'instance manager';

/** Each blow; answers the node that it fell on. */
const BLOWS: Readonly<Record<string, () => Promise<string>>> = {
  kubelet: async () => killOn(await nodeOf(random.pick(APPS)), '/usr/bin/kubelet'),
  'CSI plugin': async () => killOn(await nodeOf(random.pick(APPS)), 'longhorn-csi'),
  'instance manager': async () => killOn(await nodeOf(random.pick(APPS)), 'longhorn-instance-manager', 'daemon'),
  manager: async () => killOn(random.pick(await workers()), 'longhorn-manager', 'daemon'),
  'driver deployer': async () => killOn(await deployerNode(), 'deploy-driver'),
  'API server': async () => killOn(await controlPlane(), 'kube-apiserver'),
};

async function settle(app: (typeof APPS)[number]): Promise<void> {
  const volume = await volumeOf(SPACE, app);
  await volumeIs(volume, { state: 'attached', robustness: 'healthy' }, CALM_MS);
  const writer = writers.get(app);
  await until(
    `the log of ${app} goes on`,
    CALM_MS,
    async () => {
      if (writer?.isWriting === true) return true;
      const pod = await podOf(SPACE, app);
      await podReady(SPACE, pod.metadata.name);
      await writer?.verify(pod.metadata.name);
      await writer?.start(pod.metadata.name);
      return true;
    },
    async () => JSON.stringify((await get('volumes.longhorn.io', volume))?.['status']),
  );
  await writer?.grows(120_000);
}

/** Waits until a pod is taken away by the setting auto-delete-pod-when-volume-detached-unexpectedly. */
async function gone(pod: KubeObject): Promise<void> {
  await until(`pod ${pod.metadata.name} is made anew`, CALM_MS, async () => {
    const found = await get('pod', pod.metadata.name, SPACE);
    return found?.metadata['uid'] !== pod.metadata['uid'];
  });
}

beforeAll(async () => {
  await makeNamespace(SPACE);
  for (const app of APPS)
    await apply(SPACE, [claim(app), deployment(app, { [app]: 'file system' }, { tolerationSeconds: 300 })]);
  for (const app of APPS) await settle(app);
});
afterAll(async () => {
  for (const writer of writers.values()) writer.stop();
  await dropNamespace(SPACE);
});

const kinds = Object.keys(BLOWS);
const rounds = Array.from({ length: ROUNDS }, (_, index) => ({
  round: index + 1,
  kind: kinds[index % kinds.length] ?? '',
}));

it.each(rounds)('round $round: $kind', async ({ kind }) => {
  const before = await Promise.all(APPS.map((app) => podOf(SPACE, app)));
  const node = await BLOWS[kind]?.();
  const start = performance.now();
  // Its kubelet starts a static pod that dies again and again later and later.
  await until('the API server answers', CALM_MS, async () => (await kubectl(['get', '--raw', '/readyz'])) === 'ok');
  const isLost = (pod: KubeObject): boolean => kind === COSTS_PODS && at(pod, 'spec.nodeName') === node;
  for (const pod of before.filter(isLost)) await gone(pod);
  for (const app of APPS) await settle(app);
  const after = await Promise.all(APPS.map((app) => podOf(SPACE, app)));
  const kept = before.map((pod, index) => pod.metadata['uid'] === after[index]?.metadata['uid']);
  expect(kept).toEqual(before.map((pod) => !isLost(pod)));
  expect([...writers.values()].map((writer) => writer.isWriting)).toEqual(APPS.map(() => true));
  const restarted = kept.filter((isKept) => !isKept).length;
  const seconds = ((performance.now() - start) / 1000).toFixed(0);
  console.log(`${kind} on ${node}: all healthy and writing after ${seconds} s, ${restarted} pods made anew`);
});

it('has everything as before in the end', async () => {
  await allReady(CALM_MS);
  for (const app of APPS) {
    const pod = await podOf(SPACE, app);
    await writers.get(app)?.verify(pod.metadata.name);
  }
  const stuck = (await list('pods', SPACE)).filter(
    (pod) => at(pod, 'metadata.deletionTimestamp') !== undefined || at(pod, 'status.phase') !== 'Running',
  );
  expect(stuck.map(({ metadata }) => metadata.name)).toEqual([]);
});
