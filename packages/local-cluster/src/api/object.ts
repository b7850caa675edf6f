/**
 * The shape that every stored object has. It is established once, when an object enters through
 * `objectFrom`; afterwards metadata is read without checks.
 */
import { isObject, type Json, type JsonObject } from './json.ts';
import { badRequest } from './status-error.ts';

export interface OwnerReference extends JsonObject {
  apiVersion: string;
  kind: string;
  name: string;
  uid: string;
  controller?: boolean;
  blockOwnerDeletion?: boolean;
}

export interface Metadata extends JsonObject {
  name: string;
  generateName?: string;
  namespace?: string;
  uid: string;
  resourceVersion: string;
  generation?: number;
  creationTimestamp: string;
  deletionTimestamp?: string;
  deletionGracePeriodSeconds?: number;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  finalizers?: string[];
  ownerReferences?: OwnerReference[];
  managedFields?: JsonObject[];
}

export interface KubeObject extends JsonObject {
  apiVersion: string;
  kind: string;
  metadata: Metadata;
}

export const namespaceOf = (object: KubeObject): string => object.metadata.namespace ?? '';

/** `namespace/name` of an object, the key inside its resource. */
export const keyOf = (object: KubeObject): string => `${namespaceOf(object)}/${object.metadata.name}`;

function stringMap(value: Json | undefined, field: string): Record<string, string> | undefined {
  if (value === undefined || value === null) return undefined;
  if (!isObject(value)) throw badRequest(`${field} must be an object of strings`);
  const result: Record<string, string> = {};
  for (const [key, entry] of Object.entries(value)) {
    if (typeof entry !== 'string') throw badRequest(`${field}.${key} must be a string; put the value into quotes`);
    result[key] = entry;
  }
  return result;
}

function optionalString(metadata: JsonObject, field: string): string {
  const value = metadata[field];
  if (value === undefined || value === null) return '';
  if (typeof value !== 'string') throw badRequest(`metadata.${field} must be a string`);
  return value;
}

function ownerReferencesFrom(value: Json | undefined): OwnerReference[] | undefined {
  if (value === undefined || value === null) return undefined;
  if (!Array.isArray(value)) throw badRequest('metadata.ownerReferences must be a list');
  return value.map((entry, index) => {
    const field = `metadata.ownerReferences[${index}]`;
    if (!isObject(entry)) throw badRequest(`${field} must be an object`);
    // An empty one is refused with the rest of the metadata, see metadata-faults.ts.
    const { apiVersion = '', kind = '', name = '', uid = '' } = entry;
    if (
      typeof apiVersion !== 'string' ||
      typeof kind !== 'string' ||
      typeof name !== 'string' ||
      typeof uid !== 'string'
    )
      throw badRequest(`apiVersion, kind, name and uid of ${field} must be strings`);
    return { ...entry, apiVersion, kind, name, uid };
  });
}

function finalizersFrom(value: Json | undefined): string[] | undefined {
  if (value === undefined || value === null) return undefined;
  if (!Array.isArray(value)) throw badRequest('metadata.finalizers must be a list of strings');
  return value.map((entry) => {
    if (typeof entry !== 'string' || entry === '') throw badRequest('metadata.finalizers must be a list of strings');
    return entry;
  });
}

/** Decodes a body into an object; the server's own metadata may still be empty strings. */
export function objectFrom(body: Json | undefined): KubeObject {
  if (!isObject(body)) throw badRequest('the body must be one JSON object');
  const { apiVersion, kind } = body;
  if (typeof apiVersion !== 'string' || apiVersion === '') throw badRequest("Object 'apiVersion' is missing");
  if (typeof kind !== 'string' || kind === '') throw badRequest("Object 'Kind' is missing");
  if (body['metadata'] !== undefined && !isObject(body['metadata'])) throw badRequest('metadata must be an object');
  const given: JsonObject = body['metadata'] ?? {};
  const metadata: Metadata = {
    ...given,
    name: optionalString(given, 'name'),
    uid: optionalString(given, 'uid'),
    resourceVersion: optionalString(given, 'resourceVersion'),
    creationTimestamp: optionalString(given, 'creationTimestamp'),
  };
  const labels = stringMap(given['labels'], 'metadata.labels');
  const annotations = stringMap(given['annotations'], 'metadata.annotations');
  const finalizers = finalizersFrom(given['finalizers']);
  const ownerReferences = ownerReferencesFrom(given['ownerReferences']);
  for (const key of ['labels', 'annotations', 'finalizers', 'ownerReferences']) delete metadata[key];
  for (const key of ['namespace', 'generateName', 'deletionTimestamp']) {
    const value = optionalString(given, key);
    if (value === '') delete metadata[key];
  }
  if (labels !== undefined && Object.keys(labels).length > 0) metadata.labels = labels;
  if (annotations !== undefined && Object.keys(annotations).length > 0) metadata.annotations = annotations;
  if (finalizers !== undefined && finalizers.length > 0) metadata.finalizers = [...new Set(finalizers)];
  if (ownerReferences !== undefined && ownerReferences.length > 0) metadata.ownerReferences = ownerReferences;
  return { ...body, apiVersion, kind, metadata };
}
