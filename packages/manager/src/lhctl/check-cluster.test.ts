import { describe, expect, it } from 'vitest';
import { CORE_RESOURCES } from '../datastore/core-kinds.ts';
import { MemoryApi } from '../datastore/memory-api.ts';
import type { RawObject } from '../datastore/kube-transport.ts';
import { VirtualClock } from '../virtual-clock.ts';
import { checkCluster } from './check-cluster.ts';
import { CHECK_NAME, DAEMON_SETS, messageOf, reportOf } from './check-pods.ts';
import { limits } from './limits.ts';
import type { Finding } from '../environment/node-checks.ts';
import type { NodeReport } from './report.ts';

const NAMESPACE = 'longhorn-system';
const OWNER = { podName: 'check-1', podUid: 'u-1' };
const fault: Finding = { topic: 'FUSE', level: 'error', message: 'there is no /dev/fuse' };

function setup(): { api: MemoryApi; clock: VirtualClock; run: () => Promise<NodeReport[]> } {
  const clock = new VirtualClock(0);
  const api = new MemoryApi(() => clock.now());
  const signal = new AbortController().signal;
  const run = (): Promise<NodeReport[]> =>
    checkCluster({ transport: api, namespace: NAMESPACE, image: 'i:1', dataPath: '/d', owner: OWNER, clock, signal });
  return { api, clock, run };
}

/** What the controller of DaemonSets does for one node. */
async function place(api: MemoryApi, node: string, state: object): Promise<void> {
  const set = await api.get(DAEMON_SETS, NAMESPACE, CHECK_NAME);
  await api.create(CORE_RESOURCES.pods, NAMESPACE, {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: `check-${node}`, namespace: NAMESPACE, ownerReferences: [{ uid: set.metadata.uid }] },
    spec: { nodeName: node },
    status: { phase: 'Pending', initContainerStatuses: [{ state }] },
  });
}

async function scheduled(api: MemoryApi, count: number): Promise<void> {
  const set = await api.get(DAEMON_SETS, NAMESPACE, CHECK_NAME);
  const status = { desiredNumberScheduled: count, observedGeneration: set.metadata['generation'] };
  await api.replace(DAEMON_SETS, NAMESPACE, { ...set, status }, 'status');
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const answered = (findings: Finding[]): object => ({
  terminated: { exitCode: 0, message: messageOf({ node: '', findings }) },
});

describe('a check of the cluster', () => {
  it('waits for every node, tells what each lacks and leaves nothing', async () => {
    const { api, clock, run } = setup();
    const running = run();
    await settle();
    const { metadata } = await api.get(DAEMON_SETS, NAMESPACE, CHECK_NAME);
    expect(metadata['ownerReferences']).toEqual([{ apiVersion: 'v1', kind: 'Pod', name: 'check-1', uid: 'u-1' }]);
    await scheduled(api, 2);
    await place(api, 'n2', answered([fault]));
    clock.advance(limits.pollMs);
    await settle();
    await place(api, 'n1', answered([]));
    clock.advance(limits.pollMs);
    expect(await running).toEqual([
      { node: 'n1', findings: [{ topic: 'Node', level: 'info', message: 'nothing is missing' }] },
      { node: 'n2', findings: [fault] },
    ]);
    await expect(api.get(DAEMON_SETS, NAMESPACE, CHECK_NAME)).rejects.toThrow(/404|not found/i);
  });

  it('says of a node without an answer what its pod waits for', async () => {
    const { api, clock, run } = setup();
    const running = run();
    await settle();
    await scheduled(api, 1);
    await place(api, 'n1', { waiting: { reason: 'ErrImagePull', message: 'no such image' } });
    clock.advance(limits.answerMs + limits.pollMs);
    expect(await running).toEqual([
      {
        node: 'n1',
        findings: [
          { topic: 'Check', level: 'error', message: 'the check gave no answer: ErrImagePull: no such image' },
        ],
      },
    ]);
  });

  it('does not wait for a node that cannot get the image', async () => {
    const { api, clock, run } = setup();
    const running = run();
    await settle();
    await scheduled(api, 2);
    await place(api, 'n1', { waiting: { reason: 'ImagePullBackOff', message: 'no such host' } });
    await place(api, 'n2', answered([]));
    clock.advance(limits.pollMs);
    const [stuck] = await running;
    expect(stuck?.findings[0]?.message).toBe('the check gave no answer: ImagePullBackOff: no such host');
  });

  it('refuses to run twice, and names the way out', async () => {
    const { api, run } = setup();
    await api.create(DAEMON_SETS, NAMESPACE, { metadata: { name: CHECK_NAME, namespace: NAMESPACE } });
    await expect(run()).rejects.toThrow(/delete daemonset longhorn-environment-check/);
    expect(await api.get(DAEMON_SETS, NAMESPACE, CHECK_NAME)).toBeDefined();
  });
});

describe('the answer of a pod', () => {
  it('fits in a termination message, however much is missing', () => {
    const many = Array.from({ length: 50 }, (_, index) => ({ ...fault, message: `${index} ${'é'.repeat(100)}` }));
    const message = messageOf({ node: 'n', findings: many });
    expect(Buffer.byteLength(message)).toBeLessThanOrEqual(limits.messageBytesMax);
    expect((JSON.parse(message) as Finding[])[0]).toEqual(many[0]);
  });

  it('is refused when it is something else', () => {
    const pod = (message: string): RawObject => ({
      metadata: { name: 'p' },
      spec: { nodeName: 'n1' },
      status: { initContainerStatuses: [{ state: { terminated: { exitCode: 2, message } } }] },
    });
    expect(() => reportOf(pod('it broke'))).toThrow('n1: the check ended with 2: it broke');
    expect(() => reportOf(pod('[{"topic":1}]'))).toThrow(/not that of this version/);
  });
});
