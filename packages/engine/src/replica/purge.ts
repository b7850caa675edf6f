/**
 * Removes what is marked as removed: merges such a snapshot with the one above it, deletes dead ends, frees in the one
 * under the head what the head hides. System snapshots are marked first. Every step can be cut short by a crash and
 * done again. What is being copied to another volume stays for a later purge.
 */
import { fold, prune, type Rest } from './fold.ts';
import type { OpenReplica } from './open-replica.ts';
import type { ReplicaServer } from './replica-server.ts';
import { childrenOf, type RemoveAction } from './snapshot-chain.ts';

function opened(server: ReplicaServer): OpenReplica {
  const { open } = server.io;
  if (open === null) throw new Error('replica is not open');
  if (open.fault !== null) throw new Error(open.fault);
  return open;
}

async function markSystemSnapshots(server: ReplicaServer): Promise<void> {
  const { disks, meta } = opened(server);
  const names = [...disks.values()]
    .filter((disk) => disk.name !== meta.head && !disk.isUserCreated && !disk.isRemoved)
    .map((disk) => disk.name);
  for (const name of names) await server.markRemoved(name);
}

async function execute(
  server: ReplicaServer,
  action: RemoveAction,
  onProgress: (percent: number) => void,
  rest: Rest,
): Promise<void> {
  const replica = opened(server);
  switch (action.action) {
    case 'coalesce':
      replica.busy.add(action.source);
      replica.busy.add(action.target);
      try {
        await fold(replica.folder, action.target, action.source, onProgress, rest);
      } catch (error) {
        replica.busy.delete(action.source);
        replica.busy.delete(action.target);
        throw error;
      }
      return;
    case 'replace':
      try {
        await server.replaceDisk(action.target, action.source);
      } finally {
        replica.busy.delete(action.source);
        replica.busy.delete(action.target);
      }
      return;
    case 'remove':
      await server.removeDisk(action.source, false);
      return;
    case 'prune':
      await prune(replica, action.source, rest);
  }
}

function isKept(server: ReplicaServer, { source, target }: RemoveAction): boolean {
  const replica = opened(server);
  return replica.isKept(source) || replica.isKept(target);
}

/** Removed disks from each leaf to the root; the one under the head last. */
function removedInOrder(replica: OpenReplica): string[] {
  const { disks, meta } = replica;
  const order: string[] = [];
  let latest: string | null = null;
  const leaves = [...disks.keys()].filter((name) => childrenOf(disks, name).length === 0);
  for (const leaf of leaves) {
    for (let name = leaf; name !== ''; name = disks.get(name)?.parent ?? '') {
      const disk = disks.get(name);
      if (disk === undefined || !disk.isRemoved || order.includes(name) || name === latest) continue;
      if (latest === null && childrenOf(disks, name).includes(meta.head)) latest = name;
      else order.push(name);
    }
  }
  return latest === null ? order : [...order, latest];
}

/** Purges a replica; `onProgress` gets 0 to 100. */
export async function purge(server: ReplicaServer, onProgress: (percent: number) => void, rest: Rest): Promise<void> {
  await markSystemSnapshots(server);
  const replica = opened(server);
  const names = removedInOrder(replica);
  const total = names.length;
  let processed = 0;
  for (const name of names) {
    processed++;
    if (opened(server).disks.has(name)) {
      const actions = await server.prepareRemove(name);
      if (actions.some((action) => isKept(server, action))) continue;
      for (const action of actions) {
        const onPercent = (percent: number): void => {
          // A folder that was given up may be another process's by now, and who opened it anew knows nothing of this.
          if (opened(server) !== replica) throw new Error('the replica was opened anew');
          onProgress(Math.min(Math.floor(((processed - 1) / total + percent / (total * 100)) * 100), 100));
        };
        await execute(server, action, onPercent, rest);
      }
    }
    onProgress(Math.floor((processed / total) * 100));
  }
  onProgress(100);
}
