/** Checks every node of a cluster by a DaemonSet, which is there only meanwhile. */
import { pause, type Clock } from '../clock.ts';
import { CORE_RESOURCES } from '../datastore/core-kinds.ts';
import { isAlreadyExists, isNotFound, type KubeTransport, type RawObject } from '../datastore/kube-transport.ts';
import {
  CHECK_NAME,
  checkDaemonSet,
  DAEMON_SETS,
  isStuck,
  reportOf,
  silentNode,
  type CheckOwner,
} from './check-pods.ts';
import { limits } from './limits.ts';
import type { NodeReport } from './report.ts';

export interface ClusterCheck {
  transport: KubeTransport;
  namespace: string;
  image: string;
  dataPath: string;
  /** null: not run by a pod */
  owner: CheckOwner | null;
  clock: Clock;
  signal: AbortSignal;
}

async function removeDaemonSet({ transport, namespace }: ClusterCheck): Promise<void> {
  try {
    await transport.delete(DAEMON_SETS, namespace, CHECK_NAME, { propagationPolicy: 'Background' });
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}

async function podsOf({ transport, namespace }: ClusterCheck, uid: string): Promise<RawObject[]> {
  const { items } = await transport.list(CORE_RESOURCES.pods, namespace);
  return items.filter((pod) => {
    const owners = pod.metadata['ownerReferences'];
    return Array.isArray(owners) && owners.some((owner: { uid?: unknown }) => owner.uid === uid);
  });
}

/** Nodes that the DaemonSet wants a pod on; null: it has not looked yet. */
function desired(set: RawObject): number | null {
  const { status, metadata } = set;
  if (typeof status !== 'object' || status === null) return null;
  const { observedGeneration, desiredNumberScheduled } = status as Record<string, unknown>;
  return observedGeneration === metadata['generation'] && typeof desiredNumberScheduled === 'number'
    ? desiredNumberScheduled
    : null;
}

/** One report for each node; of a node that gave no answer in time one that says so. */
export async function checkCluster(check: ClusterCheck): Promise<NodeReport[]> {
  const { transport, namespace, image, dataPath, owner, clock, signal } = check;
  let made: RawObject;
  try {
    made = await transport.create(DAEMON_SETS, namespace, checkDaemonSet(image, namespace, dataPath, owner));
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
    throw new Error(`another check is running, or was left: kubectl -n ${namespace} delete daemonset ${CHECK_NAME}`, {
      cause: error,
    });
  }
  try {
    const deadlineMs = clock.now() + limits.answerMs;
    for (;;) {
      const set = await transport.get(DAEMON_SETS, namespace, CHECK_NAME);
      const pods = await podsOf(check, made.metadata.uid ?? '');
      const reports = pods.map((pod) => reportOf(pod));
      const isDecided = pods.every((pod, index) => reports[index] !== null || isStuck(pod));
      const isComplete = desired(set) === pods.length && pods.length > 0 && isDecided;
      if (isComplete || clock.now() >= deadlineMs || signal.aborted) {
        if (pods.length === 0)
          throw new Error(`no node has run the check: see kubectl -n ${namespace} describe daemonset ${CHECK_NAME}`);
        return pods
          .map((pod, index) => reports[index] ?? silentNode(pod))
          .toSorted((a, b) => (a.node < b.node ? -1 : 1));
      }
      await pause(clock, limits.pollMs, signal);
    }
  } finally {
    await removeDaemonSet(check);
  }
}
