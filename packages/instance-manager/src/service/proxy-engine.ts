/** From a proxy request to the engine that it means. */
import type { EngineFlow } from '@longhorn/engine/client';
import type { ProxyEngineRequest } from '@longhorn/shared-types/generated/imrpc';
import { dialAddress } from '@longhorn/shared-types/grpc/address';
import type { ClientCache } from '@longhorn/shared-types/grpc/client-cache';
import { Code, rpcError, withPrefix } from '@longhorn/shared-types/grpc/rpc-error';
import { required, requireV1 } from './data-engine.ts';

export interface ProxyContext {
  readonly connections: ClientCache;
  /** prefix of the host's file system */
  readonly hostRoot: string;
}

/** The engine of a request, not yet looked at which data engine it names. */
export function anyEngineOf(context: ProxyContext, request: ProxyEngineRequest | null): EngineFlow {
  const { address, volume_name: volumeName, engine_name: engineName } = required(request, 'proxy_engine_request');
  if (address === '') throw rpcError(Code.InvalidArgument, 'missing required argument: address');
  return { connections: context.connections, address, volumeName, engineName };
}

/** The v1 engine of a request; throws for another data engine. */
export function engineOf(context: ProxyContext, request: ProxyEngineRequest | null): EngineFlow {
  requireV1(required(request, 'proxy_engine_request').data_engine);
  return anyEngineOf(context, request);
}

/** `failed to <action> <engine address>: …` around what `work` throws. */
export function onEngine<T>(flow: EngineFlow, action: string, work: () => Promise<T>): Promise<T> {
  return withPrefix(`failed to ${action} ${dialAddress(flow.address)}`, work);
}
