import { describe, expect, it } from 'vitest';
import { newObject, type Node } from '@longhorn/shared-types';
import { decodeKubeNode, type KubeNode } from '../../datastore/core-kinds.ts';
import {
  decodeKubeAttachment,
  decodeWorkloadPod,
  type KubeAttachment,
  type WorkloadPod,
} from '../../datastore/workload-kinds.ts';
import { isForceDeleted, planPod, podNodeIsDown, type PodStep, type PodWorld } from './plan.ts';

const NOW = Date.parse('2026-01-01T12:00:00Z');
const at = (seconds: number): string => new Date(NOW + seconds * 1000).toISOString().replace('.000Z', 'Z');
const REPLICA_SET = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web-5f', controller: true };
const STATEFUL_SET = { ...REPLICA_SET, kind: 'StatefulSet', name: 'web' };

interface GivenPod {
  owner?: object | null;
  /** Seconds from now; null: nobody deletes it. */
  deletedIn?: number | null;
  graceS?: number;
  startedAt?: string;
}

function pod({ owner = REPLICA_SET, deletedIn = null, graceS = 30, startedAt = at(-3600) }: GivenPod): WorkloadPod {
  const deletion = { deletionTimestamp: at(deletedIn ?? 0), deletionGracePeriodSeconds: graceS };
  const made = decodeWorkloadPod({
    metadata: {
      name: 'web-1',
      namespace: 'shop',
      uid: 'uid-pod',
      ownerReferences: owner === null ? [] : [owner],
      ...(deletedIn === null ? {} : deletion),
    },
    spec: { nodeName: 'node-1', volumes: [{ name: 'v', persistentVolumeClaim: { claimName: 'data' } }] },
    status: { phase: 'Running', startTime: startedAt },
  });
  if (made === null) throw new Error('the pod has a claim');
  return made;
}

function attachment(name: string, change: { deleting?: boolean; attached?: boolean } = {}): KubeAttachment {
  const deletion = change.deleting === true ? { deletionTimestamp: at(-1) } : {};
  const made = decodeKubeAttachment({
    metadata: { name, uid: `uid-${name}`, ...deletion },
    spec: { attacher: 'driver.longhorn.io', nodeName: 'node-1', source: { persistentVolumeName: `pv-${name}` } },
    status: { attached: change.attached ?? true },
  });
  if (made === null) throw new Error('the attachment is ours');
  return made;
}

function world(given: GivenPod, change: Partial<PodWorld> = {}): PodWorld {
  return {
    nowMs: NOW,
    me: 'node-1',
    pod: pod(given),
    isNodeDown: false,
    rules: { nodeDownPolicy: 'do-nothing', deletesForRemount: true, blacklist: '' },
    volumes: [],
    attachments: [],
    held: [],
    ...change,
  };
}

const NONE: PodStep = { kind: 'none' };
const BOTH = 'delete-both-statefulset-and-deployment-pod';
const FORCE: PodStep = { kind: 'delete-pod', reason: 'node-down', graceS: 0 };

describe('the node of a pod is down', () => {
  const ours = (reason: string | null): Node => {
    const node = newObject('Node', 'ns', 'node-1');
    const status = reason === null ? 'True' : 'False';
    const times = { lastProbeTime: '', lastTransitionTime: '' };
    node.status.conditions = [{ type: 'Ready', status, reason: reason ?? '', message: '', ...times }];
    return node;
  };
  const kube = (ready: string): KubeNode =>
    decodeKubeNode({ metadata: { name: 'node-1' }, status: { conditions: [{ type: 'Ready', status: ready }] } });
  it.each<[string, Node | null, KubeNode | null, boolean]>([
    ['when both say so', ours('KubernetesNodeNotReady'), kube('Unknown'), true],
    ['when it is gone', ours('KubernetesNodeGone'), null, true],
    ['when neither knows it', null, null, true],
    ['not while Kubernetes calls it ready', ours('KubernetesNodeNotReady'), kube('True'), false],
    ['not for being unknown to us only', null, kube('True'), false],
    ['not while we still believe in it', ours(null), kube('Unknown'), false],
    ['not for a lost manager', ours('ManagerPodMissing'), kube('False'), false],
    ['not under pressure', ours('KubernetesNodePressure'), kube('False'), false],
  ])('%s', (_case, node, kubeNode, expected) => {
    expect(podNodeIsDown(node, kubeNode)).toBe(expected);
  });
});

