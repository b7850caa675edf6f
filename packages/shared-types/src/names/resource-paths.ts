/** Paths of custom resources in the Kubernetes API. Names are checked, so that none can leave its path. */
import { API_GROUP, API_VERSION_NAME } from '../crds/define-kind.ts';
import { CRD_KINDS, type CrdKind } from '../crds/kinds.ts';
import { objectNameProblem } from './name-rules.ts';

/** Path of all objects of a kind in a namespace. */
export function collectionPath(kind: CrdKind, namespace: string): string {
  return `/apis/${API_GROUP}/${API_VERSION_NAME}/namespaces/${checked(namespace)}/${CRD_KINDS[kind].plural}`;
}

/** Path of one object, or of its status. */
export function objectPath(kind: CrdKind, namespace: string, name: string, subresource?: 'status'): string {
  const path = `${collectionPath(kind, namespace)}/${checked(name)}`;
  return subresource === undefined ? path : `${path}/${subresource}`;
}

function checked(name: string): string {
  const problem = objectNameProblem(name);
  if (problem !== null) throw new Error(`name ${problem}`);
  return name;
}
