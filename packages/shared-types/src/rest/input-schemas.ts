/** REST resources: the bodies of actions. Fields as upstream has them; `added` ones are ours. */
import type { RestSchemaTable } from './schema-form.ts';

/** Schema id to schema. */
export const inputSchemas = {
  attachInput: {
    isPlain: true,
    fields: {
      attachedBy: 'string',
      attacherType: 'string',
      attachmentID: 'string',
      disableFrontend: 'bool',
      hostId: 'string',
    },
  },
  detachInput: {
    isPlain: true,
    fields: {
      attachmentID: 'string',
      forceDetach: 'bool',
      hostId: 'string',
    },
  },
  snapshotInput: {
    isPlain: true,
    fields: {
      backupMode: 'string',
      labels: 'map[string]',
      name: 'string',
    },
  },
  snapshotCRInput: {
    isPlain: true,
    fields: {
      labels: 'map[string]',
      name: 'string',
    },
  },
  backupInput: {
    isPlain: true,
    fields: {
      name: 'string',
    },
  },
  syncBackupResource: {
    isPlain: true,
    fields: {
      syncAllBackupTargets: 'bool',
      syncAllBackupVolumes: 'bool',
      syncBackupTarget: 'bool',
      syncBackupVolume: 'bool',
    },
  },
  replicaRemoveInput: {
    isPlain: true,
    fields: {
      name: 'string',
    },
  },
  salvageInput: {
    isPlain: true,
    fields: {
      names: 'array[string]',
    },
  },
  activateInput: {
    isPlain: true,
    fields: {
      frontend: 'string',
    },
  },
  expandInput: {
    isPlain: true,
    fields: {
      size: 'string',
    },
  },
  engineUpgradeInput: {
    isPlain: true,
    fields: {
      image: 'string',
    },
  },
  UpdateReplicaCountInput: {
    isPlain: true,
    fields: {
      replicaCount: 'int',
    },
  },
  UpdateReplicaAutoBalanceInput: {
    isPlain: true,
    fields: {
      replicaAutoBalance: 'string',
    },
  },
  UpdateDataLocalityInput: {
    isPlain: true,
    fields: {
      dataLocality: 'string',
    },
  },
  UpdateAccessModeInput: {
    isPlain: true,
    fields: {
      accessMode: 'string',
    },
  },
  UpdateSnapshotDataIntegrityInput: {
    isPlain: true,
    fields: {
      snapshotDataIntegrity: 'string',
    },
  },
  UpdateSnapshotMaxCountInput: {
    isPlain: true,
    fields: {
      snapshotMaxCount: 'int',
    },
  },
  UpdateSnapshotMaxSizeInput: {
    isPlain: true,
    fields: {
      snapshotMaxSize: 'string',
    },
  },
  UpdateReplicaRebuildingBandwidthLimitInput: {
    isPlain: true,
    fields: {
      replicaRebuildingBandwidthLimit: 'string',
    },
  },
  UpdateBackupCompressionInput: {
    isPlain: true,
    fields: {
      backupCompressionMethod: 'string',
    },
  },
  UpdateUnmapMarkSnapChainRemovedInput: {
    isPlain: true,
    fields: {
      unmapMarkSnapChainRemoved: 'string',
    },
  },
  UpdateReplicaSoftAntiAffinityInput: {
    isPlain: true,
    fields: {
      replicaSoftAntiAffinity: 'string',
    },
  },
  UpdateReplicaZoneSoftAntiAffinityInput: {
    isPlain: true,
    fields: {
      replicaZoneSoftAntiAffinity: 'string',
    },
  },
  UpdateReplicaDiskSoftAntiAffinityInput: {
    isPlain: true,
    fields: {
      replicaDiskSoftAntiAffinity: 'string',
    },
  },
  UpdateFreezeFilesystemForSnapshotInput: {
    isPlain: true,
    fields: {
      freezeFilesystemForSnapshot: 'string',
    },
  },
  UpdateBackupTargetInput: {
    isPlain: true,
    fields: {
      backupTargetName: 'string',
    },
  },
  UpdateOfflineRebuildingInput: {
    isPlain: true,
    fields: {
      offlineRebuilding: 'string',
    },
  },
  volumeRecurringJobInput: {
    isPlain: true,
    fields: {
      isGroup: 'bool',
      name: 'string',
    },
  },
  PVCreateInput: {
    isPlain: true,
    fields: {
      fsType: 'string',
      pvName: 'string',
      secretName: 'string',
      secretNamespace: 'string',
      storageClassName: 'string',
    },
  },
  PVCCreateInput: {
    isPlain: true,
    fields: {
      namespace: 'string',
      pvcName: 'string',
    },
  },
  supportBundleInitateInput: {
    isPlain: true,
    fields: {
      description: 'string',
      issueURL: 'string',
    },
  },
  backingImageCleanupInput: {
    isPlain: true,
    fields: {
      disks: 'array[string]',
    },
  },
  updateMinNumberOfCopiesInput: {
    isPlain: true,
    fields: {
      minNumberOfCopies: 'int',
    },
  },
  backingImageRestoreInput: {
    isPlain: true,
    fields: {
      dataEngine: 'string',
      secret: 'string',
      secretNamespace: 'string',
    },
  },
  diskUpdateInput: {
    isPlain: true,
    fields: {
      disks: { type: 'array[diskUpdate]', actual: 'map[diskUpdate]' },
    },
  },
  volumeCreateNotes: {
    isPlain: true,
    added: true,
    fields: { unknownParameters: 'array[string]' },
  },
} as const satisfies RestSchemaTable;
