/**
 * Answers of the manager become typed values here, once. What is missing or null has its zero value (upstream's manager
 * leaves lists null); a value of another type than the schema's is an error that names the field.
 */
import {
  isRestSchemaId,
  restSchema,
  type RestContent,
  type RestFieldForm,
  type RestSchemaId,
} from '@longhorn/shared-types';
import { ManagerUnreachable } from './manager-fault.ts';

type JsonObject = Record<string, unknown>;

/** A resource with the names of the actions that it offers. */
export type Resource<Id extends RestSchemaId> = RestContent<Id> & {
  readonly id: string;
  readonly offeredActions: readonly string[];
};

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function typeName(field: string | RestFieldForm): string {
  return typeof field === 'string' ? field : (field.actual ?? field.type);
}

function wrong(path: string, type: string, value: unknown): ManagerUnreachable {
  const found = Array.isArray(value) ? 'a list' : typeof value;
  return new ManagerUnreachable(`the manager's answer cannot be read: ${path} should be ${type}, it is ${found}`);
}

function decode(type: string, value: unknown, path: string): unknown {
  const [, container, inner = ''] = /^(array|map)\[(.+)\]$/.exec(type) ?? [];
  const isMissing = value === undefined || value === null;
  if (container === 'array') {
    if (isMissing) return [];
    if (!Array.isArray(value)) throw wrong(path, type, value);
    return value.map((item: unknown, index) => decode(inner, item, `${path}[${index}]`));
  }
  if (container === 'map' || isRestSchemaId(type)) {
    if (!isMissing && !isObject(value)) throw wrong(path, type, value);
    const object = isMissing ? {} : value;
    if (isRestSchemaId(type)) return decodeFields(type, object, path);
    return Object.fromEntries(
      Object.entries(object).map(([key, item]) => [key, decode(inner, item, `${path}.${key}`)]),
    );
  }
  const zero = { string: '', int: 0, bool: false }[type];
  if (zero === undefined) return value ?? null;
  if (isMissing) return zero;
  if (typeof value !== typeof zero) throw wrong(path, type, value);
  return value;
}

function decodeFields(id: RestSchemaId, object: JsonObject, path: string): JsonObject {
  return Object.fromEntries(
    Object.entries(restSchema(id).fields).map(([name, field]) => [
      name,
      decode(typeName(field), object[name], path === '' ? name : `${path}.${name}`),
    ]),
  );
}

/** A resource of this schema. */
export function decodeResource<Id extends RestSchemaId>(id: Id, answer: unknown): Resource<Id> {
  if (!isObject(answer)) throw wrong('the body', id, answer);
  const offeredActions = isObject(answer['actions']) ? Object.keys(answer['actions']) : [];
  // Every field was read by the type that the schema gives it, which is what RestContent says.
  const fields: unknown = {
    ...decodeFields(id, answer, ''),
    id: decode('string', answer['id'], 'id'),
    offeredActions,
  };
  return fields as Resource<Id>;
}

/** The resources of a collection. */
export function decodeCollection<Id extends RestSchemaId>(id: Id, answer: unknown): Resource<Id>[] {
  if (!isObject(answer) || !Array.isArray(answer['data'])) throw wrong('data', `a list of ${id}`, answer);
  return answer['data'].map((item: unknown) => decodeResource(id, item));
}
