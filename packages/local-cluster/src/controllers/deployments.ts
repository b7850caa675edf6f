/**
 * Deployments, without ReplicaSets between them and their pods: old pods go as new ones become ready.
 */
import { builtinType, STORAGE } from '../api/builtin-kinds.ts';
import { timestamp } from '../api/environment.ts';
import { equal, listAt, objectAt, valueAt, type JsonObject } from '../api/json.ts';
import { keyOf, type KubeObject } from '../api/object.ts';
import type { Controller, ControllerParts } from './controller.ts';
import { podIsReady } from './services.ts';
import { WorkQueue } from './work-queue.ts';
import { createPod, deletePod, ownerKey, podHasEnded, podsOwnedBy, templateHash } from './workload-pods.ts';

const DEPLOYMENT = builtinType(STORAGE.deployments);
const HASH_LABEL = 'pod-template-hash';

export interface DeploymentPlan {
  create: number;
  remove: KubeObject[];
}

/** What is to be done so that `replicas` pods of the present template run. */
export function planDeployment(deployment: KubeObject, pods: readonly KubeObject[]): DeploymentPlan {
  const hash = templateHash(valueAt(deployment, 'spec', 'template'));
  const wanted = Number(valueAt(deployment, 'spec', 'replicas') ?? 1);
  const ended = pods.filter((pod) => pod.metadata.deletionTimestamp === undefined && podHasEnded(pod));
  const alive = pods.filter((pod) => pod.metadata.deletionTimestamp === undefined && !podHasEnded(pod));
  const current = alive.filter((pod) => pod.metadata.labels?.[HASH_LABEL] === hash);
  const old = alive.filter((pod) => pod.metadata.labels?.[HASH_LABEL] !== hash);
  const surplus = current
    .toSorted((a, b) => Number(podIsReady(a)) - Number(podIsReady(b)))
    .slice(0, Math.max(0, current.length - wanted));
  const ready = current.filter(podIsReady).length;
  const replaceable = old.slice(0, Math.max(0, old.length + ready - wanted));
  return { create: Math.max(0, wanted - current.length), remove: [...ended, ...surplus, ...replaceable] };
}

function statusOf(deployment: KubeObject, pods: readonly KubeObject[], now: string): JsonObject {
  const hash = templateHash(valueAt(deployment, 'spec', 'template'));
  const alive = pods.filter((pod) => pod.metadata.deletionTimestamp === undefined && !podHasEnded(pod));
  const ready = alive.filter(podIsReady).length;
  const wanted = Number(valueAt(deployment, 'spec', 'replicas') ?? 1);
  const available = ready >= wanted ? 'True' : 'False';
  const before = listAt(valueAt(deployment, 'status', 'conditions')).find(
    (entry) => valueAt(entry, 'type') === 'Available',
  );
  const since = valueAt(before, 'status') === available ? valueAt(before, 'lastTransitionTime') : undefined;
  return {
    observedGeneration: deployment.metadata.generation ?? 1,
    replicas: alive.length,
    updatedReplicas: alive.filter((pod) => pod.metadata.labels?.[HASH_LABEL] === hash).length,
    readyReplicas: ready,
    availableReplicas: ready,
    unavailableReplicas: Math.max(0, wanted - ready),
    conditions: [
      {
        type: 'Available',
        status: available,
        reason: available === 'True' ? 'MinimumReplicasAvailable' : 'MinimumReplicasUnavailable',
        message: `${ready} of ${wanted} pods are ready`,
        lastUpdateTime: since ?? now,
        lastTransitionTime: since ?? now,
      },
      {
        type: 'Progressing',
        status: 'True',
        reason: 'NewReplicaSetAvailable',
        message: '',
        lastUpdateTime: since ?? now,
        lastTransitionTime: since ?? now,
      },
    ],
  };
}

export function deploymentController({ operations, after, note }: ControllerParts): Controller {
  const { store, environment } = operations;
  const handle = async (key: string): Promise<void> => {
    const [namespace = '', name = ''] = key.split('/');
    const deployment = store.get(STORAGE.deployments, namespace, name);
    if (deployment === null) return;
    if (deployment.metadata.deletionTimestamp === undefined) {
      const plan = planDeployment(deployment, podsOwnedBy(operations, deployment));
      const hash = { label: HASH_LABEL, value: templateHash(valueAt(deployment, 'spec', 'template')) };
      for (const pod of plan.remove) await deletePod(operations, pod);
      for (let count = 0; count < plan.create; count++) await createPod(operations, deployment, hash, {});
    }
    const status = statusOf(deployment, podsOwnedBy(operations, deployment), timestamp(environment.now()));
    if (!equal(status, objectAt(deployment['status'])))
      await operations.update(DEPLOYMENT, namespace, name, 'status', (current) => ({ ...current, status }));
  };
  const queue = new WorkQueue(handle, after, (key, error) => note(`Deployment ${key}`, error));
  const unsubscribe: (() => void)[] = [];
  return {
    start() {
      unsubscribe.push(
        store.subscribe(STORAGE.deployments, (event) => queue.add(keyOf(event.object))),
        store.subscribe(STORAGE.pods, (event) => {
          const key = ownerKey(event.object, 'Deployment');
          if (key !== null) queue.add(key);
        }),
      );
      for (const deployment of store.list(STORAGE.deployments)) queue.add(keyOf(deployment));
    },
    idle: () => queue.idle(),
    close: async () => {
      unsubscribe.forEach((end) => end());
      await queue.close();
    },
  };
}
