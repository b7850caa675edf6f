/**
 * From our schemas to Kubernetes' structural schemas and whole CustomResourceDefinition objects. Output depends on the
 * kinds alone, so that the generated manifest only changes when a kind does.
 */
import type { TSchema } from 'typebox';
import { API_GROUP, API_VERSION_NAME, type KindDefinition } from './define-kind.ts';
import { REQUIRED_KEY } from './schema-fragments.ts';

/** A node of an OpenAPI v3 structural schema. */
export interface StructuralSchema {
  type?: string;
  format?: string;
  description?: string;
  enum?: (string | boolean)[];
  nullable?: boolean;
  default?: unknown;
  minimum?: number;
  minLength?: number;
  required?: string[];
  properties?: Record<string, StructuralSchema>;
  additionalProperties?: StructuralSchema;
  items?: StructuralSchema;
  anyOf?: { type: string }[];
  'x-kubernetes-preserve-unknown-fields'?: boolean;
  'x-kubernetes-int-or-string'?: boolean;
}

/** A column as the CRD states it. */
export interface CrdPrinterColumn {
  name: string;
  type: string;
  jsonPath: string;
  description?: string;
}

/** A CustomResourceDefinition, as far as ours go. */
export interface CustomResourceDefinition {
  apiVersion: 'apiextensions.k8s.io/v1';
  kind: 'CustomResourceDefinition';
  metadata: { name: string; labels: Record<string, string>; annotations: Record<string, string> };
  spec: {
    group: string;
    names: {
      kind: string;
      listKind: string;
      plural: string;
      singular: string;
      shortNames: string[];
      categories?: string[];
    };
    scope: 'Namespaced';
    versions: {
      name: string;
      served: boolean;
      storage: boolean;
      additionalPrinterColumns: CrdPrinterColumn[];
      schema: { openAPIV3Schema: StructuralSchema };
      subresources: { status: Record<string, never> };
    }[];
  };
}

const COPIED_KEYS = [
  'type',
  'format',
  'enum',
  'nullable',
  'default',
  'minimum',
  'minLength',
  'x-kubernetes-preserve-unknown-fields',
  'x-kubernetes-int-or-string',
  'anyOf',
] as const;

type SchemaRecord = Record<string, unknown>;

function isSchema(value: unknown): value is SchemaRecord {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Turns one of our schemas into a structural one: our own keys are dropped, `required` moves to the parent. */
export function toStructuralSchema(schema: TSchema): StructuralSchema {
  if (!isSchema(schema)) throw new Error('a schema must be an object');
  return convert(schema);
}

function convert(schema: SchemaRecord): StructuralSchema {
  const result: SchemaRecord = {};
  if (typeof schema['description'] === 'string' && schema['description'] !== '') {
    result['description'] = schema['description'];
  }
  for (const key of COPIED_KEYS) if (schema[key] !== undefined) result[key] = schema[key];
  if (isSchema(schema['properties'])) {
    const properties: Record<string, StructuralSchema> = {};
    const required: string[] = [];
    for (const [name, child] of Object.entries(schema['properties'])) {
      if (!isSchema(child)) throw new Error(`field ${name} has no schema`);
      properties[name] = convert(child);
      if (child[REQUIRED_KEY] === true) required.push(name);
    }
    result['properties'] = properties;
    if (required.length > 0) result['required'] = required;
  }
  if (isSchema(schema['additionalProperties'])) {
    result['additionalProperties'] = convert(schema['additionalProperties']);
  }
  if (isSchema(schema['items'])) result['items'] = convert(schema['items']);
  return result;
}

/** The description of the field that a printer column shows, found along its path; null where there is none. */
function columnDescription(schema: StructuralSchema, jsonPath: string): string | null {
  let node: StructuralSchema | undefined = schema;
  for (const name of jsonPath
    .replaceAll(/\[[^\]]*\]/g, '')
    .split('.')
    .slice(1)) {
    node = node?.properties?.[name] ?? node?.items?.properties?.[name];
  }
  return jsonPath.includes('[?') ? null : (node?.description ?? null);
}

/** The schema of a kind, from the root of its objects. */
export function rootSchema(kind: KindDefinition): StructuralSchema {
  const fields: Record<string, StructuralSchema> = {};
  const required: string[] = [];
  for (const [name, schema] of Object.entries(kind.fields)) {
    fields[name] = toStructuralSchema(schema);
    if (isSchema(schema) && schema[REQUIRED_KEY] === true) required.push(name);
  }
  return {
    description: kind.description,
    type: 'object',
    properties: {
      apiVersion: { description: 'Version of this form of the object: longhorn.io/v1beta2.', type: 'string' },
      kind: { description: `Always ${kind.kind}.`, type: 'string' },
      metadata: { type: 'object' },
      ...fields,
    },
    ...(required.length > 0 ? { required } : {}),
  };
}

/** The whole CustomResourceDefinition of a kind. */
export function toCustomResourceDefinition(kind: KindDefinition): CustomResourceDefinition {
  const schema = rootSchema(kind);
  const columns = kind.printerColumns.map(({ name, type, jsonPath }) => {
    const description = columnDescription(schema, jsonPath);
    return { name, type, jsonPath, ...(description === null ? {} : { description }) };
  });
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: {
      name: `${kind.plural}.${API_GROUP}`,
      labels: { 'longhorn-manager': '' },
      annotations: { 'controller-gen.kubebuilder.io/version': 'v0.17.1' },
    },
    spec: {
      group: API_GROUP,
      names: {
        kind: kind.kind,
        listKind: kind.listKind,
        plural: kind.plural,
        singular: kind.singular,
        shortNames: [...kind.shortNames],
        ...(kind.categories.length > 0 ? { categories: [...kind.categories] } : {}),
      },
      scope: kind.scope,
      versions: [
        {
          name: API_VERSION_NAME,
          served: true,
          storage: true,
          additionalPrinterColumns: columns,
          schema: { openAPIV3Schema: schema },
          subresources: { status: {} },
        },
      ],
    },
  };
}
