/** What a replica says about itself, from the wire's words into the rules' words. */
import type { DiskInfo, MembershipRecord as WireRecord, Replica } from '@longhorn/shared-types/generated/ptypes';
import type { MembershipRecord } from '../membership/record.ts';
import type { SeenReplica } from '../membership/start.ts';

export interface ReplicaReport {
  readonly state: string;
  readonly rebuilding: boolean;
  readonly sizeBytes: number;
  readonly sectorSize: number;
  readonly head: string;
  readonly backingFile: string;
  /** live chain below the head, newest first, removed layers included; empty while closed */
  readonly chain: readonly string[];
  readonly disks: Readonly<Record<string, DiskInfo>>;
  readonly revisionCounter: number;
  readonly revisionCounterDisabled: boolean;
  readonly unmapMarkDiskChainRemoved: boolean;
  readonly snapshotCountUsage: number;
  readonly snapshotCountTotal: number;
  readonly snapshotSizeUsage: number;
  readonly headFileSize: number;
  readonly lastModifyTime: bigint;
  readonly capabilities: readonly string[];
  readonly knowsEpochs: boolean;
  readonly knowsRegions: boolean;
  readonly knowsKeyedHash: boolean;
  readonly epoch: number;
  readonly record: MembershipRecord | null;
  readonly keptMemory: boolean;
  readonly hostRestarted: boolean;
  readonly instanceName: string;
  readonly dataSocketPath: string;
  /** what its disk has left for new data; null: not told */
  readonly freeBytes: number | null;
}

/** Validates a peer's reply; throws an error that names the field. */
export function readReport(replica: Replica | null): ReplicaReport {
  if (!replica) throw new Error('the replica answered without a replica object');
  const sizeBytes = replica.size === '' ? 0 : Number(replica.size);
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0) throw new Error(`invalid replica size ${replica.size}`);
  const capabilities = new Set(replica.capabilities);
  return {
    state: replica.state,
    rebuilding: replica.rebuilding,
    sizeBytes,
    sectorSize: replica.sector_size,
    head: replica.head,
    backingFile: replica.backing_file,
    chain: liveChain(replica),
    disks: replica.disks,
    revisionCounter: replica.revision_counter,
    revisionCounterDisabled: replica.revision_counter_disabled,
    unmapMarkDiskChainRemoved: replica.unmap_mark_disk_chain_removed,
    snapshotCountUsage: replica.snapshot_count_usage,
    snapshotCountTotal: replica.snapshot_count_total,
    snapshotSizeUsage: replica.snapshot_size_usage,
    headFileSize: replica.head_file_size,
    lastModifyTime: replica.last_modify_time,
    capabilities: replica.capabilities,
    knowsEpochs: capabilities.has('epoch'),
    knowsRegions: capabilities.has('regions'),
    knowsKeyedHash: capabilities.has('keyed-hash'),
    epoch: replica.epoch,
    record: replica.membership ? fromWireRecord(replica.membership) : null,
    keptMemory: replica.keptMemory,
    hostRestarted: replica.lastBootId !== '' && replica.lastBootId !== replica.bootId,
    instanceName: replica.instanceName,
    dataSocketPath: replica.dataSocketPath,
    freeBytes: replica.spaceAvailable === '' ? null : Number(replica.spaceAvailable),
  };
}

/** `Replica.chain` leaves removed layers out; they hold data all the same, so the parents are followed. */
function liveChain(replica: Replica): string[] {
  const chain: string[] = [];
  let name = replica.disks[replica.head]?.parent ?? '';
  while (name !== '' && !chain.includes(name)) {
    chain.push(name);
    name = replica.disks[name]?.parent ?? '';
  }
  return chain;
}

/** The rules' view of an opened replica. */
export function seenReplica(name: string, report: ReplicaReport): SeenReplica {
  const { record, keptMemory, hostRestarted, sizeBytes, chain } = report;
  return { name, record, keptMemory, hostRestarted, sizeBytes, chain };
}

export function fromWireRecord(record: WireRecord): MembershipRecord {
  const { epoch, count, members, size, chain, bases, decided } = record;
  return { epoch, count, members, sizeBytes: size, chain, bases: bases.map(fromWireRecord), decided };
}

export function toWireRecord(record: MembershipRecord): WireRecord {
  const { epoch, count, members, sizeBytes, chain, bases, decided } = record;
  return {
    epoch,
    count,
    members: [...members],
    size: sizeBytes,
    chain: [...chain],
    bases: bases.map(toWireRecord),
    decided,
  };
}
