/**
 * What a Volume must be. A new volume is checked in full; of an update what it changes, and what depends on that, so
 * that a volume that was fine once can always be written by controllers.
 */
import {
  isSettingName,
  NAME_LENGTH_MAX,
  parseDataSource,
  parseQuantity,
  VOLUME_SIZE_STEP_BYTES,
  volumeNameProblem,
  type Volume,
  type VolumeSpec,
} from '@longhorn/shared-types';
import { settingOf, type AdmissionFacts } from './admission-facts.ts';
import { cloneProblems } from './clone-rules.ts';
import { notBuiltInVolume } from './not-built.ts';
import { forbidden, invalid, type Problem } from './problem.ts';

const REPLICAS_MAX = 20;
const SNAPSHOTS_MIN = 2;
const SNAPSHOTS_MAX = 250;
const LUKS_HEADER_BYTES = 16n * 1024n * 1024n;
const EXT_SIZE_BYTES_MAX = 16n * 1024n ** 4n;

const LOCALITIES = ['disabled', 'best-effort', 'strict-local'];
const ACCESS_MODES = ['rwo', 'rwx'];
const BALANCES = ['ignored', 'disabled', 'least-effort', 'best-effort'];
const SWITCHES = ['ignored', 'enabled', 'disabled'];
const BLOCK_SIZES = ['2097152', '16777216'];
const FRONTENDS: Record<string, readonly string[]> = { v1: ['blockdev', 'iscsi'], v2: ['blockdev', 'nvmf', 'ublk'] };

/** Fields with a fixed set of values: field, values, upstream's words before the value. */
const CHOICES: readonly [field: keyof VolumeSpec, values: readonly string[], words: string][] = [
  ['dataLocality', LOCALITIES, 'invalid data locality mode'],
  ['accessMode', ACCESS_MODES, 'invalid access mode'],
  ['replicaAutoBalance', BALANCES, 'invalid replica auto-balance option'],
  ['unmapMarkSnapChainRemoved', SWITCHES, 'invalid UnmapMarkSnapChainRemoved setting'],
  ['replicaSoftAntiAffinity', SWITCHES, 'invalid ReplicaSoftAntiAffinity setting'],
  ['replicaZoneSoftAntiAffinity', SWITCHES, 'invalid ReplicaZoneSoftAntiAffinity setting'],
  ['replicaDiskSoftAntiAffinity', SWITCHES, 'invalid ReplicaDiskSoftAntiAffinity setting'],
  ['offlineRebuilding', SWITCHES, 'invalid OfflineRebuilding setting'],
];

function differs(old: Volume | null, volume: Volume, ...fields: (keyof VolumeSpec)[]): boolean {
  return old === null || fields.some((field) => JSON.stringify(old.spec[field]) !== JSON.stringify(volume.spec[field]));
}

/** Everything that is wrong with a new volume. */
export function validateNewVolume(volume: Volume, facts: AdmissionFacts): Problem[] {
  const { name } = volume.metadata;
  const nameProblem = volumeNameProblem(name);
  return [
    ...(nameProblem === null
      ? []
      : [invalid('metadata.name', `invalid name ${shorten(name)}: metadata.name ${nameProblem}`)]),
    ...engineEnabled(volume.spec.dataEngine, facts),
    ...validateFields(volume, null),
    ...validateImage(volume, null, facts),
    ...cloneProblems(volume, facts),
    ...notBuiltInVolume(volume.spec, null),
  ];
}

/** Everything that is wrong with the change of a volume. */
export function validateUpdatedVolume(volume: Volume, old: Volume, facts: AdmissionFacts): Problem[] {
  return [
    ...validateImmutables(volume, old),
    ...validateResize(volume, old, facts),
    ...validateFields(volume, old),
    ...validateImage(volume, old, facts),
    ...validateLocalityChange(volume, old, facts),
    ...validateTarget(volume, old, facts),
    ...validateMigration(volume, old),
    ...validateSnapshotUsage(volume, old, facts),
    ...notBuiltInVolume(volume.spec, old.spec),
  ];
}

function shorten(text: string): string {
  return text.length > 60 ? `${text.slice(0, 60)}… (at most ${NAME_LENGTH_MAX} characters)` : text;
}

/** Refusal of a data engine that is switched off. */
export function engineEnabled(dataEngine: string, facts: AdmissionFacts): Problem[] {
  const setting = `${dataEngine}-data-engine`;
  if (!isSettingName(setting) || settingOf(facts, setting) === true) return [];
  return [forbidden(`${setting} data engine is not enabled`, 'spec.dataEngine')];
}

