/** `ptypes.SyncAgentService`: requests checked and handed to the sync agent. Backup RPCs are not served yet: Unimplemented. */
import type { SyncAgentServiceMethods } from '@longhorn/shared-types/generated/ptypes';
import type { ServiceHandlers } from '@longhorn/shared-types/grpc/server';
import type { SyncAgent } from './sync-agent.ts';

/** Handlers of the RPCs that are served. */
export function syncAgentHandlers(agent: SyncAgent): Partial<ServiceHandlers<SyncAgentServiceMethods>> {
  return {
    ...fileHandlers(agent),
    ...jobHandlers(agent),
    ...hashHandlers(agent),
    RestoreStatus: () => ({}),
    Reset: () => {
      agent.reset();
      return {};
    },
  };
}

function fileHandlers(agent: SyncAgent): Partial<ServiceHandlers<SyncAgentServiceMethods>> {
  return {
    FileRemove: async (request) => {
      await agent.removeFile(request.file_name);
      return {};
    },
    FileRename: async (request) => {
      await agent.renameFile(request.old_file_name, request.new_file_name);
      return {};
    },
    FileSend: async (request) => {
      const timeout = request.file_sync_http_client_timeout;
      await agent.sendFile(request.from_file_name, request.host, request.port, request.fast_sync, timeout);
      return {};
    },
    FilesSync: async (request) => {
      await agent.syncFiles({
        fromAddress: request.from_address,
        toHost: request.to_host,
        files: request.sync_file_info_list,
        isFast: request.fast_sync,
        httpTimeoutSeconds: request.file_sync_http_client_timeout,
        callTimeoutSeconds: request.grpc_timeout_seconds,
      });
      return {};
    },
    ReceiverLaunch: async (request) => ({
      port: (await agent.launchReceiver(request.to_file_name)).port,
    }),
    VolumeExport: async (request) => {
      await agent.exportVolume(
        request.snapshot_file_name,
        request.host,
        request.port,
        request.export_backing_image_if_exist,
        request.file_sync_http_client_timeout,
      );
      return {};
    },
  };
}

function jobHandlers(agent: SyncAgent): Partial<ServiceHandlers<SyncAgentServiceMethods>> {
  return {
    SnapshotPurge: () => {
      agent.startPurge();
      return {};
    },
    SnapshotPurgeStatus: () => {
      const { isRunning, error, progress, state } = agent.purgeStatus;
      return { is_purging: isRunning, error, progress, state };
    },
    ReplicaRebuildStatus: () => {
      const { isRunning, error, progress, state, fromAddress, ...bytes } = agent.rebuildStatus;
      return {
        is_rebuilding: isRunning,
        error,
        progress,
        state,
        from_replica_address: fromAddress,
        bytes_done: bytes.bytesDone,
        bytes_total: bytes.bytesTotal,
        bytes_written: bytes.bytesWritten,
        paused: agent.rebuildControl.isPaused,
        bytes_per_second_max: agent.rebuildControl.limit,
      };
    },
    ReplicaRebuildPause: ({ paused }) => {
      agent.pauseRebuild(paused);
      return {};
    },
    ReplicaRebuildLimit: ({ bytes_per_second: bytesPerSecond }) => {
      agent.limitRebuild(bytesPerSecond);
      return {};
    },
    SnapshotClone: async (request) => {
      await agent.clone.run({
        fromAddress: request.from_address,
        fromVolume: request.from_volume_name,
        toHost: request.to_host,
        snapshot: request.snapshot_file_name,
        httpTimeoutSeconds: request.file_sync_http_client_timeout,
        engineReverts: request.engine_reverts,
      });
      return {};
    },
    SnapshotCloneStatus: () => {
      const { isRunning, error, progress, state, fromAddress, snapshot } = agent.clone.report();
      return {
        is_cloning: isRunning,
        error,
        progress,
        state,
        from_replica_address: fromAddress,
        snapshot_name: snapshot,
      };
    },
  };
}

function hashHandlers(agent: SyncAgent): Partial<ServiceHandlers<SyncAgentServiceMethods>> {
  return {
    SnapshotHash: (request) => {
      agent.hasher.start(request.snapshot_name, request.rehash);
      return {};
    },
    SnapshotHashStatus: async (request) => {
      const { state, checksum, error, isSilentlyCorrupted } = await agent.hasher.status(request.snapshot_name);
      return { state, checksum, error, silently_corrupted: isSilentlyCorrupted };
    },
    SnapshotHashCancel: (request) => {
      agent.hasher.cancel(request.snapshot_name);
      return {};
    },
    SnapshotHashLockState: async () => ({ is_locked: await agent.hasher.isLocked() }),
  };
}
