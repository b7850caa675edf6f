/**
 * `status.kubernetesStatus` of a volume: the persistent volume, the claim and the pods that use it. What is gone stays as
 * history, with the time of the last use: `lastPVCRefAt` set = namespace and claim are history, `lastPodRefAt` set = the
 * pods are. Pure.
 *
 *   another persistent volume    all anew                                       event Start
 *   bound                        claim, and its pods or lastPodRefAt
 *   bound before, not any more   lastPVCRefAt, lastPodRefAt
 *   gone                         as that, and without name and phase            event Stop
 */
import type { Volume } from '@longhorn/shared-types';
import { rfc3339 } from '../../clock.ts';
import type { EventRecord } from '../../datastore/event-recorder.ts';
import type { PersistentVolume, WorkloadPod } from '../../datastore/workload-kinds.ts';

export type KubernetesStatus = Volume['status']['kubernetesStatus'];
type Workload = NonNullable<KubernetesStatus['workloadsStatus']>[number];

export interface VolumeUse {
  nowMs: number;
  /** Name of our volume. */
  volume: string;
  before: KubernetesStatus;
  /** The one that counts; null: there is none. */
  pv: PersistentVolume | null;
  /** Pods that use its claim, sorted. */
  pods: readonly WorkloadPod[];
}

export interface UsePlan {
  status: KubernetesStatus;
  events: EventRecord[];
}

const EMPTY: KubernetesStatus = {
  lastPVCRefAt: '',
  lastPodRefAt: '',
  namespace: '',
  pvName: '',
  pvStatus: '',
  pvcName: '',
  workloadsStatus: [],
};

/** Of several that name the volume: the bound one, else the one that counted before, else the newest. */
export function choosePersistentVolume(all: readonly PersistentVolume[], before: string): PersistentVolume | null {
  const rank = ({ phase, metadata }: PersistentVolume): number =>
    Number(phase === 'Bound') * 2 + Number(metadata.name === before);
  const age = ({ metadata }: PersistentVolume): string => `${metadata.creationTimestamp} ${metadata.name}`;
  const [first] = all.toSorted((a, b) => rank(b) - rank(a) || (age(a) < age(b) ? 1 : -1));
  return first ?? null;
}

/** A bound persistent volume has a claim; whoever took it off must put it back. Null: all is well. */
export function useProblem({ pv, before }: Pick<VolumeUse, 'pv' | 'before'>): string | null {
  if (pv === null || pv.claim !== null || pv.phase !== 'Bound') return null;
  if (before.pvName === pv.metadata.name && before.lastPVCRefAt !== '') return null;
  return `BUG: current Persistent Volume ${pv.metadata.name} is in Bound phase but has no ClaimRef field`;
}

export function planKubernetesStatus(use: VolumeUse): UsePlan {
  const { pv, before, volume } = use;
  const now = rfc3339(use.nowMs);
  if (pv === null) {
    if (before.pvName === '') return { status: before, events: [] };
    const message = `Persistent Volume ${before.pvName} stopped to use Longhorn volume ${volume}`;
    const status = { ...asHistory(before, now), pvName: '', pvStatus: '' };
    return { status, events: [{ type: 'Normal', reason: 'Stop', message }] };
  }
  const { name } = pv.metadata;
  const isNew = before.pvName !== name;
  const message = `Persistent Volume ${name} started to use/reuse Longhorn volume ${volume}`;
  const events: EventRecord[] = isNew ? [{ type: 'Normal', reason: 'Start', message }] : [];
  const status = { ...(isNew ? EMPTY : before), pvName: name, pvStatus: pv.phase };
  if (pv.phase !== 'Bound' || pv.claim === null) return { status: asHistory(status, now), events };
  const { namespace, name: pvcName } = pv.claim;
  return { status: withPods({ ...status, namespace, pvcName, lastPVCRefAt: '' }, use.pods, now), events };
}

function hasPods({ workloadsStatus }: KubernetesStatus): boolean {
  return (workloadsStatus ?? []).length > 0;
}

function asHistory(status: KubernetesStatus, now: string): KubernetesStatus {
  return {
    ...status,
    lastPVCRefAt: status.pvcName === '' ? status.lastPVCRefAt : status.lastPVCRefAt || now,
    lastPodRefAt: hasPods(status) ? status.lastPodRefAt || now : status.lastPodRefAt,
  };
}

function withPods(status: KubernetesStatus, pods: readonly WorkloadPod[], now: string): KubernetesStatus {
  if (pods.length > 0) return { ...status, workloadsStatus: pods.map(asWorkload), lastPodRefAt: '' };
  return hasPods(status) ? { ...status, lastPodRefAt: status.lastPodRefAt || now } : status;
}

function asWorkload({ metadata, phase, owner }: WorkloadPod): Workload {
  return {
    podName: metadata.name,
    podStatus: phase,
    workloadName: owner?.name ?? '',
    workloadType: owner?.kind ?? '',
  };
}
