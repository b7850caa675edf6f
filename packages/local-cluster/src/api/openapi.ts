/**
 * OpenAPI v3 documents, one per group version, made from the schemas: what `kubectl explain` shows, and where
 * kubectl learns that the server validates fields itself. Built-in kinds appear without their fields.
 */
import { createHash } from 'node:crypto';
import type { JsonObject } from './json.ts';
import { objectAt } from './json.ts';
import type { Registry } from './registry.ts';
import { apiVersionOf, type ResourceType } from './resource-type.ts';
import type { Schema } from './schema.ts';

const META = 'io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta';
const LIST_META = 'io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta';

const reference = (name: string): JsonObject => ({ $ref: `#/components/schemas/${name}` });
const kindTag = (type: ResourceType): JsonObject => ({ group: type.group, version: type.version, kind: type.kind });

function schemaName(type: ResourceType): string {
  if (type.group === '') return `io.k8s.api.core.${type.version}.${type.kind}`;
  const reversed = type.group.split('.').toReversed().join('.');
  return `${reversed}.${type.version}.${type.kind}`;
}

const text = (description: string): JsonObject => ({ type: 'string', description });
const stringMap = (description: string): JsonObject => ({
  type: 'object',
  additionalProperties: { type: 'string' },
  description,
});

