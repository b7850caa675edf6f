/**
 * Pods of DaemonSets and Deployments: made from a template, told apart by a hash of it.
 */
import { createHash } from 'node:crypto';
import { builtinType, STORAGE } from '../api/builtin-kinds.ts';
import { objectAt, stringAt, stringMapAt, valueAt, type Json, type JsonObject } from '../api/json.ts';
import { namespaceOf, type KubeObject, type Metadata } from '../api/object.ts';
import type { Operations } from '../api/operations.ts';
import { ApiError } from '../api/status-error.ts';

const POD = builtinType(STORAGE.pods);

/** Short name of a template's content. */
export const templateHash = (template: Json | undefined): string =>
  createHash('sha256')
    .update(JSON.stringify(template ?? null))
    .digest('hex')
    .slice(0, 10);

/** Pods whose controller is the owner. */
export function podsOwnedBy(operations: Operations, owner: KubeObject): KubeObject[] {
  return operations.store
    .list(STORAGE.pods, namespaceOf(owner))
    .filter((pod) =>
      (pod.metadata.ownerReferences ?? []).some(
        (entry) => entry.uid === owner.metadata.uid && entry.controller === true,
      ),
    );
}

/** Creates a pod of a workload. A name that exists already is no error: the pod is seen at the next pass. */
export async function createPod(
  operations: Operations,
  owner: KubeObject,
  hash: { label: string; value: string },
  spec: JsonObject,
): Promise<void> {
  const template = objectAt(valueAt(owner, 'spec', 'template'));
  const given = objectAt(template['metadata']);
  const metadata: Metadata = {
    name: '',
    generateName: `${owner.metadata.name}-`,
    namespace: namespaceOf(owner),
    uid: '',
    resourceVersion: '',
    creationTimestamp: '',
    labels: { ...stringMapAt(given['labels']), [hash.label]: hash.value },
    annotations: stringMapAt(given['annotations']),
    ownerReferences: [
      {
        apiVersion: owner.apiVersion,
        kind: owner.kind,
        name: owner.metadata.name,
        uid: owner.metadata.uid,
        controller: true,
        blockOwnerDeletion: true,
      },
    ],
  };
  await operations.create(POD, {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata,
    spec: { ...objectAt(template['spec']), ...spec },
  });
}

/** Deletes a pod; one that is gone is fine. */
export async function deletePod(operations: Operations, pod: KubeObject): Promise<void> {
  try {
    await operations.remove(POD, namespaceOf(pod), pod.metadata.name);
  } catch (error) {
    if (!(error instanceof ApiError && error.code === 404)) throw error;
  }
}

/** Whether a pod has come to its end and a workload should replace it. */
export const podHasEnded = (pod: KubeObject): boolean =>
  ['Failed', 'Succeeded'].includes(stringAt(valueAt(pod, 'status', 'phase')));

/** Names of owners, by kind, of a pod: `Namespace/name`. */
export function ownerKey(pod: KubeObject, kind: string): string | null {
  const owner = (pod.metadata.ownerReferences ?? []).find((entry) => entry.controller === true && entry.kind === kind);
  return owner === undefined ? null : `${namespaceOf(pod)}/${owner.name}`;
}
