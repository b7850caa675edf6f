/**
 * DaemonSets: one pod on every node that suits.
 */
import { builtinType, STORAGE } from '../api/builtin-kinds.ts';
import { equal, objectAt, stringAt, valueAt } from '../api/json.ts';
import { keyOf, type KubeObject } from '../api/object.ts';
import type { Controller, ControllerParts } from './controller.ts';
import { nodeSuits, taintsTolerated } from './placement.ts';
import { podIsReady } from './services.ts';
import { WorkQueue } from './work-queue.ts';
import { createPod, deletePod, ownerKey, podHasEnded, podsOwnedBy, templateHash } from './workload-pods.ts';

const DAEMON_SET = builtinType(STORAGE.daemonSets);
const HASH_LABEL = 'controller-revision-hash';

export interface DaemonPlan {
  create: string[];
  remove: KubeObject[];
}

/** What is to be done so that every wanted node has one pod of the present template. */
export function planDaemonSet(set: KubeObject, nodes: readonly KubeObject[], pods: readonly KubeObject[]): DaemonPlan {
  const spec = valueAt(set, 'spec', 'template', 'spec');
  const hash = templateHash(valueAt(set, 'spec', 'template'));
  const wanted = new Set(
    nodes
      .filter((node) => nodeSuits(spec, node) && taintsTolerated(spec, node, true))
      .map((node) => node.metadata.name),
  );
  const rolling = valueAt(set, 'spec', 'updateStrategy', 'type') !== 'OnDelete';
  const served = new Set<string>();
  const plan: DaemonPlan = { create: [], remove: [] };
  for (const pod of pods) {
    const node = stringAt(valueAt(pod, 'spec', 'nodeName'));
    // A pod on its way out keeps its place until it is gone.
    if (pod.metadata.deletionTimestamp !== undefined) {
      served.add(node);
      continue;
    }
    const outdated = rolling && pod.metadata.labels?.[HASH_LABEL] !== hash;
    if (!wanted.has(node) || served.has(node) || outdated || podHasEnded(pod)) {
      plan.remove.push(pod);
      if (wanted.has(node)) served.add(node);
    } else served.add(node);
  }
  plan.create = [...wanted].filter((node) => !served.has(node));
  return plan;
}

export function daemonSetController({ operations, after, note }: ControllerParts): Controller {
  const { store } = operations;
  const handle = async (key: string): Promise<void> => {
    const [namespace = '', name = ''] = key.split('/');
    const set = store.get(STORAGE.daemonSets, namespace, name);
    if (set === null) return;
    const nodes = store.list(STORAGE.nodes);
    const pods = podsOwnedBy(operations, set);
    const plan = planDaemonSet(set, nodes, pods);
    if (set.metadata.deletionTimestamp === undefined) {
      for (const pod of plan.remove) await deletePod(operations, pod);
      const hash = { label: HASH_LABEL, value: templateHash(valueAt(set, 'spec', 'template')) };
      for (const nodeName of plan.create) await createPod(operations, set, hash, { nodeName });
    }
    const present = podsOwnedBy(operations, set);
    const hash = templateHash(valueAt(set, 'spec', 'template'));
    const ready = present.filter(podIsReady).length;
    const desired = nodes.filter((node) => {
      const spec = valueAt(set, 'spec', 'template', 'spec');
      return nodeSuits(spec, node) && taintsTolerated(spec, node, true);
    }).length;
    const status = {
      currentNumberScheduled: present.length,
      desiredNumberScheduled: desired,
      numberMisscheduled: 0,
      numberReady: ready,
      numberAvailable: ready,
      numberUnavailable: Math.max(0, desired - ready),
      updatedNumberScheduled: present.filter((pod) => pod.metadata.labels?.[HASH_LABEL] === hash).length,
      observedGeneration: set.metadata.generation ?? 1,
    };
    if (!equal(status, objectAt(set['status'])))
      await operations.update(DAEMON_SET, namespace, name, 'status', (current) => ({ ...current, status }));
  };
  const queue = new WorkQueue(handle, after, (key, error) => note(`DaemonSet ${key}`, error));
  const all = (): void => store.list(STORAGE.daemonSets).forEach((set) => queue.add(keyOf(set)));
  const unsubscribe: (() => void)[] = [];
  return {
    start() {
      unsubscribe.push(
        store.subscribe(STORAGE.daemonSets, (event) => queue.add(keyOf(event.object))),
        store.subscribe(STORAGE.pods, (event) => {
          const key = ownerKey(event.object, 'DaemonSet');
          if (key !== null) queue.add(key);
        }),
        store.subscribe(STORAGE.nodes, (event) => {
          const before = event.previous;
          const same =
            before !== null &&
            event.type === 'MODIFIED' &&
            equal(before['spec'], event.object['spec']) &&
            equal(before.metadata.labels, event.object.metadata.labels);
          if (!same) all();
        }),
      );
      all();
    },
    idle: () => queue.idle(),
    close: async () => {
      unsubscribe.forEach((end) => end());
      await queue.close();
    },
  };
}
