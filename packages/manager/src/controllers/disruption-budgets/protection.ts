/** What stays of a volume when a node is drained. */
import type { Replica } from '@longhorn/shared-types';
import { instanceManagerOf, type ControllerContext } from '../context.ts';

/** Another node has a healthy replica of the same volume that a PodDisruptionBudget protects. */
export function hasProtectedReplicaElsewhere(context: ControllerContext, { spec }: Replica): boolean {
  const twins = context.datastore.stores.Replica.byIndex('volume', spec.volumeName);
  return twins.some((twin) => twin.spec.nodeID !== spec.nodeID && isProtected(context, twin));
}

/** A healthy replica whose node stays and whose instance manager a budget keeps. */
function isProtected(context: ControllerContext, replica: Replica): boolean {
  const { spec, metadata } = replica;
  if (spec.healthyAt === '' || spec.failedAt !== '' || metadata.deletionTimestamp !== null) return false;
  const { kubeNodes, budgets } = context.datastore;
  if (kubeNodes.get(spec.nodeID)?.unschedulable !== false) return false;
  const manager = instanceManagerOf(context, replica);
  return manager?.status.currentState === 'running' && budgets.get(manager.metadata.name) !== null;
}
