/** Labels, annotations, finalizers and the fixed names of objects, spelled as upstream's clients look for them. */

/** The finalizer of all kinds that have one. */
export const FINALIZER = 'longhorn.io';
/** Namespace that everything is in unless POD_NAMESPACE says otherwise. */
export const DEFAULT_NAMESPACE = 'longhorn-system';
/** Name of the CSI driver. */
export const CSI_DRIVER_NAME = 'driver.longhorn.io';

/** Label keys. */
export const LABEL = {
  managedBy: 'longhorn.io/managed-by',
  component: 'longhorn.io/component',
  engineImage: 'longhorn.io/engine-image',
  node: 'longhorn.io/node',
  instanceManagerType: 'longhorn.io/instance-manager-type',
  instanceManagerImage: 'longhorn.io/instance-manager-image',
  dataEngine: 'longhorn.io/data-engine',
  diskUuid: 'longhorn.io/disk-uuid',
  backingImage: 'longhorn.io/backing-image',
  backingImageDataSource: 'longhorn.io/backing-image-data-source',
  shareManager: 'longhorn.io/share-manager',
  shareManagerImage: 'longhorn.io/share-manager-image',
  exportFromVolume: 'longhorn.io/export-from-volume',
  orphanType: 'longhorn.io/orphan-type',
  version: 'longhorn.io/version',
  systemRestore: 'longhorn.io/system-restore',
  deleteCustomResourceOnly: 'longhorn.io/delete-custom-resource-only',
  admissionWebhook: 'longhorn.io/admission-webhook',
  recoveryBackend: 'longhorn.io/recovery-backend',
  app: 'app',
  /** On volumes, engines, replicas, snapshots and attachments: the volume. */
  volume: 'longhornvolume',
  /** On engines, replicas and orphans: the node, maybe empty. */
  ownerNode: 'longhornnode',
  /** On replicas: the UUID of the disk, maybe empty. */
  replicaDiskUuid: 'longhorndiskuuid',
  instanceManager: 'longhorninstancemanager',
  engine: 'longhornengine',
  replica: 'longhornreplica',
  backupTarget: 'backup-target',
  backupVolume: 'backup-volume',
  backupBackingImage: 'backing-image',
  recurringJobSource: 'recurring-job.longhorn.io/source',
  cronJobOf: 'recurring-job.longhorn.io',
  createDefaultDisk: 'node.longhorn.io/create-default-disk',
  disableV2DataEngine: 'node.longhorn.io/disable-v2-data-engine',
  region: 'topology.kubernetes.io/region',
  zone: 'topology.kubernetes.io/zone',
  supportBundle: 'rancher/supportbundle',
} as const;

/** Label inside a snapshot (not of its object): the volume that it was taken for, which is a copy of it. */
export const FOR_CLONING_VOLUME = 'longhorn.io/for-cloning-volume';

/** Value of `longhorn.io/managed-by`. */
export const MANAGED_BY = 'longhorn-manager';
/** Value of labels that switch something on. */
export const LABEL_ENABLED = 'enabled';
/** Value of `setting.longhorn.io/*` on a volume that follows the setting. */
export const LABEL_IGNORED = 'ignored';

/** Label of a volume for a recurring job. */
export function recurringJobLabel(job: string): string {
  return `recurring-job.longhorn.io/${job}`;
}

/** Label of a volume for a group of recurring jobs. */
export function recurringJobGroupLabel(group: string): string {
  return `recurring-job-group.longhorn.io/${group}`;
}

/** Label of a volume that follows a setting. */
export function settingLabel(setting: string): string {
  return `setting.longhorn.io/${setting}`;
}

/** Settings whose volumes carry `settingLabel`. */
export const LABELED_SETTINGS = [
  'replica-auto-balance',
  'snapshot-data-integrity',
  'remove-snapshots-during-filesystem-trim',
] as const;

/** Values of `longhorn.io/component`. */
export const COMPONENT = {
  engineImage: 'engine-image',
  instanceManager: 'instance-manager',
  shareManager: 'share-manager',
  backingImage: 'backing-image',
  backingImageManager: 'backing-image-manager',
  backingImageDataSource: 'backing-image-data-source',
  orphan: 'orphan',
  recoveryBackend: 'recovery-backend',
} as const;

/** Annotation keys. */
export const ANNOTATION = {
  configMapResourceVersion: 'longhorn.io/configmap-resource-version',
  updateSettingFromLonghorn: 'longhorn.io/update-setting-from-longhorn',
  deleteBackupTargetFromLonghorn: 'longhorn.io/delete-backup-target-from-longhorn',
  deleteEngineImageFromLonghorn: 'longhorn.io/delete-engine-image-from-longhorn',
  deleteNodeFromLonghorn: 'longhorn.io/delete-node-from-longhorn',
  lastAppliedTolerations: 'longhorn.io/last-applied-tolerations',
  lastAppliedCronJobSpec: 'longhorn.io/last-applied-cronjob-spec',
  volumeSchedulingError: 'longhorn.io/volume-scheduling-error',
  defaultDisksConfig: 'node.longhorn.io/default-disks-config',
  defaultNodeTags: 'node.longhorn.io/default-node-tags',
  safeToEvict: 'cluster-autoscaler.kubernetes.io/safe-to-evict',
} as const;

/** Fixed names of Kubernetes objects. */
export const OBJECT_NAME = {
  validatingWebhook: 'longhorn-webhook-validator',
  mutatingWebhook: 'longhorn-webhook-mutator',
  webhookService: 'longhorn-admission-webhook',
  webhookCaSecret: 'longhorn-webhook-ca',
  webhookTlsSecret: 'longhorn-webhook-tls',
  managerApp: 'longhorn-manager',
  backendService: 'longhorn-backend',
  defaultBackupTarget: 'default',
} as const;

/** Prefixes of what belongs to the recurring jobs of a volume. */
export const RECURRING_JOB_LABEL_PREFIXES = ['recurring-job.longhorn.io/', 'recurring-job-group.longhorn.io/'] as const;
/** Group that volumes without a job are in. */
export const DEFAULT_RECURRING_JOB_GROUP = 'default';
