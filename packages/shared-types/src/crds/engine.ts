/** Custom resource Engine: the process that serves one volume and replicates its writes. */
import type { Static } from 'typebox';
import { defineKind } from './define-kind.ts';
import type { KubernetesObject } from './kubernetes-object.ts';
import {
  FRONTENDS,
  choice,
  conditions,
  flag,
  instanceSpecFields,
  instanceStatusFields,
  int64,
  int64Text,
  integer,
  knownText,
  list,
  map,
  object,
  objectOrNull,
  text,
} from './schema-fragments.ts';

const spec = object(
  {
    ...instanceSpecFields,
    active: flag('One engine of a volume is active; another one serves a migration.'),
    backupVolume: text('Backup volume to restore from.'),
    disableFrontend: flag('Run in maintenance mode, without a block device.'),
    epoch: int64('Fencing epoch; raised and stored before every start. Replicas refuse engines of a lower one.'),
    frontend: choice(FRONTENDS, 'How the volume is served, as in Volume.'),
    replicaAddressMap: map(text(''), 'Replica name to its address IP:PORT.'),
    requestedBackupRestore: text('Backup to restore.'),
    requestedDataSource: text('What to clone from, as dataSource of Volume.'),
    revisionCounterDisabled: flag('Copied from the volume.'),
    snapshotMaxCount: integer('Copied from the volume.'),
    snapshotMaxSize: int64Text('Copied from the volume.'),
    unmapMarkSnapChainRemovedEnabled: flag('Trimming may remove snapshots.'),
    upgradedReplicaAddressMap: map(text(''), 'Replica addresses of the new image during a live upgrade.'),
  },
  'What is wanted.',
);

const status = object(
  {
    ...instanceStatusFields,
    backupStatus: map(
      object(
        {
          backupURL: text('URL of the backup.'),
          error: text('What went wrong; empty when nothing did.'),
          progress: integer('Percent done.'),
          replicaAddress: text('Address of the replica that does it.'),
          snapshotName: text('Snapshot that is read.'),
          state: text('State as the engine tells it.'),
        },
        'One entry.',
      ),
      'Backups in progress; no longer maintained.',
      { nullable: true },
    ),
    cloneStatus: map(
      object(
        {
          error: text('What went wrong; empty when nothing did.'),
          fromReplicaAddress: text('Replica that is read.'),
          isCloning: flag('Going on now.'),
          progress: integer('Percent done.'),
          snapshotName: text('Snapshot that is read.'),
          state: text('State as the engine tells it.'),
        },
        'One entry.',
      ),
      'Clone progress by address of the replica.',
      { nullable: true },
    ),
    conditions: conditions('InstanceCreation and FilesystemReadOnly.'),
    currentEpoch: int64('Epoch of the running process.'),
    currentReplicaAddressMap: map(text(''), 'Replica addresses that the running process knows.', {
      nullable: true,
    }),
    currentSize: int64Text('Size of the running engine in bytes, as a decimal string.'),
    endpoint: text('Where the volume is served: a device path, or a URL.'),
    ioReason: text('What I/O waits for, as a sentence for people.'),
    ioSince: text('Since when ioState holds, RFC 3339.'),
    ioState: knownText(
      ['starting', 'waiting', 'serving', 'held', 'failed'],
      'starting, waiting (needs replicas that are not there), serving, held or failed.',
    ),
    isExpanding: flag('The volume is growing now.'),
    lastExpansionError: text('Why the last expansion failed.'),
    lastExpansionFailedAt: text('When the last expansion failed, RFC 3339.'),
    lastRestoredBackup: text('Last backup that was fully restored.'),
    membership: objectOrNull(
      {
        count: int64('Counts the records of the epoch.', { required: true }),
        decided: flag('Written by the manager: counts without the members having it.'),
        epoch: int64('Epoch that it was written in.', { required: true }),
        members: list(text(''), 'Replicas that hold all acknowledged data.', { required: true }),
      },
      'Newest membership record that the control plane knows.',
    ),
    purgeStatus: map(
      object(
        {
          error: text('What went wrong; empty when nothing did.'),
          isPurging: flag('Going on now.'),
          progress: integer('Percent done.'),
          state: text('State as the engine tells it.'),
        },
        'One entry.',
      ),
      'Purge progress by address of the replica.',
      { nullable: true },
    ),
    rebuildStatus: map(
      object(
        {
          appliedRebuildingMBps: int64('MB/s that the rebuild is limited to (v2).'),
          error: text('What went wrong; empty when nothing did.'),
          fromReplicaAddress: text('Replica that is read.'),
          isRebuilding: flag('Going on now.'),
          progress: integer('Percent done.'),
          state: text('State as the engine tells it.'),
        },
        'One entry.',
      ),
      'Rebuild progress by address of the replica that is rebuilt.',
      { nullable: true },
    ),
    replicaModeMap: map(text(''), 'Replica name to its mode: RW, WO or ERR.', { nullable: true }),
    replicaTransitionTimeMap: map(text(''), 'Replica name to the time of its last change of mode, RFC 3339.'),
    restoreStatus: map(
      object(
        {
          backupURL: text('URL of the backup.'),
          currentRestoringBackup: text('Backup being restored.'),
          error: text('What went wrong; empty when nothing did.'),
          filename: text('File being written.'),
          isRestoring: flag('Going on now.'),
          lastRestored: text('Last restored backup name.'),
          progress: integer('Percent done.'),
          state: text('State as the engine tells it.'),
        },
        'One entry.',
      ),
      'Restore progress by address of the replica (tcp://IP:PORT).',
      { nullable: true },
    ),
    snapshotMaxCount: integer('Limit of the running engine.'),
    snapshotMaxSize: int64Text('Limit of the running engine.'),
    snapshots: map(
      object(
        {
          children: map(flag(''), 'Names of the snapshots after it; values are true.', { nullable: true }),
          created: text('When it was taken, RFC 3339.'),
          labels: map(text(''), 'Its labels.', { nullable: true }),
          name: text('Its name.'),
          parent: text('Snapshot before it; empty at the root.'),
          removed: flag('Marked for removal.'),
          size: text('Bytes that it takes, as a decimal string.'),
          usercreated: flag('Taken by a user, not by the system.'),
        },
        'One entry.',
      ),
      'Snapshots by name, with volume-head.',
      { nullable: true },
    ),
    snapshotsError: text('Why the snapshots could not be listed; empty when they could.'),
    unmapMarkSnapChainRemovedEnabled: flag('How the running engine trims.'),
  },
  'What is.',
);

/** Names, columns and schema of Engine. */
export const engineKind = defineKind({
  kind: 'Engine',
  plural: 'engines',
  shortName: 'lhe',
  description: 'The process that serves one volume and replicates its writes.',
  hasFinalizer: true,
  columns: [
    ['Data Engine', 'string', '.spec.dataEngine'],
    ['State', 'string', '.status.currentState'],
    ['Node', 'string', '.spec.nodeID'],
    ['InstanceManager', 'string', '.status.instanceManagerName'],
    ['Image', 'string', '.status.currentImage'],
    ['Age', 'date', '.metadata.creationTimestamp'],
  ],
  fields: { spec, status },
});

/** Wanted state of an Engine. */
export type EngineSpec = Static<typeof spec>;
/** Observed state of an Engine. */
export type EngineStatus = Static<typeof status>;
/** The process that serves one volume and replicates its writes. */
export type Engine = KubernetesObject<EngineSpec, EngineStatus, 'Engine'>;
