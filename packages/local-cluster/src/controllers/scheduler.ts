/**
 * Puts pods that have no node on one that suits, the one with the fewest pods.
 */
import { builtinType, STORAGE } from '../api/builtin-kinds.ts';
import { timestamp } from '../api/environment.ts';
import { listAt, objectAt, stringAt, valueAt } from '../api/json.ts';
import { keyOf, type KubeObject } from '../api/object.ts';
import { bind } from '../api/pod-subresources.ts';
import type { Controller, ControllerParts } from './controller.ts';
import { candidates } from './placement.ts';
import { WorkQueue } from './work-queue.ts';

const POD = builtinType(STORAGE.pods);
/** Pods of other schedulers are left alone. */
const OURS = 'default-scheduler';

const isUnbound = (pod: KubeObject): boolean =>
  stringAt(valueAt(pod, 'spec', 'nodeName')) === '' &&
  (stringAt(valueAt(pod, 'spec', 'schedulerName')) || OURS) === OURS &&
  pod.metadata.deletionTimestamp === undefined;

/** The node for a pod; `null`: none suits at the moment. */
export function chooseNode(pod: KubeObject, nodes: readonly KubeObject[], pods: readonly KubeObject[]): string | null {
  const load = new Map<string, number>();
  for (const other of pods) {
    const node = stringAt(valueAt(other, 'spec', 'nodeName'));
    load.set(node, (load.get(node) ?? 0) + 1);
  }
  const [best] = candidates(pod, nodes).toSorted(
    (a, b) =>
      (load.get(a.metadata.name) ?? 0) - (load.get(b.metadata.name) ?? 0) ||
      (a.metadata.name < b.metadata.name ? -1 : 1),
  );
  return best?.metadata.name ?? null;
}

export function scheduler({ operations, after, note }: ControllerParts): Controller {
  const { store, environment } = operations;
  const unschedulable = async (pod: KubeObject): Promise<void> => {
    const now = timestamp(environment.now());
    await operations.update(POD, pod.metadata.namespace ?? '', pod.metadata.name, 'status', (current) => {
      const status = objectAt(current['status']);
      if (listAt(status['conditions']).some((entry) => valueAt(entry, 'reason') === 'Unschedulable')) return current;
      const message = 'no node is ready, schedulable and suits the pod';
      const condition = {
        type: 'PodScheduled',
        status: 'False',
        reason: 'Unschedulable',
        message,
        lastTransitionTime: now,
      };
      return { ...current, status: { ...status, conditions: [condition] } };
    });
  };
  const handle = async (key: string): Promise<void> => {
    const [namespace = '', name = ''] = key.split('/');
    const pod = store.get(STORAGE.pods, namespace, name);
    if (pod === null || !isUnbound(pod)) return;
    const node = chooseNode(pod, store.list(STORAGE.nodes), store.list(STORAGE.pods));
    if (node === null) return unschedulable(pod);
    await bind(operations, POD, namespace, name, { target: { name: node } }, timestamp(environment.now()));
  };
  const queue = new WorkQueue(handle, after, (key, error) => note(`scheduling of ${key}`, error));
  const all = (): void =>
    store
      .list(STORAGE.pods)
      .filter(isUnbound)
      .forEach((pod) => queue.add(keyOf(pod)));
  const unsubscribe: (() => void)[] = [];
  return {
    start() {
      unsubscribe.push(
        store.subscribe(STORAGE.pods, (event) => {
          if (event.type === 'ADDED' && isUnbound(event.object)) queue.add(keyOf(event.object));
        }),
        store.subscribe(STORAGE.nodes, all),
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
