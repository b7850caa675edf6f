/**
 * Reading bodies as upstream does: JSON whatever the content type, keys in any case, unknown keys ignored, missing and
 * null read as zero values, types exactly as the schema says.
 */
import {
  isRestSchemaId,
  restSchema,
  type RestContent,
  type RestFieldForm,
  type RestSchemaId,
} from '@longhorn/shared-types';
import { RestFault } from './rest-fault.ts';

const NESTING_MAX = 8;
type JsonObject = Record<string, unknown>;

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The JSON value of a body; an empty one is refused. */
export function parseBody(body: unknown): unknown {
  const text = typeof body === 'string' ? body.trim() : '';
  if (text === '') throw new RestFault('EOF: the request needs a JSON body, at least {}');
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new RestFault(`the body is not JSON: ${error instanceof Error ? error.message : String(error)}`, 500, {
      cause: error,
    });
  }
}

function typeOf(field: string | RestFieldForm): string {
  return typeof field === 'string' ? field : (field.actual ?? field.type);
}

/** The value of a key: as it is written, else in any other case. */
function lookUp(object: JsonObject, key: string): unknown {
  if (Object.hasOwn(object, key)) return object[key];
  const lower = key.toLowerCase();
  const found = Object.keys(object).find((candidate) => candidate.toLowerCase() === lower);
  return found === undefined ? undefined : object[found];
}

function wrongType(path: string, expected: string, value: unknown): RestFault {
  const found = Array.isArray(value) ? 'array' : typeof value;
  return new RestFault(`cannot unmarshal ${found} into field ${path} of type ${expected}`);
}

function readValue(type: string, value: unknown, path: string, depth: number): unknown {
  if (depth > NESTING_MAX) throw new RestFault(`field ${path} is nested too deeply`);
  const [, container, inner = ''] = /^(array|map)\[(.+)\]$/.exec(type) ?? [];
  const isMissing = value === undefined || value === null;
  if (container === 'array') {
    if (isMissing) return [];
    if (!Array.isArray(value)) throw wrongType(path, type, value);
    return value.map((item: unknown, index) => readValue(inner, item, `${path}[${index}]`, depth + 1));
  }
  if (container === 'map') {
    if (isMissing) return {};
    if (!isObject(value)) throw wrongType(path, type, value);
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [key, readValue(inner, item, `${path}.${key}`, depth + 1)]),
    );
  }
  if (isRestSchemaId(type)) {
    if (!isMissing && !isObject(value)) throw wrongType(path, type, value);
    return readFields(type, isMissing ? {} : value, Object.keys(restSchema(type).fields), path, depth + 1);
  }
  return readScalar(type, value, path);
}

function readScalar(type: string, value: unknown, path: string): unknown {
  const isMissing = value === undefined || value === null;
  switch (type) {
    case 'string':
      if (isMissing) return '';
      if (typeof value !== 'string') throw wrongType(path, type, value);
      return value;
    case 'int':
      if (isMissing) return 0;
      if (typeof value !== 'number' || !Number.isSafeInteger(value)) throw wrongType(path, type, value);
      return value;
    case 'bool':
      if (isMissing) return false;
      if (typeof value !== 'boolean') throw wrongType(path, type, value);
      return value;
    default:
      return null;
  }
}

function readFields(
  id: RestSchemaId,
  object: JsonObject,
  names: readonly string[],
  path: string,
  depth: number,
): JsonObject {
  const { fields } = restSchema(id);
  return Object.fromEntries(
    names.map((name) => {
      const field = fields[name];
      if (field === undefined) throw new Error(`schema ${id} has no field ${name}`);
      return [name, readValue(typeOf(field), lookUp(object, name), path === '' ? name : `${path}.${name}`, depth)];
    }),
  );
}

/** Some fields of a resource from a body. */
export function readResource<Id extends RestSchemaId, Name extends keyof RestContent<Id> & string>(
  id: Id,
  body: unknown,
  names: readonly Name[],
): Pick<RestContent<Id>, Name> {
  const parsed = parseBody(body);
  if (!isObject(parsed)) throw wrongType('body', id, parsed);
  // Every name was read by the type that the schema gives it, which is what RestContent says.
  const fields: unknown = readFields(id, parsed, names, '', 0);
  return fields as Pick<RestContent<Id>, Name>;
}

/** All fields of an input type from a body. */
export function readInput<Id extends RestSchemaId>(id: Id, body: unknown): RestContent<Id> {
  const parsed = parseBody(body);
  if (!isObject(parsed)) throw wrongType('body', id, parsed);
  const fields: unknown = readFields(id, parsed, Object.keys(restSchema(id).fields), '', 0);
  return fields as RestContent<Id>;
}
