/**
 * Which nodes a pod may run on: node selector, required node affinity, taints.
 */
import { isObject, listAt, stringAt, stringMapAt, valueAt, type Json } from '../api/json.ts';
import type { KubeObject } from '../api/object.ts';
import { expressions } from '../api/selectors.ts';

/** Taints that pods of a DaemonSet tolerate by themselves. */
const DAEMON_TOLERATIONS: Json[] = [
  'node.kubernetes.io/not-ready',
  'node.kubernetes.io/unreachable',
  'node.kubernetes.io/disk-pressure',
  'node.kubernetes.io/memory-pressure',
  'node.kubernetes.io/pid-pressure',
  'node.kubernetes.io/unschedulable',
].map((key) => ({ key, operator: 'Exists' }));

function termMatches(term: Json, node: KubeObject): boolean {
  const labels = expressions(valueAt(term, 'matchExpressions'));
  const fields = expressions(valueAt(term, 'matchFields'));
  return labels(node.metadata.labels ?? {}) && fields({ 'metadata.name': node.metadata.name });
}

/** Node selector and required node affinity. */
export function nodeSuits(podSpec: Json | undefined, node: KubeObject): boolean {
  const labels = node.metadata.labels ?? {};
  const selector = Object.entries(stringMapAt(valueAt(podSpec, 'nodeSelector')));
  if (!selector.every(([key, value]) => labels[key] === value)) return false;
  const required = valueAt(podSpec, 'affinity', 'nodeAffinity', 'requiredDuringSchedulingIgnoredDuringExecution');
  if (!isObject(required)) return true;
  return listAt(required['nodeSelectorTerms']).some((term) => termMatches(term, node));
}

function tolerates(toleration: Json, taint: Json): boolean {
  const effect = stringAt(valueAt(toleration, 'effect'));
  if (effect !== '' && effect !== valueAt(taint, 'effect')) return false;
  const key = stringAt(valueAt(toleration, 'key'));
  if (key === '') return valueAt(toleration, 'operator') === 'Exists';
  if (key !== valueAt(taint, 'key')) return false;
  return (
    valueAt(toleration, 'operator') === 'Exists' ||
    stringAt(valueAt(toleration, 'value')) === stringAt(valueAt(taint, 'value'))
  );
}

/** Whether every taint that keeps pods away is tolerated. */
export function taintsTolerated(podSpec: Json | undefined, node: KubeObject, daemon: boolean): boolean {
  const tolerations = [...listAt(valueAt(podSpec, 'tolerations')), ...(daemon ? DAEMON_TOLERATIONS : [])];
  return listAt(valueAt(node, 'spec', 'taints'))
    .filter((taint) => ['NoSchedule', 'NoExecute'].includes(stringAt(valueAt(taint, 'effect'))))
    .every((taint) => tolerations.some((toleration) => tolerates(toleration, taint)));
}

/** Whether the node's Ready condition is true. */
export const nodeIsReady = (node: KubeObject): boolean =>
  listAt(valueAt(node, 'status', 'conditions')).some(
    (entry) => valueAt(entry, 'type') === 'Ready' && valueAt(entry, 'status') === 'True',
  );

/** Nodes that a pod without a node may be put on. */
export function candidates(pod: KubeObject, nodes: readonly KubeObject[]): KubeObject[] {
  return nodes.filter(
    (node) =>
      nodeIsReady(node) &&
      valueAt(node, 'spec', 'unschedulable') !== true &&
      nodeSuits(pod['spec'], node) &&
      taintsTolerated(pod['spec'], node, false),
  );
}
