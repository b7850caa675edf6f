/** Proxy calls on snapshots. */
import {
  cloneSnapshot,
  cloneStatus,
  controllerOf,
  hashSnapshot,
  hashStatus,
  listSnapshots,
  purgeSnapshots,
  purgeStatus,
  removeSnapshots,
} from '@longhorn/engine/client';
import type { ProxyEngineServiceMethods } from '@longhorn/shared-types/generated/imrpc';
import { Code, rpcError } from '@longhorn/shared-types/grpc/rpc-error';
import type { ServiceHandlers } from '@longhorn/shared-types/grpc/server';
import { required } from './data-engine.ts';
import { engineOf, onEngine, type ProxyContext } from './proxy-engine.ts';

type Handlers = ServiceHandlers<ProxyEngineServiceMethods>;
type Names =
  | 'VolumeSnapshot'
  | 'SnapshotList'
  | 'SnapshotRevert'
  | 'SnapshotPurge'
  | 'SnapshotPurgeStatus'
  | 'SnapshotClone'
  | 'SnapshotCloneStatus'
  | 'SnapshotRemove'
  | 'SnapshotHash'
  | 'SnapshotHashStatus';

export function proxySnapshot(context: ProxyContext): Pick<Handlers, Names> {
  return {
    VolumeSnapshot: async ({ proxy_engine_request: request, snapshot_volume: given }) => {
      const flow = engineOf(context, request);
      const snapshot = required(given, 'snapshot_volume');
      const reply = await onEngine(flow, `create snapshot ${snapshot.name} for volume`, () =>
        controllerOf(flow).VolumeSnapshot(snapshot),
      );
      return { snapshot: reply };
    },
    SnapshotList: async (request) => ({ disks: await listSnapshots(engineOf(context, request)) }),
    SnapshotRevert: async ({ proxy_engine_request: request, name }) => {
      const flow = engineOf(context, request);
      if (name === '') throw rpcError(Code.InvalidArgument, 'missing required argument: name');
      await onEngine(flow, `revert to snapshot ${name} for volume`, () => controllerOf(flow).VolumeRevert({ name }));
      return {};
    },
    SnapshotPurge: async ({ proxy_engine_request: request, skip_if_in_progress: skip }) => {
      await purgeSnapshots(engineOf(context, request), skip);
      return {};
    },
    SnapshotPurgeStatus: async (request) => ({ status: await purgeStatus(engineOf(context, request)) }),
    SnapshotClone: async (given) => {
      const flow = engineOf(context, given.proxy_engine_request);
      if (given.from_engine_address === '') {
        throw rpcError(Code.InvalidArgument, 'missing required argument: from_engine_address');
      }
      await cloneSnapshot(flow, {
        source: {
          connections: context.connections,
          address: given.from_engine_address,
          volumeName: given.from_volume_name,
          engineName: given.from_engine_name,
        },
        snapshotName: given.snapshot_name,
        exportBackingImageIfExist: given.export_backing_image_if_exist,
        fileSyncHttpTimeoutSeconds: given.file_sync_http_client_timeout,
        grpcTimeoutSeconds: given.grpc_timeout_seconds,
      });
      return {};
    },
    SnapshotCloneStatus: async (request) => ({ status: await cloneStatus(engineOf(context, request)) }),
    SnapshotRemove: async ({ proxy_engine_request: request, names }) => {
      await removeSnapshots(engineOf(context, request), names);
      return {};
    },
    SnapshotHash: async ({ proxy_engine_request: request, snapshot_name: name, rehash }) => {
      await hashSnapshot(engineOf(context, request), name, rehash);
      return {};
    },
    SnapshotHashStatus: async ({ proxy_engine_request: request, snapshot_name: name }) => ({
      status: await hashStatus(engineOf(context, request), name),
    }),
  };
}
