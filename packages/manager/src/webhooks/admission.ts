/**
 * The rules of all kinds behind one door: `mutate` gives the JSON patch that the API server applies before it checks the
 * schema, `validate` the reasons to refuse what came out. Both are pure; facts come in.
 */
import { completeObject, CRD_KINDS, MalformedObjectError, type CrdKind } from '@longhorn/shared-types';
import { settingOf, type AdmissionFacts, type KindedObject } from './admission-facts.ts';
import {
  mutateNewPartOfVolume,
  mutateUpdatedAttachment,
  validateNewAttachment,
  validateNewSnapshot,
  validateUpdatedAttachment,
  validateUpdatedSnapshot,
} from './attachment-rules.ts';
import {
  mutateEngine,
  mutateEngineImage,
  mutateInstanceManager,
  mutateReplica,
  validateDeletedEngineImage,
  validateDeletedReplica,
  validateInstanceManager,
  validateNewEngine,
  validateNewReplica,
  validateUpdatedInstance,
} from './instance-rules.ts';
import { isUnset, peekObject, type JsonObject } from './json-object.ts';
import { jsonPatch, type PatchOperation } from './json-patch.ts';
import { mutateNode, validateDeletedNode, validateNewNode, validateUpdatedNode } from './node-rules.ts';
import { notBuiltKind } from './not-built.ts';
import { mutateOrphan, validateNewOrphan, validateUpdatedOrphan } from './orphan-rules.ts';
import { AdmissionError, invalid, type Problem } from './problem.ts';
import { mutateSetting, validateDeletedSetting, validateSettingObject } from './setting-rules.ts';
import { addFinalizer, onlyRemovesFinalizer } from './shared-mutations.ts';
import { mutateNewVolume, mutateUpdatedVolume } from './volume-mutation.ts';
import { validateNewVolume, validateUpdatedVolume } from './volume-validation.ts';

/** What is done to an object. */
export type Operation = 'CREATE' | 'UPDATE' | 'DELETE';

/** One review, without its envelope. `object` is null for DELETE, `old` for CREATE. */
export interface AdmissionRequest {
  kind: CrdKind;
  operation: Operation;
  object: JsonObject | null;
  old: JsonObject | null;
}

/** Decodes an object of a kind; AdmissionError names the field that has the wrong type. */
export function decodeKind(kind: CrdKind, raw: JsonObject): KindedObject {
  try {
    // The kind picks the decoder, so the two belong together.
    return { kind, object: completeObject(kind, raw) } as KindedObject;
  } catch (error) {
    if (!(error instanceof MalformedObjectError)) throw error;
    const field = error.path.slice(kind.length + 1);
    throw new AdmissionError([invalid(field, error.message.slice(kind.length + 1))]);
  }
}

/** The patch for a new or updated object; empty for a deletion. Throws AdmissionError. */
export function mutate(request: AdmissionRequest, facts: AdmissionFacts): PatchOperation[] {
  const { kind, object, old } = request;
  if (object === null || request.operation === 'DELETE') return [];
  const isNew = request.operation === 'CREATE';
  const refusal = isNew ? notBuiltKind(kind) : null;
  if (refusal !== null) throw new AdmissionError([refusal]);
  // What is being deleted must be able to go, however broken its fields are.
  if (!isUnset(peekObject(object, 'metadata')['deletionTimestamp'])) return [];
  const draft = structuredClone(object);
  mutateDraft(kind, draft, isNew ? null : old, facts);
  return jsonPatch(object, draft);
}

function mutateDraft(kind: CrdKind, draft: JsonObject, old: JsonObject | null, facts: AdmissionFacts): void {
  const isNew = old === null;
  switch (kind) {
    case 'Volume':
      return isNew ? mutateNewVolume(draft, facts) : mutateUpdatedVolume(draft, old, facts);
    case 'Engine':
      return mutateEngine(draft);
    case 'Replica':
      return mutateReplica(draft);
    case 'Node':
      return mutateNode(draft);
    case 'InstanceManager':
      return mutateInstanceManager(draft, isNew, facts);
    case 'EngineImage':
      return mutateEngineImage(draft, isNew);
    case 'VolumeAttachment':
      return isNew ? mutateNewPartOfVolume(draft, facts) : mutateUpdatedAttachment(draft, old);
    case 'Snapshot':
      return isNew ? mutateNewPartOfVolume(draft, facts) : addFinalizer(draft);
    case 'Setting':
      return mutateSetting(draft);
    case 'Orphan':
      return mutateOrphan(draft, isNew);
    case 'Backup':
    case 'BackupVolume':
    case 'BackupTarget':
    case 'BackupBackingImage':
    case 'BackingImage':
    case 'BackingImageDataSource':
    case 'BackingImageManager':
    case 'RecurringJob':
    case 'ShareManager':
    case 'SupportBundle':
    case 'SystemBackup':
    case 'SystemRestore':
      return CRD_KINDS[kind].hasFinalizer ? addFinalizer(draft) : undefined;
    default:
      return kind satisfies never;
  }
}

