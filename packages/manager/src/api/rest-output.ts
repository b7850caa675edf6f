/** Writing resources and collections: only fields of the schema, links and actions, keys in order. */
import { restCollectionPath, restSchema, type RestContent, type RestSchemaId } from '@longhorn/shared-types';
import type { RequestUrl } from './request-url.ts';

/** A resource before its links are known. */
export interface Rendered<Id extends RestSchemaId = RestSchemaId> {
  schema: Id;
  /** Null: the resource has none of its own. */
  id: string | null;
  content: RestContent<Id>;
  /** Names of the actions that are offered. */
  actions: readonly string[];
}

/** Any resource. */
export type AnyRendered = { [Id in RestSchemaId]: Rendered<Id> }[RestSchemaId];

/** Makes a resource; the type ties the content to its schema. */
export function render<Id extends RestSchemaId>(
  schema: Id,
  id: string | null,
  content: RestContent<Id>,
  actions: readonly string[] = [],
): Rendered<Id> {
  return { schema, id, content, actions };
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null || value === '' || value === 0 || value === false) return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}

/** The JSON of a resource. */
export function resourceJson({ schema, id, content, actions }: Rendered, url: RequestUrl): Record<string, unknown> {
  const { fields } = restSchema(schema);
  const kept = Object.entries(content).filter(([name, value]) => {
    const field = fields[name];
    if (field === undefined) return false;
    return typeof field === 'string' || field.omitEmpty !== true || !isEmpty(value);
  });
  const self = id === null ? url.current : `${url.base}${restCollectionPath(schema)}/${id}`;
  return {
    ...Object.fromEntries(kept),
    ...(id === null ? {} : { id }),
    type: schema,
    links: { self },
    actions: Object.fromEntries(actions.map((name) => [name, `${self}?action=${name}`])),
  };
}

/** The JSON of a list. */
export function collectionJson(
  schema: RestSchemaId,
  items: readonly Rendered[],
  url: RequestUrl,
): Record<string, unknown> {
  return {
    type: 'collection',
    resourceType: schema,
    links: { self: url.current },
    data: items.map((item) => resourceJson(item, url)),
    ...(schema === 'volume' ? { createTypes: { volume: `${url.base}/v1/volumes` } } : {}),
  };
}

function sortedKeys(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

/** JSON text with sorted keys and a final newline. */
export function toJsonText(value: unknown): string {
  return `${JSON.stringify(value, sortedKeys)}\n`;
}

/** The error resource. */
export function errorJson(
  status: number,
  statusText: string,
  message: string,
  url: RequestUrl,
): Record<string, unknown> {
  return { type: 'error', status, code: statusText, message, detail: '', links: { self: url.current }, actions: {} };
}
