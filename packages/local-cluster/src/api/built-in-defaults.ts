/**
 * What the real server fills in when a built-in kind is written, as far as clients or this package look at it.
 */
import { isObject, listAt, objectAt, stringAt, valueAt, type Json, type JsonObject } from './json.ts';
import type { KubeObject } from './object.ts';
import type { ResourceType } from './resource-type.ts';

/** Built-in kinds whose spec is counted; custom resources all are. */
const WITH_GENERATION = new Set([
  'CustomResourceDefinition',
  'DaemonSet',
  'Deployment',
  'MutatingWebhookConfiguration',
  'Pod',
  'PodDisruptionBudget',
  'PriorityClass',
  'ValidatingWebhookConfiguration',
]);

/** Whether objects of this kind have `metadata.generation`. */
export const hasGeneration = (type: ResourceType): boolean => type.custom || WITH_GENERATION.has(type.kind);

function withDefaults(value: Json | undefined, defaults: JsonObject): JsonObject {
  const result = { ...objectAt(value) };
  for (const [key, entry] of Object.entries(defaults)) result[key] ??= entry;
  return result;
}

function podSpecDefaults(spec: Json | undefined): JsonObject {
  const account = stringAt(valueAt(spec, 'serviceAccountName'));
  const pod = withDefaults(spec, {
    restartPolicy: 'Always',
    terminationGracePeriodSeconds: 30,
    dnsPolicy: 'ClusterFirst',
    schedulerName: 'default-scheduler',
    securityContext: {},
    ...(account === '' ? {} : { serviceAccount: account }),
  });
  for (const key of ['containers', 'initContainers'])
    if (pod[key] !== undefined)
      pod[key] = listAt(pod[key]).map((container) =>
        withDefaults(container, {
          imagePullPolicy: 'IfNotPresent',
          resources: {},
          terminationMessagePath: '/dev/termination-log',
          terminationMessagePolicy: 'File',
        }),
      );
  return pod;
}

const boundPodDefaults = (spec: Json | undefined): JsonObject =>
  withDefaults(podSpecDefaults(spec), {
    enableServiceLinks: true,
    preemptionPolicy: 'PreemptLowerPriority',
    priority: 0,
  });

function serviceDefaults(spec: Json | undefined): JsonObject {
  const service = withDefaults(spec, { type: 'ClusterIP', sessionAffinity: 'None', internalTrafficPolicy: 'Cluster' });
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

function workloadDefaults(object: KubeObject, own: JsonObject, rolling: [field: string, how: JsonObject]): KubeObject {
  const [field, how] = rolling;
  const spec = withDefaults(object['spec'], { revisionHistoryLimit: 10, ...own });
  const strategy = withDefaults(spec[field], { type: 'RollingUpdate' });
  spec[field] =
    strategy['type'] === 'RollingUpdate'
      ? { ...strategy, rollingUpdate: withDefaults(strategy['rollingUpdate'], how) }
      : strategy;
  const template = objectAt(spec['template']);
  spec['template'] = { ...template, spec: podSpecDefaults(template['spec']) };
  return { ...object, spec };
}

function webhookDefaults(object: KubeObject): KubeObject {
  const reinvocation = object.kind === 'MutatingWebhookConfiguration' ? { reinvocationPolicy: 'Never' } : {};
  const webhooks = listAt(object['webhooks']).map((entry) => {
    const webhook = withDefaults(entry, {
      failurePolicy: 'Fail',
      matchPolicy: 'Equivalent',
      namespaceSelector: {},
      objectSelector: {},
      timeoutSeconds: 10,
      ...reinvocation,
    });
    webhook['rules'] = listAt(webhook['rules']).map((rule) => withDefaults(rule, { scope: '*' }));
    const client = objectAt(webhook['clientConfig']);
    return isObject(client['service'])
      ? { ...webhook, clientConfig: { ...client, service: withDefaults(client['service'], { port: 443 }) } }
      : webhook;
  });
  return { ...object, webhooks };
}

function definitionDefaults(object: KubeObject): KubeObject {
  const spec = withDefaults(object['spec'], { conversion: { strategy: 'None' } });
  const kind = stringAt(valueAt(spec, 'names', 'kind'));
  if (kind === '') return { ...object, spec };
  return {
    ...object,
    spec: { ...spec, names: withDefaults(spec['names'], { singular: kind.toLowerCase(), listKind: `${kind}List` }) },
  };
}

const CSI_DRIVER: JsonObject = {
  attachRequired: true,
  podInfoOnMount: false,
  storageCapacity: false,
  volumeLifecycleModes: ['Persistent'],
  fsGroupPolicy: 'ReadWriteOnceWithFSType',
  requiresRepublish: false,
  seLinuxMount: false,
};

/** The object with what is missing filled in. */
export function builtinDefaults(type: ResourceType, object: KubeObject): KubeObject {
  if (type.custom) return object;
  const spec = (value: JsonObject): KubeObject => ({ ...object, spec: value });
  switch (type.kind) {
    case 'Pod':
      return spec(boundPodDefaults(object['spec']));
    case 'Service':
      return spec(serviceDefaults(object['spec']));
    case 'Secret':
      return { ...secretData(object), type: object['type'] ?? 'Opaque' };
    case 'DaemonSet':
      return workloadDefaults(object, {}, ['updateStrategy', { maxUnavailable: 1, maxSurge: 0 }]);
    case 'Deployment':
      return workloadDefaults(object, { replicas: 1, progressDeadlineSeconds: 600 }, [
        'strategy',
        { maxUnavailable: '25%', maxSurge: '25%' },
      ]);
    case 'Namespace':
      return {
        ...spec(withDefaults(object['spec'], { finalizers: ['kubernetes'] })),
        metadata: {
          ...object.metadata,
          labels: { ...object.metadata.labels, 'kubernetes.io/metadata.name': object.metadata.name },
        },
      };
    case 'CustomResourceDefinition':
      return definitionDefaults(object);
    case 'StorageClass':
      return { reclaimPolicy: 'Delete', volumeBindingMode: 'Immediate', ...object };
    case 'CSIDriver':
      return spec(withDefaults(object['spec'], CSI_DRIVER));
    case 'PriorityClass':
      return { preemptionPolicy: 'PreemptLowerPriority', ...object };
    case 'PersistentVolume':
      return spec(withDefaults(object['spec'], { persistentVolumeReclaimPolicy: 'Retain', volumeMode: 'Filesystem' }));
    case 'PersistentVolumeClaim':
      return spec(withDefaults(object['spec'], { volumeMode: 'Filesystem' }));
    case 'MutatingWebhookConfiguration':
    case 'ValidatingWebhookConfiguration':
      return webhookDefaults(object);
    case 'Event':
      return { eventTime: null, reportingComponent: '', reportingInstance: '', ...object };
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
    case 'Deployment':
      return {};
    case 'DaemonSet':
      return { currentNumberScheduled: 0, numberMisscheduled: 0, desiredNumberScheduled: 0, numberReady: 0 };
    case 'PodDisruptionBudget':
      return { disruptionsAllowed: 0, currentHealthy: 0, desiredHealthy: 0, expectedPods: 0 };
    case 'Service':
      return { loadBalancer: {} };
    case 'VolumeAttachment':
      return { attached: false };
    default:
      return null;
  }
}
