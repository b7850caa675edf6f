/**
 * What workloads in any namespace use our volumes by: pods, persistent volumes and Kubernetes' attachments. A cluster has
 * many of them: only those with something of ours are kept, and of these only the fields below.
 */
import { CSI_DRIVER_NAME, type ObjectMeta } from '@longhorn/shared-types';
import { identityOf, list, record, text } from './core-kinds.ts';
import type { RawObject, Resource } from './kube-transport.ts';
import { namespacedKey } from './object-store.ts';

/** Name of the driver before it was `driver.longhorn.io`. */
const FORMER_DRIVER_NAME = 'io.rancher.longhorn';

export const WORKLOAD_RESOURCES = {
  pods: { group: '', version: 'v1', plural: 'pods', kind: 'Pod', namespaced: true },
  persistentVolumes: {
    group: '',
    version: 'v1',
    plural: 'persistentvolumes',
    kind: 'PersistentVolume',
    namespaced: false,
  },
  claims: {
    group: '',
    version: 'v1',
    plural: 'persistentvolumeclaims',
    kind: 'PersistentVolumeClaim',
    namespaced: true,
  },
  attachments: {
    group: 'storage.k8s.io',
    version: 'v1',
    plural: 'volumeattachments',
    kind: 'VolumeAttachment',
    namespaced: false,
  },
} as const satisfies Record<string, Resource>;

export interface PodOwner {
  apiVersion: string;
  kind: string;
  name: string;
}

/** A pod that uses claims, of whatever class. */
export interface WorkloadPod {
  metadata: ObjectMeta;
  nodeName: string;
  phase: string;
  /** When its kubelet took it on, RFC 3339; '' before. */
  startTime: string;
  /** Seconds that it has, or had, from the request to delete it on; null: nobody wants it deleted. */
  deletionGraceS: number | null;
  /** Names of its claims; they are in its namespace. */
  claims: readonly string[];
  /** What makes it anew when it is deleted; null: nothing does. */
  controller: PodOwner | null;
  /** The first of its owners; null: it has none. */
  owner: PodOwner | null;
}

/** NAMESPACE/NAME of the claims of a pod. */
export function claimKeys({ metadata: { namespace }, claims }: WorkloadPod): string[] {
  return claims.map((name) => namespacedKey({ namespace, name }));
}

/** A persistent volume of our driver. */
export interface PersistentVolume {
  metadata: ObjectMeta;
  driver: string;
  /** Name of our volume. */
  volumeHandle: string;
  phase: string;
  /** The claim that has it, or had it; null: none, or it was taken off. */
  claim: { namespace: string; name: string } | null;
}

/** Kubernetes' VolumeAttachment (ours has the same name) of our driver. */
export interface KubeAttachment {
  metadata: ObjectMeta;
  nodeName: string;
  /** '' for an inline volume. */
  persistentVolume: string;
  isAttached: boolean;
}

const NO_TEXTS: Record<string, string> = {};
const NO_LIST: never[] = [];

function shortMetadata(raw: RawObject): ObjectMeta {
  return {
    ...identityOf(raw),
    generation: 0,
    labels: NO_TEXTS,
    annotations: NO_TEXTS,
    finalizers: NO_LIST,
    ownerReferences: NO_LIST,
  };
}

function ownerOf(reference: Record<string, unknown> | undefined): PodOwner | null {
  if (reference === undefined) return null;
  return {
    apiVersion: text(reference['apiVersion']),
    kind: text(reference['kind']),
    name: text(reference['name']),
  };
}

/** Claims by name, and those that Kubernetes makes for ephemeral volumes: POD-VOLUME. */
function claimsOf(pod: string, spec: Record<string, unknown>): string[] {
  return list(spec['volumes']).flatMap((volume) => {
    if (volume['ephemeral'] !== undefined) return [`${pod}-${text(volume['name'])}`];
    const claim = text(record(volume['persistentVolumeClaim'])['claimName']);
    return claim === '' ? [] : [claim];
  });
}

/** Null for a pod without claims. */
export function decodeWorkloadPod(raw: RawObject): WorkloadPod | null {
  const metadata = shortMetadata(raw);
  const spec = record(raw['spec']);
  const claims = claimsOf(metadata.name, spec);
  if (claims.length === 0) return null;
  const status = record(raw['status']);
  const { ownerReferences, deletionGracePeriodSeconds: graceS } = record(raw.metadata);
  const owners = list(ownerReferences);
  return {
    metadata,
    nodeName: text(spec['nodeName']),
    phase: text(status['phase']),
    startTime: text(status['startTime']),
    deletionGraceS: typeof graceS === 'number' ? graceS : null,
    claims,
    controller: ownerOf(owners.find((owner) => owner['controller'] === true)),
    owner: ownerOf(owners.find((owner) => text(owner['kind']) !== '' && text(owner['name']) !== '')),
  };
}

/** Null for one of another driver. */
export function decodePersistentVolume(raw: RawObject): PersistentVolume | null {
  const spec = record(raw['spec']);
  const csi = record(spec['csi']);
  const driver = text(csi['driver']);
  const volumeHandle = text(csi['volumeHandle']);
  if ((driver !== CSI_DRIVER_NAME && driver !== FORMER_DRIVER_NAME) || volumeHandle === '') return null;
  const claim = record(spec['claimRef']);
  const name = text(claim['name']);
  return {
    metadata: shortMetadata(raw),
    driver,
    volumeHandle,
    phase: text(record(raw['status'])['phase']),
    claim: name === '' ? null : { namespace: text(claim['namespace']), name },
  };
}

/** Null for one of another driver. */
export function decodeKubeAttachment(raw: RawObject): KubeAttachment | null {
  const spec = record(raw['spec']);
  if (text(spec['attacher']) !== CSI_DRIVER_NAME) return null;
  return {
    metadata: shortMetadata(raw),
    nodeName: text(spec['nodeName']),
    persistentVolume: text(record(spec['source'])['persistentVolumeName']),
    isAttached: record(raw['status'])['attached'] === true,
  };
}
