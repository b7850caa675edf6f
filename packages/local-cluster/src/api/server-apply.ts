/**
 * Server-side apply: the object becomes what the applier wants, as far as the applier says anything; fields that it
 * wanted before and wants no longer go, unless somebody else manages them; fields of others are changed only by force.
 */
import { timestamp } from './environment.ts';
import { fieldsOf, fieldTitle, fieldValueAt, overlaid, withoutFields, type FieldSet } from './field-set.ts';
import { equal, type JsonObject } from './json.ts';
import { isSame, managedFieldsOf, managersOf, without, type Manager } from './managed-fields.ts';
import { objectFrom, type KubeObject } from './object.ts';
import type { Operations } from './operations.ts';
import type { WriteOptions } from './preparation.ts';
import { apiVersionOf, type ResourceType } from './resource-type.ts';
import { ApiError, type Cause } from './status-error.ts';

export interface ApplyRequest {
  manager: string;
  force: boolean;
  subresource: '' | 'status';
  options: WriteOptions;
}

export interface Applied {
  object: KubeObject;
  created: boolean;
}

/** Managers of an object before its first apply: everything that is there is somebody's. */
function knownManagers(type: ResourceType, current: KubeObject): Manager[] {
  if ((current.metadata.managedFields ?? []).length > 0) return managersOf(current);
  return [
    {
      name: 'before-first-apply',
      operation: 'Update',
      subresource: '',
      apiVersion: apiVersionOf(type),
      time: current.metadata.creationTimestamp,
      fields: fieldsOf(current, type.schema),
    },
  ];
}

function refuseConflicts(found: readonly { manager: Manager; path: string }[]): void {
  if (found.length === 0) return;
  const list: Cause[] = found.map(({ manager, path }) => ({
    reason: 'FieldManagerConflict',
    message: `conflict with ${JSON.stringify(manager.name)}${manager.operation === 'Update' ? ` using ${manager.apiVersion}` : ''}`,
    field: fieldTitle(path),
  }));
  const noun = list.length === 1 ? 'conflict' : 'conflicts';
  const text = list.map((cause) => `${cause.message}: ${cause.field}`).join('; ');
  throw new ApiError(409, 'Conflict', `Apply failed with ${list.length} ${noun}: ${text}`, { causes: list });
}

interface Outcome {
  object: KubeObject;
  managedFields: JsonObject[];
}

/** What an apply makes of the present object. */
export function applyTo(
  type: ResourceType,
  current: KubeObject,
  wanted: KubeObject,
  request: ApplyRequest,
  now: string,
): Outcome {
  const { manager: name, force, subresource } = request;
  const own = { name, operation: 'Apply' as const, subresource };
  const fields = fieldsOf(wanted, type.schema);
  const managers = knownManagers(type, current);
  const others = managers.filter((manager) => !isSame(own, manager));
  const differs = (path: string): boolean => !equal(fieldValueAt(current, path), fieldValueAt(wanted, path));
  const contested = others.flatMap((manager) =>
    [...fields].filter((path) => manager.fields.has(path) && differs(path)).map((path) => ({ manager, path })),
  );
  if (!force) refuseConflicts(contested);
  const taken: FieldSet = new Set(contested.map(({ path }) => path));
  const kept = others.map((manager) => ({ ...manager, fields: without(manager.fields, taken) }));
  const before = managers.find((manager) => isSame(own, manager));
  const shared = new Set(kept.flatMap((manager) => [...manager.fields]));
  const dropped = [...(before?.fields ?? [])].filter((path) => !fields.has(path) && !shared.has(path));
  const { apiVersion: _a, kind: _k, ...contents } = wanted;
  const merged = withoutFields(overlaid(current, placed(contents), type.schema), dropped);
  const unchanged = before !== undefined && equal([...before.fields].sort(), [...fields].sort());
  const mine: Manager = { ...own, apiVersion: apiVersionOf(type), time: unchanged ? before.time : now, fields };
  return {
    object: objectFrom({ ...merged, apiVersion: current.apiVersion, kind: current.kind }),
    managedFields: managedFieldsOf([...kept, mine]),
  };
}

/** Without metadata that the server sets: the present object's stays. */
function placed(wanted: JsonObject): JsonObject {
  const object = objectFrom({ apiVersion: '-', kind: '-', ...wanted });
  const { uid: _u, resourceVersion: _r, creationTimestamp: _c, managedFields: _m, ...metadata } = object.metadata;
  const { apiVersion: _a, kind: _k, ...contents } = object;
  return { ...contents, metadata };
}

/** Applies an object, creating it when it is not there. */
export async function applied(
  operations: Operations,
  type: ResourceType,
  wanted: KubeObject,
  request: ApplyRequest,
): Promise<Applied> {
  const { name, namespace = '' } = wanted.metadata;
  const now = timestamp(operations.environment.now());
  const fields = fieldsOf(wanted, type.schema);
  if (request.subresource === '' && operations.store.get(type.storage, namespace, name) === null) {
    const mine: Manager = {
      name: request.manager,
      operation: 'Apply',
      subresource: '',
      apiVersion: apiVersionOf(type),
      time: now,
      fields,
    };
    const managed = (): JsonObject[] => managedFieldsOf([mine]);
    return { object: await operations.create(type, wanted, { ...request.options, managed }), created: true };
  }
  let managedFields: JsonObject[] = [];
  const change = (current: KubeObject): KubeObject => {
    const outcome = applyTo(type, current, wanted, request, now);
    managedFields = outcome.managedFields;
    return outcome.object;
  };
  const options = { ...request.options, managed: () => managedFields };
  const object = await operations.update(type, namespace, name, request.subresource, change, options);
  return { object, created: false };
}
