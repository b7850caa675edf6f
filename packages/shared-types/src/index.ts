/** Entry of the package: the contracts that all other packages share. */
export {
  API_GROUP,
  API_VERSION,
  API_VERSION_NAME,
  type KindDefinition,
  type PrinterColumn,
} from './crds/define-kind.ts';
export type { DeepPartial, KubernetesObject, ObjectMeta, OwnerReference } from './crds/kubernetes-object.ts';
export { CRD_KINDS, type CrdKind, type CrdObjects } from './crds/kinds.ts';
export { completeObject, newObject, MalformedObjectError } from './crds/complete-object.ts';
export {
  rootSchema,
  toCustomResourceDefinition,
  type CustomResourceDefinition,
  type StructuralSchema,
} from './crds/open-api.ts';
export type { Condition } from './crds/schema-fragments.ts';
export type { BackingImage, BackingImageSpec, BackingImageStatus } from './crds/backing-image.ts';
export type {
  BackingImageDataSource,
  BackingImageDataSourceSpec,
  BackingImageDataSourceStatus,
} from './crds/backing-image-data-source.ts';
export type {
  BackingImageManager,
  BackingImageManagerSpec,
  BackingImageManagerStatus,
} from './crds/backing-image-manager.ts';
export type { Backup, BackupSpec, BackupStatus } from './crds/backup.ts';
export type {
  BackupBackingImage,
  BackupBackingImageSpec,
  BackupBackingImageStatus,
} from './crds/backup-backing-image.ts';
export type { BackupTarget, BackupTargetSpec, BackupTargetStatus } from './crds/backup-target.ts';
export type { BackupVolume, BackupVolumeSpec, BackupVolumeStatus } from './crds/backup-volume.ts';
export type { Engine, EngineSpec, EngineStatus } from './crds/engine.ts';
export type { EngineImage, EngineImageSpec, EngineImageStatus } from './crds/engine-image.ts';
export type { InstanceManager, InstanceManagerSpec, InstanceManagerStatus } from './crds/instance-manager.ts';
export type { Node, NodeSpec, NodeStatus } from './crds/node.ts';
export type { Orphan, OrphanSpec, OrphanStatus } from './crds/orphan.ts';
export type { RecurringJob, RecurringJobSpec, RecurringJobStatus } from './crds/recurring-job.ts';
export type { Replica, ReplicaSpec, ReplicaStatus } from './crds/replica.ts';
export type { Setting, SettingStatus } from './crds/setting.ts';
export type { ShareManager, ShareManagerSpec, ShareManagerStatus } from './crds/share-manager.ts';
export type { Snapshot, SnapshotSpec, SnapshotStatus } from './crds/snapshot.ts';
export type { SupportBundle, SupportBundleSpec, SupportBundleStatus } from './crds/support-bundle.ts';
export type { SystemBackup, SystemBackupSpec, SystemBackupStatus } from './crds/system-backup.ts';
export type { SystemRestore, SystemRestoreSpec, SystemRestoreStatus } from './crds/system-restore.ts';
export type { Volume, VolumeSpec, VolumeStatus } from './crds/volume.ts';
export type { VolumeAttachment, VolumeAttachmentSpec, VolumeAttachmentStatus } from './crds/volume-attachment.ts';
export {
  ANNOTATION,
  COMPONENT,
  CSI_DRIVER_NAME,
  DEFAULT_NAMESPACE,
  DEFAULT_RECURRING_JOB_GROUP,
  FINALIZER,
  FOR_CLONING_VOLUME,
  LABEL,
  LABELED_SETTINGS,
  LABEL_ENABLED,
  LABEL_IGNORED,
  MANAGED_BY,
  OBJECT_NAME,
  RECURRING_JOB_LABEL_PREFIXES,
  recurringJobGroupLabel,
  recurringJobLabel,
  settingLabel,
} from './names/labels.ts';
export { parseDataSource, snapshotSource, type DataSource } from './names/data-source.ts';
export { labelValueProblem, objectNameProblem, tagProblem, volumeNameProblem } from './names/name-rules.ts';
export {
  NAME_LENGTH_MAX,
  attachmentTicketId,
  autoCorrectName,
  backingImageManagerName,
  backupVolumeName,
  canonicalImageName,
  deterministicUuid,
  engineImageDaemonSetName,
  engineImageName,
  generatedName,
  instanceManagerImageLabel,
  instanceManagerName,
  nextEngineName,
  orphanDataName,
  orphanInstanceName,
  replicaDataDirectoryName,
  replicaName,
  shareManagerImageLabel,
} from './names/object-names.ts';
export { collectionPath, objectPath } from './names/resource-paths.ts';
export type { SettingCategory, SettingDefinition, SettingRange, SettingType } from './settings/define-setting.ts';
export { parseNodeSelector, parseOrphanTypes, parseTolerations, type Toleration } from './settings/setting-formats.ts';
export {
  SETTINGS,
  SettingError,
  isSettingName,
  normalizeSetting,
  parseSetting,
  settingDefinition,
  settingEngines,
  validateSetting,
  type DataEngine,
  type SettingName,
  type SettingValue,
} from './settings/settings.ts';
export { parseDuration } from './units/duration.ts';
export { parseQuantity } from './units/quantity.ts';
export {
  SIZE_BYTES_MAX,
  VOLUME_SIZE_BYTES_MAX,
  VOLUME_SIZE_STEP_BYTES,
  parseSize,
  roundVolumeSize,
  type SizeResult,
} from './units/volume-size.ts';
export {
  REST_SCHEMAS,
  REST_SCHEMA_IDS,
  isRestSchemaId,
  restCollectionPath,
  restPlural,
  restSchema,
  schemaResource,
  schemaResources,
  type RestCollection,
  type RestContent,
  type RestResource,
  type RestSchemaId,
  type SchemaResource,
} from './rest/rest-schemas.ts';
export type { RestBase, RestFieldForm, RestMethod, RestSchemaForm } from './rest/schema-form.ts';
