/**
 * What the mutating webhook makes of a Volume: additions of ours get upstream's form, what is not said gets its
 * default, sizes become multiples of 2 MiB. The result is what is stored, so upstream's clients can read it.
 */
import {
  LABEL,
  LABEL_IGNORED,
  LABELED_SETTINGS,
  parseQuantity,
  roundVolumeSize,
  settingLabel,
  SIZE_BYTES_MAX,
} from '@longhorn/shared-types';
import { settingOf, type AdmissionFacts } from './admission-facts.ts';
import { isJsonObject, isUnset, objectAt, peekObject, setDefault, textAt, type JsonObject } from './json-object.ts';
import { AdmissionError, invalid } from './problem.ts';
import { addFinalizer, correctName, setLabels, setVolumeLabel } from './shared-mutations.ts';

const MIB_BYTES = 1_048_576;
/** Overrides of settings: not said means that the setting counts. */
const IGNORED_BY_DEFAULT = [
  'replicaAutoBalance',
  'snapshotDataIntegrity',
  'restoreVolumeRecurringJob',
  'replicaSoftAntiAffinity',
  'replicaZoneSoftAntiAffinity',
  'replicaDiskSoftAntiAffinity',
  'freezeFilesystemForSnapshot',
  'offlineRebuilding',
] as const;

/** Spec field that follows each setting of `LABELED_SETTINGS`. */
const LABELED_FIELDS: Record<(typeof LABELED_SETTINGS)[number], string> = {
  'replica-auto-balance': 'replicaAutoBalance',
  'snapshot-data-integrity': 'snapshotDataIntegrity',
  'remove-snapshots-during-filesystem-trim': 'unmapMarkSnapChainRemoved',
};

/** Changes a new volume in place. Throws AdmissionError. */
export function mutateNewVolume(object: JsonObject, facts: AdmissionFacts): void {
  const spec = objectAt(object, 'spec');
  takeOtherForms(spec);
  correctName(object);
  setDefault(spec, 'dataEngine', 'v1');
  if (isUnset(spec['numberOfReplicas']) || spec['numberOfReplicas'] === 0) {
    spec['numberOfReplicas'] = settingOf(facts, 'default-replica-count');
  }
  const saidLocality = textAt(spec, 'dataLocality');
  setDefault(spec, 'dataLocality', settingOf(facts, 'default-data-locality'));
  setDefault(spec, 'accessMode', 'rwo');
  // Not `setDefault`: an empty frontend is a value of its own.
  if (spec['frontend'] === undefined || spec['frontend'] === null) spec['frontend'] = 'blockdev';
  // A copy that says no size has that of its source.
  if (isUnset(spec['size'])) spec['size'] = facts.sourceVolume?.spec.size ?? defaultSize(facts);
  spec['size'] = normalSize(spec['size']);
  setDefault(spec, 'backupTargetName', 'default');
  setLabels(object, { [LABEL.backupTarget]: textAt(spec, 'backupTargetName') });
  const image = settingOf(facts, 'default-engine-image');
  if (image === '')
    throw new AdmissionError([
      { field: 'spec.image', message: 'invalid empty setting default-engine-image', code: 500 },
    ]);
  spec['image'] = image;
  setDefault(spec, 'backupCompressionMethod', settingOf(facts, 'backup-compression-method'));
  if (isUnset(spec['snapshotMaxCount']) || spec['snapshotMaxCount'] === 0) {
    spec['snapshotMaxCount'] = settingOf(facts, 'snapshot-max-count');
  }
  if (saidLocality === 'strict-local') spec['revisionCounterDisabled'] = true;
  if (textAt(spec, 'dataSource') !== '') setDefault(spec, 'cloneMode', 'full-copy');
  mutateAnyVolume(object, facts);
}

/** Changes an updated volume in place. */
export function mutateUpdatedVolume(object: JsonObject, old: JsonObject, facts: AdmissionFacts): void {
  const spec = objectAt(object, 'spec');
  const oldSpec = peekObject(old, 'spec');
  takeOtherForms(spec);
  setDefault(spec, 'accessMode', 'rwo');
  setDefault(spec, 'backupCompressionMethod', 'gzip');
  if (isUnset(spec['snapshotMaxCount']) || spec['snapshotMaxCount'] === 0) {
    spec['snapshotMaxCount'] = settingOf(facts, 'snapshot-max-count');
  }
  // An update that leaves out what only defaults filled in (kubectl replace, apply of a short manifest) keeps it.
  for (const key of ['size', 'numberOfReplicas', 'frontend', 'image', 'backupTargetName', 'dataLocality'] as const) {
    if (spec[key] === undefined || spec[key] === null) spec[key] = oldSpec[key];
  }
  const sentSize = spec['size'];
  spec['size'] = normalSize(sentSize);
  growSnapshotLimit(spec, oldSpec, sentSize);
  if (textAt(spec, 'backupTargetName') !== textAt(oldSpec, 'backupTargetName')) {
    setLabels(object, { [LABEL.backupTarget]: textAt(spec, 'backupTargetName') });
  }
  mutateAnyVolume(object, facts);
}

