/** StorageClass parameters: what each means for a new volume, and which values it takes. Names are case sensitive. */
import { parseQuantity, type RestContent } from '@longhorn/shared-types';
import { MKFS_ARGUMENTS_MAX } from '../limits.ts';
import { isObject } from '../api/rest-decoder.ts';
import { invalid } from '../call/request-checks.ts';

/** The fields of a volume that a class can say. */
export type VolumeFields = Partial<RestContent<'volume'>>;
export type Parameters = Readonly<Record<string, string>>;

const STALE_REPLICA_TIMEOUT_MINUTES = 2880;
const REPLICAS_MAX = 20;
const SWITCHES = ['ignored', 'enabled', 'disabled'];
const TRUE = new Set(['1', 't', 'T', 'TRUE', 'true', 'True']);
const FALSE = new Set(['0', 'f', 'F', 'FALSE', 'false', 'False']);

/** Keys that sidecars add or read; the file system type in any case. */
const SIDECAR_KEY = /^(csi\.storage\.k8s\.io\/|storage\.kubernetes\.io\/)|^fstype$/i;

function show(value: string): string {
  return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value);
}

function wrong(name: string, value: string, rule: string): Error {
  return invalid(`invalid parameter ${name}: ${show(value)} ${rule}`);
}

function readBoolean(name: string, value: string): boolean {
  if (TRUE.has(value)) return true;
  if (FALSE.has(value)) return false;
  throw wrong(name, value, 'must be "true" or "false"');
}

function readInteger(name: string, value: string, min: number, max: number, meaning: string): number {
  const number = /^[+-]?[0-9]{1,15}$/.test(value) ? Number(value) : Number.NaN;
  if (!(number >= min && number <= max)) {
    throw wrong(name, value, `must be a whole number from ${min} to ${max}${meaning}`);
  }
  return number;
}

function readChoice(name: string, value: string, choices: readonly string[]): string {
  if (value !== '' && !choices.includes(value)) throw wrong(name, value, `must be one of ${choices.join(', ')}`);
  return value;
}

/** `a,b`; blanks around entries and empty entries do not count. */
export function readTags(value: string): string[] {
  return value
    .split(',')
    .map((tag) => tag.trim())
    .filter((tag) => tag !== '');
}

function readRecurringJobs(value: string): RestContent<'volumeRecurringJob'>[] {
  if (value === '') return [];
  const rule = 'must be a JSON list such as [{"name":"daily","isGroup":true}]';
  let list: unknown;
  try {
    list = JSON.parse(value);
  } catch (error) {
    throw invalid(`invalid json format of recurringJobSelector: ${show(value)} ${rule}: ${String(error)}`);
  }
  if (!Array.isArray(list)) throw invalid(`invalid json format of recurringJobSelector: ${show(value)} ${rule}`);
  return list.map((job: unknown) => {
    const isGroup = isObject(job) ? (job['isGroup'] ?? false) : null;
    if (!isObject(job) || typeof job['name'] !== 'string' || job['name'] === '' || typeof isGroup !== 'boolean') {
      throw invalid(`invalid json format of recurringJobSelector: ${show(value)} ${rule}`);
    }
    return { name: job['name'], isGroup };
  });
}

function readBlockSize(name: string, value: string): string {
  if (value === '') return '';
  const bytes = parseQuantity(value);
  if (bytes !== 2_097_152n && bytes !== 16_777_216n) throw wrong(name, value, 'must be 2Mi or 16Mi');
  return String(bytes);
}

/**
 * Options of mkfs that name another device or file than the volume, as a word or behind a comma: the log or realtime part
 * of XFS, the journal of ext4. Also glued to flags, as in `-FJdevice=LABEL=x`.
 */
const DEVICE_OPTION = /^(?:-[A-Za-z]*)?(?:(?:logdev|rtdev|device|name)=|file(?:=|$))/;

function namesAnotherDevice(word: string): boolean {
  return /(?:^|[=,])\/|[\0\n]/.test(word) || word.split(',').some((part) => DEVICE_OPTION.test(part));
}

/** Arguments for mkfs; a way to name another device than the volume's is refused. */
export function readMkfsArguments(value: string): string[] {
  const words = value.split(' ').filter((word) => word !== '');
  if (words.length > MKFS_ARGUMENTS_MAX)
    throw wrong('mkfsParams', value, `must be at most ${MKFS_ARGUMENTS_MAX} words`);
  const foreign = words.find(namesAnotherDevice);
  if (foreign !== undefined) {
    const rule = 'must be options of mkfs such as "-I 256 -O ^metadata_csum", and no path or other device';
    throw wrong('mkfsParams', value, `${rule} (logdev, rtdev, device, name, file), as in ${show(foreign)}`);
  }
  return words;
}

