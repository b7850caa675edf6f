/**
 * The Table form of lists and watches, from which kubectl prints its columns.
 */
import { BUILTIN_COLUMNS, type ComputedColumn } from './builtin-columns.ts';
import type { Json, JsonObject } from './json.ts';
import { valuesAt } from './json-path.ts';
import type { KubeObject } from './object.ts';
import type { Column, ResourceType } from './resource-type.ts';
import { humanAge } from './human-age.ts';
import { toServed } from './versions.ts';

export type IncludeObject = 'None' | 'Metadata' | 'Object';

const NAME_COLUMN: JsonObject = {
  name: 'Name',
  type: 'string',
  format: 'name',
  description: 'Name must be unique within a namespace.',
  priority: 0,
};

const definitionOf = (column: Column | ComputedColumn): JsonObject => ({
  name: column.name,
  type: column.type,
  format: 'format' in column ? column.format : '',
  description: 'description' in column ? column.description : '',
  priority: column.priority,
});

function customCell(object: KubeObject, column: Column, now: Date): Json {
  const [value] = valuesAt(object, column.jsonPath);
  if (value === undefined || value === null) return null;
  switch (column.type) {
    case 'date':
      return typeof value === 'string' ? humanAge(value, now) : null;
    case 'string':
      return typeof value === 'string' ? value : JSON.stringify(value);
    case 'integer':
    case 'number':
      return typeof value === 'number' ? value : null;
    default:
      return typeof value === 'object' ? JSON.stringify(value) : value;
  }
}

/** An object reduced to its metadata. */
export const partialMetadata = (object: KubeObject): JsonObject => ({
  kind: 'PartialObjectMetadata',
  apiVersion: 'meta.k8s.io/v1',
  metadata: object.metadata,
});

function rowOf(type: ResourceType, object: KubeObject, include: IncludeObject, now: Date): JsonObject {
  const computed = BUILTIN_COLUMNS[type.storage];
  const cells: Json[] = [object.metadata.name];
  if (type.columns !== null) for (const column of type.columns) cells.push(customCell(object, column, now));
  else if (computed !== undefined) for (const column of computed) cells.push(column.cell(object, now));
  else cells.push(humanAge(object.metadata.creationTimestamp, now));
  return {
    cells,
    ...(include === 'None' ? { object: null } : {}),
    ...(include === 'Object' ? { object: toServed(type, object) } : {}),
    ...(include === 'Metadata' ? { object: partialMetadata(object) } : {}),
  };
}

/** A table of objects; `metadata` is the list's. */
export function tableOf(
  type: ResourceType,
  objects: readonly KubeObject[],
  metadata: JsonObject,
  include: IncludeObject,
  now: Date,
): JsonObject {
  const age: ComputedColumn = { name: 'Age', type: 'date', priority: 0, cell: () => null };
  const columns = type.columns ?? BUILTIN_COLUMNS[type.storage] ?? [age];
  return {
    kind: 'Table',
    apiVersion: 'meta.k8s.io/v1',
    metadata,
    columnDefinitions: [NAME_COLUMN, ...columns.map(definitionOf)],
    rows: objects.map((object) => rowOf(type, object, include, now)),
  };
}
