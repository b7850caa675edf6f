/** All kinds of the system, by name. */
import { backingImageKind, type BackingImage } from './backing-image.ts';
import { backingImageDataSourceKind, type BackingImageDataSource } from './backing-image-data-source.ts';
import { backingImageManagerKind, type BackingImageManager } from './backing-image-manager.ts';
import { backupKind, type Backup } from './backup.ts';
import { backupBackingImageKind, type BackupBackingImage } from './backup-backing-image.ts';
import { backupTargetKind, type BackupTarget } from './backup-target.ts';
import { backupVolumeKind, type BackupVolume } from './backup-volume.ts';
import { engineKind, type Engine } from './engine.ts';
import { engineImageKind, type EngineImage } from './engine-image.ts';
import { instanceManagerKind, type InstanceManager } from './instance-manager.ts';
import { nodeKind, type Node } from './node.ts';
import { orphanKind, type Orphan } from './orphan.ts';
import { recurringJobKind, type RecurringJob } from './recurring-job.ts';
import { replicaKind, type Replica } from './replica.ts';
import { settingKind, type Setting } from './setting.ts';
import { shareManagerKind, type ShareManager } from './share-manager.ts';
import { snapshotKind, type Snapshot } from './snapshot.ts';
import { supportBundleKind, type SupportBundle } from './support-bundle.ts';
import { systemBackupKind, type SystemBackup } from './system-backup.ts';
import { systemRestoreKind, type SystemRestore } from './system-restore.ts';
import { volumeKind, type Volume } from './volume.ts';
import { volumeAttachmentKind, type VolumeAttachment } from './volume-attachment.ts';

/** Kind name to its names, columns and schema. */
export const CRD_KINDS = {
  Volume: volumeKind,
  Engine: engineKind,
  Replica: replicaKind,
  Node: nodeKind,
  InstanceManager: instanceManagerKind,
  EngineImage: engineImageKind,
  VolumeAttachment: volumeAttachmentKind,
  Snapshot: snapshotKind,
  Setting: settingKind,
  Backup: backupKind,
  BackupVolume: backupVolumeKind,
  BackupTarget: backupTargetKind,
  BackupBackingImage: backupBackingImageKind,
  BackingImage: backingImageKind,
  BackingImageDataSource: backingImageDataSourceKind,
  BackingImageManager: backingImageManagerKind,
  RecurringJob: recurringJobKind,
  ShareManager: shareManagerKind,
  Orphan: orphanKind,
  SupportBundle: supportBundleKind,
  SystemBackup: systemBackupKind,
  SystemRestore: systemRestoreKind,
} as const;

/** Kind name to the type of its objects. */
export interface CrdObjects {
  Volume: Volume;
  Engine: Engine;
  Replica: Replica;
  Node: Node;
  InstanceManager: InstanceManager;
  EngineImage: EngineImage;
  VolumeAttachment: VolumeAttachment;
  Snapshot: Snapshot;
  Setting: Setting;
  Backup: Backup;
  BackupVolume: BackupVolume;
  BackupTarget: BackupTarget;
  BackupBackingImage: BackupBackingImage;
  BackingImage: BackingImage;
  BackingImageDataSource: BackingImageDataSource;
  BackingImageManager: BackingImageManager;
  RecurringJob: RecurringJob;
  ShareManager: ShareManager;
  Orphan: Orphan;
  SupportBundle: SupportBundle;
  SystemBackup: SystemBackup;
  SystemRestore: SystemRestore;
}

/** Name of a kind. */
export type CrdKind = keyof CrdObjects;