function validateFields(volume: Volume, old: Volume | null): Problem[] {
  const { spec } = volume;
  const problems: Problem[] = [];
  for (const [field, values, words] of CHOICES) {
    if (differs(old, volume, field) && !values.some((value) => value === spec[field])) {
      problems.push(
        invalid(`spec.${field}`, `${words}: ${JSON.stringify(spec[field])}, must be one of ${values.join(', ')}`),
      );
    }
  }
  return [
    ...problems,
    ...validateReplicaCount(volume, old),
    ...validateSizes(volume, old),
    ...validateFrontend(volume, old),
    ...validateSelectors(volume, old),
    ...validateSource(volume, old),
  ];
}

function validateReplicaCount(volume: Volume, old: Volume | null): Problem[] {
  const { spec } = volume;
  if (!differs(old, volume, 'numberOfReplicas', 'dataLocality', 'cloneMode')) return [];
  const count = spec.numberOfReplicas;
  if (count < 1 || count > REPLICAS_MAX) {
    return [
      invalid(
        'spec.numberOfReplicas',
        `replica count value ${count} must between 1 to ${REPLICAS_MAX}: set spec.numberOfReplicas`,
      ),
    ];
  }
  if (spec.dataLocality === 'strict-local' && count !== 1) {
    return [
      invalid(
        'spec.numberOfReplicas',
        `number of replica count should be 1 when data locality is strict-local, it is ${count} (more are not supported yet)`,
      ),
    ];
  }
  return [];
}

function validateBackupBlockSize(spec: Volume['spec'], size: bigint): Problem[] {
  if (!BLOCK_SIZES.includes(spec.backupBlockSize)) {
    return [
      invalid(
        'spec.backupBlockSize',
        `unsupported BackupBlockSize: ${spec.backupBlockSize}, must be one of ${BLOCK_SIZES.join(', ')}`,
      ),
    ];
  }
  if (size % BigInt(spec.backupBlockSize) === 0n) return [];
  return [
    invalid(
      'spec.backupBlockSize',
      `volume size ${size} must be an integer multiple of the backup block size ${spec.backupBlockSize}`,
    ),
  ];
}

function validateSizes(volume: Volume, old: Volume | null): Problem[] {
  const { spec } = volume;
  const problems: Problem[] = [];
  if (!/^[0-9]{1,19}$/.test(spec.size) || BigInt(spec.size) % VOLUME_SIZE_STEP_BYTES !== 0n || spec.size === '0') {
    if (differs(old, volume, 'size')) {
      return [
        invalid(
          'spec.size',
          `spec.size must be a multiple of ${VOLUME_SIZE_STEP_BYTES} bytes, it is ${shorten(spec.size)}`,
        ),
      ];
    }
    return [];
  }
  const size = BigInt(spec.size);
  if (differs(old, volume, 'size', 'backupBlockSize')) problems.push(...validateBackupBlockSize(spec, size));
  if (differs(old, volume, 'size', 'snapshotMaxSize')) {
    const limit = /^[0-9]{1,19}$/.test(spec.snapshotMaxSize) ? BigInt(spec.snapshotMaxSize) : -1n;
    if (limit !== 0n && limit < 2n * size) {
      problems.push(
        invalid(
          'spec.snapshotMaxSize',
          `snapshot max size can not be 0 and at least twice of volume size: it is ${shorten(spec.snapshotMaxSize)}, use 0 for no limit or ${2n * size} and more`,
        ),
      );
    }
  }
  if (
    differs(old, volume, 'snapshotMaxCount') &&
    (spec.snapshotMaxCount < SNAPSHOTS_MIN || spec.snapshotMaxCount > SNAPSHOTS_MAX)
  ) {
    problems.push(
      invalid(
        'spec.snapshotMaxCount',
        `snapshot max count should be between ${SNAPSHOTS_MIN} to ${SNAPSHOTS_MAX}, it is ${spec.snapshotMaxCount}`,
      ),
    );
  }
  if (differs(old, volume, 'size', 'encrypted') && spec.encrypted && size <= LUKS_HEADER_BYTES) {
    problems.push(
      invalid(
        'spec.size',
        `invalid volume size ${size}, need to be bigger than 16MiB, default LUKS2 header size for encryption`,
      ),
    );
  }
  if (spec.throughputLimit !== '' && parseQuantity(spec.throughputLimit) === null) {
    problems.push(
      invalid(
        'spec.throughputLimit',
        `spec.throughputLimit must be bytes per second such as 100Mi, it is ${shorten(spec.throughputLimit)}`,
      ),
    );
  }
  return problems;
}