describe('a pod on a node that is down', () => {
  const down = (given: GivenPod, nodeDownPolicy = BOTH, attachments: KubeAttachment[] = []): PodStep =>
    planPod(
      world(
        { deletedIn: -1, ...given },
        { isNodeDown: true, attachments, rules: { nodeDownPolicy, deletesForRemount: true, blacklist: '' } },
      ),
    );

  it.each<[string, PodStep, PodStep]>([
    ['do-nothing', NONE, NONE],
    ['delete-statefulset-pod', FORCE, NONE],
    ['delete-deployment-pod', NONE, FORCE],
    [BOTH, FORCE, FORCE],
    ['a policy of the future', NONE, NONE],
  ])('is deleted by the policy %s', (policy, ofStatefulSet, ofReplicaSet) => {
    expect([down({ owner: STATEFUL_SET }, policy), down({ owner: REPLICA_SET }, policy)]).toEqual([
      ofStatefulSet,
      ofReplicaSet,
    ]);
  });

  it.each<[string, object | null]>([
    ['that nothing owns', null],
    ['of a DaemonSet', { ...REPLICA_SET, kind: 'DaemonSet' }],
    ['whose owner does not control it', { ...REPLICA_SET, controller: false }],
  ])('stays, %s', (_case, owner) => {
    expect(down({ owner })).toEqual(NONE);
  });

  it('stays while nobody deletes it, with its attachments', () => {
    expect(down({ deletedIn: null }, BOTH, [attachment('a')])).toEqual(NONE);
  });

  it('stays on a node that is ready', () => {
    const rules = { nodeDownPolicy: BOTH, deletesForRemount: true, blacklist: '' };
    expect(planPod(world({ deletedIn: -1 }, { rules, attachments: [attachment('a')] }))).toEqual(NONE);
  });

  it('first loses its attachments, those that are not on their way already', () => {
    const attachments = [attachment('a'), attachment('b', { deleting: true }), attachment('c', { attached: false })];
    expect(down({}, BOTH, attachments)).toEqual({
      kind: 'detach',
      reason: 'node-down',
      attachments: [attachments[0], attachments[2]],
    });
  });

  it('loses them before its time is over', () => {
    const attachments = [attachment('a')];
    expect(down({ deletedIn: 20 }, BOTH, attachments)).toEqual({ kind: 'detach', reason: 'node-down', attachments });
  });

  it('waits for attachments that are on their way', () => {
    expect(down({}, BOTH, [attachment('a', { deleting: true })])).toEqual(NONE);
  });

  it('has the time that it was given', () => {
    expect(down({ deletedIn: 20 })).toEqual({ kind: 'wait', untilMs: NOW + 20_000 });
    expect(down({ deletedIn: 0 })).toEqual(FORCE);
  });

  it('is deleted without grace once', () => {
    expect(down({ graceS: 0 })).toEqual(NONE);
  });
});

describe('a force-deleted pod', () => {
  const held = (change: Partial<PodWorld['held'][number]> = {}): PodWorld['held'][number] => ({
    attachment: attachment('a'),
    isMounted: false,
    isClaimed: true,
    messages: [],
    ...change,
  });
  const step = (...all: PodWorld['held'][number][]): PodStep =>
    planPod(world({ deletedIn: 0, graceS: 0 }, { held: all }));
  const conflict = (...pods: string[]): string =>
    `Multi-Attach error for volume "pvc-1" Volume is already used by pod(s) ${pods.join(', ')}`;
  const LOOK: PodStep = { kind: 'wait', untilMs: NOW + 10_000 };

  it('is one with a time of deletion and no grace', () => {
    const cases = [pod({}), pod({ deletedIn: 0 }), pod({ deletedIn: 0, graceS: 0 })];
    expect(cases.map(isForceDeleted)).toEqual([false, false, true]);
  });

  it.each<[string, 'freed' | 'looked at' | 'left', Partial<PodWorld['held'][number]>]>([
    ['whose volume nobody claims', 'freed', { isClaimed: false }],
    ['that another pod waits for', 'freed', { messages: ['Scheduled', conflict('web-0', 'web-1')] }],
    ['that another pod waits for, mounted yet', 'looked at', { isMounted: true, messages: [conflict('web-1')] }],
    ['whose volume nobody claims, mounted yet', 'looked at', { isMounted: true, isClaimed: false }],
    ['that nobody waits for', 'looked at', {}],
    ['that another pod waits for because of a third', 'looked at', { messages: [conflict('web-10', 'my.web-1')] }],
    ['named by another error', 'looked at', { messages: ['failed to start web-1'] }],
    ['that is on its way', 'left', { isClaimed: false, attachment: attachment('a', { deleting: true }) }],
    ['that was never made', 'left', { isClaimed: false, attachment: attachment('a', { attached: false }) }],
  ])('has an attachment %s: it is %s', (_case, expected, change) => {
    const steps = {
      freed: { kind: 'detach', reason: 'force-deleted', attachments: [attachment('a')] },
      'looked at': LOOK,
      left: NONE,
    };
    expect(step(held(change))).toEqual(steps[expected]);
  });

  it('loses only the attachments that are in the way', () => {
    const other = held({ attachment: attachment('b'), isClaimed: false });
    expect(step(held(), other)).toEqual({
      kind: 'detach',
      reason: 'force-deleted',
      attachments: [other.attachment],
    });
  });

  it('without attachments is left alone', () => {
    expect(step()).toEqual(NONE);
  });
});

