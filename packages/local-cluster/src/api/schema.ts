/**
 * Structural schemas of custom resources: removal of unknown fields and filling in of defaults.
 * Both return new values and leave their argument alone.
 */
import { isObject, listAt, objectAt, type Json, type JsonObject } from './json.ts';

/** An OpenAPI v3 schema as a CustomResourceDefinition holds it. */
export type Schema = JsonObject;

const METADATA_FIELDS = new Set([
  'annotations',
  'creationTimestamp',
  'deletionGracePeriodSeconds',
  'deletionTimestamp',
  'finalizers',
  'generateName',
  'generation',
  'labels',
  'managedFields',
  'name',
  'namespace',
  'ownerReferences',
  'resourceVersion',
  'selfLink',
  'uid',
]);

export const preservesUnknown = (schema: Schema): boolean => schema['x-kubernetes-preserve-unknown-fields'] === true;
export const isIntOrString = (schema: Schema): boolean => schema['x-kubernetes-int-or-string'] === true;

/** Schema of the value under a key; `null`: the key is unknown; `{}`: anything goes. */
export function propertySchema(schema: Schema, key: string): Schema | null {
  const properties = objectAt(schema['properties']);
  if (Object.hasOwn(properties, key)) return objectAt(properties[key]);
  const additional = schema['additionalProperties'];
  if (isObject(additional)) return additional;
  if (additional === true) return {};
  return null;
}

function pruneMetadata(metadata: JsonObject, path: string, unknown: string[]): JsonObject {
  const kept: JsonObject = {};
  for (const [key, value] of Object.entries(metadata)) {
    if (METADATA_FIELDS.has(key)) kept[key] = value;
    else unknown.push(`${path}metadata.${key}`);
  }
  return kept;
}

function pruneObject(
  value: JsonObject,
  schema: Schema,
  path: string,
  resource: boolean,
  unknown: string[],
): JsonObject {
  const kept: JsonObject = {};
  for (const [key, entry] of Object.entries(value)) {
    const at = `${path}${key}`;
    if (resource && (key === 'apiVersion' || key === 'kind')) kept[key] = entry;
    else if (resource && key === 'metadata') kept[key] = isObject(entry) ? pruneMetadata(entry, path, unknown) : entry;
    else {
      const inner = propertySchema(schema, key);
      if (inner !== null) kept[key] = entry === undefined ? undefined : prune(entry, inner, at, unknown);
      else if (preservesUnknown(schema)) kept[key] = entry;
      else unknown.push(at);
    }
  }
  return kept;
}

function prune(value: Json, schema: Schema, path: string, unknown: string[]): Json {
  if (Array.isArray(value)) {
    const items = schema['items'];
    return isObject(items) ? value.map((entry, index) => prune(entry, items, `${path}[${index}]`, unknown)) : value;
  }
  if (!isObject(value)) return value;
  const untyped = schema['type'] === undefined && schema['properties'] === undefined;
  if (untyped && schema['additionalProperties'] === undefined) return value;
  return pruneObject(value, schema, `${path}.`, schema['x-kubernetes-embedded-resource'] === true, unknown);
}

/** Removes fields that the schema does not know and names them in `unknown`. */
export function pruneResource(value: JsonObject, schema: Schema, unknown: string[]): JsonObject {
  return pruneObject(value, schema, '', true, unknown);
}

/** Takes out nulls where a field may not be null, and fills in defaults where a field is absent. */
export function applyDefaults(value: Json, schema: Schema): Json {
  if (Array.isArray(value)) {
    const items = schema['items'];
    return isObject(items) ? value.map((entry) => applyDefaults(entry, items)) : value;
  }
  if (!isObject(value)) return value;
  const result: JsonObject = { ...value };
  for (const [key, inner] of Object.entries(objectAt(schema['properties']))) {
    if (!isObject(inner)) continue;
    const present = result[key];
    const missing = present === undefined || (present === null && inner['nullable'] !== true);
    if (missing && inner['default'] !== undefined) result[key] = structuredClone(inner['default']);
    else if (present === null && inner['nullable'] !== true) delete result[key];
  }
  for (const [key, entry] of Object.entries(result)) {
    const inner = propertySchema(schema, key);
    if (inner !== null && entry !== undefined) result[key] = applyDefaults(entry, inner);
  }
  return result;
}

/** Faults of a schema that this server could not enforce, as sentences; empty = usable. */
export function schemaFaults(schema: Schema, path: string): string[] {
  const faults: string[] = [];
  if (schema['$ref'] !== undefined) faults.push(`${path}.$ref is not allowed in a structural schema`);
  for (const [key, inner] of Object.entries(objectAt(schema['properties'])))
    faults.push(...schemaFaults(objectAt(inner), `${path}.properties[${key}]`));
  if (isObject(schema['items'])) faults.push(...schemaFaults(schema['items'], `${path}.items`));
  if (isObject(schema['additionalProperties']))
    faults.push(...schemaFaults(schema['additionalProperties'], `${path}.additionalProperties`));
  return faults;
}

/** Whether some part of the schema carries rules in CEL, which this server does not evaluate. */
export function hasRules(schema: Schema): boolean {
  if (listAt(schema['x-kubernetes-validations']).length > 0) return true;
  const inner = [...Object.values(objectAt(schema['properties'])), schema['items'], schema['additionalProperties']];
  return inner.some((entry) => isObject(entry) && hasRules(entry));
}
