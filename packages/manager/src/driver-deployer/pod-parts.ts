/** What all pods of the driver have in common, and how the wanted objects are brought into stored form. */
import { createHash } from 'node:crypto';
import { LABEL, MANAGED_BY } from '@longhorn/shared-types';
import type { RawObject } from '../datastore/kube-transport.ts';
import type { PodSettings } from './settings.ts';

/** Annotation: hash of what was wanted when the object was last written. */
export const SPEC_HASH = 'driver.longhorn.io/spec-hash';
/** Annotation: the build that wrote the object. */
export const VERSION = 'driver.longhorn.io/version';
const LAST_TOLERATIONS = 'longhorn.io/last-applied-tolerations';

/** Drops what the API server drops: empty texts, lists and objects. */
export function withoutEmpty(value: unknown): unknown {
  if (Array.isArray(value)) {
    const items = value.map(withoutEmpty).filter((item) => item !== undefined);
    return items.length === 0 ? undefined : items;
  }
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).flatMap(([key, entry]) => {
      const kept = withoutEmpty(entry);
      return kept === undefined ? [] : [[key, kept] as const];
    });
    return entries.length === 0 ? undefined : Object.fromEntries(entries);
  }
  return value === '' || value === null ? undefined : value;
}

function asRecord(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {};
}

interface Draft {
  apiVersion: string;
  kind: string;
  name: string;
  namespace: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  spec: object;
}

/** The object as it is to be stored, with its hash. */
export function wantedObject(draft: Draft, version: string): RawObject {
  const spec = asRecord(withoutEmpty(draft.spec));
  const labels = draft.labels ?? {};
  const annotations = { ...draft.annotations, [VERSION]: version };
  const hash = createHash('sha256').update(JSON.stringify({ labels, annotations, spec })).digest('hex').slice(0, 32);
  return {
    apiVersion: draft.apiVersion,
    kind: draft.kind,
    metadata: {
      name: draft.name,
      ...(draft.namespace === '' ? {} : { namespace: draft.namespace }),
      labels,
      annotations: { ...annotations, [SPEC_HASH]: hash },
    },
    spec,
  };
}

/** Labels of a workload of the driver. */
export function workloadLabels(name: string): Record<string, string> {
  return { app: name, [LABEL.managedBy]: MANAGED_BY };
}

/** The settings' part of a pod's spec. */
export function settingsOfPod(settings: PodSettings): object {
  return {
    tolerations: settings.tolerations,
    nodeSelector: settings.nodeSelector,
    priorityClassName: settings.priorityClass,
    imagePullSecrets: settings.registrySecret === '' ? [] : [{ name: settings.registrySecret }],
  };
}

/** The tolerations that are ours, so that others may add their own. */
export function tolerationsAnnotation(settings: PodSettings): Record<string, string> {
  return { [LAST_TOLERATIONS]: JSON.stringify(withoutEmpty(settings.tolerations) ?? []) };
}

export function fieldEnv(name: string, fieldPath: string): object {
  return { name, valueFrom: { fieldRef: { fieldPath } } };
}

export function hostFolder(name: string, path: string): object {
  return { name, hostPath: { path, type: 'DirectoryOrCreate' } };
}
