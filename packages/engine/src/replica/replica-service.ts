/**
 * `ptypes.ReplicaService`: requests checked and handed to the replica, its state handed back.
 *
 * Calls that change something may carry the metadata `epoch`: one below the replica's is refused, so that an engine
 * that has been replaced cannot take a snapshot or close the replica under its successor. Without it they are upstream's.
 */
import type { MembershipRecord as RecordMessage, ReplicaServiceMethods } from '@longhorn/shared-types/generated/ptypes';
import { Code, rpcError } from '@longhorn/shared-types/grpc/rpc-error';
import type { CallContext, ServiceHandlers } from '@longhorn/shared-types/grpc/server';
import { MEMBERSHIP_BASES_MAX, MEMBERSHIP_DEPTH_MAX, REGION_BYTES } from '../limits.ts';
import { allocation, headExtents, rangeHash, syncEverything } from './replica-content.ts';
import { replicaMessage, type ReplicaNames } from './replica-message.ts';
import type { ReplicaServer } from './replica-server.ts';
import type { MembershipRecord } from './replica-state.ts';

const EPOCH_KEY = 'epoch';

function checkCallEpoch(server: ReplicaServer, context: CallContext): void {
  const values = context.metadata.get(EPOCH_KEY);
  if (values.length !== 1) return;
  const epoch = Number(values[0]);
  if (!Number.isSafeInteger(epoch) || epoch < 0) {
    throw rpcError(Code.InvalidArgument, `metadata ${EPOCH_KEY} is ${String(values[0])}: it must be a number`);
  }
  server.checkEpoch(epoch);
}

function parseSize(text: string): number {
  if (text === '') return 0;
  const size = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(size)) {
    throw rpcError(Code.InvalidArgument, `size ${text} is not a number of bytes`);
  }
  return size;
}

function recordOf(message: RecordMessage, depth: number): MembershipRecord {
  if (depth > MEMBERSHIP_DEPTH_MAX || message.bases.length > MEMBERSHIP_BASES_MAX) {
    throw rpcError(Code.InvalidArgument, 'record.bases: too many or nested too deeply');
  }
  for (const [field, value] of [
    ['epoch', message.epoch],
    ['count', message.count],
    ['size', message.size],
  ] as const) {
    if (!Number.isSafeInteger(value) || value < 0) throw rpcError(Code.InvalidArgument, `record.${field}: ${value}`);
  }
  return { ...message, bases: message.bases.map((base) => recordOf(base, depth + 1)) };
}

function isSameRecord(a: MembershipRecord, b: MembershipRecord): boolean {
  const text = (record: MembershipRecord): string => {
    const { epoch, count, members, size, chain, bases, decided } = record;
    return JSON.stringify([epoch, count, members, size, chain, decided, bases.map(text)]);
  };
  return text(a) === text(b);
}

async function propose(server: ReplicaServer, message: RecordMessage | null, epoch: number): Promise<void> {
  if (message === null) throw rpcError(Code.InvalidArgument, 'record: missing');
  const record = recordOf(message, 0);
  await server.serial(async () => {
    server.checkEpoch(epoch);
    const stored = server.state.membership;
    if (stored !== null) {
      if (isSameRecord(stored, record)) return;
      const isNewer = record.epoch > stored.epoch || (record.epoch === stored.epoch && record.count > stored.count);
      if (!isNewer) {
        throw rpcError(
          Code.FailedPrecondition,
          `generation ${record.epoch}.${record.count} is not above the stored ${stored.epoch}.${stored.count}`,
        );
      }
    }
    await server.storeMembership(record);
  });
}

async function commit(server: ReplicaServer, epoch: number, count: number): Promise<void> {
  await server.serial(async () => {
    const stored = server.state.membership;
    if (stored === null || stored.epoch !== epoch || stored.count !== count || stored.bases.length === 0) return;
    await server.state.commitMembership();
  });
}

