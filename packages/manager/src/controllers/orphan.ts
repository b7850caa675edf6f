/**
 * Data of replicas that were deleted on purpose while their node was away: removed by the node's own manager once it is
 * back. Other orphans are for people to decide on, and are left alone.
 */
import { OWN_ANNOTATION } from '../own-annotations.ts';
import { done, type Outcome } from '../reconcile/outcome.ts';
import type { ControllerContext } from './context.ts';

const STOP_POLL_MS = 5_000;

export async function reconcileOrphan(context: ControllerContext, name: string): Promise<Outcome> {
  const { datastore, me, environment, managers, clock } = context;
  const orphan = datastore.stores.Orphan.get(name);
  const replica = orphan?.metadata.annotations[OWN_ANNOTATION.deletedReplica] ?? '';
  if (orphan === null || orphan.spec.nodeID !== me || replica === '') return done;
  const { DataName: folder = '', DiskUUID: diskUuid = '', DiskPath: diskPath = '' } = orphan.spec.parameters;
  const inUse = datastore.stores.Replica.byIndex('disk', diskUuid).some(
    (other) => other.spec.dataDirectoryName === folder,
  );
  if (inUse) return { kind: 'stalled', reason: `folder ${folder} belongs to a replica` };
  for (const manager of datastore.stores.InstanceManager.byIndex('node', me)) {
    if (manager.status.currentState !== 'running') continue;
    const running = await managers.get(manager.status.ip, replica, 'replica');
    if (running === null) continue;
    await managers.delete(manager.status.ip, replica, 'replica', { uuid: '', keepDevice: false });
    return { kind: 'waiting', untilMs: clock.now() + STOP_POLL_MS };
  }
  await context.io.removeReplicaData({ diskPath, diskUuid, folder }, environment.hostRoot);
  if (orphan.metadata.deletionTimestamp === null) await datastore.delete('Orphan', name);
  const present = await datastore.read('Orphan', name);
  if (present !== null) await datastore.removeFinalizer('Orphan', present);
  return done;
}
