/** Kinds that the manager, the CSI driver's sidecars and the chart write: defaults, checks and subresources. */
import { get, patch, post, put, remove, TABLE, type ApiRequest } from '../request.ts';

const IN = '/api/v1/namespaces/{{ns}}';
const APPS = '/apis/apps/v1/namespaces/{{ns}}';
const STORAGE = '/apis/storage.k8s.io/v1';
const LEASES = '/apis/coordination.k8s.io/v1/namespaces/{{ns}}/leases';
const BUDGETS = '/apis/policy/v1/namespaces/{{ns}}/poddisruptionbudgets';
const RBAC = '/apis/rbac.authorization.k8s.io/v1';
const SELECTED = { matchLabels: { app: 'x' } };
const container = { name: 'c', image: 'example.io/nothing:1' };
/** No scheduler has this name: the pod stays where it is. */
const podSpec = {
  schedulerName: 'nobody',
  serviceAccountName: 'sa',
  containers: [container],
  automountServiceAccountToken: false,
};
const core = (kind: string, name: string, rest: object = {}): object => ({
  apiVersion: 'v1',
  kind,
  metadata: { name },
  ...rest,
});
const template = { metadata: { labels: { app: 'x' } }, spec: podSpec };

const CONFIGURATION: readonly ApiRequest[] = [
  post('create a secret', `${IN}/secrets`, core('Secret', 's', { stringData: { a: 'b' } })),
  post('create a secret with data that is no base64', `${IN}/secrets`, core('Secret', 'x', { data: { a: '!' } })),
  put('change the type of a secret', `${IN}/secrets/s`, core('Secret', 's', { type: 'example.io/other' })),
  get('get a secret as a table', `${IN}/secrets/s`, { headers: TABLE }),
  post('create a service account', `${IN}/serviceaccounts`, core('ServiceAccount', 'sa')),
  post(
    'create a lease',
    LEASES,
    {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { name: 'l' },
      spec: { holderIdentity: 'me', leaseDurationSeconds: 15, renewTime: '2026-01-01T00:00:00.000000Z' },
    },
    { keep: { versionLease: 'metadata.resourceVersion' } },
  ),
  put('renew a lease', `${LEASES}/l`, {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { name: 'l', resourceVersion: '{{versionLease}}' },
    spec: { holderIdentity: 'me', leaseDurationSeconds: 15, renewTime: '2026-01-01T00:00:05.000000Z' },
  }),
  put('renew a lease of an old version', `${LEASES}/l`, {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { name: 'l', resourceVersion: '{{versionLease}}' },
    spec: { holderIdentity: 'other' },
  }),
  post('create a lease with a duration of 0', LEASES, {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { name: 'x' },
    spec: { holderIdentity: 'me', leaseDurationSeconds: 0 },
  }),
  post('create an event', `${IN}/events`, {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name: 'e' },
    involvedObject: { kind: 'ConfigMap', namespace: '{{ns}}', name: 'a' },
    reason: 'Made',
    message: 'it was made',
    type: 'Normal',
    source: { component: 'compare' },
    firstTimestamp: '2026-01-01T00:00:00Z',
    lastTimestamp: '2026-01-01T00:00:00Z',
    count: 1,
  }),
  get('get the event by its new name', '/apis/events.k8s.io/v1/namespaces/{{ns}}/events/e'),
  get('list events of an object', `${IN}/events?fieldSelector=involvedObject.name%3Da,involvedObject.kind%3DConfigMap`),
  post('create an event about another namespace', `${IN}/events`, {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name: 'x' },
    involvedObject: { kind: 'ConfigMap', namespace: 'elsewhere', name: 'a' },
  }),
];

