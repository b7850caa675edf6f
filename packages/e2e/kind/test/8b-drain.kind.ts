/** Drains: each worker in turn under a workload, and what each node-drain-policy does to what a node holds. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { at } from '../../src/kube.ts';
import { allReady } from '../installation.ts';
import { apply, dropNamespace, kubectl, list, makeNamespace, NAMESPACE, rest, setSetting, until } from '../kubectl.ts';
import { LogWriter } from '../log-writer.ts';
import { workers } from '../nodes.ts';
import { claim, deployment, podOf, podReady, volumeIs, volumeOf } from '../workloads.ts';

const SPACE = 'e2e-drain';
const APP = 'app';
const POLICY = 'node-drain-policy';
const DEFAULT_POLICY = 'block-if-contains-last-replica';
const READY_MS = 300_000;

/** Drains a node as docs say; false: it was blocked for as long as this. */
async function drained(node: string, seconds: number): Promise<boolean> {
  const args = ['drain', node, '--ignore-daemonsets', '--delete-emptydir-data', `--timeout=${seconds}s`];
  try {
    await kubectl(args, '', (seconds + 30) * 1000);
    return true;
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    if (!/global timeout reached/.test(text) || !text.includes('instance-manager')) throw error;
    return false;
  }
}

const uncordon = (node: string): Promise<string> => kubectl(['uncordon', node]);

beforeAll(() => makeNamespace(SPACE));
afterAll(async () => {
  for (const node of await workers()) await uncordon(node);
  await setSetting(POLICY, DEFAULT_POLICY);
  await dropNamespace(SPACE);
});

describe('a workload', () => {
  const writer = new LogWriter(SPACE);
  afterAll(() => writer.stop());

  it('moves from each worker that is drained, and its volume is healthy again', async () => {
    await apply(SPACE, [claim('data'), deployment(APP, { data: 'file system' }, { tolerationSeconds: 300 })]);
    const volume = await volumeOf(SPACE, 'data');
    const nodes = await workers();
    for (const node of nodes) {
      const before = await podOf(SPACE, APP);
      await podReady(SPACE, before.metadata.name);
      await volumeIs(volume, { state: 'attached', robustness: 'healthy' }, READY_MS);
      await writer.start(before.metadata.name);
      expect(await drained(node, 240), `drain of ${node}`).toBe(true);
      const after = await podOf(SPACE, APP);
      expect(at(after, 'spec.nodeName')).not.toBe(node);
      await podReady(SPACE, after.metadata.name);
      await writer.verify(after.metadata.name);
      await uncordon(node);
      await allReady(READY_MS);
    }
    await volumeIs(volume, { state: 'attached', robustness: 'healthy' }, READY_MS);
    writer.stop();
    await kubectl(['delete', 'deployment,pvc', '--all', '--namespace', SPACE, '--timeout=120s'], '', 130_000);
  });
});

describe('a node with replicas', () => {
  const VOLUME = 'drained';
  let node = '';

  afterEach(async () => {
    await uncordon(node);
    await setSetting(POLICY, DEFAULT_POLICY);
    await kubectl(['delete', 'volumes.longhorn.io', VOLUME, '-n', NAMESPACE, '--timeout=120s'], '', 130_000);
    await allReady(READY_MS);
  });

  const replicaNodes = async (): Promise<string[]> =>
    (await list('replicas.longhorn.io'))
      .filter((each) => at(each, 'spec.volumeName') === VOLUME && at(each, 'spec.healthyAt') !== '')
      // What goes has to be gone only once its node may be used again.
      .filter((each) => at(each, 'metadata.deletionTimestamp') === undefined)
      .map((each) => String(at(each, 'spec.nodeID')))
      .sort();

  /** A volume whose replicas held data once; attached on another node than `node`, which has one of them, or detached. */
  async function makeVolume(replicas: number, isAttached: boolean): Promise<void> {
    const spec = { size: '67108864', numberOfReplicas: replicas, frontend: 'blockdev' };
    const manifest = { apiVersion: 'longhorn.io/v1beta2', kind: 'Volume', metadata: { name: VOLUME }, spec };
    await apply(NAMESPACE, [manifest]);
    await volumeIs(VOLUME, { state: 'detached' });
    const places = (await list('replicas.longhorn.io')).filter((each) => at(each, 'spec.volumeName') === VOLUME);
    node = String(at(places[0], 'spec.nodeID'));
    const hostId = (await workers()).find((each) => each !== node) ?? '';
    await until('the volume can be attached', 60_000, () =>
      rest('POST', `volumes/${VOLUME}?action=attach`, { hostId, attachmentID: 'drain', attacherType: 'longhorn-api' }),
    );
    await volumeIs(VOLUME, { state: 'attached', robustness: 'healthy' });
    if (isAttached) return;
    await rest('POST', `volumes/${VOLUME}?action=detach`, { hostId, attachmentID: 'drain' });
    await volumeIs(VOLUME, { state: 'detached' });
  }

  const CASES = [
    { policy: DEFAULT_POLICY, replicas: 1, isAttached: false, outcome: 'blocked' },
    { policy: DEFAULT_POLICY, replicas: 2, isAttached: false, outcome: 'drained' },
    { policy: 'allow-if-replica-is-stopped', replicas: 1, isAttached: false, outcome: 'drained' },
    { policy: 'allow-if-replica-is-stopped', replicas: 1, isAttached: true, outcome: 'blocked' },
    { policy: 'always-allow', replicas: 1, isAttached: false, outcome: 'drained' },
    { policy: 'block-for-eviction', replicas: 2, isAttached: false, outcome: 'emptied' },
    { policy: 'block-for-eviction-if-contains-last-replica', replicas: 1, isAttached: false, outcome: 'emptied' },
    { policy: 'block-for-eviction-if-contains-last-replica', replicas: 2, isAttached: false, outcome: 'drained' },
  ];

  it.each(CASES)('is $outcome: $policy, $replicas replicas, attached: $isAttached', async (each) => {
    await makeVolume(each.replicas, each.isAttached);
    const before = await replicaNodes();
    await setSetting(POLICY, each.policy);
    const isDrained = await drained(node, each.outcome === 'blocked' ? 30 : 180);
    expect(isDrained).toBe(each.outcome !== 'blocked');
    const after = await replicaNodes();
    const moved = before.filter((place) => !after.includes(place));
    expect(moved).toEqual(each.outcome === 'emptied' ? [node] : []);
    expect(after.length).toBe(each.replicas);
  });
});
