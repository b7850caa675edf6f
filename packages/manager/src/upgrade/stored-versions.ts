/**
 * Objects that an older version of Longhorn stored are written once more, so that all are stored in the version that
 * our definitions serve; then the older one is taken off the definitions' list. Without this a definition that no longer
 * has it is refused by the API server, and Helm stops half way.
 *
 * It can end at any point and start again: a definition loses the old version only after all its objects were written.
 */
import { API_GROUP, API_VERSION_NAME, CRD_KINDS, type CrdKind } from '@longhorn/shared-types';
import type { Logger } from 'pino';
import {
  isConflict,
  isNotFound,
  type KubeTransport,
  type RawObject,
  type Resource,
} from '../datastore/kube-transport.ts';
import { customResource } from '../uninstall/inventory.ts';

export const DEFINITIONS: Resource = {
  group: 'apiextensions.k8s.io',
  version: 'v1',
  plural: 'customresourcedefinitions',
  kind: 'CustomResourceDefinition',
  namespaced: false,
};

const isCrdKind = (kind: string): kind is CrdKind => Object.hasOwn(CRD_KINDS, kind);

function storedVersionsOf(definition: RawObject): string[] {
  const status = definition['status'];
  const stored = typeof status === 'object' && status !== null ? Reflect.get(status, 'storedVersions') : undefined;
  return Array.isArray(stored) ? stored.filter((version): version is string => typeof version === 'string') : [];
}

async function find(transport: KubeTransport, name: string): Promise<RawObject | null> {
  try {
    return await transport.get(DEFINITIONS, '', name);
  } catch (error) {
    if (isNotFound(error)) return null;
    throw error;
  }
}

/** Writes an object as it is. Who deletes or writes it meanwhile does the same work. */
async function rewrite(
  transport: KubeTransport,
  resource: Resource,
  namespace: string,
  object: RawObject,
): Promise<void> {
  try {
    await transport.replace(resource, namespace, object, '');
  } catch (error) {
    if (!isConflict(error) && !isNotFound(error)) throw error;
  }
}

/** Returns the names of the definitions that had older versions. */
export async function migrateStoredVersions(
  transport: KubeTransport,
  namespace: string,
  log: Logger,
): Promise<string[]> {
  const migrated: string[] = [];
  for (const kind of Object.keys(CRD_KINDS)) {
    if (!isCrdKind(kind)) continue;
    const name = `${CRD_KINDS[kind].plural}.${API_GROUP}`;
    const definition = await find(transport, name);
    if (definition === null) continue;
    const older = storedVersionsOf(definition).filter((version) => version !== API_VERSION_NAME);
    if (older.length === 0) continue;
    const resource = customResource(kind);
    const { items } = await transport.list(resource, namespace);
    for (const object of items) await rewrite(transport, resource, namespace, object);
    const status = { ...(definition['status'] as object), storedVersions: [API_VERSION_NAME] };
    await transport.replace(DEFINITIONS, '', { ...definition, status }, 'status');
    log.info({ definition: name, older, objects: items.length }, 'objects are stored in the present version');
    migrated.push(name);
  }
  return migrated;
}
