/** Custom resource Volume: a replicated block device: what is wanted of it and how it is. */
import type { Static } from 'typebox';
import { defineKind } from './define-kind.ts';
import type { KubernetesObject } from './kubernetes-object.ts';
import {
  DATA_ENGINES,
  FRONTENDS,
  choice,
  conditions,
  flag,
  int64,
  int64Choice,
  int64Text,
  integer,
  knownText,
  list,
  object,
  objectOrNull,
  qosFields,
  text,
  withOtherForm,
} from './schema-fragments.ts';

const spec = object(
  {
    Standby: flag('Disaster recovery volume: follows its backups until it is activated.'),
    accessMode: choice(['rwo', 'rwx'], 'rwo: used on one node; rwx: shared by many.'),
    backingImage: text('Backing image that the volume is based on.'),
    backupBlockSize: int64Choice(
      ['2097152', '16777216'],
      '2097152',
      'Bytes per block of its backups, as a string. Cannot be changed; the size must be a multiple of it.',
    ),
    backupCompressionMethod: choice(['none', 'lz4', 'gzip'], 'How its backups are compressed. Cannot be changed.', {
      absent: 'lz4',
    }),
    backupTargetName: text('Backup target that its backups go to; it must exist.'),
    cloneMode: choice(
      ['', 'full-copy', 'linked-clone'],
      'How dataSource is cloned. linked-clone needs data engine v2. Cannot be changed.',
    ),
    dataEngine: choice(DATA_ENGINES, 'Data engine. Cannot be changed.'),
    dataLocality: choice(
      ['disabled', 'best-effort', 'strict-local'],
      'Whether a replica is kept on the node of the engine. strict-local: always, and reads go to it.',
    ),
    dataSource: text('What it is a clone of: vol://VOLUME or snap://VOLUME/SNAPSHOT. Cannot be changed.'),
    disableFrontend: flag(
      'Attached in maintenance mode, without a block device. Set from the winning attachment ticket.',
    ),
    diskSelector: list(text(''), 'Replicas go only to disks that have all of these tags.'),
    encrypted: flag('Encrypted with LUKS2; the size must be over 16 MiB.'),
    freezeFilesystemForSnapshot: choice(
      ['ignored', 'enabled', 'disabled'],
      'Overrides setting freeze-filesystem-for-snapshot; ignored: as the setting.',
    ),
    fromBackup: withOtherForm(
      text('Backup to restore from: its URL, or an object {backup: URL}. The size is taken from the backup.'),
      null,
    ),
    frontend: choice(
      FRONTENDS,
      'How it is served: blockdev or iscsi (v1); blockdev, nvmf or ublk (v2). Missing: blockdev. Empty: standby volumes only.',
    ),
    image: text('Engine image (v1) or instance manager image (v2) to run. New volumes always get the default image.'),
    lastAttachedBy: text('Who attached it last.'),
    migratable: flag('May be moved to another node while in use; needs accessMode rwx.'),
    migrationNodeID: text('Node that it is moving to, during live migration.'),
    nodeID: text('Node to attach it to; empty: detach. Set by attachment tickets, never by hand.'),
    nodeSelector: list(
      withOtherForm(text(''), null),
      'Replicas go only to nodes that have all of these tags. Objects {key, operator, values} become nodeSelectorTerms.',
    ),
    nodeSelectorTerms: list(
      object(
        {
          key: text('Label of the Kubernetes node.', { required: true }),
          operator: choice(['In', 'NotIn', 'Exists', 'DoesNotExist', 'Gt', 'Lt'], 'How the label is compared.', {
            required: true,
          }),
          values: list(text(''), 'What the label is compared with.'),
        },
        'One requirement.',
      ),
      'Replicas go only to nodes whose labels meet all of these, as in the node affinity of a pod.',
    ),
    numberOfReplicas: integer('Number of replicas, 1 to 20. Missing: setting default-replica-count.'),
    offlineRebuilding: choice(
      ['ignored', 'disabled', 'enabled'],
      'Overrides setting offline-replica-rebuilding; ignored: as the setting.',
    ),
    replicaAutoBalance: withOtherForm(
      choice(
        ['ignored', 'disabled', 'least-effort', 'best-effort'],
        'Spread replicas evenly: overrides setting replica-auto-balance. true: best-effort; false: disabled.',
      ),
      ['ignored', 'disabled', 'least-effort', 'best-effort', true, false],
    ),
    replicaDiskSoftAntiAffinity: choice(
      ['ignored', 'enabled', 'disabled'],
      'Overrides setting replica-disk-soft-anti-affinity; ignored: as the setting.',
    ),
    replicaRebuildingBandwidthLimit: int64('Rebuild at most so many MB/s; 0: no limit. Data engine v2 only.', {
      minimum: 0,
    }),
    replicaSoftAntiAffinity: choice(
      ['ignored', 'enabled', 'disabled'],
      'Overrides setting replica-soft-anti-affinity; ignored: as the setting.',
    ),
    replicaZoneSoftAntiAffinity: choice(
      ['ignored', 'enabled', 'disabled'],
      'Overrides setting replica-zone-soft-anti-affinity; ignored: as the setting.',
    ),
    restoreVolumeRecurringJob: choice(
      ['ignored', 'enabled', 'disabled'],
      'Restore recurring jobs with the backup: overrides setting restore-volume-recurring-jobs.',
    ),
    revisionCounterDisabled: flag('Replicas keep no revision counter.'),
    size: int64Text(
      'Bytes, as a decimal string; made a multiple of 2 MiB, at least 2 MiB. Missing: size of the source, else setting default-volume-size.',
    ),
    snapshotDataIntegrity: choice(
      ['ignored', 'disabled', 'enabled', 'fast-check'],
      'Overrides setting snapshot-data-integrity; ignored: as the setting.',
    ),
    snapshotMaxCount: integer('At most so many snapshots, 2 to 250. 0: setting snapshot-max-count.'),
    snapshotMaxSize: int64Text(
      'At most so many bytes in snapshots, as a decimal string, at least twice the size. 0: no limit.',
    ),
    staleReplicaTimeout: integer('Minutes until a failed replica is deleted.'),
    thinProvision: flag('Restore lazily: usable at once, blocks are fetched when they are first read.'),
    ...qosFields,
    snapshotPolicy: objectOrNull(
      {
        snapshotInterval: text('How often, such as 6h.', { required: true }),
        snapshotRetention: integer('How many are kept.', { required: true, minimum: 1 }),
      },
      'Snapshots that are taken and pruned by themselves.',
    ),
    encryption: flag('Encrypted with LUKS2 by a key that kmsProvider wraps.'),
    kmsProvider: objectOrNull(
      {
        endpoint: text('URL of the KMS.', { required: true }),
        keyName: text('Key that wraps the key of the volume.', { required: true }),
        name: text('Kind of KMS, such as vault.', { required: true }),
      },
      'Key management service that holds the wrapping key.',
    ),
    keyRotation: text('How often the key of the volume is replaced, such as 90d. Empty: never.'),
    unmapMarkSnapChainRemoved: choice(
      ['ignored', 'disabled', 'enabled'],
      'Overrides setting remove-snapshots-during-filesystem-trim; ignored: as the setting.',
    ),
  },
  'What is wanted.',
);

