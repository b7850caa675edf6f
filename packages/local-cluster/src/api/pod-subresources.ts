/**
 * Actions on pods and deployments that are not plain writes: binding, eviction, scale.
 */
import { STORAGE } from './builtin-kinds.ts';
import { listAt, objectAt, stringAt, stringMapAt, valueAt, type Json, type JsonObject } from './json.ts';
import { namespaceOf, type KubeObject } from './object.ts';
import { plainDelete, type Operations } from './operations.ts';
import { internalWrite, subjectOf } from './preparation.ts';
import type { ResourceType } from './resource-type.ts';
import { objectSelector } from './selectors.ts';
import { badRequest, conflict, tooManyRequests } from './status-error.ts';

/** Puts a pod on a node, once. */
export async function bind(
  operations: Operations,
  type: ResourceType,
  namespace: string,
  name: string,
  body: JsonObject,
  now: string,
): Promise<void> {
  const node = stringAt(valueAt(body, 'target', 'name'));
  if (node === '') throw badRequest('target.name must name a node');
  await operations.update(
    type,
    namespace,
    name,
    '',
    (pod) => {
      const bound = stringAt(valueAt(pod, 'spec', 'nodeName'));
      if (bound !== '') throw conflict(subjectOf(type, name), `pod ${name} is already assigned to node "${bound}"`);
      return { ...pod, spec: { ...objectAt(pod['spec']), nodeName: node } };
    },
    internalWrite,
  );
  await operations.update(type, namespace, name, 'status', (pod) => {
    const status = objectAt(pod['status']);
    const others = listAt(status['conditions']).filter((entry) => valueAt(entry, 'type') !== 'PodScheduled');
    const condition = { type: 'PodScheduled', status: 'True', lastProbeTime: null, lastTransitionTime: now };
    return { ...pod, status: { ...status, conditions: [...others, condition] } };
  });
}

const isReady = (pod: KubeObject): boolean =>
  pod.metadata.deletionTimestamp === undefined &&
  listAt(valueAt(pod, 'status', 'conditions')).some(
    (entry) => valueAt(entry, 'type') === 'Ready' && valueAt(entry, 'status') === 'True',
  );

function amount(value: Json | undefined, total: number): number {
  if (typeof value === 'number') return value;
  const percent = /^(\d+)%$/.exec(stringAt(value));
  return percent === null ? 0 : Math.ceil((Number(percent[1]) * total) / 100);
}

/** Pods of a budget that may go now. */
export function disruptionsAllowed(operations: Operations, budget: KubeObject): number {
  const matches = objectSelector(valueAt(budget, 'spec', 'selector'));
  const pods = operations.store
    .list(STORAGE.pods, namespaceOf(budget))
    .filter((pod) => matches(pod.metadata.labels ?? {}));
  const healthy = pods.filter(isReady).length;
  const minimum = valueAt(budget, 'spec', 'minAvailable');
  const maximum = valueAt(budget, 'spec', 'maxUnavailable');
  if (maximum !== undefined) return Math.max(0, healthy - (pods.length - amount(maximum, pods.length)));
  return Math.max(0, healthy - amount(minimum ?? 1, pods.length));
}

/** Deletes a pod if every disruption budget that covers it allows. */
export async function evict(
  operations: Operations,
  type: ResourceType,
  namespace: string,
  name: string,
  body: JsonObject,
): Promise<void> {
  const pod = operations.get(type, namespace, name);
  const labels = stringMapAt(pod.metadata.labels);
  const covering = operations.store
    .list(STORAGE.budgets, namespace)
    .filter((budget) => objectSelector(valueAt(budget, 'spec', 'selector'))(labels));
  const blocking = isReady(pod) ? covering.find((budget) => disruptionsAllowed(operations, budget) < 1) : undefined;
  if (blocking !== undefined)
    throw tooManyRequests(
      `Cannot evict pod as it would violate the pod's disruption budget ${blocking.metadata.name}.`,
    );
  const grace = valueAt(body, 'deleteOptions', 'gracePeriodSeconds');
  const gracePeriodSeconds = typeof grace === 'number' ? grace : null;
  await operations.remove(type, namespace, name, { ...plainDelete, gracePeriodSeconds });
}

/** The scale subresource of a deployment. */
export function scaleOf(deployment: KubeObject): JsonObject {
  const { name, namespace, uid, resourceVersion, creationTimestamp } = deployment.metadata;
  const replicas = valueAt(deployment, 'spec', 'replicas') ?? 1;
  const selector = Object.entries(stringMapAt(valueAt(deployment, 'spec', 'selector', 'matchLabels')))
    .map(([key, value]) => `${key}=${value}`)
    .toSorted()
    .join(',');
  return {
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata: { name, ...(namespace === undefined ? {} : { namespace }), uid, resourceVersion, creationTimestamp },
    spec: replicas === 0 ? {} : { replicas },
    status: { replicas: valueAt(deployment, 'status', 'replicas') ?? 0, ...(selector === '' ? {} : { selector }) },
  };
}

export const scaled = (deployment: KubeObject, replicas: number): KubeObject => ({
  ...deployment,
  spec: { ...objectAt(deployment['spec']), replicas },
});
