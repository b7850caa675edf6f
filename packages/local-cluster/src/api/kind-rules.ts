/**
 * What the real server does to single built-in kinds when they are written: defaults, and the checks
 * without which the controllers of this package could not rely on an object.
 */
import { isObject, listAt, objectAt, stringAt, valueAt, type Json, type JsonObject } from './json.ts';
import { definitionFaults } from './definition.ts';
import type { KubeObject } from './object.ts';
import type { ResourceType } from './resource-type.ts';
import { causes, type Cause } from './status-error.ts';

const SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const SERVICE = /^[a-z]([-a-z0-9]*[a-z0-9])?$/;
const LABEL_KEY = /^([a-z0-9]([-a-z0-9.]*[a-z0-9])?\/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/;
const LABEL_VALUE = /^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$/;

/** Names that become one DNS label; RBAC allows nearly anything; all else is a DNS subdomain. */
const LABEL_NAMED = new Set(['Namespace']);
const SERVICE_NAMED = new Set(['Service']);

function nameFaults(type: ResourceType, name: string): Cause[] {
  const refuse = (detail: string): Cause[] => [causes.invalid('metadata.name', name, detail)];
  if (type.group === 'rbac.authorization.k8s.io')
    return name.includes('/') || name.includes('%') || name === '.' || name === '..'
      ? refuse('may not be "." or "..", or contain "/" or "%"')
      : [];
  if (SERVICE_NAMED.has(type.kind) && !type.custom)
    return name.length <= 63 && SERVICE.test(name)
      ? []
      : refuse(
          "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with a letter, and be at most 63 characters",
        );
  if (LABEL_NAMED.has(type.kind) && !type.custom)
    return name.length <= 63 && LABEL.test(name)
      ? []
      : refuse(
          "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and be at most 63 characters",
        );
  if (name.length > 253) return refuse('must be no more than 253 characters');
  return SUBDOMAIN.test(name)
    ? []
    : refuse(
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com')",
      );
}

function labelFaults(labels: Record<string, string> | undefined): Cause[] {
  return Object.entries(labels ?? {}).flatMap(([key, value]) => {
    const found: Cause[] = [];
    if (!LABEL_KEY.test(key) || (key.split('/').at(-1) ?? '').length > 63)
      found.push(
        causes.invalid('metadata.labels', key, 'name part must consist of alphanumeric characters, "-", "_" or "."'),
      );
    if (value.length > 63 || !LABEL_VALUE.test(value))
      found.push(
        causes.invalid(
          'metadata.labels',
          value,
          'a valid label must be at most 63 alphanumeric characters, "-", "_" or "."',
        ),
      );
    return found;
  });
}

/** Faults of the metadata that a client gave. */
export function metadataFaults(type: ResourceType, object: KubeObject): Cause[] {
  return [...nameFaults(type, object.metadata.name), ...labelFaults(object.metadata.labels)];
}

function containerFaults(containers: Json | undefined, field: string): Cause[] {
  const seen = new Set<string>();
  return listAt(containers).flatMap((entry, index) => {
    const container = objectAt(entry);
    const at = `${field}[${index}]`;
    const found: Cause[] = [];
    const name = stringAt(container['name']);
    if (name === '') found.push(causes.required(`${at}.name`));
    if (seen.has(name))
      found.push({ reason: 'FieldValueDuplicate', message: `Duplicate value: "${name}"`, field: `${at}.name` });
    seen.add(name);
    if (stringAt(container['image']) === '') found.push(causes.required(`${at}.image`));
    for (const key of ['command', 'args'])
      if (container[key] !== undefined && !listAt(container[key]).every((word) => typeof word === 'string'))
        found.push(causes.invalid(`${at}.${key}`, container[key], 'must be a list of strings'));
    return found;
  });
}

function podSpecFaults(spec: Json | undefined, field: string): Cause[] {
  if (listAt(valueAt(spec, 'containers')).length === 0) return [causes.required(`${field}.containers`)];
  return [
    ...containerFaults(valueAt(spec, 'containers'), `${field}.containers`),
    ...containerFaults(valueAt(spec, 'initContainers'), `${field}.initContainers`),
  ];
}

function templateFaults(object: KubeObject): Cause[] {
  const selector = objectAt(valueAt(object, 'spec', 'selector', 'matchLabels'));
  const labels = objectAt(valueAt(object, 'spec', 'template', 'metadata', 'labels'));
  const found = podSpecFaults(valueAt(object, 'spec', 'template', 'spec'), 'spec.template.spec');
  if (Object.keys(selector).length === 0) found.push(causes.required('spec.selector'));
  if (!Object.entries(selector).every(([key, value]) => labels[key] === value))
    found.push(causes.invalid('spec.template.metadata.labels', labels, '`selector` does not match template `labels`'));
  return found;
}

function eventFaults(object: KubeObject): Cause[] {
  return isObject(object['involvedObject']) ? [] : [causes.required('involvedObject')];
}

/** Faults of a built-in object; `previous` is null when it is created. */
export function builtinFaults(type: ResourceType, object: KubeObject, previous: KubeObject | null): Cause[] {
  if (type.custom) return [];
  switch (type.kind) {
    case 'Pod':
      return [
        ...podSpecFaults(object['spec'], 'spec'),
        ...(previous !== null &&
        valueAt(previous, 'spec', 'nodeName') !== undefined &&
        valueAt(previous, 'spec', 'nodeName') !== valueAt(object, 'spec', 'nodeName')
          ? [causes.forbidden('spec.nodeName', 'a pod cannot be moved; delete it and create another')]
          : []),
      ];
    case 'DaemonSet':
    case 'Deployment':
      return templateFaults(object);
    case 'Event':
      return eventFaults(object);
    case 'CustomResourceDefinition':
      return definitionFaults(object);
    default:
      return [];
  }
}

function withDefaults(value: Json | undefined, defaults: JsonObject): JsonObject {
  const result = { ...objectAt(value) };
  for (const [key, entry] of Object.entries(defaults)) result[key] ??= entry;
  return result;
}

function podSpecDefaults(spec: Json | undefined): JsonObject {
  const pod = withDefaults(spec, {
    restartPolicy: 'Always',
    terminationGracePeriodSeconds: 30,
    dnsPolicy: 'ClusterFirst',
    schedulerName: 'default-scheduler',
  });
  for (const key of ['containers', 'initContainers'])
    if (pod[key] !== undefined)
      pod[key] = listAt(pod[key]).map((container) =>
        withDefaults(container, {
          imagePullPolicy: 'IfNotPresent',
          terminationMessagePath: '/dev/termination-log',
          terminationMessagePolicy: 'File',
        }),
      );
  return pod;
}

function serviceDefaults(spec: Json | undefined): JsonObject {
  const service = withDefaults(spec, { type: 'ClusterIP', sessionAffinity: 'None' });
  service['ports'] = listAt(service['ports']).map((port) =>
    withDefaults(port, { protocol: 'TCP', targetPort: valueAt(port, 'port') ?? 0 }),
  );
  return service;
}

function secretData(object: KubeObject): KubeObject {
  const plain = objectAt(object['stringData']);
  const { stringData: _, ...rest } = object;
  if (Object.keys(plain).length === 0) return rest;
  const data = { ...objectAt(object['data']) };
  for (const [key, value] of Object.entries(plain)) data[key] = Buffer.from(stringAt(value)).toString('base64');
  return { ...rest, data };
}

function workloadDefaults(object: KubeObject, strategy: JsonObject): KubeObject {
  const spec = withDefaults(object['spec'], { revisionHistoryLimit: 10, ...strategy });
  const template = objectAt(spec['template']);
  spec['template'] = { ...template, spec: podSpecDefaults(template['spec']) };
  return { ...object, spec };
}

/** Fills in what the real server would, as far as clients or this package look at it. */
export function builtinDefaults(type: ResourceType, object: KubeObject): KubeObject {
  if (type.custom) return object;
  switch (type.kind) {
    case 'Pod':
      return { ...object, spec: podSpecDefaults(object['spec']) };
    case 'Service':
      return { ...object, spec: serviceDefaults(object['spec']) };
    case 'Secret':
      return { ...secretData(object), type: object['type'] ?? 'Opaque' };
    case 'DaemonSet':
      return workloadDefaults(object, { updateStrategy: { type: 'RollingUpdate' } });
    case 'Deployment':
      return workloadDefaults(object, { replicas: 1, strategy: { type: 'RollingUpdate' } });
    case 'Namespace':
      return { ...object, spec: withDefaults(object['spec'], { finalizers: ['kubernetes'] }) };
    case 'CustomResourceDefinition':
      return { ...object, spec: withDefaults(object['spec'], { conversion: { strategy: 'None' } }) };
    case 'StorageClass':
      return { reclaimPolicy: 'Delete', volumeBindingMode: 'Immediate', ...object };
    default:
      return object;
  }
}

/** Status of a new object where the real server writes one at once. */
export function initialStatus(type: ResourceType): JsonObject | null {
  if (type.custom) return null;
  switch (type.kind) {
    case 'Pod':
      return { phase: 'Pending', qosClass: 'BestEffort' };
    case 'Namespace':
      return { phase: 'Active' };
    case 'PersistentVolumeClaim':
    case 'PersistentVolume':
      return { phase: 'Pending' };
    default:
      return null;
  }
}
