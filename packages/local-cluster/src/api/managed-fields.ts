/**
 * Who manages which field of an object.
 *
 * Records are kept from the first server-side apply of an object on: before it nobody could conflict, and most
 * objects are never applied that way.
 */
import { timestamp, type Environment } from './environment.ts';
import { fieldsFrom, fieldsOf, fieldValueAt, treeOf, type FieldSet } from './field-set.ts';
import { equal, stringAt, type JsonObject } from './json.ts';
import type { KubeObject, Metadata } from './object.ts';
import { apiVersionOf, type ResourceType } from './resource-type.ts';

export interface Manager {
  name: string;
  operation: 'Apply' | 'Update';
  subresource: '' | 'status';
  apiVersion: string;
  time: string;
  fields: FieldSet;
}

export function managersOf(object: KubeObject): Manager[] {
  return (object.metadata.managedFields ?? []).map((entry) => ({
    name: stringAt(entry['manager']),
    operation: entry['operation'] === 'Apply' ? 'Apply' : 'Update',
    subresource: entry['subresource'] === 'status' ? 'status' : '',
    apiVersion: stringAt(entry['apiVersion']),
    time: stringAt(entry['time']),
    fields: fieldsFrom(entry['fieldsV1']),
  }));
}

/** As `metadata.managedFields`; managers of nothing are left out. */
export function managedFieldsOf(managers: readonly Manager[]): JsonObject[] {
  return managers
    .filter((manager) => manager.fields.size > 0)
    .map((manager) => ({
      manager: manager.name,
      operation: manager.operation,
      apiVersion: manager.apiVersion,
      time: manager.time,
      fieldsType: 'FieldsV1',
      fieldsV1: treeOf(manager.fields),
      ...(manager.subresource === '' ? {} : { subresource: manager.subresource }),
    }));
}

export const isSame = (a: Omit<Manager, 'fields' | 'time' | 'apiVersion'>, b: Manager): boolean =>
  a.name === b.name && a.operation === b.operation && a.subresource === b.subresource;

export const without = (fields: FieldSet, removed: FieldSet): FieldSet =>
  new Set([...fields].filter((path) => !removed.has(path)));

/** Metadata of an object after a plain write: what it changed is now the writer's. */
export function trackUpdate(
  type: ResourceType,
  current: KubeObject,
  object: KubeObject,
  subresource: '' | 'status',
  name: string,
  environment: Environment,
): Metadata {
  if ((current.metadata.managedFields ?? []).length === 0) return object.metadata;
  const before = fieldsOf(current, type.schema);
  const after = fieldsOf(object, type.schema);
  const changed = new Set([...after].filter((path) => !equal(fieldValueAt(current, path), fieldValueAt(object, path))));
  const touched = new Set([...changed, ...[...before].filter((path) => !after.has(path))]);
  if (touched.size === 0) return object.metadata;
  const own = { name, operation: 'Update' as const, subresource };
  const managers = managersOf(current).map((manager) =>
    isSame(own, manager) ? manager : { ...manager, fields: without(manager.fields, touched) },
  );
  const known = managers.find((manager) => isSame(own, manager));
  const time = timestamp(environment.now());
  const mine: Manager = {
    ...own,
    apiVersion: apiVersionOf(type),
    time,
    fields: new Set([...without(known?.fields ?? new Set(), touched), ...changed]),
  };
  const others = managers.filter((manager) => !isSame(own, manager));
  return { ...object.metadata, managedFields: managedFieldsOf([...others, mine]) };
}
