/**
 * What is in the interfaces and not built yet. It is refused, so that nothing is accepted and ignored; whoever builds
 * something takes its line out. Only new and changed values are refused: objects of an earlier installation stay
 * manageable.
 */
import type { CrdKind, VolumeSpec } from '@longhorn/shared-types';
import { invalid, type Problem } from './problem.ts';

/** Kinds that can be created; the others are refused. */
export const BUILT_KINDS: ReadonlySet<CrdKind> = new Set([
  'Volume',
  'Engine',
  'Replica',
  'Node',
  'InstanceManager',
  'EngineImage',
  'VolumeAttachment',
  'Snapshot',
  'Setting',
  'Orphan',
]);

/** Fields of a Volume, whether a value needs what is not built, and what to do instead. */
const VOLUME_FIELDS: readonly {
  field: keyof VolumeSpec;
  isWanted: (spec: VolumeSpec) => boolean;
  /** Shows the value in the message. */
  ofValue?: true;
  instead: string;
}[] = [
  { field: 'thinProvision', isWanted: (spec) => spec.thinProvision, instead: 'leave it out' },
  {
    field: 'snapshotPolicy',
    isWanted: (spec) => spec.snapshotPolicy !== null,
    instead: 'leave it out and create Snapshot objects',
  },
  { field: 'iopsLimit', isWanted: (spec) => spec.iopsLimit !== 0, instead: 'leave it out' },
  { field: 'throughputLimit', isWanted: (spec) => spec.throughputLimit !== '', instead: 'leave it out' },
  { field: 'guaranteedIops', isWanted: (spec) => spec.guaranteedIops !== 0, instead: 'leave it out' },
  { field: 'encryption', isWanted: (spec) => spec.encryption, instead: 'leave it out' },
  { field: 'kmsProvider', isWanted: (spec) => spec.kmsProvider !== null, instead: 'leave it out' },
  { field: 'keyRotation', isWanted: (spec) => spec.keyRotation !== '', instead: 'leave it out' },
  {
    field: 'nodeSelectorTerms',
    isWanted: (spec) => spec.nodeSelectorTerms.length > 0,
    instead: 'use node tags: a list of strings in spec.nodeSelector',
  },
  {
    field: 'fromBackup',
    isWanted: (spec) => spec.fromBackup !== '',
    instead: 'create an empty volume and copy the data',
  },
  { field: 'Standby', isWanted: (spec) => spec.Standby, instead: 'leave it out' },
  { field: 'backingImage', isWanted: (spec) => spec.backingImage !== '', instead: 'leave it out' },
  { field: 'encrypted', isWanted: (spec) => spec.encrypted, instead: 'leave it out' },
  { field: 'migratable', isWanted: (spec) => spec.migratable, instead: 'leave it out' },
  { field: 'accessMode', isWanted: (spec) => spec.accessMode === 'rwx', ofValue: true, instead: 'use rwo' },
  {
    field: 'frontend',
    isWanted: (spec) => ['nvmf', 'ublk'].includes(spec.frontend),
    ofValue: true,
    instead: 'use blockdev',
  },
  {
    field: 'offlineRebuilding',
    isWanted: (spec) => spec.offlineRebuilding === 'enabled',
    ofValue: true,
    instead: 'use ignored or disabled; a volume is rebuilt while it is attached',
  },
  {
    field: 'freezeFilesystemForSnapshot',
    isWanted: (spec) => spec.freezeFilesystemForSnapshot === 'enabled',
    ofValue: true,
    instead: 'use ignored or disabled',
  },
  {
    field: 'snapshotDataIntegrity',
    isWanted: (spec) => ['enabled', 'fast-check'].includes(spec.snapshotDataIntegrity),
    ofValue: true,
    instead: 'use ignored or disabled',
  },
];

/** Why a new volume, or the change of one, needs what is not built. */
export function notBuiltInVolume(spec: VolumeSpec, old: VolumeSpec | null): Problem[] {
  return VOLUME_FIELDS.flatMap(({ field, isWanted, ofValue, instead }) => {
    if (
      !isWanted(spec) ||
      (old !== null && isWanted(old) && JSON.stringify(old[field]) === JSON.stringify(spec[field]))
    ) {
      return [];
    }
    const value = ofValue === true ? ` ${JSON.stringify(spec[field])}` : '';
    return [invalid(`spec.${field}`, `spec.${field}${value} is not supported yet: ${instead}`)];
  });
}

/** Settings whose values need what is not built. */
const SETTING_VALUES: Readonly<Record<string, { isWanted: (value: string) => boolean; instead: string }>> = {
  'v2-data-engine': {
    isWanted: (value) => ['1', 't', 'T', 'TRUE', 'true', 'True'].includes(value),
    instead: 'keep false',
  },
};

/** Why a value of a setting needs what is not built; null when it does not. */
export function notBuiltInSetting(name: string, value: string): Problem | null {
  const entry = Object.hasOwn(SETTING_VALUES, name) ? SETTING_VALUES[name] : undefined;
  if (entry === undefined || !entry.isWanted(value)) return null;
  return invalid('value', `setting ${name} with value ${value} is not supported yet: ${entry.instead}`);
}

/** Why an object of this kind cannot be created; null when it can. */
export function notBuiltKind(kind: CrdKind): Problem | null {
  if (BUILT_KINDS.has(kind)) return null;
  return { field: 'kind', message: `kind ${kind} is not supported yet`, code: 422 };
}
