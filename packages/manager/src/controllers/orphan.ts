/**
 * Data of replicas that were deleted on purpose while their node was away is removed by the node's own manager once it is
 * back. Other orphans are for people to decide on, and are left alone until they delete them.
 *
 * An orphan that is deleted goes with its data if that is where the orphan says, and alone if it is not: its node was
 * removed, its disk is not there any more or is to be emptied, or a replica has the data.
 */
import { completeObject, type Node, type Orphan } from '@longhorn/shared-types';
import { resourceOf } from '../datastore/datastore.ts';
import { UnsafePathError } from '../instance-client/process-arguments.ts';
import { DiskMissingError } from '../io/replica-data.ts';
import { OWN_ANNOTATION } from '../own-annotations.ts';
import { done, type Outcome } from '../reconcile/outcome.ts';
import { nodeOf, responsible, type ControllerContext } from './context.ts';

const STOP_POLL_MS = 5_000;

export interface OrphanFacts {
  orphan: Orphan;
  me: string;
  /** This manager acts if the one of the orphan's node is not there. */
  isResponsible: boolean;
  /** Where the orphan is; null: it was removed. */
  node: Node | null;
}

export type OrphanStep = 'nothing' | 'remove its data' | 'let it go';

/** What this manager does with an orphan. Pure. A node that is only down is waited for: its data would stay for ever. */
export function decideOrphan({ orphan, me, isResponsible, node }: OrphanFacts): OrphanStep {
  const { metadata, spec } = orphan;
  const isOfNode = spec.nodeID === me;
  if (metadata.deletionTimestamp === null) {
    const isDeletedData = (metadata.annotations[OWN_ANNOTATION.deletedReplica] ?? '') !== '';
    return isOfNode && isDeletedData ? 'remove its data' : 'nothing';
  }
  const isRemovable = spec.orphanType === 'replica' && spec.parameters['DiskType'] !== 'block';
  const alone = !isRemovable || node === null || !holdsDisk(node, spec.parameters['DiskPath'] ?? '');
  if (alone) return isResponsible ? 'let it go' : 'nothing';
  return isOfNode ? 'remove its data' : 'nothing';
}

/** Whether a disk is there at this path, and stays. Which disk it is, is checked when its data is removed. */
function holdsDisk({ spec }: Node, path: string): boolean {
  const bare = (text: string): string => text.replace(/\/+$/, '');
  const disk = Object.values(spec.disks).find((other) => bare(other.path) === bare(path));
  return disk !== undefined && !disk.evictionRequested && !spec.evictionRequested;
}

export async function reconcileOrphan(context: ControllerContext, name: string): Promise<Outcome> {
  const { datastore, me, log } = context;
  const orphan = datastore.stores.Orphan.get(name);
  if (orphan === null) return done;
  const { nodeID } = orphan.spec;
  const isResponsible = responsible(context, nodeID, orphan.status.ownerID);
  const step = decideOrphan({ orphan, me, isResponsible, node: nodeOf(context, nodeID) });
  if (step === 'nothing') return done;
  if (step === 'remove its data') return removeData(context, orphan);
  log.info({ orphan: name, node: nodeID }, 'an orphan goes without its data, which is out of reach');
  await datastore.removeFinalizer('Orphan', orphan);
  return done;
}

/** The data first: an orphan that is gone is never looked at again. */
async function removeData(context: ControllerContext, orphan: Orphan): Promise<Outcome> {
  const { datastore, clock, environment, log } = context;
  const { name, deletionTimestamp } = orphan.metadata;
  const { DataName: folder = '', DiskUUID: diskUuid = '', DiskPath: diskPath = '' } = orphan.spec.parameters;
  if (await belongsToReplica(context, orphan)) {
    if (deletionTimestamp === null) return { kind: 'stalled', reason: `folder ${folder} belongs to a replica` };
    log.info({ orphan: name, folder }, 'an orphan goes without its data, which belongs to a replica');
  } else {
    if (await stopReplica(context, orphan)) return { kind: 'waiting', untilMs: clock.now() + STOP_POLL_MS };
    try {
      await context.io.removeReplicaData({ diskPath, diskUuid, folder }, environment.hostRoot);
    } catch (error) {
      const isOutOfReach = error instanceof DiskMissingError || error instanceof UnsafePathError;
      if (deletionTimestamp === null || !isOutOfReach) throw error;
      log.warn({ orphan: name, folder, err: error }, 'an orphan goes without its data');
    }
  }
  if (deletionTimestamp === null) await datastore.delete('Orphan', name);
  const present = await datastore.read('Orphan', name);
  if (present !== null) await datastore.removeFinalizer('Orphan', present);
  return done;
}

/** Whether a replica has the folder, as the API server knows it: a cache may be behind, and removing is for good. */
async function belongsToReplica({ datastore, namespace }: ControllerContext, orphan: Orphan): Promise<boolean> {
  const { DataName: folder = '', DiskUUID: diskUuid = '', DiskPath: diskPath = '' } = orphan.spec.parameters;
  let isUsed = false;
  await datastore.transport.list(resourceOf('Replica'), namespace, {
    onObject: (raw) => {
      const { spec } = completeObject('Replica', raw);
      const isOnDisk = spec.diskID === diskUuid || (spec.nodeID === orphan.spec.nodeID && spec.diskPath === diskPath);
      if (isOnDisk && spec.dataDirectoryName === folder) isUsed = true;
    },
  });
  return isUsed;
}

/** Ends the process of the replica that was deleted, if it still runs; true: look again later. */
async function stopReplica({ datastore, me, managers }: ControllerContext, orphan: Orphan): Promise<boolean> {
  const replica = orphan.metadata.annotations[OWN_ANNOTATION.deletedReplica] ?? '';
  if (replica === '') return false;
  for (const manager of datastore.stores.InstanceManager.byIndex('node', me)) {
    if (manager.status.currentState !== 'running') continue;
    const running = await managers.get(manager.status.ip, replica, 'replica');
    if (running === null) continue;
    await managers.delete(manager.status.ip, replica, 'replica', { uuid: '', keepDevice: false });
    return true;
  }
  return false;
}
