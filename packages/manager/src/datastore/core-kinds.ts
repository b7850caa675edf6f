/**
 * The Kubernetes kinds that the manager reads or makes, reduced to the fields it uses. What else such an object has is
 * kept aside and never written back: these kinds are created, patched and deleted, not replaced.
 */
import type { ObjectMeta } from '@longhorn/shared-types';
import type { RawObject, Resource } from './kube-transport.ts';

export interface CoreCondition {
  type: string;
  status: string;
  reason: string;
  message: string;
  lastTransitionTime: string;
}

export interface KubeNode {
  metadata: ObjectMeta;
  unschedulable: boolean;
  conditions: CoreCondition[];
  allocatableMilliCpu: number;
  /** Somebody says that it is shut down for good or for long: the taint `node.kubernetes.io/out-of-service`, NoExecute. */
  isOutOfService: boolean;
  /** What its kubelet has mounted, or is about to, as `kubernetes.io/csi/DRIVER^HANDLE`. */
  volumesInUse: readonly string[];
}

export interface Pod {
  metadata: ObjectMeta;
  nodeName: string;
  phase: string;
  podIp: string;
  ready: boolean;
  /** All containers are ready; false without containers. */
  containersReady: boolean;
  image: string;
  /** The mount `longhorn` of the first container is Bidirectional. */
  mountPropagates: boolean;
}

export interface DaemonSet {
  metadata: ObjectMeta;
}

export interface DisruptionBudget {
  metadata: ObjectMeta;
}

export interface ConfigMap {
  metadata: ObjectMeta;
  data: Record<string, string>;
}

export const CORE_RESOURCES = {
  kubeNodes: { group: '', version: 'v1', plural: 'nodes', kind: 'Node', namespaced: false },
  pods: { group: '', version: 'v1', plural: 'pods', kind: 'Pod', namespaced: true },
  daemonSets: { group: 'apps', version: 'v1', plural: 'daemonsets', kind: 'DaemonSet', namespaced: true },
  budgets: {
    group: 'policy',
    version: 'v1',
    plural: 'poddisruptionbudgets',
    kind: 'PodDisruptionBudget',
    namespaced: true,
  },
  configMaps: { group: '', version: 'v1', plural: 'configmaps', kind: 'ConfigMap', namespaced: true },
} as const satisfies Record<string, Resource>;

export const EVENT_RESOURCE: Resource = { group: '', version: 'v1', plural: 'events', kind: 'Event', namespaced: true };

type JsonObject = Record<string, unknown>;

export function record(value: unknown): JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : {};
}

export function list(value: unknown): JsonObject[] {
  return Array.isArray(value) ? value.map(record) : [];
}

export function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function texts(value: unknown): Record<string, string> {
  return Object.fromEntries(Object.entries(record(value)).map(([key, entry]) => [key, text(entry)]));
}

type Identity = Pick<
  ObjectMeta,
  'name' | 'namespace' | 'uid' | 'resourceVersion' | 'creationTimestamp' | 'deletionTimestamp'
>;

/** Names, version and times: what does not grow. */
export function identityOf(raw: RawObject): Identity {
  const meta = record(raw.metadata);
  return {
    name: raw.metadata.name,
    namespace: text(meta['namespace']),
    uid: text(meta['uid']),
    resourceVersion: text(meta['resourceVersion']),
    creationTimestamp: text(meta['creationTimestamp']) || null,
    deletionTimestamp: text(meta['deletionTimestamp']) || null,
  };
}

function metadataOf(raw: RawObject): ObjectMeta {
  const meta = record(raw.metadata);
  return {
    ...identityOf(raw),
    generation: typeof meta['generation'] === 'number' ? meta['generation'] : 0,
    labels: texts(meta['labels']),
    annotations: texts(meta['annotations']),
    finalizers: Array.isArray(meta['finalizers']) ? meta['finalizers'].map(text) : [],
    ownerReferences: list(meta['ownerReferences']).map((owner) => ({
      apiVersion: text(owner['apiVersion']),
      kind: text(owner['kind']),
      name: text(owner['name']),
      uid: text(owner['uid']),
    })),
  };
}

function conditionsOf(status: JsonObject): CoreCondition[] {
  return list(status['conditions']).map((condition) => ({
    type: text(condition['type']),
    status: text(condition['status']),
    reason: text(condition['reason']),
    message: text(condition['message']),
    lastTransitionTime: text(condition['lastTransitionTime']),
  }));
}

/** `4`, `3920m` or a number, as milli CPU; 0 if unreadable. */
export function parseMilliCpu(value: unknown): number {
  if (typeof value === 'number') return Math.round(value * 1000);
  const match = /^(\d+(?:\.\d+)?)(m?)$/.exec(text(value));
  if (match === null) return 0;
  return Math.round(Number(match[1]) * (match[2] === 'm' ? 1 : 1000));
}

export function decodeKubeNode(raw: RawObject): KubeNode {
  const spec = record(raw['spec']);
  const status = record(raw['status']);
  return {
    metadata: metadataOf(raw),
    unschedulable: spec['unschedulable'] === true,
    conditions: conditionsOf(status),
    allocatableMilliCpu: parseMilliCpu(record(status['allocatable'])['cpu']),
    isOutOfService: list(spec['taints']).some(
      ({ key, effect }) => key === 'node.kubernetes.io/out-of-service' && effect === 'NoExecute',
    ),
    volumesInUse: Array.isArray(status['volumesInUse']) ? status['volumesInUse'].map(text) : [],
  };
}

export function decodePod(raw: RawObject): Pod {
  const spec = record(raw['spec']);
  const status = record(raw['status']);
  const containers = list(status['containerStatuses']);
  return {
    metadata: metadataOf(raw),
    nodeName: text(spec['nodeName']),
    phase: text(status['phase']),
    podIp: text(status['podIP']),
    ready: conditionsOf(status).some(({ type, status: value }) => type === 'Ready' && value === 'True'),
    containersReady: containers.length > 0 && containers.every((container) => container['ready'] === true),
    image: text(list(spec['containers'])[0]?.['image']),
    mountPropagates: list(list(spec['containers'])[0]?.['volumeMounts']).some(
      (mount) => mount['name'] === 'longhorn' && mount['mountPropagation'] === 'Bidirectional',
    ),
  };
}

export function decodeDaemonSet(raw: RawObject): DaemonSet {
  return { metadata: metadataOf(raw) };
}

export function decodeConfigMap(raw: RawObject): ConfigMap {
  return { metadata: metadataOf(raw), data: texts(raw['data']) };
}

export function decodeBudget(raw: RawObject): DisruptionBudget {
  return { metadata: metadataOf(raw) };
}