/** Shared schemas that every document carries. */
const META_SCHEMAS: JsonObject = {
  [META]: {
    type: 'object',
    description: 'Metadata that every persisted object has.',
    properties: {
      name: text('Unique within a namespace (or the cluster); cannot be changed.'),
      generateName: text('Prefix of a name that the server makes unique.'),
      namespace: text('The space in which the name is unique.'),
      labels: stringMap('Keys and values by which objects are selected.'),
      annotations: stringMap('Keys and values that tools keep with the object.'),
      finalizers: { type: 'array', items: { type: 'string' }, description: 'Must be empty before the object goes.' },
      ownerReferences: {
        type: 'array',
        items: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
        description: 'Objects that this one depends on; it is removed with the last of them.',
      },
      uid: text('Unique in time and space; set by the server.'),
      resourceVersion: text('Changes with every write; set by the server.'),
      generation: { type: 'integer', format: 'int64', description: 'Counts changes of the wanted state.' },
      creationTimestamp: { type: 'string', format: 'date-time', description: 'Set by the server.' },
      deletionTimestamp: { type: 'string', format: 'date-time', description: 'When deletion was asked for.' },
      deletionGracePeriodSeconds: { type: 'integer', format: 'int64' },
      managedFields: { type: 'array', items: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
    },
  },
  [LIST_META]: {
    type: 'object',
    description: 'Metadata of a list.',
    properties: {
      continue: text('Token of the next page.'),
      remainingItemCount: { type: 'integer', format: 'int64' },
      resourceVersion: text('Version of the list.'),
    },
  },
};

function schemaOf(type: ResourceType): Schema {
  const tagged = { 'x-kubernetes-group-version-kind': [kindTag(type)] };
  const own = type.schema ?? {
    type: 'object',
    description: `${type.kind} of ${apiVersionOf(type)}; local-cluster keeps it without a schema.`,
    'x-kubernetes-preserve-unknown-fields': true,
  };
  const properties = {
    apiVersion: text('Version of the schema that the object is written in.'),
    kind: text('Kind of the object.'),
    ...objectAt(own['properties']),
    metadata: { allOf: [reference(META)], default: {}, description: 'Standard metadata.' },
  };
  return { ...own, type: 'object', properties, ...tagged };
}

function listSchema(type: ResourceType): Schema {
  return {
    type: 'object',
    description: `${type.listKind} is a list of ${type.kind}.`,
    required: ['items'],
    properties: {
      apiVersion: text('Version of the schema that the list is written in.'),
      kind: text('Kind of the list.'),
      metadata: { allOf: [reference(LIST_META)], default: {} },
      items: { type: 'array', items: { allOf: [reference(schemaName(type))], default: {} } },
    },
    'x-kubernetes-group-version-kind': [{ ...kindTag(type), kind: type.listKind }],
  };
}

const query = (name: string, type: string): JsonObject => ({ name, in: 'query', schema: { type, uniqueItems: true } });
const WRITE_PARAMETERS = [
  query('dryRun', 'string'),
  query('fieldManager', 'string'),
  query('fieldValidation', 'string'),
];
const LIST_PARAMETERS = ['continue', 'fieldSelector', 'labelSelector', 'resourceVersion', 'resourceVersionMatch'].map(
  (name) => query(name, 'string'),
);
const PATCH_FORMATS = ['application/apply-patch+yaml', 'application/json-patch+json', 'application/merge-patch+json'];

function operation(
  type: ResourceType,
  action: string,
  parameters: JsonObject[],
  answer: string,
  body: string[],
): JsonObject {
  return {
    operationId: `${action}_${type.group}_${type.version}_${type.plural}`.replaceAll('.', '_'),
    'x-kubernetes-action': action,
    'x-kubernetes-group-version-kind': kindTag(type),
    parameters,
    ...(body.length === 0
      ? {}
      : {
          requestBody: { content: Object.fromEntries(body.map((format) => [format, { schema: reference(answer) }])) },
        }),
    responses: { 200: { description: 'OK', content: { 'application/json': { schema: reference(answer) } } } },
  };
}

function pathsOf(type: ResourceType): JsonObject {
  const base = type.group === '' ? `/api/${type.version}` : `/apis/${type.group}/${type.version}`;
  const collection = `${base}/${type.namespaced ? 'namespaces/{namespace}/' : ''}${type.plural}`;
  const name = schemaName(type);
  const list = `${name}List`;
  const item: JsonObject = {
    get: operation(type, 'get', [], name, []),
    put: operation(type, 'put', WRITE_PARAMETERS, name, ['*/*']),
    patch: operation(type, 'patch', [...WRITE_PARAMETERS, query('force', 'boolean')], name, PATCH_FORMATS),
    delete: operation(type, 'delete', [query('dryRun', 'string')], name, ['*/*']),
  };
  const listing = operation(
    type,
    'list',
    [...LIST_PARAMETERS, query('limit', 'integer'), query('watch', 'boolean')],
    list,
    [],
  );
  return {
    [collection]: { get: listing, post: operation(type, 'post', WRITE_PARAMETERS, name, ['*/*']) },
    [`${collection}/{name}`]: item,
    ...(type.namespaced ? { [`${base}/${type.plural}`]: { get: listing } } : {}),
    ...(type.status
      ? { [`${collection}/{name}/status`]: { get: item['get'], put: item['put'], patch: item['patch'] } }
      : {}),
  };
}

function documentOf(title: string, types: readonly ResourceType[]): JsonObject {
  const schemas: JsonObject = { ...META_SCHEMAS };
  const paths: JsonObject = {};
  for (const type of types) {
    schemas[schemaName(type)] = schemaOf(type);
    schemas[`${schemaName(type)}List`] = listSchema(type);
    Object.assign(paths, pathsOf(type));
  }
  return { openapi: '3.0.0', info: { title, version: 'v1' }, paths, components: { schemas } };
}

const groupPath = (group: string, version: string): string =>
  group === '' ? `api/${version}` : `apis/${group}/${version}`;

/** Documents by path (`apis/longhorn.io/v1beta2`), made when first asked for. */
export class OpenApi {
  readonly #registry: Registry;
  readonly #prefix: string;
  #revision = -1;
  #texts = new Map<string, { text: string; hash: string }>();

  /** `prefix`: what comes before the paths of the documents in a request */
  constructor(registry: Registry, prefix: string) {
    this.#registry = registry;
    this.#prefix = prefix;
  }

  #document(path: string, group: string, version: string): { text: string; hash: string } {
    if (this.#revision !== this.#registry.revision) {
      this.#texts = new Map();
      this.#revision = this.#registry.revision;
    }
    let known = this.#texts.get(path);
    if (known === undefined) {
      const types = this.#registry.all().filter((type) => type.group === group && type.version === version);
      const document = JSON.stringify(documentOf('local-cluster', types));
      known = { text: document, hash: createHash('sha256').update(document).digest('hex').slice(0, 32).toUpperCase() };
      this.#texts.set(path, known);
    }
    return known;
  }

  /** Answer of `/openapi/v3`. */
  index(): JsonObject {
    const paths: JsonObject = {};
    for (const [group, versions] of this.#registry.groups())
      for (const version of versions) {
        const path = groupPath(group, version);
        paths[path] = {
          serverRelativeURL: `${this.#prefix}/openapi/v3/${path}?hash=${this.#document(path, group, version).hash}`,
        };
      }
    return { paths };
  }

  /** Answer of `/openapi/v3/PATH`, or `null`. */
  document(path: string): string | null {
    for (const [group, versions] of this.#registry.groups())
      for (const version of versions)
        if (groupPath(group, version) === path) return this.#document(path, group, version).text;
    return null;
  }

  /** Answer of `/openapi/v2`: the same schemas as one Swagger document. */
  swagger(): string {
    const document = documentOf('local-cluster', this.#registry.all());
    const definitions = objectAt(objectAt(document['components'])['schemas']);
    const swagger = { swagger: '2.0', info: { title: 'local-cluster', version: 'v1' }, paths: {}, definitions };
    return JSON.stringify(swagger).replaceAll('#/components/schemas/', '#/definitions/');
  }
}
