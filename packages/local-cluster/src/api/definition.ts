/**
 * CustomResourceDefinitions: checked when they are written, turned into served types.
 */
import { isObject, listAt, objectAt, stringAt, valueAt, type Json, type JsonObject } from './json.ts';
import type { KubeObject } from './object.ts';
import type { Column, ResourceType } from './resource-type.ts';
import { hasRules, schemaFaults, type Schema } from './schema.ts';
import { causes, type Cause } from './status-error.ts';

const AGE: Column = {
  name: 'Age',
  type: 'date',
  format: '',
  description: 'CreationTimestamp is a timestamp representing the server time when this object was created.',
  priority: 0,
  jsonPath: '.metadata.creationTimestamp',
};

function columnFrom(value: Json): Column {
  const column = objectAt(value);
  return {
    name: stringAt(column['name']),
    type: stringAt(column['type']),
    format: stringAt(column['format']),
    description:
      stringAt(column['description']) ||
      `Custom resource definition column (in JSONPath format): ${stringAt(column['jsonPath'])}`,
    priority: typeof column['priority'] === 'number' ? column['priority'] : 0,
    jsonPath: stringAt(column['jsonPath']),
  };
}

const versionsOf = (definition: KubeObject): JsonObject[] =>
  listAt(valueAt(definition, 'spec', 'versions')).filter(isObject);

const schemaOf = (version: JsonObject): Schema => objectAt(valueAt(version, 'schema', 'openAPIV3Schema'));

/** The types that a definition serves, one per served version. */
export function typesOf(definition: KubeObject): ResourceType[] {
  const spec = objectAt(definition['spec']);
  const names = objectAt(spec['names']);
  const group = stringAt(spec['group']);
  const plural = stringAt(names['plural']);
  const kind = stringAt(names['kind']);
  const versions = versionsOf(definition);
  const stored = versions.find((version) => version['storage'] === true);
  return versions
    .filter((version) => version['served'] === true)
    .map((version) => {
      const columns = listAt(version['additionalPrinterColumns']).map(columnFrom);
      return {
        group,
        version: stringAt(version['name']),
        plural,
        singular: stringAt(names['singular']) || kind.toLowerCase(),
        kind,
        listKind: stringAt(names['listKind']) || `${kind}List`,
        namespaced: spec['scope'] === 'Namespaced',
        shortNames: listAt(names['shortNames']).map(stringAt),
        categories: listAt(names['categories']).map(stringAt),
        storage: `${group}/${plural}`,
        storedApiVersion: `${group}/${stringAt(stored?.['name'])}`,
        status: isObject(valueAt(version, 'subresources', 'status')),
        columns: columns.length > 0 ? columns : [AGE],
        schema: schemaOf(version),
        selectableFields: listAt(version['selectableFields']).map((field) =>
          stringAt(objectAt(field)['jsonPath']).replace(/^\./, ''),
        ),
        custom: true,
      };
    });
}

/** Faults of a definition; empty = it can be served. */
export function definitionFaults(definition: KubeObject): Cause[] {
  const found: Cause[] = [];
  const spec = objectAt(definition['spec']);
  const names = objectAt(spec['names']);
  for (const [value, field] of [
    [spec['group'], 'spec.group'],
    [spec['scope'], 'spec.scope'],
    [names['plural'], 'spec.names.plural'],
    [names['kind'], 'spec.names.kind'],
  ] as const)
    if (stringAt(value) === '') found.push(causes.required(field));
  const scope = stringAt(spec['scope']);
  if (scope !== '' && scope !== 'Cluster' && scope !== 'Namespaced')
    found.push(causes.notSupported('spec.scope', scope, ['Cluster', 'Namespaced']));
  const expected = `${stringAt(names['plural'])}.${stringAt(spec['group'])}`;
  if (definition.metadata.name !== expected)
    found.push(causes.invalid('metadata.name', definition.metadata.name, `must be spec.names.plural+"."+spec.group`));
  const strategy = valueAt(spec, 'conversion', 'strategy');
  if (strategy !== undefined && strategy !== 'None')
    found.push(causes.notSupported('spec.conversion.strategy', strategy, ['None']));
  const versions = versionsOf(definition);
  if (versions.filter((version) => version['storage'] === true).length !== 1)
    found.push(causes.invalid('spec.versions', versions, 'must have exactly one version marked as storage version'));
  versions.forEach((version, index) => {
    const field = `spec.versions[${index}].schema.openAPIV3Schema`;
    if (!isObject(valueAt(version, 'schema', 'openAPIV3Schema'))) found.push(causes.required(field));
    for (const fault of schemaFaults(schemaOf(version), field)) found.push(causes.forbidden(field, fault));
  });
  return found;
}

/** Things in a definition that are kept but not enforced, for the `Warning` header. */
export function definitionWarnings(definition: KubeObject): string[] {
  return versionsOf(definition).some((version) => hasRules(schemaOf(version)))
    ? [`${definition.metadata.name}: x-kubernetes-validations are stored but not evaluated by local-cluster`]
    : [];
}

/** The definition with the status that makes clients go on: established at once, names accepted. */
export function established(definition: KubeObject, at: string): KubeObject {
  const names = objectAt(valueAt(definition, 'spec', 'names'));
  const status = objectAt(definition['status']);
  const stored = versionsOf(definition).find((version) => version['storage'] === true);
  const storedVersions = new Set(listAt(status['storedVersions']).map(stringAt));
  storedVersions.add(stringAt(stored?.['name']));
  const condition = (type: string, reason: string, message: string): JsonObject => {
    const known = listAt(status['conditions']).find((entry) => valueAt(entry, 'type') === type);
    return { type, status: 'True', lastTransitionTime: valueAt(known, 'lastTransitionTime') ?? at, reason, message };
  };
  return {
    ...definition,
    status: {
      ...status,
      acceptedNames: names,
      storedVersions: [...storedVersions],
      conditions: [
        condition('NamesAccepted', 'NoConflicts', 'no conflicts found'),
        condition('Established', 'InitialNamesAccepted', 'the initial names have been accepted'),
        ...listAt(status['conditions']).filter((entry) => valueAt(entry, 'type') === 'Terminating'),
      ],
    },
  };
}
