/**
 * The facts of a CRD that clients rely on, without its prose: one line per field with type, format, enum and so on.
 * Golden data of upstream's release is kept in this form, and ours is compared with it.
 */

/** Facts of one field, keyed by its path such as `.spec.disks{}.tags[]`. */
export interface FieldFacts {
  type?: string;
  format?: string;
  enum?: (string | boolean)[];
  nullable?: boolean;
  default?: unknown;
  minimum?: number;
  minLength?: number;
  required?: string[];
  preserveUnknownFields?: boolean;
  intOrString?: boolean;
}

/** Facts of one CRD. */
export interface CrdFacts {
  group: string;
  names: Record<string, unknown>;
  scope: string;
  labels: Record<string, string>;
  annotations: Record<string, string>;
  hasConversion: boolean;
  versions: {
    name: string;
    served: boolean;
    storage: boolean;
    deprecated: boolean;
    hasStatusSubresource: boolean;
    printerColumns: { name: string; type: string; jsonPath: string }[];
    fields: Record<string, FieldFacts>;
  }[];
}

type JsonObject = Record<string, unknown>;

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function child(value: unknown, key: string): JsonObject {
  const found = isObject(value) ? value[key] : undefined;
  return isObject(found) ? found : {};
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function strings(value: JsonObject): Record<string, string> {
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, text(entry)]));
}

function collect(schema: JsonObject, path: string, into: Record<string, FieldFacts>): void {
  const facts: JsonObject = {};
  for (const key of ['type', 'format', 'enum', 'nullable', 'default', 'minimum', 'minLength'] as const) {
    if (schema[key] !== undefined) facts[key] = schema[key];
  }
  if (Array.isArray(schema['required'])) facts['required'] = schema['required'].map(text).toSorted();
  if (schema['x-kubernetes-preserve-unknown-fields'] === true) facts['preserveUnknownFields'] = true;
  if (schema['x-kubernetes-int-or-string'] === true) facts['intOrString'] = true;
  into[path] = facts;
  for (const [name, property] of Object.entries(child(schema, 'properties'))) {
    if (isObject(property)) collect(property, `${path}.${name}`, into);
  }
  if (isObject(schema['additionalProperties'])) collect(schema['additionalProperties'], `${path}{}`, into);
  if (isObject(schema['items'])) collect(schema['items'], `${path}[]`, into);
}

function versionFacts(version: JsonObject): CrdFacts['versions'][number] {
  const fields: Record<string, FieldFacts> = {};
  collect(child(child(version, 'schema'), 'openAPIV3Schema'), '', fields);
  const columns = Array.isArray(version['additionalPrinterColumns']) ? version['additionalPrinterColumns'] : [];
  return {
    name: text(version['name']),
    served: version['served'] === true,
    storage: version['storage'] === true,
    deprecated: version['deprecated'] === true,
    hasStatusSubresource: isObject(child(version, 'subresources')['status']),
    printerColumns: columns.filter(isObject).map((column) => ({
      name: text(column['name']),
      type: text(column['type']),
      jsonPath: text(column['jsonPath']),
    })),
    fields,
  };
}

/** The facts of a CustomResourceDefinition object. */
export function crdFacts(crd: unknown): CrdFacts {
  const spec = child(crd, 'spec');
  const versions = Array.isArray(spec['versions']) ? spec['versions'] : [];
  return {
    group: text(spec['group']),
    names: child(spec, 'names'),
    scope: text(spec['scope']),
    labels: strings(child(child(crd, 'metadata'), 'labels')),
    annotations: strings(child(child(crd, 'metadata'), 'annotations')),
    hasConversion: isObject(spec['conversion']),
    versions: versions.filter(isObject).map(versionFacts),
  };
}
