/** What an installation consists of beyond the chart, and the order in which it goes. */
import {
  API_GROUP,
  API_VERSION_NAME,
  CRD_KINDS,
  CSI_DRIVER_NAME,
  OBJECT_NAME,
  type CrdKind,
} from '@longhorn/shared-types';
import { CORE_RESOURCES } from '../datastore/core-kinds.ts';
import type { Resource } from '../datastore/kube-transport.ts';
import { detectionPodName } from '../driver-deployer/kubelet-root.ts';
import { SIDECARS } from '../driver-deployer/options.ts';
import { PLUGIN_NAME } from '../driver-deployer/plugin.ts';

export function customResource(kind: CrdKind): Resource {
  return { group: API_GROUP, version: API_VERSION_NAME, plural: CRD_KINDS[kind].plural, kind, namespaced: true };
}

const namespaced = (group: string, version: string, plural: string, kind: string): Resource => ({
  group,
  version,
  plural,
  kind,
  namespaced: true,
});
const clusterWide = (group: string, plural: string, kind: string): Resource => ({
  group,
  version: 'v1',
  plural,
  kind,
  namespaced: false,
});

export const DEPLOYMENTS = namespaced('apps', 'v1', 'deployments', 'Deployment');
const SECRETS = namespaced('', 'v1', 'secrets', 'Secret');
const LEASES = namespaced('coordination.k8s.io', 'v1', 'leases', 'Lease');

/**
 * Kinds that need running managers to go in order: replicas with their data, backups with their store. Volumes come
 * first, because all that hangs on them goes with them.
 */
export const WITH_MANAGERS: readonly CrdKind[] = [
  'Volume',
  'Snapshot',
  'VolumeAttachment',
  'Engine',
  'Replica',
  'BackupTarget',
  'BackupVolume',
  'Backup',
  'BackupBackingImage',
  'SystemBackup',
  'BackingImage',
  'ShareManager',
  'BackingImageManager',
  'BackingImageDataSource',
  'RecurringJob',
  'SystemRestore',
  'SupportBundle',
];

/** Kinds that running managers would make again; the setting that allows all this goes last. */
export const AFTER_MANAGERS: readonly CrdKind[] = [
  ...WITH_MANAGERS,
  'EngineImage',
  'InstanceManager',
  'Orphan',
  'Node',
  'Setting',
];

/** An object that is not ours by kind, but by name. */
export interface NamedObject {
  resource: Resource;
  name: string;
}

const all = (resource: Resource, names: readonly string[]): NamedObject[] => names.map((name) => ({ resource, name }));

/** The managers, and what must not outlive them: without a manager the webhooks refuse every write. */
export const MANAGERS: readonly NamedObject[] = [
  ...all(CORE_RESOURCES.daemonSets, [OBJECT_NAME.managerApp]),
  ...all(
    clusterWide('admissionregistration.k8s.io', 'validatingwebhookconfigurations', 'ValidatingWebhookConfiguration'),
    [OBJECT_NAME.validatingWebhook],
  ),
  ...all(clusterWide('admissionregistration.k8s.io', 'mutatingwebhookconfigurations', 'MutatingWebhookConfiguration'), [
    OBJECT_NAME.mutatingWebhook,
  ]),
];

/** The CSI driver; its deployer first, so that nothing is made again. */
export const DRIVER: readonly NamedObject[] = [
  ...all(DEPLOYMENTS, ['longhorn-driver-deployer', ...SIDECARS]),
  ...all(CORE_RESOURCES.daemonSets, [PLUGIN_NAME]),
  ...all(clusterWide('storage.k8s.io', 'csidrivers', 'CSIDriver'), [CSI_DRIVER_NAME]),
  ...all(CORE_RESOURCES.pods, [detectionPodName('kubelet'), detectionPodName('k3s')]),
];

/** What managers and sidecars leave besides. */
export const REST: readonly NamedObject[] = [
  ...all(clusterWide('storage.k8s.io', 'storageclasses', 'StorageClass'), ['longhorn']),
  ...all(LEASES, [
    'longhorn-manager-upgrade-lock',
    'longhorn-manager-webhook-lock',
    CSI_DRIVER_NAME.replaceAll('.', '-'),
    'external-attacher-leader-driver-longhorn-io',
    'external-resizer-driver-longhorn-io',
    'external-snapshotter-leader-driver-longhorn-io',
  ]),
  ...all(SECRETS, [OBJECT_NAME.webhookCaSecret, OBJECT_NAME.webhookTlsSecret]),
  ...all(namespaced('policy', 'v1', 'poddisruptionbudgets', 'PodDisruptionBudget'), [
    'csi-attacher',
    'csi-provisioner',
  ]),
];
