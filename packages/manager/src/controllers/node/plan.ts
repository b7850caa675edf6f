/** Conditions and disks of a node, from what Kubernetes, the pods and the disks themselves say. Pure. */
import type { Condition, Node, Replica } from '@longhorn/shared-types';
import { parseTime } from '../../clock.ts';
import type { KubeNode, Pod } from '../../datastore/core-kinds.ts';
import type { EventRecord } from '../../datastore/event-recorder.ts';
import type { Finding } from '../../environment/node-checks.ts';
import type { DiskProbe } from '../../io/disk-probe.ts';
import { limits } from '../../limits.ts';
import { storageProblem, type SpaceLimits } from '../../scheduler/storage-check.ts';
import { isTrue, setCondition, type WantedCondition } from '../conditions.ts';
import { BLOCK_DEVICE_AVAILABLE, environmentConditions } from './environment.ts';

type DiskStatus = Node['status']['diskStatus'][string];

export interface NodeWorld {
  nowMs: number;
  node: Node;
  kubeNode: KubeNode | null;
  managerPod: Pod | null;
  respectsCordon: boolean;
  /** Only on the node itself; null elsewhere. */
  own: {
    probes: ReadonlyMap<string, DiskProbe>;
    /** What the environment lacks; null: not looked at yet. */
    findings: readonly Finding[] | null;
    /** By disk UUID. */
    replicas: ReadonlyMap<string, readonly Replica[]>;
    space: SpaceLimits;
    mountPropagates: boolean;
    /** UUIDs of the disks of other nodes. */
    foreignDiskUuids: ReadonlySet<string>;
  } | null;
}

export interface NodePlan {
  node: Node;
  events: EventRecord[];
  /** A kubelet's word is believed after a while. */
  requeueAtMs: number | null;
}

/** Conditions whose changes are told as events. */
const WITH_EVENTS = ['Ready', 'Schedulable', BLOCK_DEVICE_AVAILABLE];
const PRESSURES = ['DiskPressure', 'PIDPressure', 'MemoryPressure', 'NetworkUnavailable'];

export function planNode(world: NodeWorld): NodePlan {
  const plan: NodePlan = { node: structuredClone(world.node), events: [], requeueAtMs: null };
  const { status } = plan.node;
  set(plan, readyCondition(world, plan), world.nowMs);
  set(plan, schedulableCondition(world), world.nowMs);
  if (world.kubeNode !== null) {
    status.region = world.kubeNode.metadata.labels['topology.kubernetes.io/region'] ?? '';
    status.zone = world.kubeNode.metadata.labels['topology.kubernetes.io/zone'] ?? '';
  }
  if (world.own === null) return plan;
  const { name } = world.node.metadata;
  const propagates = world.own.mountPropagates;
  const failure: WantedCondition = {
    type: 'MountPropagation',
    status: 'False',
    reason: 'NoMountPropagationSupport',
    message: `The MountPropagation value None is not detected from pod ${world.managerPod?.metadata.name ?? ''}, node ${name}`,
  };
  set(plan, propagates ? { type: 'MountPropagation', status: 'True' } : failure, world.nowMs);
  if (world.own.findings !== null)
    for (const condition of environmentConditions(world.own.findings)) set(plan, condition, world.nowMs);
  status.diskStatus = planDisks(world, world.own);
  return plan;
}

function set(plan: NodePlan, condition: WantedCondition, nowMs: number): void {
  const changed = setCondition(plan.node.status.conditions, condition, nowMs);
  if (!changed || !WITH_EVENTS.includes(condition.type)) return;
  plan.events.push({
    type: condition.status === 'True' ? 'Normal' : 'Warning',
    reason: condition.type,
    message: condition.message ?? '',
  });
}

function readyCondition({ node, kubeNode, managerPod, nowMs }: NodeWorld, plan: NodePlan): WantedCondition {
  const { name } = node.metadata;
  const notReady = (reason: string, message: string): WantedCondition => ({
    type: 'Ready',
    status: 'False',
    reason,
    message,
  });
  if (kubeNode === null)
    return notReady('KubernetesNodeGone', `Kubernetes node missing: node ${name} has been removed from the cluster`);
  let result: WantedCondition = { type: 'Ready', status: 'True', message: `Node ${name} is ready` };
  if (managerPod === null)
    result = notReady('ManagerPodMissing', `Manager pod is missing: node ${name} has no manager pod running on it`);
  else if (!managerPod.ready || managerPod.phase !== 'Running')
    result = notReady('ManagerPodDown', `Node ${name} is down: manager pod ${managerPod.metadata.name} is not running`);
  for (const condition of kubeNode.conditions) {
    if (condition.type === 'Ready' && condition.status !== 'True') {
      const sinceMs = parseTime(condition.lastTransitionTime);
      const believedMs = condition.status === 'False' && sinceMs !== null ? sinceMs + limits.kubeletGraceMs : 0;
      if (believedMs > nowMs) plan.requeueAtMs = believedMs;
      else result = notReady('KubernetesNodeNotReady', `Kubernetes node ${name} not ready: ${condition.reason}`);
    } else if (PRESSURES.includes(condition.type) && condition.status === 'True')
      result = notReady(
        'KubernetesNodePressure',
        `Kubernetes node ${name} has pressure: ${condition.reason}, ${condition.message}`,
      );
  }
  return result;
}

