/** The replica as gRPC tells it: upstream's fields, and ours from 1000. */
import { createHash } from 'node:crypto';
import type { Replica } from '@longhorn/shared-types/generated/ptypes';
import type { ProtoInput } from '@longhorn/shared-types/grpc/service-token';
import type { FileStat } from '../io/disk.ts';
import { SECTOR_BYTES } from '../limits.ts';
import type { OpenReplica } from './open-replica.ts';
import type { ReplicaServer } from './replica-server.ts';
import { childrenOf, liveChain, snapshotCount } from './snapshot-chain.ts';

export const CAPABILITIES: readonly string[] = ['flush', 'epoch', 'regions', 'keyed-hash'];

/** What the process is called and reached by. */
export interface ReplicaNames {
  readonly instanceName: string;
  readonly dataSocketPath: string;
}

type Message = ProtoInput<Replica>;

const GONE_LOOKS = 3;

async function statDisks(replica: OpenReplica): Promise<Map<string, FileStat>> {
  const stats = new Map<string, FileStat>();
  for (const name of replica.disks.keys()) {
    const number = replica.volume.numberOf(name);
    const layer = replica.volume.layers[number - 1];
    const stat = layer === undefined ? await statUnused(replica, name) : layer.file.statNow();
    if (stat !== null) stats.set(name, stat);
  }
  return stats;
}

/** Of a disk that no read needs; null: it was removed meanwhile. One that is gone without that puts the replica out. */
async function statUnused(replica: OpenReplica, name: string): Promise<FileStat | null> {
  for (let look = 1; look <= GONE_LOOKS; look++) {
    const stat = await replica.folder.stat(name);
    // An operation takes a file away a moment before, or after, it forgets the disk.
    if (stat !== null || !replica.disks.has(name)) return stat;
  }
  replica.fail(`${replica.folder.path}/${name} is gone`);
  return null;
}

function diskMessages(replica: OpenReplica, stats: Map<string, FileStat>): Exclude<Message['disks'], null | undefined> {
  const disks: Record<string, object> = {};
  for (const disk of replica.disks.values()) {
    disks[disk.name] = {
      name: disk.name,
      parent: disk.parent,
      children: Object.fromEntries(childrenOf(replica.disks, disk.name).map((child) => [child, true])),
      removed: disk.isRemoved,
      user_created: disk.isUserCreated,
      created: disk.created,
      size: String(stats.get(disk.name)?.allocatedBytes ?? 0),
      labels: disk.labels ?? {},
    };
  }
  const backing = replica.volume.layers.find((layer) => layer.isBacking);
  if (backing !== undefined) {
    const size = String(backing.file.statNow().allocatedBytes);
    disks[backing.name] = { name: backing.name, size };
  }
  return disks;
}

/** Compared by engines, never parsed. */
export function chainDigest(chainBelowHead: readonly string[]): string {
  return createHash('sha256').update(chainBelowHead.join('\n')).digest('hex');
}

async function openPart(server: ReplicaServer, replica: OpenReplica): Promise<Message> {
  const stats = await statDisks(replica);
  const chain = liveChain(replica.disks, replica.meta.head);
  const head = stats.get(replica.meta.head);
  const usage = snapshotCount(replica.disks, replica.meta.head);
  let usageBytes = 0;
  for (const disk of chain.slice(1)) {
    if (!disk.isRemoved) usageBytes += stats.get(disk.name)?.allocatedBytes ?? 0;
  }
  const hasBacking = replica.volume.layers.some((layer) => layer.isBacking);
  return {
    chain: chain.filter((disk) => !disk.isRemoved).map((disk) => disk.name),
    disks: diskMessages(replica, stats),
    remain_snapshots: server.snapshotMaxCount - usage,
    revision_counter: server.io.revision?.value ?? 0,
    last_modify_time: head?.modifiedNs ?? 0n,
    head_file_size: head?.allocatedBytes ?? 0,
    snapshot_count_usage: usage,
    snapshot_count_total: replica.disks.size + (hasBacking ? 1 : 0),
    snapshot_size_usage: usageBytes,
    chainDigest: chainDigest(chain.slice(1).map((disk) => disk.name)),
  };
}

/** The present state of a replica. */
export async function replicaMessage(server: ReplicaServer, names: ReplicaNames): Promise<Message> {
  await server.update();
  const replica = server.io.open;
  const opened = replica === null ? {} : await openPart(server, replica);
  const meta = server.currentMeta;
  const freeBytes = await server.options.freeBytes();
  return {
    dirty: server.isDirty,
    rebuilding: meta?.isRebuilding ?? false,
    head: meta?.head ?? '',
    parent: meta?.parent ?? '',
    size: String(meta?.sizeBytes ?? 0),
    sector_size: meta?.sectorBytes ?? SECTOR_BYTES,
    backing_file: meta?.backingFilePath ?? '',
    state: server.status,
    revision_counter_disabled: !server.options.hasRevisionCounter,
    unmap_mark_disk_chain_removed: server.isUnmapMarking,
    ...opened,
    capabilities: CAPABILITIES,
    bootId: server.options.bootId,
    epoch: server.io.epoch,
    membership: server.state.membership,
    keptMemory: server.keptMemory,
    instanceName: names.instanceName,
    dataSocketPath: names.dataSocketPath,
    lastBootId: server.lastBootId,
    spaceAvailable: freeBytes === null ? '' : String(freeBytes),
  };
}
