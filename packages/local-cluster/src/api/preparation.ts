/**
 * What happens to an object between the request and the store, without admission: decoding, removal of unknown
 * fields, defaults, validation.
 */
import { jsonDepthMax } from '../limits.ts';
import { definitionWarnings } from './definition.ts';
import { depthOf, isObject, type Json, type JsonObject } from './json.ts';
import { builtinDefaults } from './built-in-defaults.ts';
import { withoutUnknownFields } from './built-in-fields.ts';
import { builtinFaults, refuseUndecodable } from './built-in-faults.ts';
import { metadataFaults, metadataWarnings } from './metadata-faults.ts';
import { objectFrom, type KubeObject } from './object.ts';
import { apiVersionOf, type ResourceType } from './resource-type.ts';
import { applyDefaults, pruneResource } from './schema.ts';
import { toStored } from './versions.ts';
import { validate } from './schema-validate.ts';
import { ApiError, badRequest, causes, invalid, type Subject } from './status-error.ts';

export type FieldValidation = 'Strict' | 'Warn' | 'Ignore';

export interface WriteOptions {
  dryRun: boolean;
  fieldManager: string;
  fieldValidation: FieldValidation;
  /** receives texts for the `Warning` header */
  warn: (text: string) => void;
  /** server-side apply: who manages what after the write; `null`: found out from what the write changes */
  managed: (() => JsonObject[]) | null;
}

export const internalWrite: WriteOptions = {
  dryRun: false,
  fieldManager: 'local-cluster',
  fieldValidation: 'Ignore',
  warn: () => undefined,
  managed: null,
};

/** How refusals name an object of a type: by its plural. */
export const subjectOf = (type: ResourceType, name: string): Subject => ({
  group: type.group,
  kind: type.plural,
  name,
});

/** How refusals of contents name it: by its kind. */
const kindSubject = (type: ResourceType, name: string): Subject => ({ group: type.group, kind: type.kind, name });

/** Decodes a body that must be of this type. */
export function decode(type: ResourceType, body: Json | undefined): KubeObject {
  if (isObject(body)) {
    if (type.custom && (body['kind'] ?? '') === '')
      throw badRequest(
        `the object provided is unrecognized (must be of type ${type.kind}): Object 'Kind' is missing in '${JSON.stringify(body)}'`,
      );
    body = { ...body, apiVersion: body['apiVersion'] ?? apiVersionOf(type), kind: body['kind'] ?? type.kind };
    if (depthOf(body, jsonDepthMax) > jsonDepthMax)
      throw badRequest(`the object nests deeper than ${jsonDepthMax} levels`);
  }
  const object = objectFrom(body);
  if (type.custom && object.kind !== type.kind)
    throw invalid({ group: type.group, kind: object.kind, name: object.metadata.name }, [
      causes.invalid('kind', object.kind, `must be ${type.kind}`),
    ]);
  if (object.kind !== type.kind || object.apiVersion !== apiVersionOf(type))
    throw badRequest(
      `the object is ${object.apiVersion}, Kind=${object.kind}, but the path is for ${apiVersionOf(type)}, Kind=${type.kind}`,
    );
  refuseUndecodable(type, object);
  return toStored(type, object);
}

/** Removes or refuses what the schema does not know, and fills in defaults. */
export function shape(type: ResourceType, object: KubeObject, options: WriteOptions): KubeObject {
  const unknown: string[] = [];
  const pruned =
    type.schema === null ? withoutUnknownFields(type, object, unknown) : pruneResource(object, type.schema, unknown);
  if (unknown.length > 0 && options.fieldValidation === 'Strict') {
    const listed = unknown
      .toSorted()
      .map((field) => `unknown field "${field}"`)
      .join(', ');
    throw new ApiError(
      400,
      'BadRequest',
      `${type.kind} in version "${type.version}" cannot be handled as a ${type.kind}: strict decoding error: ${listed}`,
    );
  }
  if (options.fieldValidation === 'Warn') for (const field of unknown) options.warn(`unknown field "${field}"`);
  if (type.schema === null) return builtinDefaults(type, objectFrom(pruned));
  return objectFrom(applyDefaults(pruned, type.schema));
}

/** Refuses an object whose contents are wrong, naming every field. */
export function check(
  type: ResourceType,
  object: KubeObject,
  previous: KubeObject | null,
  options: WriteOptions,
): void {
  const found = [
    ...metadataFaults(type, object, previous === null),
    ...builtinFaults(type, object, previous),
    ...(type.schema === null ? [] : validate(object, type.schema, '')),
  ];
  if (found.length > 0) throw invalid(kindSubject(type, object.metadata.name), found);
  metadataWarnings(object, previous).forEach(options.warn);
  if (type.kind === 'CustomResourceDefinition') definitionWarnings(object).forEach(options.warn);
}