function validateFrontend(volume: Volume, old: Volume | null): Problem[] {
  const { spec } = volume;
  if (spec.Standby || !differs(old, volume, 'frontend', 'Standby')) return [];
  const allowed = FRONTENDS[spec.dataEngine] ?? [];
  if (allowed.includes(spec.frontend)) return [];
  return [
    invalid(
      'spec.frontend',
      `invalid volume frontend specified: ${JSON.stringify(spec.frontend)} for data engine ${spec.dataEngine}, must be one of ${allowed.join(', ')}`,
    ),
  ];
}

function validateSelectors(volume: Volume, old: Volume | null): Problem[] {
  return (['diskSelector', 'nodeSelector'] as const).flatMap((field) => {
    if (!differs(old, volume, field)) return [];
    const wrong = volume.spec[field].find((item) => typeof item !== 'string' || item.trim() === '');
    return wrong === undefined
      ? []
      : [invalid(`spec.${field}`, `spec.${field} must be a list of tags, it contains ${JSON.stringify(wrong)}`)];
  });
}

function validateSource(volume: Volume, old: Volume | null): Problem[] {
  const { spec } = volume;
  const problems: Problem[] = [];
  if (differs(old, volume, 'dataSource', 'cloneMode')) {
    if (spec.cloneMode !== '' && spec.dataSource === '') {
      problems.push(invalid('spec.cloneMode', 'spec.cloneMode needs spec.dataSource; leave it out'));
    }
    if (spec.dataSource !== '' && parseDataSource(spec.dataSource) === null) {
      problems.push(
        invalid(
          'spec.dataSource',
          `invalid volume data source ${shorten(spec.dataSource)}, must be vol://VOLUME or snap://VOLUME/SNAPSHOT`,
        ),
      );
    }
  }
  if (differs(old, volume, 'migratable', 'accessMode') && spec.migratable && spec.accessMode !== 'rwx') {
    problems.push(
      invalid('spec.migratable', 'migratable volumes are only supported in ReadWriteMany (rwx) access mode'),
    );
  }
  if (differs(old, volume, 'replicaRebuildingBandwidthLimit') && spec.replicaRebuildingBandwidthLimit !== 0) {
    problems.push(
      invalid(
        'spec.replicaRebuildingBandwidthLimit',
        `replicaRebuildingBandwidthLimit is not supported for data engine ${spec.dataEngine}`,
      ),
    );
  }
  return problems;
}

function validateImage(volume: Volume, old: Volume | null, facts: AdmissionFacts): Problem[] {
  const { image } = volume.spec;
  if (!differs(old, volume, 'image')) return [];
  if (image === '') return [invalid('spec.image', 'BUG: Invalid empty Setting.EngineImage')];
  if (facts.engineImage === null) {
    return old === null
      ? []
      : [invalid('spec.image', `engine image ${image} does not exist; create an EngineImage object for it first`)];
  }
  if (!facts.engineImage.status.incompatible) return [];
  return [invalid('spec.image', `engine image ${facts.engineImage.metadata.name} is incompatible`)];
}

function validateImmutables(volume: Volume, old: Volume): Problem[] {
  const { name } = volume.metadata;
  const problems: Problem[] = [];
  for (const field of ['dataSource', 'cloneMode'] as const) {
    if (differs(old, volume, field)) {
      problems.push(
        invalid(`spec.${field}`, `.spec.${field} is immutable (old=${old.spec[field]}, new=${volume.spec[field]})`),
      );
    }
  }
  if (differs(old, volume, 'dataEngine')) {
    problems.push(invalid('spec.dataEngine', `changing data engine for volume ${name} is not supported`));
  }
  if (differs(old, volume, 'backupCompressionMethod')) {
    problems.push(
      invalid('spec.backupCompressionMethod', `changing backup compression method for volume ${name} is not supported`),
    );
  }
  if (differs(old, volume, 'backupBlockSize') && BLOCK_SIZES.includes(old.spec.backupBlockSize)) {
    problems.push(invalid('spec.backupBlockSize', `changing backup block size for volume ${name} is not supported`));
  }
  return problems;
}

/** Why a volume cannot change its size now; null when it can. */
function notReady(volume: Volume): string | null {
  const { status, spec } = volume;
  if (status.robustness === 'faulted') return 'volume is faulted';
  if (status.restoreRequired) return 'cannot expand size: volume is restoring data from backup';
  if (spec.nodeID === '' && status.state !== 'detached')
    return `waiting for the volume to fully detach. current state: ${status.state}`;
  const scheduled = status.conditions.find(({ type }) => type === 'Scheduled');
  if (status.state === 'detached' && scheduled?.status === 'False') {
    return 'volume is currently in detached state with some un-schedulable replicas';
  }
  return null;
}