/** Handlers of every RPC of the service. */
export function replicaHandlers(server: ReplicaServer, names: ReplicaNames): ServiceHandlers<ReplicaServiceMethods> {
  const answer = async (): Promise<{ replica: Awaited<ReturnType<typeof replicaMessage>> }> => ({
    replica: await replicaMessage(server, names),
  });
  /** A change: refused for a fenced engine, answered with the replica. */
  const changing =
    <Request>(work: (request: Request) => Promise<void>) =>
    async (request: Request, context: CallContext) => {
      checkCallEpoch(server, context);
      await work(request);
      return answer();
    };
  return {
    ReplicaCreate: changing((request) => server.create(parseSize(request.size))),
    ReplicaDelete: async (_request, context) => {
      checkCallEpoch(server, context);
      await server.delete();
      return {};
    },
    ReplicaGet: answer,
    ReplicaOpen: changing(() => server.open()),
    ReplicaClose: changing(() => server.close()),
    ReplicaReload: changing(() => server.reload()),
    ReplicaRevert: changing((request) => server.revert(request.name, request.created)),
    ReplicaSnapshot: changing((request) =>
      server.snapshot(request.name, request.user_created, request.created, request.labels),
    ),
    ReplicaExpand: changing((request) => server.expand(request.size)),
    DiskRemove: changing((request) => server.removeDisk(request.name, request.force)),
    DiskReplace: changing((request) => server.replaceDisk(request.target, request.source)),
    DiskPrepareRemove: async (request) => ({ operations: await server.prepareRemove(request.name) }),
    DiskMarkAsRemoved: changing((request) => server.markRemoved(request.name)),
    RebuildingSet: changing((request) => server.setRebuilding(request.rebuilding)),
    RevisionCounterSet: changing((request) => server.setRevision(request.counter)),
    UnmapMarkDiskChainRemovedSet: changing((request) => {
      server.setUnmapMarking(request.enabled);
      return Promise.resolve();
    }),
    SnapshotMaxCountSet: changing((request) => {
      server.snapshotMaxCount = request.count;
      return Promise.resolve();
    }),
    SnapshotMaxSizeSet: changing((request) => {
      server.snapshotMaxSizeBytes = request.size;
      return Promise.resolve();
    }),
    ReplicaOpenEpoch: async (request) => {
      await server.openEpoch(request.epoch, request.engineName);
      return answer();
    },
    ...additions(server),
  };
}

type Additions = Pick<
  ServiceHandlers<ReplicaServiceMethods>,
  | 'MembershipPropose'
  | 'MembershipCommit'
  | 'RegionsGet'
  | 'RegionsInherit'
  | 'RegionsSettled'
  | 'HeadExtents'
  | 'RangeHash'
  | 'AllocationGet'
  | 'ReplicaSync'
  | 'SnapshotPrepare'
>;

function additions(server: ReplicaServer): Additions {
  const { regions } = server.io;
  return {
    MembershipPropose: async (request) => {
      await propose(server, request.record, request.epoch);
      return {};
    },
    MembershipCommit: async (request) => {
      await commit(server, request.epoch, request.count);
      return {};
    },
    RegionsGet: () => ({ complete: server.keptMemory, regionSize: REGION_BYTES, bitmap: regions.bitmap() }),
    RegionsInherit: (request) => {
      server.checkEpoch(request.epoch);
      regions.inherit(request.bitmap);
      return {};
    },
    RegionsSettled: (request) => {
      server.checkEpoch(request.epoch);
      regions.settled();
      return {};
    },
    HeadExtents: () => ({ bitmap: headExtents(server) }),
    RangeHash: async (request) => ({
      hashes: await rangeHash(server, request.offset, request.length, request.blockSize, request.key),
    }),
    AllocationGet: (request) => ({ runs: allocation(server, request.offset, request.length, request.runsMax) }),
    ReplicaSync: async () => {
      await server.serial(() => syncEverything(server));
      return {};
    },
    SnapshotPrepare: async (request, context) => {
      checkCallEpoch(server, context);
      await server.prepareSnapshot(request.name, request.user_created, request.created, request.labels);
      return {};
    },
  };
}
