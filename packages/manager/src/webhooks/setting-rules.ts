/** Rules for settings: the value is checked by its definition, then against the state of the cluster. */
import {
  ANNOTATION,
  isSettingName,
  normalizeSetting,
  parseSetting,
  settingDefinition,
  validateSetting,
  type ObjectMeta,
  type Setting,
} from '@longhorn/shared-types';
import { settingOf, type AdmissionFacts } from './admission-facts.ts';
import { peekObject, textAt, type JsonObject } from './json-object.ts';
import { notBuiltInSetting } from './not-built.ts';
import { AdmissionError, invalid, type Problem } from './problem.ts';

/** Changes a new or updated setting in place: its value gets the form in which it is stored. */
export function mutateSetting(object: JsonObject): void {
  const name = textAt(peekObject(object, 'metadata'), 'name');
  if (!isSettingName(name)) {
    throw new AdmissionError([
      invalid('metadata.name', `setting ${name} does not exist, setting ${name} is not supported`),
    ]);
  }
  if (typeof object['value'] === 'string') object['value'] = normalizeSetting(name, object['value']);
  // Its limits are in spec; upstream's clients want a value.
  else if (name === 'volume-qos' && (object['value'] === undefined || object['value'] === null)) object['value'] = '';
}

function isOfManager(metadata: ObjectMeta): boolean {
  return metadata.annotations[ANNOTATION.updateSettingFromLonghorn] !== undefined;
}

/** What is wrong with a new or updated setting. `sent` tells a missing value from an empty one. */
export function validateSettingObject(
  setting: Setting,
  old: Setting | null,
  sent: JsonObject,
  facts: AdmissionFacts,
): Problem[] {
  const { name } = setting.metadata;
  if (!isSettingName(name)) return [invalid('metadata.name', `setting ${name} is not supported`)];
  if (setting.spec !== null) {
    if (name !== 'volume-qos') {
      return [
        invalid('spec', `spec is only for the setting volume-qos; setting ${name} has its value in the field value`),
      ];
    }
    return Object.keys(peekObject(sent, 'spec')).map((field) =>
      invalid(`spec.${field}`, `spec.${field} is not supported yet: leave it out`),
    );
  }
  if (typeof sent['value'] !== 'string') {
    return [
      invalid(
        'value',
        `setting ${name} needs the field value, a string such as ${JSON.stringify(settingDefinition(name).default)}`,
      ),
    ];
  }
  // A new object may hold the default, even where the default is empty until the manager fills it in.
  if (setting.value === (old === null ? settingDefinition(name).default : old.value)) return [];
  if (
    old !== null &&
    settingDefinition(name).readOnly &&
    !isOfManager(old.metadata) &&
    !isOfManager(setting.metadata)
  ) {
    return [invalid('metadata.name', `setting ${name} is read-only`)];
  }
  const problem = validateSetting(name, setting.value);
  if (problem !== null) return [invalid('value', problem)];
  const notBuilt = notBuiltInSetting(name, setting.value);
  if (notBuilt !== null) return [notBuilt];
  const reason = clusterProblem(name, setting.value, facts);
  return reason === null
    ? []
    : [invalid('value', `failed to validate setting ${name} with invalid value ${setting.value}: ${reason}`)];
}

/** Settings can be changed, not deleted; leftovers of unknown names can go. */
export function validateDeletedSetting(setting: Setting): Problem[] {
  const { name } = setting.metadata;
  return isSettingName(name) ? [invalid('metadata.name', `setting ${name} can be modified but not deleted`)] : [];
}

function clusterProblem(name: string, value: string, facts: AdmissionFacts): string | null {
  switch (name) {
    case 'v1-data-engine':
      return value !== '' && !parseSetting('v1-data-engine', value) && runsEngines(facts)
        ? 'current state prevents this: cannot apply v1-data-engine setting to Longhorn workloads when there are attached v1 volumes'
        : null;
    case 'auto-cleanup-system-generated-snapshot':
      return parseSetting(name, value) && settingOf(facts, 'disable-snapshot-purge')
        ? 'cannot set auto-cleanup-system-generated-snapshot setting to true when disable-snapshot-purge setting is true'
        : null;
    case 'disable-snapshot-purge':
      return parseSetting(name, value) && settingOf(facts, 'auto-cleanup-system-generated-snapshot')
        ? 'cannot set disable-snapshot-purge setting to true when auto-cleanup-system-generated-snapshot setting is true'
        : null;
    case 'priority-class':
      return facts.namedObjectExists
        ? null
        : `failed to get priority class ${value} before modifying priority class setting: it does not exist`;
    case 'default-longhorn-static-storage-class':
      return facts.namedObjectExists
        ? null
        : `cannot use a storage class ${value} that does not exist to set the setting default-longhorn-static-storage-class`;
    default:
      return null;
  }
}

function runsEngines(facts: AdmissionFacts): boolean {
  return facts.instanceManagers.some(
    ({ spec, status }) => spec.dataEngine === 'v1' && Object.keys(status.instanceEngines).length > 0,
  );
}