function validateResize(volume: Volume, old: Volume, facts: AdmissionFacts): Problem[] {
  if (!differs(old, volume, 'size') || !/^[0-9]{1,19}$/.test(volume.spec.size)) return [];
  const { name } = volume.metadata;
  const from = BigInt(old.spec.size);
  const to = BigInt(volume.spec.size);
  if (to < from && !old.status.expansionRequired) {
    return [invalid('spec.size', `shrinking volume ${name} size from ${from} to ${to} is not supported`)];
  }
  const reason = notReady(old);
  if (reason !== null) return [invalid('spec.size', `volume ${name} is not ready: ${reason}`)];
  const disk = Object.values(facts.node?.status.diskStatus ?? {})[0];
  if (disk?.filesystemType.startsWith('ext') === true && to >= EXT_SIZE_BYTES_MAX) {
    return [invalid('spec.size', `file system ${disk.filesystemType} does not support volume size ${to}`)];
  }
  return [];
}

function validateLocalityChange(volume: Volume, old: Volume, facts: AdmissionFacts): Problem[] {
  const isStrict = (one: Volume): boolean => one.spec.dataLocality === 'strict-local';
  if (isStrict(volume) !== isStrict(old) && old.status.state !== 'detached') {
    return [
      invalid(
        'spec.dataLocality',
        'data locality cannot be converted between strict-local and other modes when volume is not detached',
      ),
    ];
  }
  const target = volume.spec.nodeID;
  const [replica] = facts.replicas;
  if (isStrict(volume) && target !== '' && target !== old.spec.nodeID && replica !== undefined) {
    if (replica.spec.nodeID !== '' && replica.spec.nodeID !== target) {
      return [
        invalid(
          'spec.nodeID',
          `failed to check if strict-local volume ${volume.metadata.name} and its replica are on the same node: moving a strict-local volume ${volume.metadata.name} to another node is not supported, attach it to ${replica.spec.nodeID}`,
        ),
      ];
    }
  }
  return [];
}

/**
 * A volume that is sent to a node that does not exist would be detached for nothing. Only a change is refused: a new
 * volume may come from another cluster, with the name of a node of that one, which attaching clears.
 */
function validateTarget(volume: Volume, old: Volume, facts: AdmissionFacts): Problem[] {
  return (['nodeID', 'migrationNodeID'] as const).flatMap((field) => {
    const target = volume.spec[field];
    if (target === '' || !differs(old, volume, field) || facts.nodeNames.includes(target)) return [];
    const known = facts.nodeNames.toSorted().slice(0, 10).join(', ');
    const message = `spec.${field}: node ${JSON.stringify(target.slice(0, 60))} does not exist, use one of ${known}`;
    return [invalid(`spec.${field}`, message)];
  });
}

function validateMigration(volume: Volume, old: Volume): Problem[] {
  const wanted = volume.spec.migrationNodeID;
  const current = old.status.currentMigrationNodeID;
  if (current === '' || wanted === '' || wanted === current || wanted === old.spec.migrationNodeID) return [];
  return [
    invalid(
      'spec.migrationNodeID',
      `cannot change v.Spec.MigrationNodeID to node ${wanted} when the volume is doing live migration to node ${current} `,
    ),
  ];
}

/** Limits on snapshots may not be below what is there. */
function validateSnapshotUsage(volume: Volume, old: Volume, facts: AdmissionFacts): Problem[] {
  if (!differs(old, volume, 'snapshotMaxCount', 'snapshotMaxSize') || differs(old, volume, 'size')) return [];
  const [engine] = facts.engines;
  const present = Object.values(engine?.status.snapshots ?? {}).filter(
    ({ name, removed }) => name !== 'volume-head' && !removed,
  );
  const bytes = present.reduce((sum, { size }) => sum + (/^[0-9]{1,19}$/.test(size) ? BigInt(size) : 0n), 0n);
  const limit = /^[0-9]{1,19}$/.test(volume.spec.snapshotMaxSize) ? BigInt(volume.spec.snapshotMaxSize) : 0n;
  if (present.length <= volume.spec.snapshotMaxCount && (limit === 0n || bytes <= limit)) return [];
  return [
    invalid(
      'spec.snapshotMaxCount',
      `can't make snapshotMaxCount or snapshotMaxSize be smaller than current usage, please remove snapshots first: there are ${present.length} with ${bytes} bytes`,
    ),
  ];
}