/** Everything that speaks against the request; empty when nothing does. */
export function validate(request: AdmissionRequest, facts: AdmissionFacts): Problem[] {
  const { kind, operation, object, old } = request;
  try {
    if (operation === 'DELETE') return old === null ? [] : validateDeleted(decodeKind(kind, old), facts);
    if (object === null) return [];
    const decoded = decodeKind(kind, object);
    if (operation === 'CREATE' || old === null) {
      const refusal = notBuiltKind(kind);
      return refusal === null ? validateNew(decoded, object, facts) : [refusal];
    }
    // What is being deleted must be able to go, whatever its fields say.
    if (onlyRemovesFinalizer(object, old) || decoded.object.metadata.deletionTimestamp !== null) return [];
    return validateUpdated(decoded, decodeKind(kind, old), object, facts);
  } catch (error) {
    if (error instanceof AdmissionError) return [...error.problems];
    throw error;
  }
}

function validateNew(subject: KindedObject, sent: JsonObject, facts: AdmissionFacts): Problem[] {
  if (subject.kind === 'Volume') return validateNewVolume(subject.object, facts);
  if (subject.kind === 'Engine') return validateNewEngine(subject.object, facts);
  if (subject.kind === 'Replica') return validateNewReplica(subject.object, facts);
  if (subject.kind === 'Node') return validateNewNode(subject.object, facts);
  if (subject.kind === 'InstanceManager') return validateInstanceManager(subject.object, sent);
  if (subject.kind === 'VolumeAttachment') return validateNewAttachment(subject.object, facts);
  if (subject.kind === 'Snapshot') return validateNewSnapshot(subject.object);
  if (subject.kind === 'Setting') return validateSettingObject(subject.object, null, sent, facts);
  if (subject.kind === 'Orphan') return validateNewOrphan(subject.object);
  return [];
}

function validateUpdated(now: KindedObject, before: KindedObject, sent: JsonObject, facts: AdmissionFacts): Problem[] {
  if (now.kind === 'Volume' && before.kind === 'Volume') return validateUpdatedVolume(now.object, before.object, facts);
  if (now.kind === 'Engine' && before.kind === 'Engine')
    return validateUpdatedInstance('engine', now.object, before.object);
  if (now.kind === 'Replica' && before.kind === 'Replica')
    return validateUpdatedInstance('replica', now.object, before.object);
  if (now.kind === 'Node' && before.kind === 'Node') return validateUpdatedNode(now.object, before.object, facts);
  if (now.kind === 'InstanceManager') return validateInstanceManager(now.object, sent);
  if (now.kind === 'VolumeAttachment' && before.kind === 'VolumeAttachment') {
    return validateUpdatedAttachment(now.object, before.object, facts);
  }
  if (now.kind === 'Snapshot' && before.kind === 'Snapshot') return validateUpdatedSnapshot(now.object, before.object);
  if (now.kind === 'Setting' && before.kind === 'Setting')
    return validateSettingObject(now.object, before.object, sent, facts);
  if (now.kind === 'Orphan' && before.kind === 'Orphan') return validateUpdatedOrphan(now.object, before.object);
  return [];
}

function validateDeleted(subject: KindedObject, facts: AdmissionFacts): Problem[] {
  if (subject.kind === 'Replica') return validateDeletedReplica(subject.object, facts);
  if (subject.kind === 'Node') return validateDeletedNode(subject.object, facts);
  if (subject.kind === 'Setting') return validateDeletedSetting(subject.object);
  if (subject.kind === 'EngineImage') {
    return validateDeletedEngineImage(subject.object, settingOf(facts, 'default-engine-image'));
  }
  return [];
}
