/** The StorageClass `longhorn` from its ConfigMap: what is to be done. Pure. */
import { loadYaml } from '@kubernetes/client-node';
import type { RawObject } from '../../datastore/kube-transport.ts';

/** Annotation: the text that the class was made from. */
export const LAST_APPLIED = 'longhorn.io/last-applied-configmap';
export const CLASS_NAME = 'longhorn';

export type ClassStep =
  | { kind: 'nothing' }
  | { kind: 'create'; object: RawObject }
  /** Almost no field of a class can be changed: it is made anew. */
  | { kind: 'recreate'; object: RawObject };

function record(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {};
}

/** The class that the text describes, with the text as an annotation. */
export function wantedClass(yaml: string): RawObject {
  const parsed = record(loadYaml(yaml));
  const metadata = record(parsed['metadata']);
  if (parsed['kind'] !== 'StorageClass' || metadata['name'] !== CLASS_NAME) {
    throw new Error(`storageclass.yaml must hold the StorageClass ${CLASS_NAME}`);
  }
  return {
    ...parsed,
    metadata: {
      ...metadata,
      name: CLASS_NAME,
      annotations: { ...record(metadata['annotations']), [LAST_APPLIED]: yaml },
    },
  };
}

export function decideClass(present: RawObject | null, yaml: string): ClassStep {
  const object = wantedClass(yaml);
  if (present === null) return { kind: 'create', object };
  return record(present.metadata['annotations'])[LAST_APPLIED] === yaml
    ? { kind: 'nothing' }
    : { kind: 'recreate', object };
}
