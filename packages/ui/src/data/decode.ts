/**
 * From the API's JSON to typed resources, once, at the edge. The API may send null for any list or map and leave keys out;
 * inside, every field of the schema is there and has its type.
 */
import { REST_SCHEMAS, type RestResource, type RestSchemaId } from '@longhorn/shared-types/rest/rest-schemas';

type Json = Readonly<Record<string, unknown>>;

/** Types of the fields of a schema; what a field really is goes before what the schema says. */
const fieldTypes = new Map<string, [string, string][]>(
  Object.entries(REST_SCHEMAS).map(([id, { fields }]) => [
    id,
    Object.entries(fields).map(([name, form]: [string, string | { type: string; actual?: string }]) => [
      name,
      typeof form === 'string' ? form : (form.actual ?? form.type),
    ]),
  ]),
);

/** What came is not what the API sends. */
export class DecodeError extends Error {
  override readonly name = 'DecodeError';
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function valueOf(type: string, value: unknown): unknown {
  const inner = /^(array|map)\[(.+)\]$/.exec(type);
  if (inner?.[1] === 'array') {
    return Array.isArray(value) ? value.map((one: unknown) => valueOf(inner[2] ?? '', one)) : [];
  }
  if (inner?.[1] === 'map') {
    const entries = isObject(value) ? Object.entries(value) : [];
    return Object.fromEntries(entries.map(([key, one]) => [key, valueOf(inner[2] ?? '', one)]));
  }
  switch (type) {
    case 'string':
      return typeof value === 'string' ? value : typeof value === 'number' ? String(value) : '';
    case 'int':
      return typeof value === 'number' ? value : Number(typeof value === 'string' ? value : 0);
    case 'bool':
      return value === true;
    default:
      return fieldTypes.has(type) ? fieldsOf(type, isObject(value) ? value : {}) : value;
  }
}

function fieldsOf(schema: string, json: Json): object {
  return Object.fromEntries((fieldTypes.get(schema) ?? []).map(([name, type]) => [name, valueOf(type, json[name])]));
}

/** One resource. */
export function decodeResource<Id extends RestSchemaId>(schema: Id, json: unknown): RestResource<Id> {
  if (!isObject(json))
    throw new DecodeError(`the API sent ${JSON.stringify(json)?.slice(0, 100)} where a ${schema} belongs`);
  const base = {
    id: valueOf('string', json['id']),
    type: valueOf('string', json['type']),
    links: valueOf('map[string]', json['links']),
    actions: valueOf('map[string]', json['actions']),
  };
  return { ...base, ...fieldsOf(schema, json) } as RestResource<Id>;
}

/** A list; messages that are none of this schema are refused. */
export function decodeCollection<Id extends RestSchemaId>(schema: Id, json: unknown): RestResource<Id>[] {
  if (!isObject(json) || !Array.isArray(json['data'])) {
    throw new DecodeError(`the API sent no list where a list of ${schema} belongs`);
  }
  const { resourceType } = json;
  if (typeof resourceType === 'string' && resourceType !== schema) {
    throw new DecodeError(`the API sent a list of ${resourceType} where one of ${schema} belongs`);
  }
  return json['data'].map((one: unknown) => decodeResource(schema, one));
}