const WORKLOADS: readonly ApiRequest[] = [
  post('create a pod', `${IN}/pods`, core('Pod', 'p', { spec: podSpec })),
  post('create a pod without containers', `${IN}/pods`, core('Pod', 'x', { spec: { ...podSpec, containers: [] } })),
  post(
    'create a pod with a container without image',
    `${IN}/pods`,
    core('Pod', 'x', { spec: { ...podSpec, containers: [{ name: 'c' }] } }),
  ),
  post(
    'create a pod with a container twice',
    `${IN}/pods`,
    core('Pod', 'x', { spec: { ...podSpec, containers: [container, container] } }),
  ),
  post(
    'create a pod with a mount of nothing',
    `${IN}/pods`,
    core('Pod', 'x', {
      spec: { ...podSpec, containers: [{ ...container, volumeMounts: [{ name: 'v', mountPath: '/v' }] }] },
    }),
  ),
  post(
    'create a pod with a name for a service account that is not there',
    `${IN}/pods`,
    core('Pod', 'x', { spec: { ...podSpec, serviceAccountName: 'nobody' } }),
  ),
  get('get a pod', `${IN}/pods/p`),
  patch('set conditions of a pod', 'strategic', `${IN}/pods/p/status`, {
    status: { conditions: [{ type: 'Example', status: 'True' }] },
  }),
  patch('set another condition of a pod', 'strategic', `${IN}/pods/p/status`, {
    status: { conditions: [{ type: 'Other', status: 'False' }] },
  }),
  patch('change the image of a pod', 'strategic', `${IN}/pods/p`, {
    spec: { containers: [{ name: 'c', image: 'example.io/nothing:2' }] },
  }),
  patch('change a field of a pod that cannot change', 'strategic', `${IN}/pods/p`, {
    spec: { restartPolicy: 'Never' },
  }),
  post('evict a pod that is not there', `${IN}/pods/missing/eviction`, {
    apiVersion: 'policy/v1',
    kind: 'Eviction',
    metadata: { name: 'missing' },
  }),
  remove('delete a pod that no node has', `${IN}/pods/p`, { gracePeriodSeconds: 0 }),
  get('get the pod that is gone', `${IN}/pods/p`),
  post('create a paused deployment', `${APPS}/deployments`, {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'd' },
    spec: { replicas: 0, paused: true, selector: SELECTED, template },
  }),
  post('create a deployment without a selector', `${APPS}/deployments`, {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'x' },
    spec: { template },
  }),
  post('create a deployment whose selector does not fit', `${APPS}/deployments`, {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'x' },
    spec: { selector: { matchLabels: { app: 'y' } }, template },
  }),
  post('create a deployment with negative replicas', `${APPS}/deployments`, {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'x' },
    spec: { replicas: -1, selector: SELECTED, template },
  }),
  get('get its scale', `${APPS}/deployments/d/scale`),
  post('create a daemon set that no node takes', `${APPS}/daemonsets`, {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata: { name: 'ds' },
    spec: {
      selector: SELECTED,
      template: { ...template, spec: { ...podSpec, nodeSelector: { 'example.io/no': 'node' } } },
    },
  }),
  patch('change the selector of a daemon set', 'merge', `${APPS}/daemonsets/ds`, {
    spec: { selector: { matchLabels: { app: 'y' } } },
  }),
  post('create a budget', BUDGETS, {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: { name: 'b' },
    spec: { minAvailable: 1, selector: SELECTED },
  }),
  post('create a budget with both limits', BUDGETS, {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: { name: 'x' },
    spec: { minAvailable: 1, maxUnavailable: 1, selector: SELECTED },
  }),
  post(
    'create a service',
    `${IN}/services`,
    core('Service', 'svc', {
      spec: { selector: { app: 'x' }, ports: [{ name: 'http', port: 80, targetPort: 'web' }] },
    }),
  ),
  post(
    'create a headless service',
    `${IN}/services`,
    core('Service', 'headless', { spec: { clusterIP: 'None', ports: [{ port: 80 }] } }),
  ),
  post('create a service without ports', `${IN}/services`, core('Service', 'x', { spec: { selector: { app: 'x' } } })),
  post(
    'create a service with a wrong port',
    `${IN}/services`,
    core('Service', 'x', { spec: { ports: [{ port: 70000 }] } }),
  ),
  post(
    'create a service with two ports and no names',
    `${IN}/services`,
    core('Service', 'x', { spec: { ports: [{ port: 80 }, { port: 81 }] } }),
  ),
];

const volumeSpec = {
  capacity: { storage: '1Gi' },
  accessModes: ['ReadWriteOnce'],
  csi: { driver: 'driver.longhorn.io', volumeHandle: 'v' },
  storageClassName: 'compare-static',
};
const claimSpec = {
  accessModes: ['ReadWriteOnce'],
  resources: { requests: { storage: '1Gi' } },
  storageClassName: 'compare-none',
};
const storage = (kind: string, name: string, rest: object): object => ({
  apiVersion: 'storage.k8s.io/v1',
  kind,
  metadata: { name },
  ...rest,
});

