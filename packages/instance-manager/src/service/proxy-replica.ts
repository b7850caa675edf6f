/** Proxy calls on replicas. */
import {
  addReplica,
  addRestoreReplica,
  changeRebuilds,
  controllerOf,
  rebuildingStatus,
  verifyRebuild,
  type ReplicaAddition,
} from '@longhorn/engine/client';
import type { EngineReplicaAddRequest, ProxyEngineServiceMethods } from '@longhorn/shared-types/generated/imrpc';
import { Code, rpcError } from '@longhorn/shared-types/grpc/rpc-error';
import type { ServiceHandlers } from '@longhorn/shared-types/grpc/server';
import { engineOf, onEngine, type ProxyContext } from './proxy-engine.ts';

const MEBIBYTE = 1 << 20;

type Handlers = ServiceHandlers<ProxyEngineServiceMethods>;
type Names =
  | 'ReplicaAdd'
  | 'ReplicaList'
  | 'ReplicaRebuildingStatus'
  | 'ReplicaRebuildingQosSet'
  | 'ReplicaVerifyRebuild'
  | 'ReplicaRemove'
  | 'ReplicaModeUpdate';

function requireAddress(address: string): void {
  if (address === '') throw rpcError(Code.InvalidArgument, 'missing required argument: replica_address');
}

function addition(request: EngineReplicaAddRequest): ReplicaAddition {
  requireAddress(request.replica_address);
  const local = request.local_sync;
  return {
    address: request.replica_address,
    instanceName: request.replica_name,
    size: request.size,
    currentSize: request.current_size,
    fastSync: request.fast_sync,
    fileSyncHttpTimeoutSeconds: request.file_sync_http_client_timeout,
    grpcTimeoutSeconds: request.grpc_timeout_seconds,
    localSync: local ? { sourcePath: local.source_path, targetPath: local.target_path } : null,
  };
}

export function proxyReplica(context: ProxyContext): Pick<Handlers, Names> {
  return {
    // The rebuild goes on when the caller goes away (a manager that restarts): its outcome is in the engine's list.
    ReplicaAdd: async (request) => {
      const flow = engineOf(context, request.proxy_engine_request);
      const replica = addition(request);
      await (request.restore ? addRestoreReplica(flow, replica) : addReplica(flow, replica));
      return {};
    },
    ReplicaList: async (request) => {
      const flow = engineOf(context, request);
      return {
        replica_list: await onEngine(flow, 'list replicas for volume', () => controllerOf(flow).ReplicaList({})),
      };
    },
    ReplicaRebuildingStatus: async (request) => ({ status: await rebuildingStatus(engineOf(context, request)) }),
    // Of all rebuilds of the volume; one that begins later begins without.
    ReplicaRebuildingQosSet: async ({ proxy_engine_request: request, qos_limit_mbps: limit }) => {
      const flow = engineOf(context, request);
      if (limit < 0) throw rpcError(Code.InvalidArgument, `qos_limit_mbps ${limit}: must be 0 (no limit) or above`);
      await changeRebuilds(flow, '', { isPaused: null, bytesPerSecond: limit * MEBIBYTE });
      return {};
    },
    ReplicaVerifyRebuild: async ({ proxy_engine_request: request, replica_address: address, replica_name: name }) => {
      const flow = engineOf(context, request);
      requireAddress(address);
      await verifyRebuild(flow, address, name);
      return {};
    },
    ReplicaRemove: async ({ proxy_engine_request: request, replica_address: address }) => {
      const flow = engineOf(context, request);
      requireAddress(address);
      await onEngine(flow, `delete replica ${address} for volume`, () => controllerOf(flow).ReplicaDelete({ address }));
      return {};
    },
    ReplicaModeUpdate: async ({ proxy_engine_request: request, replica_address: address, mode }) => {
      const flow = engineOf(context, request);
      requireAddress(address);
      await onEngine(flow, `update replica ${address} mode for volume`, () =>
        controllerOf(flow).ReplicaUpdate({ address: { address }, mode }),
      );
      return {};
    },
  };
}
