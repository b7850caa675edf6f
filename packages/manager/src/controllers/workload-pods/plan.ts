/**
 * What is to be done about a pod that uses our volumes. Pure; one step at a time, and none twice: what was done shows in
 * what is seen next. There are three reasons to act:
 *
 *   its node is down, it terminates, and the setting node-down-pod-deletion-policy names its kind of owner:
 *       its attachments are deleted ── they are gone ── its time is over ── it is deleted without grace
 *   it was deleted by force, but something keeps it, and another pod waits for its volume (or nobody claims that), which its
 *   kubelet does not have mounted (every pod looks like that for a moment, when its kubelet says that it has ended):
 *       the attachment is deleted
 *   its volume asked for a remount after it started, and a controller will make it anew:
 *       it is deleted with grace, on its own node, once the request is 5 s old
 */
import type { Node } from '@longhorn/shared-types';
import { parseTime } from '../../clock.ts';
import type { KubeNode } from '../../datastore/core-kinds.ts';
import { kubeNodeIsReady } from '../../datastore/kube-nodes.ts';
import type { KubeAttachment, PodOwner, WorkloadPod } from '../../datastore/workload-kinds.ts';
import { limits } from '../../limits.ts';
import { nodeIsDownOrDeleted } from '../ownership.ts';

/** The settings that decide. */
export interface PodRules {
  /** node-down-pod-deletion-policy */
  nodeDownPolicy: string;
  /** auto-delete-pod-when-volume-detached-unexpectedly */
  deletesForRemount: boolean;
  /** blacklist-for-auto-delete-pod-when-volume-detached-unexpectedly */
  blacklist: string;
}

/** A volume of the pod. */
export interface PodVolume {
  name: string;
  /** RFC 3339, or ''. */
  remountRequestedAt: string;
  /** Shared over NFS: its clients go on by themselves when it is served again. */
  isShared: boolean;
}

/** An attachment of a force-deleted pod, and who else wants its volume. */
export interface HeldAttachment {
  attachment: KubeAttachment;
  /** The pod's kubelet is there, and has the volume mounted: what was written may not all be on it yet. */
  isMounted: boolean;
  /** The persistent volume has a claim. */
  isClaimed: boolean;
  /** Messages of the events of pending pods that use the claim. */
  messages: readonly string[];
}

export interface PodWorld {
  nowMs: number;
  /** Name of this node. */
  me: string;
  pod: WorkloadPod;
  isNodeDown: boolean;
  rules: PodRules;
  volumes: readonly PodVolume[];
  /** Kubernetes' attachments of its volumes to its node. */
  attachments: readonly KubeAttachment[];
  /** Of a force-deleted pod that this manager looks after; else empty. */
  held: readonly HeldAttachment[];
}

export type PodStep =
  | { kind: 'none' }
  | { kind: 'wait'; untilMs: number }
  | { kind: 'detach'; reason: 'node-down' | 'force-deleted'; attachments: readonly KubeAttachment[] }
  | { kind: 'delete-pod'; reason: 'node-down' | 'remount'; graceS: number };

const NONE: PodStep = { kind: 'none' };

const OWNERS: Readonly<Record<string, readonly string[]>> = {
  'delete-statefulset-pod': ['StatefulSet'],
  'delete-deployment-pod': ['ReplicaSet'],
  'delete-both-statefulset-and-deployment-pod': ['StatefulSet', 'ReplicaSet'],
};

export function planPod(world: PodWorld): PodStep {
  const { pod } = world;
  if (pod.metadata.deletionTimestamp === null) return planRemount(world);
  if (world.isNodeDown && isNamedByPolicy(world)) return planOnDownNode(world, pod.metadata.deletionTimestamp);
  return planForceDeleted(world);
}

/** Our node object says so, and Kubernetes' own does not say otherwise: nobody acts for a node that is ready. */
export function podNodeIsDown(node: Node | null, kubeNode: KubeNode | null): boolean {
  return nodeIsDownOrDeleted(node) && !kubeNodeIsReady(kubeNode);
}

/** Deleted without grace, and still there: a finalizer, or a kubelet that does not answer, keeps it. */
export function isForceDeleted({ metadata, deletionGraceS }: WorkloadPod): boolean {
  return metadata.deletionTimestamp !== null && deletionGraceS === 0;
}

function isNamedByPolicy({ pod, rules }: PodWorld): boolean {
  const kinds = OWNERS[rules.nodeDownPolicy] ?? [];
  return pod.controller !== null && kinds.includes(pod.controller.kind);
}

function planOnDownNode({ nowMs, pod, attachments }: PodWorld, deletionTimestamp: string): PodStep {
  const present = attachments.filter(({ metadata }) => metadata.deletionTimestamp === null);
  if (present.length > 0) return { kind: 'detach', reason: 'node-down', attachments: present };
  // Those on their way bring the pod up again when they are gone. What was deleted without grace waits for a finalizer.
  if (attachments.length > 0 || pod.deletionGraceS === 0) return NONE;
  const dueMs = parseTime(deletionTimestamp);
  if (dueMs === null) return NONE;
  if (nowMs < dueMs) return { kind: 'wait', untilMs: dueMs };
  return { kind: 'delete-pod', reason: 'node-down', graceS: 0 };
}

function planForceDeleted({ nowMs, pod, held }: PodWorld): PodStep {
  const settled = held.filter(
    ({ attachment }) => attachment.isAttached && attachment.metadata.deletionTimestamp === null,
  );
  const free = settled.filter(
    ({ isMounted, isClaimed, messages }) =>
      !isMounted && (!isClaimed || messages.some((message) => tellsOfConflict(message, pod.metadata.name))),
  );
  if (free.length > 0)
    return { kind: 'detach', reason: 'force-deleted', attachments: free.map(({ attachment }) => attachment) };
  // Neither events of other pods nor what kubelets have mounted are listened to.
  return settled.length > 0 ? { kind: 'wait', untilMs: nowMs + limits.multiAttachLookMs } : NONE;
}

/** The name counts as a whole: `web-1` is not in a message about `web-10`. */
function tellsOfConflict(message: string, pod: string): boolean {
  return message.includes('Multi-Attach error') && message.split(/[^a-z0-9.-]+/).includes(pod);
}

function planRemount({ nowMs, me, pod, rules, volumes }: PodWorld): PodStep {
  const startedMs = parseTime(pod.startTime);
  if (pod.nodeName !== me || !rules.deletesForRemount || startedMs === null) return NONE;
  if (pod.controller === null || isBlacklisted(pod.controller, rules.blacklist)) return NONE;
  const requests = volumes
    .filter(({ isShared }) => !isShared)
    .flatMap(({ remountRequestedAt }) => parseTime(remountRequestedAt) ?? [])
    .filter((requestedMs) => startedMs < requestedMs);
  if (requests.length === 0) return NONE;
  const dueMs = Math.min(...requests) + limits.remountSettleMs;
  // Later than that, not at that time.
  if (nowMs <= dueMs) return { kind: 'wait', untilMs: dueMs + 1 };
  return { kind: 'delete-pod', reason: 'remount', graceS: limits.remountPodGraceS };
}

/** Entries are GROUP/KIND or APIVERSION/KIND, separated by `;`; of the core group `/KIND` or `v1/KIND`. */
function isBlacklisted({ apiVersion, kind }: PodOwner, blacklist: string): boolean {
  const group = apiVersion.includes('/') ? apiVersion.slice(0, apiVersion.indexOf('/')) : '';
  const entries = blacklist.split(';').map((entry) => entry.trim());
  return entries.includes(`${group}/${kind}`) || entries.includes(`${apiVersion}/${kind}`);
}
