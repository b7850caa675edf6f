/**
 * From what the API server sends to complete objects. Upstream's clients write zero values where nothing is set and
 * read missing, null and empty alike; here every field is filled in once, on the way in, and code inside never asks
 * whether a field is there.
 *
 * Unknown fields are kept (a newer version may have written them). A value of the wrong type is refused with its path:
 * the API server checks types, so it can only come from a broken store.
 */
import type { TSchema } from 'typebox';
import { API_VERSION } from './define-kind.ts';
import { CRD_KINDS, type CrdKind, type CrdObjects } from './kinds.ts';
import type { ObjectMeta } from './kubernetes-object.ts';
import { ABSENT_KEY } from './schema-fragments.ts';

/** An object does not have the form of its kind. */
export class MalformedObjectError extends Error {
  override readonly name = 'MalformedObjectError';
  readonly path: string;

  constructor(path: string, message: string) {
    super(`${path}: ${message}`);
    this.path = path;
  }
}

type JsonObject = Record<string, unknown>;

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function schemaRecord(schema: unknown): JsonObject {
  if (!isObject(schema)) throw new Error('a schema must be an object');
  return schema;
}

function completeFields(properties: JsonObject, value: JsonObject, path: string): JsonObject {
  const result: JsonObject = { ...value };
  for (const [name, schema] of Object.entries(properties)) {
    const completed = completeValue(schemaRecord(schema), value[name], `${path}.${name}`);
    if (completed === undefined) delete result[name];
    else result[name] = completed;
  }
  return result;
}

function completeMap(values: JsonObject, value: JsonObject, path: string): JsonObject {
  return Object.fromEntries(
    Object.entries(value).map(([key, entry]) => [key, completeValue(values, entry, `${path}[${key}]`)]),
  );
}

function completeValue(schema: JsonObject, value: unknown, path: string): unknown {
  const absent = value === undefined || value === null;
  if (absent && ABSENT_KEY in schema) return structuredClone(schema[ABSENT_KEY]);
  if (isObject(schema['properties'])) {
    if (!absent && !isObject(value)) throw new MalformedObjectError(path, 'must be an object');
    return completeFields(schema['properties'], absent ? {} : value, path);
  }
  if (absent) return undefined;
  if (isObject(schema['additionalProperties'])) {
    if (!isObject(value)) throw new MalformedObjectError(path, 'must be an object');
    return completeMap(schema['additionalProperties'], value, path);
  }
  if (isObject(schema['items'])) {
    if (!Array.isArray(value)) throw new MalformedObjectError(path, 'must be a list');
    const items = schema['items'];
    return value.map((item, index) => completeValue(items, item, `${path}[${index}]`));
  }
  return completeScalar(schema, value, path);
}

function completeScalar(schema: JsonObject, value: unknown, path: string): unknown {
  const type = typeof schema['type'] === 'string' ? schema['type'] : undefined;
  const fits =
    type === undefined ||
    (type === 'string' && typeof value === 'string') ||
    (type === 'boolean' && typeof value === 'boolean') ||
    (type === 'integer' && Number.isInteger(value));
  if (!fits) throw new MalformedObjectError(path, `must be of type ${type ?? 'any'}`);
  return value;
}

function completeMetadata(raw: unknown, path: string): ObjectMeta {
  if (!isObject(raw)) throw new MalformedObjectError(path, 'must be an object');
  const meta: Partial<ObjectMeta> = raw;
  return {
    ...meta,
    name: meta.name ?? '',
    namespace: meta.namespace ?? '',
    uid: meta.uid ?? '',
    resourceVersion: meta.resourceVersion ?? '',
    generation: meta.generation ?? 0,
    creationTimestamp: meta.creationTimestamp ?? null,
    deletionTimestamp: meta.deletionTimestamp ?? null,
    labels: { ...meta.labels },
    annotations: { ...meta.annotations },
    finalizers: [...(meta.finalizers ?? [])],
    ownerReferences: [...(meta.ownerReferences ?? [])],
  };
}

/**
 * The object with every field of its kind filled in; the argument is not changed and shares nothing mutable with the
 * result's known fields. Throws MalformedObjectError naming the path.
 */
export function completeObject<K extends CrdKind>(kind: K, raw: unknown): CrdObjects[K] {
  if (!isObject(raw)) throw new MalformedObjectError(kind, 'must be an object');
  const fields: Record<string, TSchema> = CRD_KINDS[kind].fields;
  // Every field was completed and checked by the schema whose static type the result is.
  const completed: unknown = {
    apiVersion: API_VERSION,
    kind,
    ...completeFields(fields, raw, kind),
    metadata: completeMetadata(raw['metadata'] ?? {}, `${kind}.metadata`),
  };
  return completed as CrdObjects[K];
}

/** A new complete object with all fields at their zero values. */
export function newObject<K extends CrdKind>(kind: K, namespace: string, name: string): CrdObjects[K] {
  return completeObject(kind, { metadata: { namespace, name } });
}
