/**
 * The built-in kinds: stored as data; what acts on them is in ../controllers and ../node.
 */
import type { ResourceType } from './resource-type.ts';

type Row = readonly [
  apiVersion: string,
  plural: string,
  kind: string,
  scope: 'cluster' | 'namespace',
  status: boolean,
  shortNames: string,
  categories?: string,
];

const ROWS: readonly Row[] = [
  ['v1', 'namespaces', 'Namespace', 'cluster', true, 'ns'],
  ['v1', 'nodes', 'Node', 'cluster', true, 'no'],
  ['v1', 'pods', 'Pod', 'namespace', true, 'po', 'all'],
  ['v1', 'services', 'Service', 'namespace', true, 'svc', 'all'],
  ['v1', 'endpoints', 'Endpoints', 'namespace', false, 'ep'],
  ['v1', 'configmaps', 'ConfigMap', 'namespace', false, 'cm'],
  ['v1', 'secrets', 'Secret', 'namespace', false, ''],
  ['v1', 'serviceaccounts', 'ServiceAccount', 'namespace', false, 'sa'],
  ['v1', 'events', 'Event', 'namespace', false, 'ev'],
  ['v1', 'persistentvolumes', 'PersistentVolume', 'cluster', true, 'pv'],
  ['v1', 'persistentvolumeclaims', 'PersistentVolumeClaim', 'namespace', true, 'pvc'],
  ['apps/v1', 'daemonsets', 'DaemonSet', 'namespace', true, 'ds', 'all'],
  ['apps/v1', 'deployments', 'Deployment', 'namespace', true, 'deploy', 'all'],
  ['events.k8s.io/v1', 'events', 'Event', 'namespace', false, 'ev'],
  ['coordination.k8s.io/v1', 'leases', 'Lease', 'namespace', false, ''],
  ['storage.k8s.io/v1', 'storageclasses', 'StorageClass', 'cluster', false, 'sc'],
  ['storage.k8s.io/v1', 'csidrivers', 'CSIDriver', 'cluster', false, ''],
  ['storage.k8s.io/v1', 'csinodes', 'CSINode', 'cluster', false, ''],
  ['storage.k8s.io/v1', 'volumeattachments', 'VolumeAttachment', 'cluster', true, ''],
  ['storage.k8s.io/v1', 'csistoragecapacities', 'CSIStorageCapacity', 'namespace', false, ''],
  ['rbac.authorization.k8s.io/v1', 'roles', 'Role', 'namespace', false, ''],
  ['rbac.authorization.k8s.io/v1', 'rolebindings', 'RoleBinding', 'namespace', false, ''],
  ['rbac.authorization.k8s.io/v1', 'clusterroles', 'ClusterRole', 'cluster', false, ''],
  ['rbac.authorization.k8s.io/v1', 'clusterrolebindings', 'ClusterRoleBinding', 'cluster', false, ''],
  ['scheduling.k8s.io/v1', 'priorityclasses', 'PriorityClass', 'cluster', false, 'pc'],
  ['policy/v1', 'poddisruptionbudgets', 'PodDisruptionBudget', 'namespace', true, 'pdb'],
  [
    'admissionregistration.k8s.io/v1',
    'mutatingwebhookconfigurations',
    'MutatingWebhookConfiguration',
    'cluster',
    false,
    '',
    'api-extensions',
  ],
  [
    'admissionregistration.k8s.io/v1',
    'validatingwebhookconfigurations',
    'ValidatingWebhookConfiguration',
    'cluster',
    false,
    '',
    'api-extensions',
  ],
  [
    'apiextensions.k8s.io/v1',
    'customresourcedefinitions',
    'CustomResourceDefinition',
    'cluster',
    true,
    'crd,crds',
    'api-extensions',
  ],
];

const words = (text: string | undefined): string[] => (text === undefined || text === '' ? [] : text.split(','));

function singularOf(kind: string): string {
  return kind.toLowerCase();
}

/** Events are one store with two faces; see event-conversion.ts. */
const storageGroup = (group: string, plural: string): string => (plural === 'events' ? '' : group);

export const BUILTIN_TYPES: readonly ResourceType[] = ROWS.map(
  ([apiVersion, plural, kind, scope, status, shortNames, categories]) => {
    const [group, version] = apiVersion.includes('/') ? apiVersion.split('/') : ['', apiVersion];
    return {
      group: group ?? '',
      version: version ?? '',
      plural,
      singular: singularOf(kind),
      kind,
      listKind: `${kind}List`,
      namespaced: scope === 'namespace',
      shortNames: words(shortNames),
      categories: words(categories),
      storage: `${storageGroup(group ?? '', plural)}/${plural}`,
      storedApiVersion: plural === 'events' ? 'v1' : apiVersion,
      status,
      columns: null,
      schema: null,
      selectableFields: [],
      custom: false,
    };
  },
);

/** Storage keys of the kinds that code of this package works with. */
export const STORAGE = {
  namespaces: '/namespaces',
  nodes: '/nodes',
  pods: '/pods',
  services: '/services',
  endpoints: '/endpoints',
  configMaps: '/configmaps',
  secrets: '/secrets',
  events: '/events',
  daemonSets: 'apps/daemonsets',
  deployments: 'apps/deployments',
  leases: 'coordination.k8s.io/leases',
  budgets: 'policy/poddisruptionbudgets',
  mutatingWebhooks: 'admissionregistration.k8s.io/mutatingwebhookconfigurations',
  validatingWebhooks: 'admissionregistration.k8s.io/validatingwebhookconfigurations',
  definitions: 'apiextensions.k8s.io/customresourcedefinitions',
} as const;

const byStorage = new Map(
  BUILTIN_TYPES.filter((type) => type.group !== 'events.k8s.io').map((type) => [type.storage, type]),
);

/** The type of a built-in kind by its storage key. */
export function builtinType(storage: (typeof STORAGE)[keyof typeof STORAGE]): ResourceType {
  const type = byStorage.get(storage);
  if (type === undefined) throw new Error(`no built-in kind is stored as ${storage}`);
  return type;
}