const status = object(
  {
    actualSize: int64('Bytes that head and snapshots take in one replica.'),
    blockedBy: list(
      object(
        {
          kind: text('Kind of what it waits for.'),
          name: text('Name of what it waits for.'),
          next: text('What happens next, or what to do.'),
          reason: text('Why.'),
          since: text('Since when, RFC 3339.'),
        },
        'One reason.',
      ),
      'Why it is not healthy; empty when it is.',
    ),
    cloneStatus: object(
      {
        attemptCount: integer('How often cloning was tried.'),
        nextAllowedAttemptAt: text('Not tried again before, RFC 3339.'),
        snapshot: text('Snapshot of the source that is cloned.'),
        sourceVolume: text('Source volume.'),
        state: knownText(
          ['initiated', 'copy-completed-awaiting-healthy', 'completed', 'failed'],
          'initiated, copy-completed-awaiting-healthy, completed or failed; empty: no clone.',
        ),
      },
      'State of the clone operation.',
    ),
    conditions: conditions('Scheduled, Restore, TooManySnapshots and WaitForBackingImage.'),
    currentImage: text('Image that runs now.'),
    currentMigrationNodeID: text('Node that it is moving to now.'),
    currentNodeID: text('Node that it is attached to, or being attached to.'),
    expansionRequired: flag('The engine has not yet the size of spec.size.'),
    frontendDisabled: flag('Attached in maintenance mode.'),
    isStandby: flag('Is a disaster recovery volume now.'),
    kubernetesStatus: object(
      {
        lastPVCRefAt: text('When the claim was last there; set: namespace and pvcName are history.'),
        lastPodRefAt: text('When a pod last used it; set: workloadsStatus is history.'),
        namespace: text('Namespace of the claim.'),
        pvName: text('Name of the persistent volume.'),
        pvStatus: text('Phase of the persistent volume.'),
        pvcName: text('PVC name.'),
        workloadsStatus: list(
          object(
            {
              podName: text('Name of the pod.'),
              podStatus: text('Phase of the pod.'),
              workloadName: text('Name of what owns the pod.'),
              workloadType: text('Kind of what owns the pod.'),
            },
            'One entry.',
          ),
          'The pods that use it.',
          { nullable: true },
        ),
      },
      'Persistent volume, claim and pods that use it; also kept with its backups.',
    ),
    lastBackup: text('Name of the latest backup.'),
    lastBackupAt: text('Time of the latest backup.'),
    lastDegradedAt: text('When it was last degraded, RFC 3339.'),
    ownerID: text('Node whose manager takes care of this object.'),
    remountRequestedAt: text(
      'Pods that started before this time are deleted, so that the volume is mounted anew. RFC 3339.',
    ),
    restoreInitiated: flag('The restore has begun.'),
    restoreRequired: flag('The restore from its backup is not finished.'),
    robustness: knownText(
      ['healthy', 'degraded', 'faulted', 'unknown'],
      'healthy; degraded: replicas are missing; faulted: no usable replica; unknown: detached.',
    ),
    shareEndpoint: text('Where a shared volume is served, such as nfs://10.43.0.9/VOLUME.'),
    shareState: text('State of its share manager.'),
    state: knownText(
      ['creating', 'attached', 'detached', 'attaching', 'detaching', 'deleting'],
      'creating, attached, detached, attaching, detaching or deleting.',
    ),
  },
  'What is.',
);

/** Names, columns and schema of Volume. */
export const volumeKind = defineKind({
  kind: 'Volume',
  plural: 'volumes',
  shortName: 'lhv',
  description: 'A replicated block device: what is wanted of it and how it is.',
  hasFinalizer: true,
  columns: [
    ['Data Engine', 'string', '.spec.dataEngine'],
    ['State', 'string', '.status.state'],
    ['Robustness', 'string', '.status.robustness'],
    ['Scheduled', 'string', ".status.conditions[?(@.type=='Schedulable')].status"],
    ['Size', 'string', '.spec.size'],
    ['Node', 'string', '.status.currentNodeID'],
    ['Age', 'date', '.metadata.creationTimestamp'],
  ],
  fields: { spec, status },
});

/** Wanted state of a Volume. */
export type VolumeSpec = Static<typeof spec>;
/** Observed state of a Volume. */
export type VolumeStatus = Static<typeof status>;
/** A replicated block device: what is wanted of it and how it is. */
export type Volume = KubernetesObject<VolumeSpec, VolumeStatus, 'Volume'>;
