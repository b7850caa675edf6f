/**
 * The objects that a cluster starts with, from YAML files.
 *
 * An object is written when it is not there, and again when its manifest has changed since; between that, what people
 * change with kubectl stays. One with the annotation `local-cluster/only-when-missing` is never written again.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { isObject, objectAt, type Json, type JsonObject } from './api/json.ts';
import { objectFrom, type KubeObject } from './api/object.ts';
import type { Operations } from './api/operations.ts';
import type { Registry } from './api/registry.ts';

const HASH = 'local-cluster/manifest-hash';
const ONLY_WHEN_MISSING = 'local-cluster/only-when-missing';

/** All objects in the YAML files of a folder and its subfolders, in the order of their paths. */
export function readManifests(folder: string): JsonObject[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.ya?ml$/.test(name))
    .toSorted()
    .flatMap((name) => parseManifests(readFileSync(join(folder, name), 'utf8'), join(folder, name)));
}

/** The objects of one YAML text; `source` is for messages. */
export function parseManifests(text: string, source: string): JsonObject[] {
  const documents = parseAllDocuments(text);
  if (!Array.isArray(documents)) return [];
  return documents.flatMap((document) => {
    const [error] = document.errors;
    if (error !== undefined) throw new Error(`${source}: ${error.message}`);
    const value = document.toJS() as Json;
    if (value === null) return [];
    if (!isObject(value)) throw new Error(`${source}: each document must be one object`);
    return [value];
  });
}

/** Definitions and namespaces first: the rest needs them. */
const rank = (object: JsonObject): number =>
  object['kind'] === 'CustomResourceDefinition' ? 0 : object['kind'] === 'Namespace' ? 1 : 2;

const hashOf = (object: JsonObject): string =>
  createHash('sha256').update(JSON.stringify(object)).digest('hex').slice(0, 16);

function withHash(manifest: JsonObject, namespaced: boolean): KubeObject {
  const object = objectFrom(manifest);
  const annotations = { ...object.metadata.annotations, [HASH]: hashOf(manifest) };
  const { namespace = 'default', ...metadata } = object.metadata;
  return { ...object, metadata: { ...metadata, ...(namespaced ? { namespace } : {}), annotations } };
}

/** Metadata of the present object with the manifest's labels and annotations over it. */
function overlaid(current: KubeObject, wanted: KubeObject): KubeObject {
  const labels = { ...current.metadata.labels, ...wanted.metadata.labels };
  const annotations = { ...current.metadata.annotations, ...wanted.metadata.annotations };
  // An address that was given to a service stays.
  const kept = current.kind === 'Service' ? { clusterIP: objectAt(current['spec'])['clusterIP'] } : {};
  const spec = wanted['spec'] === undefined ? {} : { spec: { ...kept, ...objectAt(wanted['spec']) } };
  return { ...wanted, ...spec, metadata: { ...current.metadata, labels, annotations } };
}

/** Writes manifests that are new or have changed. */
export async function applyManifests(
  operations: Operations,
  registry: Registry,
  manifests: readonly JsonObject[],
): Promise<void> {
  for (const manifest of manifests.toSorted((a, b) => rank(a) - rank(b))) {
    const { apiVersion, kind } = objectFrom(manifest);
    const type = registry.byKind(apiVersion, kind);
    if (type === null) throw new Error(`a manifest has ${apiVersion} ${kind}, a kind that this cluster does not have`);
    const wanted = withHash(manifest, type.namespaced);
    const { name, namespace = '' } = wanted.metadata;
    const current = operations.store.get(type.storage, namespace, name);
    if (current === null) await operations.create(type, wanted);
    else if (wanted.metadata.annotations?.[ONLY_WHEN_MISSING] === 'true') continue;
    else if (current.metadata.annotations?.[HASH] !== wanted.metadata.annotations?.[HASH])
      await operations.update(type, namespace, name, '', (present) => overlaid(present, wanted));
  }
}