type Reader = (value: string, name: string) => VolumeFields;

const choice =
  (field: keyof VolumeFields, choices: readonly string[]): Reader =>
  (value, name) => ({ [field]: readChoice(name, value, choices) });
const text =
  (field: keyof VolumeFields): Reader =>
  (value) => ({ [field]: value });

/** Parameter to the fields that it sets. */
const READERS: Readonly<Record<string, Reader>> = {
  numberOfReplicas: (value, name) => ({
    numberOfReplicas: readInteger(name, value, 0, REPLICAS_MAX, ' (0 = the setting default-replica-count)'),
  }),
  staleReplicaTimeout: (value, name) => {
    const minutes = readInteger(name, value, Number.MIN_SAFE_INTEGER, 2 ** 31 - 1, ' (minutes)');
    return { staleReplicaTimeout: minutes <= 0 ? STALE_REPLICA_TIMEOUT_MINUTES : minutes };
  },
  share: (value, name) => ({ accessMode: readBoolean(name, value) ? 'rwx' : 'rwo' }),
  migratable: (value, name) => ({ migratable: readBoolean(name, value) }),
  encrypted: (value, name) => ({ encrypted: readBoolean(name, value) }),
  replicaAutoBalance: choice('replicaAutoBalance', ['ignored', 'disabled', 'least-effort', 'best-effort']),
  dataLocality: choice('dataLocality', ['disabled', 'best-effort', 'strict-local']),
  disableRevisionCounter: (value, name) => ({ revisionCounterDisabled: readBoolean(name, value) }),
  unmapMarkSnapChainRemoved: choice('unmapMarkSnapChainRemoved', SWITCHES),
  replicaSoftAntiAffinity: choice('replicaSoftAntiAffinity', SWITCHES),
  replicaZoneSoftAntiAffinity: choice('replicaZoneSoftAntiAffinity', SWITCHES),
  replicaDiskSoftAntiAffinity: choice('replicaDiskSoftAntiAffinity', SWITCHES),
  freezeFilesystemForSnapshot: choice('freezeFilesystemForSnapshot', SWITCHES),
  fromBackup: text('fromBackup'),
  backupTargetName: text('backupTargetName'),
  backupBlockSize: (value, name) => ({ backupBlockSize: readBlockSize(name, value) }),
  dataSource: text('dataSource'),
  cloneMode: choice('cloneMode', ['full-copy', 'linked-clone']),
  backingImage: text('backingImage'),
  recurringJobSelector: (value) => ({ recurringJobSelector: readRecurringJobs(value) }),
  diskSelector: (value) => ({ diskSelector: readTags(value) }),
  nodeSelector: (value) => ({ nodeSelector: readTags(value) }),
  dataEngine: choice('dataEngine', ['v1', 'v2']),
  frontend: choice('frontend', ['blockdev', 'iscsi', 'nvmf', 'ublk']),
};

/** Parameters that others read: the node plugin and the share manager. */
const CHECKED_ONLY: Readonly<Record<string, (value: string) => unknown>> = {
  mkfsParams: readMkfsArguments,
  nfsOptions: () => null,
  shareManagerNodeSelector: () => null,
  shareManagerTolerations: () => null,
};

const BACKING_IMAGE_PARAMETERS = [
  'backingImageDataSourceType',
  'backingImageDataSourceParameters',
  'backingImageChecksum',
  'backingImageMinNumberOfCopies',
  'backingImageNodeSelector',
  'backingImageDiskSelector',
];

export interface ParsedParameters {
  readonly fields: VolumeFields;
  /** keys that nothing reads */
  readonly unknown: readonly string[];
}

/** What the parameters say about the volume. Throws InvalidArgument that names the parameter. */
export function parseParameters(parameters: Parameters): ParsedParameters {
  const fields: VolumeFields = {
    staleReplicaTimeout: STALE_REPLICA_TIMEOUT_MINUTES,
    revisionCounterDisabled: true,
    accessMode: 'rwo',
  };
  const unknown: string[] = [];
  for (const [name, value] of Object.entries(parameters)) {
    if (Object.hasOwn(READERS, name)) Object.assign(fields, READERS[name]?.(value, name));
    else if (Object.hasOwn(CHECKED_ONLY, name)) CHECKED_ONLY[name]?.(value);
    else if (!SIDECAR_KEY.test(name) && !BACKING_IMAGE_PARAMETERS.includes(name)) unknown.push(name);
  }
  // Migration is between nodes that both may have the volume.
  if (fields.accessMode !== 'rwx') delete fields.migratable;
  return { fields, unknown: unknown.toSorted() };
}
