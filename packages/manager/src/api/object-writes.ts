/** Writing objects as a client of the API server: short manifests that the admission webhooks complete. */
import { completeObject, type CrdObjects, type VolumeSpec } from '@longhorn/shared-types';
import { resourceOf, type CachedKind } from '../datastore/datastore.ts';
import type { RawObject } from '../datastore/kube-transport.ts';
import type { ApiContext } from './api-context.ts';
import { notFound, RestFault } from './rest-fault.ts';

/** Creates an object from what is said about it; one that exists is an error. */
export async function createObject<K extends CachedKind>(
  { datastore }: ApiContext,
  kind: K,
  name: string,
  fields: Record<string, unknown>,
  labels: Record<string, string> = {},
): Promise<CrdObjects[K]> {
  const { namespace, transport } = datastore;
  const raw: RawObject = {
    apiVersion: 'longhorn.io/v1beta2',
    kind,
    metadata: { name, namespace, ...(Object.keys(labels).length > 0 ? { labels } : {}) },
    ...fields,
  };
  const created = completeObject(kind, await transport.create(resourceOf(kind), namespace, raw));
  datastore.store(kind).apply(created);
  return created;
}

/** Changes a volume's spec; a change that changes nothing writes nothing. `check` sees the volume as it is. */
export async function updateVolumeSpec(
  { datastore }: ApiContext,
  name: string,
  changes: Partial<VolumeSpec>,
  check: (volume: CrdObjects['Volume']) => void = () => {},
): Promise<void> {
  const written = await datastore.update('Volume', name, (volume) => {
    check(volume);
    return { ...volume, spec: { ...volume.spec, ...changes } };
  });
  if (written === null) throw notFound('volume', name);
}

/** Deletes an object that must be there. */
export async function deleteObject(
  { datastore }: ApiContext,
  kind: CachedKind,
  word: string,
  name: string,
): Promise<void> {
  if (datastore.store(kind).get(name) === null && (await datastore.read(kind, name)) === null)
    throw notFound(word, name);
  await datastore.delete(kind, name);
}

/** A name that may stand in a path of the API server. */
export function checkedName(word: string, name: string): string {
  if (!/^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/.test(name) || name.includes('..') || name.length > 253) {
    const shown = name.length > 60 ? `${name.slice(0, 60)}…` : name;
    throw new RestFault(
      `${word} name ${JSON.stringify(shown)} is not valid: it must be letters, digits, dashes and dots, with a letter or digit at both ends`,
    );
  }
  return name;
}
