/** Rules for orphans: what they are is fixed when they are made. */
import { isDeepStrictEqual } from 'node:util';
import { COMPONENT, LABEL, MANAGED_BY, type Orphan } from '@longhorn/shared-types';
import { peekObject, textAt, type JsonObject } from './json-object.ts';
import { AdmissionError, invalid, type Problem } from './problem.ts';
import { addFinalizer, setLabels } from './shared-mutations.ts';

const DATA_PARAMETERS = ['DataName', 'DiskName', 'DiskUUID', 'DiskPath', 'DiskType'];
const INSTANCE_PARAMETERS = ['InstanceName', 'InstanceUUID', 'InstanceManager'];

/** Changes a new or updated orphan in place. */
export function mutateOrphan(object: JsonObject, isNew: boolean): void {
  addFinalizer(object);
  if (!isNew) return;
  const spec = peekObject(object, 'spec');
  const parameters = peekObject(spec, 'parameters');
  const type = textAt(spec, 'orphanType');
  setLabels(object, {
    [LABEL.managedBy]: MANAGED_BY,
    [LABEL.component]: COMPONENT.orphan,
    [LABEL.orphanType]: type,
    [LABEL.ownerNode]: textAt(spec, 'nodeID'),
  });
  switch (type) {
    case 'replica':
      setLabels(object, { [LABEL.replicaDiskUuid]: textAt(parameters, 'DiskUUID') });
      return;
    case 'engine-instance':
    case 'replica-instance':
      setLabels(object, {
        [LABEL.instanceManager]: textAt(parameters, 'InstanceManager'),
        [type === 'engine-instance' ? LABEL.engine : LABEL.replica]: textAt(parameters, 'InstanceName'),
      });
      return;
    default:
      throw new AdmissionError([
        invalid(
          'spec.orphanType',
          `invalid orphan labels: spec.orphanType must be replica, engine-instance or replica-instance, it is ${JSON.stringify(type)}`,
        ),
      ]);
  }
}

/** What is wrong with a new orphan. */
export function validateNewOrphan(orphan: Orphan): Problem[] {
  const { name } = orphan.metadata;
  const isData = orphan.spec.orphanType === 'replica';
  return (isData ? DATA_PARAMETERS : INSTANCE_PARAMETERS).flatMap((parameter) => {
    const value = orphan.spec.parameters[parameter];
    if (value !== undefined && (isData || value !== '')) return [];
    const state = value === undefined ? 'missing' : 'empty';
    return [
      invalid(
        `spec.parameters.${parameter}`,
        `failed to check orphan ${name} since parameter ${parameter} for orphan ${name} is ${state}`,
      ),
    ];
  });
}

/** What is wrong with the change of an orphan. */
export function validateUpdatedOrphan(orphan: Orphan, old: Orphan): Problem[] {
  return isDeepStrictEqual(orphan.spec, old.spec)
    ? []
    : [invalid('spec', `orphan ${orphan.metadata.name} spec is immutable`)];
}
