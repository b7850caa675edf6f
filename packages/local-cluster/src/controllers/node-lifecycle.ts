/**
 * What the control plane does about a node that has gone silent, and about one that is back.
 *
 * Silence turns Ready to Unknown, taints the node and makes its pods unready. Pods that do not tolerate the taint are
 * deleted after their toleration's time (300 s by default); as nobody on the node confirms, they stay Terminating until the
 * node returns or somebody deletes them by force.
 */
import { builtinType, STORAGE } from '../api/builtin-kinds.ts';
import { timestamp } from '../api/environment.ts';
import { listAt, objectAt, stringAt, valueAt, type Json } from '../api/json.ts';
import { namespaceOf, type KubeObject } from '../api/object.ts';
import type { ControllerParts } from './controller.ts';
import { deletePod } from './workload-pods.ts';

const NODE = builtinType(STORAGE.nodes);
const POD = builtinType(STORAGE.pods);
const UNREACHABLE = 'node.kubernetes.io/unreachable';
const evictionSeconds = 300;

/** Seconds that a pod stays on an unreachable node; `null`: for ever. */
export function tolerationSeconds(pod: KubeObject): number | null {
  if ((pod.metadata.ownerReferences ?? []).some((owner) => owner.kind === 'DaemonSet')) return null;
  const fitting = listAt(valueAt(pod, 'spec', 'tolerations')).filter((toleration) => {
    const key = stringAt(valueAt(toleration, 'key'));
    const effect = stringAt(valueAt(toleration, 'effect'));
    return (key === UNREACHABLE || key === '') && (effect === 'NoExecute' || effect === '');
  });
  if (fitting.length === 0) return evictionSeconds;
  const seconds = fitting.map((toleration) => valueAt(toleration, 'tolerationSeconds'));
  return seconds.every((value) => typeof value === 'number') ? Math.min(...seconds) : null;
}

export class NodeLifecycle {
  readonly #parts: ControllerParts;
  readonly #graceMs: number;
  readonly #timers = new Map<string, Set<() => void>>();

  constructor(parts: ControllerParts, graceMs: number) {
    this.#parts = parts;
    this.#graceMs = graceMs;
  }

  #later(node: string, milliseconds: number, work: () => Promise<void>): void {
    const timers = this.#timers.get(node) ?? new Set();
    this.#timers.set(node, timers);
    const cancel = this.#parts.after(milliseconds, () => {
      timers.delete(cancel);
      work().catch((error: unknown) => this.#parts.note(`node ${node} that went silent`, error));
    });
    timers.add(cancel);
  }

  /** A node does not answer any more. */
  silent(node: string): void {
    this.#later(node, this.#graceMs, () => this.#unreachable(node));
  }

  /** A node answers again. */
  returned(node: string): void {
    for (const cancel of this.#timers.get(node) ?? []) cancel();
    this.#timers.delete(node);
  }

  #podsOn(node: string): KubeObject[] {
    return this.#parts.operations.store.list(STORAGE.pods).filter((pod) => valueAt(pod, 'spec', 'nodeName') === node);
  }

  async #unreachable(name: string): Promise<void> {
    const { operations } = this.#parts;
    const now = timestamp(operations.environment.now());
    await operations.update(NODE, '', name, 'status', (node) => {
      const status = objectAt(node['status']);
      const conditions = listAt(status['conditions']).map((entry) => ({
        ...objectAt(entry),
        status: 'Unknown',
        reason: 'NodeStatusUnknown',
        message: 'Kubelet stopped posting node status.',
        lastTransitionTime: now,
      }));
      return { ...node, status: { ...status, conditions } };
    });
    await operations.update(NODE, '', name, '', (node) => {
      const spec = objectAt(node['spec']);
      const others = listAt(spec['taints']).filter((taint) => valueAt(taint, 'key') !== UNREACHABLE);
      const added: Json[] = ['NoSchedule', 'NoExecute'].map((effect) => ({ key: UNREACHABLE, effect, timeAdded: now }));
      return { ...node, spec: { ...spec, taints: [...others, ...added] } };
    });
    for (const pod of this.#podsOn(name)) {
      await this.#unready(pod, now);
      const seconds = tolerationSeconds(pod);
      if (seconds !== null && pod.metadata.deletionTimestamp === undefined)
        this.#later(name, seconds * 1000, () => deletePod(operations, pod));
    }
  }

  async #unready(pod: KubeObject, now: string): Promise<void> {
    await this.#parts.operations.update(POD, namespaceOf(pod), pod.metadata.name, 'status', (current) => {
      const status = objectAt(current['status']);
      const conditions = listAt(status['conditions']).map((entry) =>
        valueAt(entry, 'type') === 'Ready' && valueAt(entry, 'status') === 'True'
          ? { ...objectAt(entry), status: 'False', reason: 'NodeNotReady', lastTransitionTime: now }
          : entry,
      );
      return { ...current, status: { ...status, conditions } };
    });
  }

  close(): void {
    for (const node of this.#timers.keys()) this.returned(node);
  }
}