const VOLUMES: readonly ApiRequest[] = [
  post(
    'create a class',
    `${STORAGE}/storageclasses`,
    storage('StorageClass', 'compare', { provisioner: 'compare.example.io', parameters: { a: 'b' } }),
  ),
  post('create a class without a provisioner', `${STORAGE}/storageclasses`, storage('StorageClass', 'x', {})),
  patch('change the parameters of a class', 'merge', `${STORAGE}/storageclasses/compare`, { parameters: { a: 'c' } }),
  patch('change the policy of a class', 'merge', `${STORAGE}/storageclasses/compare`, { reclaimPolicy: 'Retain' }),
  get('get a class as a table', `${STORAGE}/storageclasses/compare`, { headers: TABLE }),
  post(
    'create a driver',
    `${STORAGE}/csidrivers`,
    storage('CSIDriver', 'compare.example.io', { spec: { podInfoOnMount: true, storageCapacity: true } }),
  ),
  post(
    'create an attachment',
    `${STORAGE}/volumeattachments`,
    storage('VolumeAttachment', 'compare', {
      spec: { attacher: 'compare.example.io', nodeName: 'n', source: { persistentVolumeName: 'compare-nothing' } },
    }),
  ),
  patch('say that it is attached', 'merge', `${STORAGE}/volumeattachments/compare/status`, {
    status: { attached: true },
  }),
  patch('change the node of an attachment', 'merge', `${STORAGE}/volumeattachments/compare`, {
    spec: { nodeName: 'm' },
  }),
  post(
    'create a persistent volume',
    '/api/v1/persistentvolumes',
    core('PersistentVolume', 'compare', { spec: volumeSpec }),
  ),
  post(
    'create a persistent volume without a size',
    '/api/v1/persistentvolumes',
    core('PersistentVolume', 'x', { spec: { ...volumeSpec, capacity: {} } }),
  ),
  post(
    'create a persistent volume without a source',
    '/api/v1/persistentvolumes',
    core('PersistentVolume', 'x', { spec: { ...volumeSpec, csi: undefined } }),
  ),
  post('create a claim', `${IN}/persistentvolumeclaims`, core('PersistentVolumeClaim', 'c', { spec: claimSpec })),
  post(
    'create a claim without an access mode',
    `${IN}/persistentvolumeclaims`,
    core('PersistentVolumeClaim', 'x', { spec: { ...claimSpec, accessModes: [] } }),
  ),
  post(
    'create a claim of size 0',
    `${IN}/persistentvolumeclaims`,
    core('PersistentVolumeClaim', 'x', { spec: { ...claimSpec, resources: { requests: { storage: '0' } } } }),
  ),
  post(
    'create a claim of a size that is none',
    `${IN}/persistentvolumeclaims`,
    core('PersistentVolumeClaim', 'x', { spec: { ...claimSpec, resources: { requests: { storage: 'big' } } } }),
  ),
  post(
    'create a claim with an unknown field inside, strictly',
    `${IN}/persistentvolumeclaims?fieldValidation=Strict`,
    core('PersistentVolumeClaim', 'inside', { spec: { ...claimSpec, nothing: 1 } }),
  ),
  patch('shrink a claim', 'merge', `${IN}/persistentvolumeclaims/c`, {
    spec: { resources: { requests: { storage: '1Mi' } } },
  }),
];

const CLUSTER_WIDE: readonly ApiRequest[] = [
  post('create a namespace', '/api/v1/namespaces', core('Namespace', 'compare-other')),
  post('create a namespace again', '/api/v1/namespaces', core('Namespace', 'compare-other')),
  post('create a namespace with a dot', '/api/v1/namespaces', core('Namespace', 'a.b')),
  remove('delete the namespace', '/api/v1/namespaces/compare-other'),
  get('the namespace goes', '/api/v1/namespaces/compare-other', { until: 404 }),
  remove('delete the default namespace', '/api/v1/namespaces/default'),
  post('create a priority', '/apis/scheduling.k8s.io/v1/priorityclasses', {
    apiVersion: 'scheduling.k8s.io/v1',
    kind: 'PriorityClass',
    metadata: { name: 'compare' },
    value: 5,
  }),
  patch('change the value of a priority', 'merge', '/apis/scheduling.k8s.io/v1/priorityclasses/compare', { value: 6 }),
  post('create a cluster role', `${RBAC}/clusterroles`, {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRole',
    metadata: { name: 'compare:role' },
    rules: [{ apiGroups: [''], resources: ['pods'], verbs: ['get'] }],
  }),
  post('create a rule without verbs', `${RBAC}/clusterroles`, {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRole',
    metadata: { name: 'compare:x' },
    rules: [{ apiGroups: [''], resources: ['pods'] }],
  }),
  post('create a role binding', `${RBAC}/namespaces/{{ns}}/rolebindings`, {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'RoleBinding',
    metadata: { name: 'rb' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'compare:role' },
    subjects: [{ kind: 'ServiceAccount', name: 'sa', namespace: '{{ns}}' }],
  }),
  patch('change the role of a binding', 'merge', `${RBAC}/namespaces/{{ns}}/rolebindings/rb`, {
    roleRef: { name: 'other' },
  }),
  post('ask whether one may', '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', {
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SelfSubjectAccessReview',
    spec: { resourceAttributes: { verb: 'get', resource: 'pods' } },
  }),
];

const CLEANUP: readonly ApiRequest[] = [
  remove('delete the class', `${STORAGE}/storageclasses/compare`),
  remove('delete the driver', `${STORAGE}/csidrivers/compare.example.io`),
  remove('delete the attachment', `${STORAGE}/volumeattachments/compare`),
  remove('delete the priority', '/apis/scheduling.k8s.io/v1/priorityclasses/compare'),
  remove('delete the cluster role', `${RBAC}/clusterroles/compare:role`),
  patch('free the persistent volume', 'merge', '/api/v1/persistentvolumes/compare', { metadata: { finalizers: null } }),
  remove('delete the persistent volume', '/api/v1/persistentvolumes/compare'),
];

export const BUILT_IN_KINDS: readonly ApiRequest[] = [
  ...CONFIGURATION,
  ...WORKLOADS,
  ...VOLUMES,
  ...CLUSTER_WIDE,
  ...CLEANUP,
];
