/**
 * A pod as its node sees it: decoded once from the API object, typed from there on.
 */
import { isObject, listAt, objectAt, stringAt, stringMapAt, valueAt, type Json, type JsonObject } from '../api/json.ts';
import { namespaceOf, type KubeObject } from '../api/object.ts';
import { podGraceSeconds } from '../limits.ts';

export type EnvSource =
  | { from: 'value'; value: string }
  | { from: 'field'; path: string }
  | { from: 'configMap' | 'secret'; name: string; key: string; optional: boolean };

export interface EnvEntry {
  name: string;
  source: EnvSource;
}

export interface ContainerSpec {
  name: string;
  image: string;
  command: string[];
  args: string[];
  env: EnvEntry[];
  /** ConfigMaps and Secrets whose keys all become variables */
  envFrom: { from: 'configMap' | 'secret'; name: string; prefix: string; optional: boolean }[];
  ports: { name: string; port: number }[];
  mounts: { volume: string; path: string }[];
  readiness: JsonObject | null;
  liveness: JsonObject | null;
  startup: JsonObject | null;
  hasPreStop: boolean;
}

export interface Pod {
  object: KubeObject;
  name: string;
  namespace: string;
  uid: string;
  node: string;
  hostNetwork: boolean;
  restartPolicy: 'Always' | 'OnFailure' | 'Never';
  graceSeconds: number;
  initContainers: ContainerSpec[];
  containers: ContainerSpec[];
}

function envSource(entry: JsonObject): EnvSource {
  const from = objectAt(entry['valueFrom']);
  if (isObject(from['fieldRef'])) return { from: 'field', path: stringAt(from['fieldRef']['fieldPath']) };
  for (const [field, kind] of [
    ['configMapKeyRef', 'configMap'],
    ['secretKeyRef', 'secret'],
  ] as const) {
    const reference = from[field];
    if (isObject(reference))
      return {
        from: kind,
        name: stringAt(reference['name']),
        key: stringAt(reference['key']),
        optional: reference['optional'] === true,
      };
  }
  return { from: 'value', value: stringAt(entry['value']) };
}

function envFrom(entry: Json): ContainerSpec['envFrom'] {
  const prefix = stringAt(valueAt(entry, 'prefix'));
  return (
    [
      ['configMapRef', 'configMap'],
      ['secretRef', 'secret'],
    ] as const
  ).flatMap(([field, from]) => {
    const reference = valueAt(entry, field);
    return isObject(reference)
      ? [{ from, name: stringAt(reference['name']), prefix, optional: reference['optional'] === true }]
      : [];
  });
}

const probe = (value: Json | undefined): JsonObject | null => (isObject(value) ? value : null);

function containerFrom(value: Json): ContainerSpec {
  const container = objectAt(value);
  return {
    name: stringAt(container['name']),
    image: stringAt(container['image']),
    command: listAt(container['command']).map(stringAt),
    args: listAt(container['args']).map(stringAt),
    env: listAt(container['env']).map((entry) => ({
      name: stringAt(valueAt(entry, 'name')),
      source: envSource(objectAt(entry)),
    })),
    envFrom: listAt(container['envFrom']).flatMap(envFrom),
    ports: listAt(container['ports']).map((port) => ({
      name: stringAt(valueAt(port, 'name')),
      port: Number(valueAt(port, 'containerPort') ?? 0),
    })),
    mounts: listAt(container['volumeMounts']).map((mount) => ({
      volume: stringAt(valueAt(mount, 'name')),
      path: stringAt(valueAt(mount, 'mountPath')),
    })),
    readiness: probe(container['readinessProbe']),
    liveness: probe(container['livenessProbe']),
    startup: probe(container['startupProbe']),
    hasPreStop: isObject(valueAt(container, 'lifecycle', 'preStop')),
  };
}

/** Decodes a pod that the API server has accepted. */
export function podFrom(object: KubeObject): Pod {
  const spec = objectAt(object['spec']);
  const policy = spec['restartPolicy'];
  const grace = spec['terminationGracePeriodSeconds'];
  return {
    object,
    name: object.metadata.name,
    namespace: namespaceOf(object),
    uid: object.metadata.uid,
    node: stringAt(spec['nodeName']),
    hostNetwork: spec['hostNetwork'] === true,
    restartPolicy: policy === 'Never' || policy === 'OnFailure' ? policy : 'Always',
    graceSeconds: typeof grace === 'number' ? grace : podGraceSeconds,
    initContainers: listAt(spec['initContainers']).map(containerFrom),
    containers: listAt(spec['containers']).map(containerFrom),
  };
}

/** The value of a downward API field; `null`: not a field that can be asked for. */
export function fieldValue(pod: Pod, path: string, podIp: string, hostIp: string): string | null {
  const keyed = /^metadata\.(labels|annotations)\['(.+)'\]$/.exec(path);
  if (keyed !== null) return stringMapAt(pod.object.metadata[keyed[1] ?? ''])[keyed[2] ?? ''] ?? '';
  switch (path) {
    case 'metadata.name':
      return pod.name;
    case 'metadata.namespace':
      return pod.namespace;
    case 'metadata.uid':
      return pod.uid;
    case 'spec.nodeName':
      return pod.node;
    case 'spec.serviceAccountName':
      return stringAt(valueAt(pod.object, 'spec', 'serviceAccountName'));
    case 'status.podIP':
    case 'status.podIPs':
      return podIp;
    case 'status.hostIP':
    case 'status.hostIPs':
      return hostIp;
    default:
      return null;
  }
}
