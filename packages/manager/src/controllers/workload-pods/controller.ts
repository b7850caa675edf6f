/**
 * Pods of any namespace that use our volumes. Every manager looks at each; what they do, they may do together, twice and
 * late: only the incarnation that was looked at is ever deleted. Nothing is done for a node that is ready, which is asked
 * of the API server itself right before.
 */
import { CSI_DRIVER_NAME, type Volume } from '@longhorn/shared-types';
import { EVENT_RESOURCE, record, text } from '../../datastore/core-kinds.ts';
import { kubeNodeIsReady, readKubeNode } from '../../datastore/kube-nodes.ts';
import { isConflict, isNotFound, type Resource } from '../../datastore/kube-transport.ts';
import { namespacedKey } from '../../datastore/object-store.ts';
import {
  claimKeys,
  WORKLOAD_RESOURCES,
  type KubeAttachment,
  type PersistentVolume,
  type WorkloadPod,
} from '../../datastore/workload-kinds.ts';
import { limits } from '../../limits.ts';
import { done, type Outcome } from '../../reconcile/outcome.ts';
import { nodeOf, responsible, settingsOf, type ControllerContext } from '../context.ts';
import {
  isForceDeleted,
  planPod,
  podNodeIsDown,
  type HeldAttachment,
  type PodStep,
  type PodVolume,
  type PodWorld,
} from './plan.ts';

/** `key`: NAMESPACE/NAME. */
export async function reconcileWorkloadPod(context: ControllerContext, key: string): Promise<Outcome> {
  const pod = context.datastore.workloadPods.get(key);
  if (pod === null || pod.nodeName === '') return done;
  return carryOut(context, pod, planPod(await observePod(context, pod)));
}

async function observePod(context: ControllerContext, pod: WorkloadPod): Promise<PodWorld> {
  const { datastore, clock, me } = context;
  const settings = settingsOf(context);
  const bound = claimKeys(pod)
    .flatMap((claim) => datastore.persistentVolumes.byIndex('claim', claim))
    .filter(({ phase, driver }) => phase === 'Bound' && driver === CSI_DRIVER_NAME);
  const isOurs = isForceDeleted(pod) && responsible(context, '', pod.nodeName);
  return {
    nowMs: clock.now(),
    me,
    pod,
    // A pod without a volume of ours is none of our business, wherever it is.
    isNodeDown: bound.length > 0 && podNodeIsDown(nodeOf(context, pod.nodeName), datastore.kubeNodes.get(pod.nodeName)),
    rules: {
      nodeDownPolicy: settings.get('node-down-pod-deletion-policy'),
      deletesForRemount: settings.get('auto-delete-pod-when-volume-detached-unexpectedly'),
      blacklist: settings.get('blacklist-for-auto-delete-pod-when-volume-detached-unexpectedly'),
    },
    volumes: bound.flatMap(({ volumeHandle }) => {
      const volume = datastore.stores.Volume.get(volumeHandle);
      return volume === null ? [] : [asPodVolume(volume)];
    }),
    attachments: attachmentsOf(context, pod, new Set(bound.map(({ metadata }) => metadata.name))),
    held: isOurs ? await heldAttachments(context, pod) : [],
  };
}

function asPodVolume({ metadata, spec, status }: Volume): PodVolume {
  return {
    name: metadata.name,
    remountRequestedAt: status.remountRequestedAt,
    isShared: spec.accessMode === 'rwx' && !spec.migratable,
  };
}

function attachmentsOf(
  { datastore }: ControllerContext,
  { nodeName }: WorkloadPod,
  persistentVolumes: ReadonlySet<string>,
): KubeAttachment[] {
  return datastore.kubeAttachments
    .byIndex('node', nodeName)
    .filter(({ persistentVolume }) => persistentVolumes.has(persistentVolume));
}