describe('a pod whose volume asks for a remount', () => {
  const remount = (given: GivenPod, change: Partial<PodWorld> = {}, ...requestedS: (number | null)[]): PodStep =>
    planPod(
      world(given, {
        volumes: (requestedS.length === 0 ? [-10] : requestedS).map((seconds, index) => ({
          name: `vol-${index}`,
          remountRequestedAt: seconds === null ? '' : at(seconds),
          isShared: false,
        })),
        ...change,
      }),
    );
  const rules = (change: Partial<PodWorld['rules']>): Partial<PodWorld> => ({
    rules: { nodeDownPolicy: 'do-nothing', deletesForRemount: true, blacklist: '', ...change },
  });
  const DELETE: PodStep = { kind: 'delete-pod', reason: 'remount', graceS: 30 };

  it('is deleted with grace', () => {
    expect(remount({})).toEqual(DELETE);
  });

  it.each<[string, GivenPod, Partial<PodWorld>]>([
    ['on another node', {}, { me: 'node-2' }],
    ['with the setting off', {}, rules({ deletesForRemount: false })],
    ['that nothing makes anew', { owner: null }, {}],
    ['whose owner does not control it', { owner: { ...REPLICA_SET, controller: false } }, {}],
    ['that terminates', { deletedIn: 20 }, {}],
    ['that terminates on a node that is down', { deletedIn: -1 }, { isNodeDown: true }],
    ['that has not begun', { startedAt: '' }, {}],
    ['that began when it was asked for', { startedAt: at(-10) }, {}],
    ['that began after it', { startedAt: at(-9) }, {}],
  ])('stays, %s', (_case, given, change) => {
    expect(remount(given, change)).toEqual(NONE);
  });

  it('stays without a request, and when the time of one cannot be read', () => {
    expect(remount({}, {}, null)).toEqual(NONE);
    const unreadable = { name: 'vol', remountRequestedAt: 'yesterday', isShared: false };
    expect(remount({}, { volumes: [unreadable] })).toEqual(NONE);
  });

  it('of which the volume is shared over NFS stays', () => {
    expect(remount({}, { volumes: [{ name: 'vol', remountRequestedAt: at(-10), isShared: true }] })).toEqual(NONE);
  });

  it('stays until more than five seconds are over', () => {
    expect(remount({}, {}, -2)).toEqual({ kind: 'wait', untilMs: NOW + 3_001 });
    expect(remount({}, {}, -5)).toEqual({ kind: 'wait', untilMs: NOW + 1 });
    expect(remount({}, { nowMs: NOW + 1 }, -5)).toEqual(DELETE);
  });

  it('goes by the earliest request that is news to it', () => {
    expect(remount({ startedAt: at(-60) }, {}, null, -100, -1, -3)).toEqual({ kind: 'wait', untilMs: NOW + 2_001 });
  });

  it.each<[string, string, PodStep]>([
    ['apps/ReplicaSet', 'apps/v1', NONE],
    ['apps/StatefulSet; apps/ReplicaSet ;', 'apps/v1', NONE],
    ['apps/v1/ReplicaSet', 'apps/v1', NONE],
    ['apps/StatefulSet;batch/Job', 'apps/v1', DELETE],
    ['apps/replicaset', 'apps/v1', DELETE],
    ['ReplicaSet', 'apps/v1', DELETE],
    ['other/ReplicaSet', 'apps/v1', DELETE],
    ['v1/ReplicaSet', 'v1', NONE],
    ['/ReplicaSet', 'v1', NONE],
    [';;', 'v1', DELETE],
  ])('and the blacklist %j, with an owner of %s', (blacklist, apiVersion, expected) => {
    expect(remount({ owner: { ...REPLICA_SET, apiVersion } }, rules({ blacklist }))).toEqual(expected);
  });
});
