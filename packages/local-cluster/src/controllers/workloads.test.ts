import { describe, expect, it } from 'vitest';
import { metadata } from '../../test/fixture.ts';
import type { JsonObject } from '../api/json.ts';
import type { KubeObject } from '../api/object.ts';
import { planDaemonSet } from './daemon-sets.ts';
import { planDeployment } from './deployments.ts';
import { tolerationSeconds } from './node-lifecycle.ts';
import { candidates } from './placement.ts';
import { chooseNode } from './scheduler.ts';
import { templateHash } from './workload-pods.ts';

const template: JsonObject = { metadata: { labels: { a: 'b' } }, spec: { nodeSelector: { disk: 'ssd' } } };
const hash = templateHash(template);
const workload = (spec: JsonObject): KubeObject => ({
  apiVersion: 'apps/v1',
  kind: 'X',
  metadata: metadata('w', 'ns'),
  spec: { template, ...spec },
});
const node = (
  name: string,
  extra: { labels?: Record<string, string>; spec?: JsonObject; ready?: string } = {},
): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { ...metadata(name), labels: extra.labels ?? { disk: 'ssd' } },
  spec: extra.spec ?? {},
  status: { conditions: [{ type: 'Ready', status: extra.ready ?? 'True' }] },
});
const pod = (
  name: string,
  on: string,
  extra: { label?: string; value?: string; phase?: string; going?: boolean; ready?: boolean } = {},
): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: {
    ...metadata(name, 'ns'),
    labels: { [extra.label ?? 'controller-revision-hash']: extra.value ?? hash },
    ...(extra.going === true ? { deletionTimestamp: '2026-01-01T00:00:00Z' } : {}),
  },
  spec: { nodeName: on },
  status: {
    phase: extra.phase ?? 'Running',
    conditions: [{ type: 'Ready', status: extra.ready === false ? 'False' : 'True' }],
  },
});

describe('planDaemonSet', () => {
  const nodes = [node('n1'), node('n2'), node('n3', { labels: {} })];
  const cases: [string, KubeObject[], string[], string[]][] = [
    ['makes a pod on every node that suits', [], ['n1', 'n2'], []],
    ['is content with what is there', [pod('a', 'n1'), pod('b', 'n2')], [], []],
    [
      'removes from nodes that do not suit, and second pods',
      [pod('a', 'n1'), pod('b', 'n1'), pod('c', 'n3')],
      ['n2'],
      ['b', 'c'],
    ],
    [
      'replaces pods of an older template, one after the other',
      [pod('a', 'n1', { value: 'old' }), pod('b', 'n2')],
      [],
      ['a'],
    ],
    ['replaces pods that have ended', [pod('a', 'n1', { phase: 'Failed' }), pod('b', 'n2')], [], ['a']],
    ['waits for a pod that is going', [pod('a', 'n1', { going: true }), pod('b', 'n2')], [], []],
  ];
  it.each(cases)('%s', (_name, pods, create, remove) => {
    const plan = planDaemonSet(workload({}), nodes, pods);
    expect([plan.create, plan.remove.map((entry) => entry.metadata.name)]).toEqual([create, remove]);
  });
  it('also serves nodes that are cordoned or unreachable', () => {
    const taints = [{ key: 'node.kubernetes.io/unreachable', effect: 'NoExecute' }];
    expect(planDaemonSet(workload({}), [node('n1', { spec: { unschedulable: true, taints } })], []).create).toEqual([
      'n1',
    ]);
    expect(
      planDaemonSet(workload({}), [node('n1', { spec: { taints: [{ key: 'own', effect: 'NoSchedule' }] } })], [])
        .create,
    ).toEqual([]);
  });
});

describe('planDeployment', () => {
  const own = (name: string, extra: Parameters<typeof pod>[2] = {}): KubeObject =>
    pod(name, 'n1', { label: 'pod-template-hash', ...extra });
  const cases: [string, number, KubeObject[], number, string[]][] = [
    ['makes what is missing', 2, [own('a')], 1, []],
    ['removes what is too much, unready pods first', 1, [own('a'), own('b', { ready: false })], 0, ['b']],
    ['keeps old pods until new ones are ready', 1, [own('a', { value: 'old' })], 1, []],
    ['removes old pods when new ones are ready', 1, [own('a', { value: 'old' }), own('b')], 0, ['a']],
    ['replaces pods that have ended', 1, [own('a', { phase: 'Failed' })], 1, ['a']],
    ['does not wait for a pod that is going', 1, [own('a', { going: true })], 1, []],
    ['goes down to nothing', 0, [own('a')], 0, ['a']],
  ];
  it.each(cases)('%s', (_name, replicas, pods, create, remove) => {
    const plan = planDeployment(workload({ replicas }), pods);
    expect([plan.create, plan.remove.map((entry) => entry.metadata.name)]).toEqual([create, remove]);
  });
});

describe('placement', () => {
  const unbound = (spec: JsonObject): KubeObject => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: metadata('p', 'ns'),
    spec,
  });
  it('leaves out nodes that are not ready, cordoned, tainted or do not suit', () => {
    const nodes = [
      node('good'),
      node('down', { ready: 'Unknown' }),
      node('cordoned', { spec: { unschedulable: true } }),
      node('tainted', { spec: { taints: [{ key: 'k', value: 'v', effect: 'NoSchedule' }] } }),
      node('other', { labels: {} }),
    ];
    const names = (spec: JsonObject): string[] => candidates(unbound(spec), nodes).map((entry) => entry.metadata.name);
    expect(names({ nodeSelector: { disk: 'ssd' } })).toEqual(['good']);
    expect(
      names({ nodeSelector: { disk: 'ssd' }, tolerations: [{ key: 'k', operator: 'Equal', value: 'v' }] }),
    ).toEqual(['good', 'tainted']);
    const affinity = {
      nodeAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: {
          nodeSelectorTerms: [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: ['other'] }] }],
        },
      },
    };
    expect(names({ affinity })).toEqual(['other']);
  });
  it('takes the node with the fewest pods', () => {
    expect(chooseNode(unbound({}), [node('n1'), node('n2')], [pod('a', 'n1')])).toBe('n2');
    expect(chooseNode(unbound({ nodeSelector: { no: 'where' } }), [node('n1')], [])).toBeNull();
  });
});

describe('tolerationSeconds', () => {
  it.each<[string, JsonObject[], number | null]>([
    ['five minutes by default', [], 300],
    ['what the pod says', [{ key: 'node.kubernetes.io/unreachable', effect: 'NoExecute', tolerationSeconds: 1 }], 1],
    ['for ever without a number', [{ operator: 'Exists' }], null],
    ['other keys do not count', [{ key: 'x', tolerationSeconds: 1 }], 300],
  ])('%s', (_name, tolerations, seconds) => {
    expect(tolerationSeconds({ apiVersion: 'v1', kind: 'Pod', metadata: metadata('p'), spec: { tolerations } })).toBe(
      seconds,
    );
  });
});