function schedulableCondition({ node, kubeNode, respectsCordon }: NodeWorld): WantedCondition {
  const { name } = node.metadata;
  if (kubeNode?.unschedulable === true && respectsCordon)
    return {
      type: 'Schedulable',
      status: 'False',
      reason: 'KubernetesNodeCordoned',
      message: `Node ${name} is cordoned`,
    };
  return { type: 'Schedulable', status: 'True' };
}

function planDisks(world: NodeWorld, own: NonNullable<NodeWorld['own']>): Record<string, DiskStatus> {
  const result: Record<string, DiskStatus> = {};
  const filesystems = new Map<string, string>();
  const ready = (name: string): boolean => isTrue(world.node.status.diskStatus[name]?.conditions ?? [], 'Ready');
  // A disk that was ready keeps its file system; among new ones the first by name has it.
  const names = Object.keys(world.node.spec.disks).toSorted(
    (a, b) => Number(ready(b)) - Number(ready(a)) || (a < b ? -1 : 1),
  );
  for (const name of names) {
    const probe = own.probes.get(name);
    if (probe?.kind === 'found' && !filesystems.has(probe.filesystemId)) filesystems.set(probe.filesystemId, name);
    result[name] = planDisk(world, own, name, filesystems);
  }
  return Object.fromEntries(Object.entries(result).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

function planDisk(
  world: NodeWorld,
  own: NonNullable<NodeWorld['own']>,
  name: string,
  filesystems: ReadonlyMap<string, string>,
): DiskStatus {
  const spec = world.node.spec.disks[name];
  const before = world.node.status.diskStatus[name];
  const path = spec?.path ?? '';
  const probe = own.probes.get(name);
  const nodeName = world.node.metadata.name;
  const conditions: Condition[] = structuredClone(before?.conditions ?? []);
  const status: DiskStatus = {
    conditions,
    diskDriver: '',
    diskName: name,
    diskPath: path,
    diskType: spec?.diskType ?? 'filesystem',
    diskUUID: before?.diskUUID ?? '',
    filesystemType: before?.filesystemType ?? '',
    instanceManagerName: '',
    scheduledBackingImage: before?.scheduledBackingImage ?? {},
    scheduledReplica: {},
    storageAvailable: 0,
    storageMaximum: 0,
    storageScheduled: 0,
  };
  // Not looked at yet: leave the conditions as they are.
  if (probe === undefined) return before ?? status;
  const problem = probe.kind === 'failed' ? probe : doubleUse(probe, name, filesystems, own.foreignDiskUuids);
  if (problem !== null) {
    const message = `Disk ${name}(${path}) on node ${nodeName} is not ready: ${problem.message}`;
    setCondition(conditions, { type: 'Ready', status: 'False', reason: problem.reason, message }, world.nowMs);
    const notReady = `Disk ${name} (${path}) on the node ${nodeName} is not ready`;
    setCondition(
      conditions,
      { type: 'Schedulable', status: 'False', reason: 'DiskNotReady', message: notReady },
      world.nowMs,
    );
    return status;
  }
  if (probe.kind !== 'found') return status;
  Object.assign(status, {
    diskUUID: probe.uuid,
    filesystemType: probe.filesystemType,
    storageAvailable: probe.availableBytes,
    storageMaximum: probe.maximumBytes,
    scheduledReplica: scheduledReplicas(own.replicas.get(probe.uuid) ?? []),
  });
  status.storageScheduled = [
    ...Object.values(status.scheduledReplica),
    ...Object.values(status.scheduledBackingImage),
  ].reduce((sum, bytes) => sum + bytes, 0);
  setCondition(
    conditions,
    { type: 'Ready', status: 'True', message: `Disk ${name}(${path}) on node ${nodeName} is ready` },
    world.nowMs,
  );
  setCondition(
    conditions,
    schedulableDisk(status, spec?.storageReserved ?? 0, own.space, `${name}(${path})`, `${name} (${path})`, nodeName),
    world.nowMs,
  );
  return status;
}

function doubleUse(
  probe: Extract<DiskProbe, { kind: 'found' }>,
  name: string,
  filesystems: ReadonlyMap<string, string>,
  foreign: ReadonlySet<string>,
): { reason: string; message: string } | null {
  const holder = filesystems.get(probe.filesystemId);
  if (holder !== undefined && holder !== name)
    return {
      reason: 'DiskFilesystemChanged',
      message: `disk has same file system ID ${probe.filesystemId} as other disks ${holder}`,
    };
  if (foreign.has(probe.uuid))
    return { reason: 'DiskFilesystemChanged', message: `disk ${probe.uuid} is in use by another node` };
  return null;
}

function scheduledReplicas(replicas: readonly Replica[]): Record<string, number> {
  return Object.fromEntries(
    replicas
      .map((replica): [string, number] => [replica.metadata.name, Number(replica.spec.volumeSize)])
      .toSorted(([a], [b]) => (a < b ? -1 : 1)),
  );
}

function schedulableDisk(
  status: DiskStatus,
  reservedBytes: number,
  space: SpaceLimits,
  label: string,
  spacedLabel: string,
  nodeName: string,
): WantedCondition {
  const problem = storageProblem(
    {
      maximumBytes: status.storageMaximum,
      availableBytes: status.storageAvailable,
      reservedBytes,
      scheduledBytes: status.storageScheduled,
    },
    0,
    0,
    space,
  );
  if (problem === null)
    return { type: 'Schedulable', status: 'True', message: `Disk ${label} on node ${nodeName} is schedulable` };
  return {
    type: 'Schedulable',
    status: 'False',
    reason: 'DiskPressure',
    message: `Disk ${spacedLabel} on the node ${nodeName} is not schedulable for more replica; ${problem}`,
  };
}