function mutateAnyVolume(object: JsonObject, facts: AdmissionFacts): void {
  const spec = objectAt(object, 'spec');
  addFinalizer(object);
  for (const field of IGNORED_BY_DEFAULT) setDefault(spec, field, 'ignored');
  setDefault(spec, 'dataEngine', 'v1');
  if (spec['dataEngine'] === 'v2') spec['unmapMarkSnapChainRemoved'] = 'disabled';
  setDefault(spec, 'unmapMarkSnapChainRemoved', 'ignored');
  for (const field of ['diskSelector', 'nodeSelector']) if (!Array.isArray(spec[field])) spec[field] = [];
  if (isUnset(spec['backupBlockSize']) || spec['backupBlockSize'] === '0') {
    spec['backupBlockSize'] = String(settingOf(facts, 'default-backup-block-size') * MIB_BYTES);
  }
  setVolumeLabel(object, textAt(peekObject(object, 'metadata'), 'name'));
  const followed = LABELED_SETTINGS.map((setting): [string, string | null] => [
    settingLabel(setting),
    spec[LABELED_FIELDS[setting]] === 'ignored' ? LABEL_IGNORED : null,
  ]);
  setLabels(object, Object.fromEntries(followed));
}

/** Additions of ours in upstream's form. */
function takeOtherForms(spec: JsonObject): void {
  if (typeof spec['replicaAutoBalance'] === 'boolean') {
    spec['replicaAutoBalance'] = spec['replicaAutoBalance'] ? 'best-effort' : 'disabled';
  }
  const { fromBackup, nodeSelector } = spec;
  if (isJsonObject(fromBackup)) {
    if (typeof fromBackup['backup'] !== 'string') {
      throw new AdmissionError([
        invalid('spec.fromBackup', 'spec.fromBackup must be a backup URL or an object {backup: URL}'),
      ]);
    }
    spec['fromBackup'] = fromBackup['backup'];
  }
  if (typeof spec['throughputLimit'] === 'number') spec['throughputLimit'] = String(spec['throughputLimit']);
  if (Array.isArray(nodeSelector) && nodeSelector.some(isJsonObject)) {
    const terms = Array.isArray(spec['nodeSelectorTerms']) ? spec['nodeSelectorTerms'] : [];
    spec['nodeSelectorTerms'] = [...terms, ...nodeSelector.filter(isJsonObject)];
    spec['nodeSelector'] = nodeSelector.filter((item) => !isJsonObject(item));
  }
}

function defaultSize(facts: AdmissionFacts): string {
  const bytes = parseQuantity(settingOf(facts, 'default-volume-size'));
  return String(bytes ?? 0n);
}

/** A size as it is stored; 0 and less become the smallest size, as upstream has it. */
function normalSize(size: unknown): string {
  if (typeof size !== 'string' || !/^[+-]?[0-9]{1,40}$/.test(size.trim())) {
    const shown = JSON.stringify(size)?.slice(0, 60) ?? 'missing';
    throw new AdmissionError([
      invalid('spec.size', `spec.size must be the number of bytes as a string, such as "2147483648", not ${shown}`),
    ]);
  }
  const bytes = BigInt(size.trim().replace(/^\+/, ''));
  const rounded = roundVolumeSize(bytes);
  if (bytes > SIZE_BYTES_MAX || rounded === null) {
    throw new AdmissionError([
      invalid(
        'spec.size',
        `spec.size must be below 2^63 bytes after rounding up to a multiple of 2 MiB, it is ${size.trim()}`,
      ),
    ]);
  }
  return String(rounded);
}

/** A larger volume takes its limit on snapshots along: at least twice its size. */
function growSnapshotLimit(spec: JsonObject, oldSpec: JsonObject, sentSize: unknown): void {
  const limit = textAt(spec, 'snapshotMaxSize');
  if (spec['size'] === oldSpec['size'] || typeof sentSize !== 'string' || !/^[0-9]{1,19}$/.test(limit)) return;
  const least = 2n * BigInt(sentSize.trim());
  if (BigInt(limit) > 0n && BigInt(limit) < least) spec['snapshotMaxSize'] = String(least);
}
