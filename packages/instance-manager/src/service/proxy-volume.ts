/** Proxy calls that are one call of the engine. */
import { controllerOf } from '@longhorn/engine/client';
import type { EngineVolumeGetProxyResponse, ProxyEngineServiceMethods } from '@longhorn/shared-types/generated/imrpc';
import type { Volume } from '@longhorn/shared-types/generated/ptypes';
import { Code, rpcError } from '@longhorn/shared-types/grpc/rpc-error';
import type { ServiceHandlers } from '@longhorn/shared-types/grpc/server';
import { remountReadWrite } from '../node/mounts.ts';
import { required } from './data-engine.ts';
import { anyEngineOf, engineOf, onEngine, type ProxyContext } from './proxy-engine.ts';

type Handlers = ServiceHandlers<ProxyEngineServiceMethods>;
type Names =
  | 'ServerVersionGet'
  | 'VolumeGet'
  | 'VolumeWatch'
  | 'MembershipConfirm'
  | 'VolumeExpand'
  | 'VolumeFrontendStart'
  | 'VolumeFrontendShutdown'
  | 'VolumeUnmapMarkSnapChainRemovedSet'
  | 'VolumeSnapshotMaxCountSet'
  | 'VolumeSnapshotMaxSizeSet'
  | 'MetricsGet'
  | 'RemountReadOnlyVolume';

async function* volumeResponses(volumes: AsyncIterable<Volume>): AsyncGenerator<EngineVolumeGetProxyResponse> {
  for await (const volume of volumes) yield { volume };
}

type LimitNames = Extract<
  Names,
  'VolumeUnmapMarkSnapChainRemovedSet' | 'VolumeSnapshotMaxCountSet' | 'VolumeSnapshotMaxSizeSet'
>;

/** How many snapshots a volume may hold, how large, and whether an unmap reaches removed ones. */
function proxySnapshotLimits(context: ProxyContext): Pick<Handlers, LimitNames> {
  return {
    VolumeUnmapMarkSnapChainRemovedSet: async ({ proxy_engine_request: request, unmap_mark_snap: setting }) => {
      const flow = engineOf(context, request);
      const { enabled } = required(setting, 'unmap_mark_snap');
      await onEngine(flow, `set UnmapMarkSnapChainRemoved to ${enabled} for volume`, () =>
        controllerOf(flow).VolumeUnmapMarkSnapChainRemovedSet({ enabled }),
      );
      return {};
    },
    VolumeSnapshotMaxCountSet: async ({ proxy_engine_request: request, count: setting }) => {
      const flow = engineOf(context, request);
      const { count } = required(setting, 'count');
      await onEngine(flow, `set SnapshotMaxCount to ${count} for volume`, () =>
        controllerOf(flow).VolumeSnapshotMaxCountSet({ count }),
      );
      return {};
    },
    VolumeSnapshotMaxSizeSet: async ({ proxy_engine_request: request, size: setting }) => {
      const flow = engineOf(context, request);
      const { size } = required(setting, 'size');
      await onEngine(flow, `set SnapshotMaxSize to ${size} for volume`, () =>
        controllerOf(flow).VolumeSnapshotMaxSizeSet({ size }),
      );
      return {};
    },
  };
}

export function proxyVolume(context: ProxyContext): Pick<Handlers, Names> {
  return {
    ServerVersionGet: async (request) => {
      const flow = anyEngineOf(context, request);
      return onEngine(flow, 'get version detail', () => controllerOf(flow).VersionDetailGet({}));
    },
    VolumeGet: async (request) => {
      const flow = engineOf(context, request);
      return { volume: await onEngine(flow, 'get volume', () => controllerOf(flow).VolumeGet({})) };
    },
    VolumeWatch: (request, { signal }) => {
      const flow = engineOf(context, request);
      return volumeResponses(controllerOf(flow).VolumeWatch({}, { signal }));
    },
    MembershipConfirm: async ({ proxy_engine_request: request, confirm }) => {
      const flow = engineOf(context, request);
      const answer = required(confirm, 'confirm');
      await onEngine(flow, 'confirm membership for volume', () => controllerOf(flow).MembershipConfirm(answer));
      return {};
    },
    VolumeExpand: async ({ proxy_engine_request: request, expand }) => {
      const flow = engineOf(context, request);
      const { size } = required(expand, 'expand');
      await onEngine(flow, `expand to size ${size} for volume`, () => controllerOf(flow).VolumeExpand({ size }));
      return {};
    },
    VolumeFrontendStart: async ({ proxy_engine_request: request, frontend_start: start }) => {
      const flow = engineOf(context, request);
      const { frontend } = required(start, 'frontend_start');
      await onEngine(flow, `start frontend ${frontend} for volume`, () =>
        controllerOf(flow).VolumeFrontendStart({ frontend }),
      );
      return {};
    },
    VolumeFrontendShutdown: async (request) => {
      const flow = engineOf(context, request);
      await onEngine(flow, 'shutdown frontend for volume', () => controllerOf(flow).VolumeFrontendShutdown({}));
      return {};
    },
    ...proxySnapshotLimits(context),
    MetricsGet: async (request) => {
      const flow = engineOf(context, request);
      return onEngine(flow, 'get metrics for volume', () => controllerOf(flow).MetricsGet({}));
    },
    RemountReadOnlyVolume: async ({ volume_name: volume }) => {
      if (volume === '') throw rpcError(Code.InvalidArgument, 'missing required argument: volume_name');
      await remountReadWrite(volume, context.hostRoot);
      return {};
    },
  };
}
