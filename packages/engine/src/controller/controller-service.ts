/** `ptypes.ControllerService`: one handler per RPC, each a call of the engine. */
import { Code, rpcError } from '@longhorn/shared-types/grpc/rpc-error';
import type { ServiceHandlers } from '@longhorn/shared-types/grpc/server';
import type { ControllerServiceMethods } from '@longhorn/shared-types/generated/ptypes';
import { VERSIONS } from './versions.ts';
import type { VolumeEngine } from './volume-engine.ts';
import { modeFromWire, replicaMessage, replicaMessages, volumeMessage } from './volume-message.ts';
import { VolumeWatchers } from './volume-watch.ts';

type Handlers = Partial<ServiceHandlers<ControllerServiceMethods>>;

export function controllerHandlers(engine: VolumeEngine, printJournal: (limit: number) => void): Handlers {
  return { ...volumeHandlers(engine), ...replicaHandlers(engine), ...observingHandlers(engine, printJournal) };
}

function volumeHandlers(engine: VolumeEngine): Handlers {
  const answer = () => volumeMessage(engine);
  return {
    VolumeGet: answer,
    VolumeStart: async ({ replicaAddresses, size, currentSize }) => {
      await engine.start(replicaAddresses, size, currentSize);
      return answer();
    },
    VolumeShutdown: async () => {
      await engine.shutdown();
      return answer();
    },
    VolumeSnapshot: async ({ name, labels, freezeFilesystem }) => ({
      name: await engine.snapshot(name, labels, freezeFilesystem),
    }),
    VolumeRevert: async ({ name }) => {
      await engine.revert(name);
      return answer();
    },
    VolumeExpand: ({ size }) => {
      engine.expand(size);
      return answer();
    },
    VolumeFrontendStart: async ({ frontend }) => {
      await engine.frontend.start(frontend);
      return answer();
    },
    VolumeFrontendShutdown: async () => {
      await engine.frontend.down();
      return answer();
    },
    VolumeUnmapMarkSnapChainRemovedSet: async ({ enabled }) => {
      await engine.setUnmapMark(enabled);
      return answer();
    },
    VolumeSnapshotMaxCountSet: async ({ count }) => {
      await engine.setSnapshotMaxCount(count);
      return answer();
    },
    VolumeSnapshotMaxSizeSet: async ({ size }) => {
      await engine.setSnapshotMaxSize(size);
      return answer();
    },
    MembershipConfirm: ({ epoch, count, confirmed, reason }) => {
      engine.confirmMembership(epoch, count, confirmed, reason);
      return answer();
    },
  };
}

function replicaHandlers(engine: VolumeEngine): Handlers {
  const { context } = engine;
  return {
    ReplicaList: () => ({ replicas: replicaMessages(engine) }),
    ReplicaGet: ({ address }) => {
      const entry = context.replicas.get(address);
      return entry ? replicaMessage(entry) : {};
    },
    ControllerReplicaCreate: async ({ address, snapshot_required: snapshotRequired, mode }) => {
      const entry = await engine.createReplica(address, snapshotRequired, modeFromWire(mode));
      return replicaMessage(entry);
    },
    ReplicaDelete: async ({ address }) => {
      await engine.removeReplica(address);
      return {};
    },
    ReplicaUpdate: async ({ address, mode }) => {
      const entry = await engine.updateReplica(address?.address ?? '', modeFromWire(mode));
      return entry ? replicaMessage(entry) : {};
    },
    ReplicaPrepareRebuild: async ({ address, instanceName }) => {
      requireInstance(engine, address, instanceName);
      const files = await engine.prepareRebuild(address);
      const entry = context.replicas.get(address);
      return { replica: entry ? replicaMessage(entry) : null, sync_file_info_list: files };
    },
    ReplicaVerifyRebuild: async ({ address, instanceName }) => {
      requireInstance(engine, address, instanceName);
      return replicaMessage(await engine.verifyRebuild(address));
    },
  };
}

/** An address may have gone from one replica to another: a caller that names an instance means no other ('' = any). */
function requireInstance({ context }: VolumeEngine, address: string, instanceName: string): void {
  const entry = context.replicas.get(address);
  if (instanceName === '' || !entry || entry.name === entry.address || entry.name === instanceName) return;
  throw rpcError(Code.FailedPrecondition, `incorrect instance name ${instanceName}; check replica address`);
}

function observingHandlers(engine: VolumeEngine, printJournal: (limit: number) => void): Handlers {
  const watchers = new VolumeWatchers(engine);
  return {
    VolumeWatch: (_request, { signal }) => watchers.watch(signal),
    JournalList: ({ limit }) => {
      printJournal(limit);
      return {};
    },
    VersionDetailGet: () => ({ version: VERSIONS }),
    MetricsGet: () => {
      const metrics = engine.context.core.metrics();
      const { readThroughput, writeThroughput, readLatency, writeLatency, readIops, writeIops } = metrics;
      return {
        metrics: {
          readThroughput: Math.round(readThroughput),
          writeThroughput: Math.round(writeThroughput),
          readLatency: Math.round(readLatency),
          writeLatency: Math.round(writeLatency),
          readIOPS: Math.round(readIops),
          writeIOPS: Math.round(writeIops),
        },
      };
    },
  };
}
