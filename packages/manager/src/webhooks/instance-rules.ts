/** Rules for engines, replicas, instance managers and engine images. */
import {
  COMPONENT,
  engineImageName,
  instanceManagerImageLabel,
  LABEL,
  MANAGED_BY,
  type Engine,
  type EngineImage,
  type InstanceManager,
  type Replica,
} from '@longhorn/shared-types';
import { OWN_ANNOTATION } from '../own-annotations.ts';
import type { AdmissionFacts } from './admission-facts.ts';
import { isJsonObject, objectAt, setDefault, textAt, type JsonObject } from './json-object.ts';
import { AdmissionError, invalid, type Problem } from './problem.ts';
import { addFinalizer, setLabels, setOwner, setVolumeLabel } from './shared-mutations.ts';
import { engineEnabled } from './volume-validation.ts';

/** Annotation that lets the uninstaller delete the default engine image. */
const DELETE_ENGINE_IMAGE = 'longhorn.io/delete-engine-image-from-longhorn';

/** Changes a new or updated engine in place. */
export function mutateEngine(object: JsonObject): void {
  const spec = objectAt(object, 'spec');
  for (const field of ['replicaAddressMap', 'upgradedReplicaAddressMap'])
    if (!isJsonObject(spec[field])) spec[field] = {};
  mutateInstance(object);
}

/** Changes a new or updated replica in place. */
export function mutateReplica(object: JsonObject): void {
  mutateInstance(object);
}

function mutateInstance(object: JsonObject): void {
  const spec = objectAt(object, 'spec');
  setVolumeLabel(object, textAt(spec, 'volumeName'));
  addFinalizer(object);
  setDefault(spec, 'dataEngine', 'v1');
}

/** What is wrong with a new engine: it needs a volume, which has no other. */
export function validateNewEngine(engine: Engine, facts: AdmissionFacts): Problem[] {
  if (facts.volume === null) {
    return [invalid('spec.volumeName', `volume does not exist for engine: ${engine.spec.volumeName}`)];
  }
  const count = facts.engines.filter((other) => other.metadata.name !== engine.metadata.name).length + 1;
  const { migratable } = facts.volume.spec;
  if (count > (migratable ? 2 : 1)) {
    const word = migratable ? 'migratable' : 'non-migratable';
    return [invalid('spec.volumeName', `engine creation would result in ${count} engines for ${word} volume`)];
  }
  return engineEnabled(engine.spec.dataEngine, facts);
}

/** What is wrong with the change of an engine or a replica. */
export function validateUpdatedInstance(
  kind: 'engine' | 'replica',
  instance: Engine | Replica,
  old: Engine | Replica,
): Problem[] {
  if (instance.spec.dataEngine === old.spec.dataEngine) return [];
  return [invalid('spec.dataEngine', `changing data engine for ${kind} ${instance.metadata.name} is not supported`)];
}

/** What is wrong with a new replica. */
export function validateNewReplica(replica: Replica, facts: AdmissionFacts): Problem[] {
  return engineEnabled(replica.spec.dataEngine, facts);
}

function isAvailable(replica: Replica): boolean {
  const { failedAt, healthyAt } = replica.spec;
  return replica.metadata.deletionTimestamp === null && failedAt === '' && healthyAt !== '';
}

/** A replica that may be the last one with the data stays, unless it is told to go by name. */
export function validateDeletedReplica(replica: Replica, facts: AdmissionFacts): Problem[] {
  const { volume } = facts;
  if (volume === null || volume.metadata.deletionTimestamp !== null) return [];
  if (replica.metadata.annotations[OWN_ANNOTATION.forceDelete] !== undefined) return [];
  const available = facts.replicas.filter((other) => isAvailable(other) && !other.spec.evictionRequested);
  const [last] = available;
  if (available.length !== 1 || last?.metadata.name !== replica.metadata.name) return [];
  const { name } = replica.metadata;
  return [
    invalid(
      '',
      `no other healthy replica available for volume ${volume.metadata.name}, cannot delete replica ${name} since it may still contain data for recovery`,
    ),
  ];
}

/** Changes a new or updated instance manager in place. */
export function mutateInstanceManager(object: JsonObject, isNew: boolean, facts: AdmissionFacts): void {
  const spec = objectAt(object, 'spec');
  setDefault(spec, 'dataEngine', 'v1');
  if (!isNew) return;
  const nodeId = textAt(spec, 'nodeID');
  if (facts.node === null) {
    throw new AdmissionError([invalid('spec.nodeID', `failed to get node ${nodeId}: it does not exist`)]);
  }
  objectAt(object, 'metadata')['labels'] = {
    [LABEL.managedBy]: MANAGED_BY,
    [LABEL.component]: COMPONENT.instanceManager,
    [LABEL.node]: nodeId,
    [LABEL.instanceManagerType]: textAt(spec, 'type'),
    [LABEL.instanceManagerImage]: instanceManagerImageLabel(textAt(spec, 'image')),
    [LABEL.dataEngine]: textAt(spec, 'dataEngine'),
  };
  setOwner(object, 'Node', facts.node.metadata, { blockOwnerDeletion: true });
}

/** What is wrong with an instance manager. */
export function validateInstanceManager(manager: InstanceManager, sent: JsonObject): Problem[] {
  const { name, labels, ownerReferences } = manager.metadata;
  const spec = objectAt({ ...sent }, 'spec');
  const missing = (what: string): Problem => invalid('', `${what} for instanceManager ${name} is not set`);
  return [
    ...(Object.keys(labels).length === 0 ? [missing('labels')] : []),
    ...(ownerReferences.length === 0 ? [missing('ownerReferences')] : []),
    ...(textAt(spec, 'type') === '' ? [missing('type')] : []),
    ...(textAt(spec, 'dataEngine') === '' ? [missing('data engine')] : []),
  ];
}

/** Changes a new or updated engine image in place: its name comes from the image. */
export function mutateEngineImage(object: JsonObject, isNew: boolean): void {
  addFinalizer(object);
  if (!isNew) return;
  const spec = objectAt(object, 'spec');
  const image = textAt(spec, 'image').trim();
  spec['image'] = image;
  const name = engineImageName(image);
  objectAt(object, 'metadata')['name'] = name;
  setLabels(object, {
    [LABEL.managedBy]: MANAGED_BY,
    [LABEL.component]: COMPONENT.engineImage,
    [LABEL.engineImage]: name,
  });
}

/** Why an engine image may not be deleted. */
export function validateDeletedEngineImage(image: EngineImage, defaultImage: string): Problem[] {
  const { name, annotations } = image.metadata;
  if (image.spec.image === defaultImage && annotations[DELETE_ENGINE_IMAGE] === undefined) {
    return [invalid('', `deleting the default engine image ${name} (${image.spec.image}) is not allowed`)];
  }
  if (image.status.refCount === 0) return [];
  return [invalid('', `deleting engine image ${name} (${image.spec.image}) is not allowed while being used`)];
}
