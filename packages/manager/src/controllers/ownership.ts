/**
 * Who acts on an object. Every manager asks on every event; the one that is responsible writes itself into
 * `status.ownerID` first. Resource versions make one win when several could.
 */
import type { Node } from '@longhorn/shared-types';
import { findCondition } from './conditions.ts';

export interface OwnershipQuestion {
  me: string;
  /** Node that the object is bound to; '' if none. */
  preferred: string;
  current: string;
  /** Whether the manager of a node can be expected to act; false for ''. */
  isAvailable: (node: string) => boolean;
}

/**
 * A manager whose node is given up may live on; it must neither fight with the one that took over, nor with others in its
 * place. So: the preferred one if it is available, else the current one if it is, else whoever is available takes over;
 * if nobody is, the preferred and then the current one go on, as far as they live.
 */
export function isResponsible({ me, preferred, current, isAvailable }: OwnershipQuestion): boolean {
  if (isAvailable(preferred)) return me === preferred;
  if (isAvailable(current)) return me === current;
  return isAvailable(me) || me === preferred || (preferred === '' && (me === current || current === ''));
}

function readyReason(node: Node): string {
  const ready = findCondition(node.status.conditions, 'Ready');
  return ready !== null && ready.status === 'False' ? ready.reason : '';
}

/** The node or its manager is gone, as far as ownership goes. A manager that is only down keeps what it has. */
export function nodeIsUnavailable(node: Node | null): boolean {
  if (node === null) return true;
  return ['KubernetesNodeGone', 'KubernetesNodeNotReady', 'ManagerPodMissing'].includes(readyReason(node));
}

export function nodeIsDownOrDeleted(node: Node | null): boolean {
  return node === null || ['KubernetesNodeGone', 'KubernetesNodeNotReady'].includes(readyReason(node));
}

/** For good: one that Kubernetes does not have right now may register anew, with all that runs on it. */
export function nodeIsDeleted(node: Node | null): boolean {
  return node === null;
}
