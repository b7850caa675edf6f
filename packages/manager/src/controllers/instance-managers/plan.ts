/**
 * The state of an instance manager from its pod and its node, and what is to be done with the pod. Pure.
 *
 *   no pod                        stopped if it never ran or was stopped, else error
 *   pod deleting, failed          error
 *   pod pending, or not ready     starting
 *   pod running and ready         running
 *   node down                     unknown (unless error): its processes are kept as last known
 */
import type { InstanceManager } from '@longhorn/shared-types';
import type { Pod } from '../../datastore/core-kinds.ts';

export interface InstanceManagerWorld {
  manager: InstanceManager;
  pod: Pod | null;
  nodeIsDown: boolean;
  /** This manager runs on the node of the instance manager. */
  isOnNode: boolean;
  cordoned: boolean;
  /** Pod is not created again before. */
  createAtMs: number;
  nowMs: number;
}

export interface InstanceManagerPlan {
  status: InstanceManager['status'];
  action: 'none' | 'create-pod' | 'delete-pod';
  requeueAtMs: number | null;
}

function stateOf({ manager, pod, nodeIsDown }: InstanceManagerWorld): InstanceManager['status']['currentState'] {
  const before = manager.status.currentState;
  const state = podState(pod, before);
  return nodeIsDown && state !== 'error' && state !== 'stopped' ? 'unknown' : state;
}

function podState(pod: Pod | null, before: string): 'stopped' | 'error' | 'starting' | 'running' {
  if (pod === null) return before === '' || before === 'stopped' ? 'stopped' : 'error';
  if (pod.metadata.deletionTimestamp !== null) return 'error';
  if (pod.phase === 'Pending' || pod.phase === '') return 'starting';
  if (pod.phase === 'Running') return pod.containersReady && pod.podIp !== '' ? 'running' : 'starting';
  return 'error';
}

export function planInstanceManager(world: InstanceManagerWorld): InstanceManagerPlan {
  const { manager, pod, isOnNode, cordoned, createAtMs, nowMs, nodeIsDown } = world;
  const status = structuredClone(manager.status);
  status.currentState = stateOf(world);
  if (status.currentState === 'running') status.ip = pod?.podIp ?? '';
  else if (status.currentState !== 'unknown') {
    Object.assign(status, { ip: '', instances: {}, instanceEngines: {}, instanceReplicas: {}, backingImages: {} });
    Object.assign(status, { apiVersion: 0, apiMinVersion: 0, proxyApiVersion: 0, proxyApiMinVersion: 0 });
  }
  const plan: InstanceManagerPlan = { status, action: 'none', requeueAtMs: null };
  const dead = status.currentState === 'error' || status.currentState === 'stopped';
  if (!dead || !isOnNode || nodeIsDown || manager.metadata.deletionTimestamp !== null) return plan;
  if (pod !== null) {
    if (pod.metadata.deletionTimestamp === null) plan.action = 'delete-pod';
    return plan;
  }
  if (status.currentState === 'error') {
    // The pod is gone: from here on as one that was never started.
    status.currentState = 'stopped';
  }
  if (cordoned) return plan;
  if (createAtMs > nowMs) plan.requeueAtMs = createAtMs;
  else plan.action = 'create-pod';
  return plan;
}