/** By what the claims and the kubelet say now: a persistent volume may have lost its reference to a claim. */
async function heldAttachments(context: ControllerContext, pod: WorkloadPod): Promise<HeldAttachment[]> {
  const { persistentVolumes } = context.datastore;
  const names = new Set<string>();
  for (const claim of pod.claims) names.add(await volumeOfClaim(context, pod.metadata.namespace, claim));
  const attachments = attachmentsOf(context, pod, names);
  if (attachments.length === 0) return [];
  const node = await readKubeNode(context.datastore.transport, pod.nodeName);
  const mounted = new Set(kubeNodeIsReady(node) ? node?.volumesInUse : []);
  const held: HeldAttachment[] = [];
  for (const attachment of attachments) {
    const pv = persistentVolumes.get(attachment.persistentVolume);
    if (pv === null) continue;
    held.push({
      attachment,
      isMounted: mounted.has(`kubernetes.io/csi/${CSI_DRIVER_NAME}^${pv.volumeHandle}`),
      isClaimed: pv.claim !== null,
      messages: await waitingMessages(context, pv),
    });
  }
  return held;
}

/** Name of the persistent volume; '' if there is no such claim, or it has none. */
async function volumeOfClaim({ datastore }: ControllerContext, namespace: string, claim: string): Promise<string> {
  try {
    const raw = await datastore.transport.get(WORKLOAD_RESOURCES.claims, namespace, claim);
    return text(record(raw['spec'])['volumeName']);
  } catch (error) {
    if (isNotFound(error)) return '';
    throw error;
  }
}

/** What the events of the pending pods say that want the claim of the volume. */
async function waitingMessages({ datastore }: ControllerContext, pv: PersistentVolume): Promise<string[]> {
  if (pv.claim === null) return [];
  const messages: string[] = [];
  for (const { metadata, phase } of datastore.workloadPods.byIndex('claim', namespacedKey(pv.claim))) {
    if (phase !== 'Pending' || metadata.deletionTimestamp !== null) continue;
    const fieldSelector = `involvedObject.kind=Pod,involvedObject.name=${metadata.name}`;
    const onObject = (event: Record<string, unknown>): void => void messages.push(text(event['message']));
    await datastore.transport.list(EVENT_RESOURCE, metadata.namespace, { fieldSelector, onObject });
  }
  return messages;
}

async function carryOut(context: ControllerContext, pod: WorkloadPod, step: PodStep): Promise<Outcome> {
  const { clock, log } = context;
  switch (step.kind) {
    case 'none':
      return done;
    case 'wait':
      return { kind: 'waiting', untilMs: step.untilMs };
    case 'detach':
    case 'delete-pod':
      break;
    default:
      return step satisfies never;
  }
  const { reason } = step;
  const { name, namespace, uid } = pod.metadata;
  if (reason === 'node-down' && kubeNodeIsReady(await readKubeNode(context.datastore.transport, pod.nodeName)))
    return { kind: 'waiting', untilMs: clock.now() + limits.nodeCatchUpMs };
  const about = { pod: name, namespace, node: pod.nodeName, reason };
  if (step.kind === 'delete-pod') {
    log.info({ ...about, graceS: step.graceS }, 'deleting a pod');
    await deleteOne(context, WORKLOAD_RESOURCES.pods, { name, namespace, uid }, step.graceS);
    return done;
  }
  for (const { metadata } of step.attachments) {
    log.info({ ...about, attachment: metadata.name }, 'deleting the attachment of a pod');
    await deleteOne(context, WORKLOAD_RESOURCES.attachments, { ...metadata, namespace: '' }, null);
  }
  return done;
}

/** Only this incarnation; one that is gone, or was made anew meanwhile, is fine: its own events tell. */
async function deleteOne(
  { datastore }: ControllerContext,
  resource: Resource,
  { name, namespace, uid }: { name: string; namespace: string; uid: string },
  graceS: number | null,
): Promise<void> {
  try {
    await datastore.transport.delete(resource, namespace, name, {
      uid,
      ...(graceS === null ? {} : { gracePeriodSeconds: graceS }),
    });
  } catch (error) {
    if (!isNotFound(error) && !isConflict(error)) throw error;
  }
}
