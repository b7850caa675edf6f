/** A node without power, under load: one that holds a replica, one that runs the pod, and one that a person has given up. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { at, conditionIsTrue } from '../../src/kube.ts';
import { allReady } from '../installation.ts';
import { apply, dropNamespace, get, kubectl, list, makeNamespace, setSetting, until } from '../kubectl.ts';
import { LogWriter } from '../log-writer.ts';
import { cutPower, powerOn, workers } from '../nodes.ts';
import { claim, deployment, events, podOf, podReady, volumeIs, volumeOf } from '../workloads.ts';

const SPACE = 'e2e-node-crash';
const APP = 'app';
const POLICY = 'node-down-pod-deletion-policy';
/** Detection of the lost node by Kubernetes (40 s), the pod's toleration, detach and attach, and a busy machine. */
const MOVE_MS = 300_000;
const HEALTHY_MS = 420_000;
/** How long one write may wait when another node has gone. */
const WRITE_MS = 30_000;

const writer = new LogWriter(SPACE);
let volume = '';
let off: string | null = null;

beforeAll(async () => {
  await makeNamespace(SPACE);
  await apply(SPACE, [claim('data'), deployment(APP, { data: 'file system' }, { tolerationSeconds: 10 })]);
  const pod = await podOf(SPACE, APP);
  await podReady(SPACE, pod.metadata.name);
  volume = await volumeOf(SPACE, 'data');
  await volumeIs(volume, { robustness: 'healthy' });
  await writer.start(pod.metadata.name);
});

afterAll(async () => {
  writer.stop();
  if (off !== null) await powerOn(off);
  await setSetting(POLICY, 'do-nothing');
  await dropNamespace(SPACE);
});

const nodeOfApp = async (): Promise<string> => String(at(await podOf(SPACE, APP), 'spec.nodeName'));

async function cut(node: string): Promise<void> {
  await cutPower(node);
  off = node;
}

async function restore(node: string): Promise<void> {
  await powerOn(node);
  off = null;
  await until(`node ${node} is ready`, 180_000, async () => {
    return conditionIsTrue((await get('nodes', node, null))?.['status'], 'Ready');
  });
  await volumeIs(volume, { state: 'attached', robustness: 'healthy' }, HEALTHY_MS);
}

/** Waits until the pod runs elsewhere, with all that it was told to have written; writes on there. Answers where. */
async function moved(from: string): Promise<string> {
  writer.stop();
  const pod = await until(
    `the pod runs on another node than ${from}`,
    MOVE_MS,
    async () => {
      const found = await podOf(SPACE, APP);
      return at(found, 'spec.nodeName') !== from && at(found, 'status.phase') === 'Running' ? found : null;
    },
    async () => events(SPACE, (await podOf(SPACE, APP)).metadata.name),
  );
  await podReady(SPACE, pod.metadata.name);
  await writer.verify(pod.metadata.name);
  await writer.start(pod.metadata.name);
  return String(at(pod, 'spec.nodeName'));
}

it('goes on writing when a node with a replica has gone, and is healthy when it is back', async () => {
  const home = await nodeOfApp();
  const other = (await workers()).find((node) => node !== home);
  if (other === undefined) throw new Error('two nodes that take pods are needed');
  writer.calm();
  await cut(other);
  await volumeIs(volume, { state: 'attached', robustness: 'degraded' }, 90_000);
  await writer.grows();
  console.log(`longest write around a replica's node without power: ${writer.longestMs.toFixed(0)} ms`);
  expect(writer.longestMs).toBeLessThan(WRITE_MS);
  await restore(other);
  await writer.grows();
});

it('moves the pod of a node without power, by the setting, and keeps every write', async () => {
  await setSetting(POLICY, 'delete-both-statefulset-and-deployment-pod');
  const home = await nodeOfApp();
  await cut(home);
  expect(await moved(home)).not.toBe(home);
  await restore(home);
  await writer.grows();
  await setSetting(POLICY, 'do-nothing');
});

it('moves the pod of a node that is marked as out of service', async () => {
  const home = await nodeOfApp();
  const taint = 'node.kubernetes.io/out-of-service=nodeshutdown:NoExecute';
  await cut(home);
  await kubectl(['taint', 'node', home, taint]);
  try {
    expect(await moved(home)).not.toBe(home);
  } finally {
    await kubectl(['taint', 'node', home, `${taint}-`]);
  }
  await restore(home);
  await writer.grows();
});

it('has everything as before in the end', async () => {
  await allReady(300_000);
  await writer.verify((await podOf(SPACE, APP)).metadata.name);
  const nodes = await list('nodes.longhorn.io');
  expect(nodes.length).toBe((await workers()).length);
});
