/** What is to be done to an object of the driver. Pure. */
import { covers } from '../datastore/covers.ts';
import type { RawObject } from '../datastore/kube-transport.ts';
import { SPEC_HASH } from './pod-parts.ts';

export type Step =
  | { kind: 'nothing' }
  | { kind: 'create' }
  /** It is being deleted: it has to be gone first. */
  | { kind: 'wait' }
  | { kind: 'update'; object: RawObject }
  /** Its selector is another one, which cannot be changed. */
  | { kind: 'recreate' };

function record(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {};
}

function selectorOf(object: RawObject): unknown {
  return record(object['spec'])['selector'];
}

/** Equal objects cost no write; others keep their pods as far as the kind's own rollout does. */
export function decide(present: RawObject | null, wanted: RawObject): Step {
  if (present === null) return { kind: 'create' };
  if (typeof present.metadata['deletionTimestamp'] === 'string') return { kind: 'wait' };
  const selector = selectorOf(wanted);
  if (selector !== undefined && !(covers(selectorOf(present), selector) && covers(selector, selectorOf(present)))) {
    return { kind: 'recreate' };
  }
  const annotations = record(present.metadata['annotations']);
  const wantedAnnotations = record(wanted.metadata['annotations']);
  const isSame =
    annotations[SPEC_HASH] === wantedAnnotations[SPEC_HASH] &&
    covers(annotations, wantedAnnotations) &&
    covers(record(present.metadata['labels']), wanted.metadata['labels']) &&
    covers(present['spec'], wanted['spec']);
  if (isSame) return { kind: 'nothing' };
  return {
    kind: 'update',
    object: {
      ...wanted,
      metadata: {
        ...wanted.metadata,
        resourceVersion: present.metadata.resourceVersion ?? '',
        // Other controllers keep notes on it, too.
        annotations: { ...annotations, ...wantedAnnotations },
      },
    },
  };
}
