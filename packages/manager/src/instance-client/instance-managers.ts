/**
 * Calls to the instance managers of all nodes: their processes (instance service, port 8503) and the engines behind
 * their proxy (port 8501). Connections are kept; each call has a limit.
 */
import type { Engine, InstanceManager } from '@longhorn/shared-types';
import { ClientCache } from '@longhorn/shared-types/grpc/client-cache';
import { createClient, type MessageStream, type ServiceCalls } from '@longhorn/shared-types/grpc/client';
import { Code, RpcError } from '@longhorn/shared-types/grpc/rpc-error';
import type { TlsFiles } from '@longhorn/shared-types/grpc/tls';
import type { Empty } from '@longhorn/shared-types/generated/google-protobuf';
import {
  InstanceService,
  ProxyEngineService,
  type InstanceResponse,
  type InstanceServiceMethods,
  type ProxyEngineServiceMethods,
} from '@longhorn/shared-types/generated/imrpc';
import type { MembershipRecord, Volume as EngineVolume } from '@longhorn/shared-types/generated/ptypes';
import type { VersionResponse } from '@longhorn/shared-types/generated/nameless';
import { limits } from '../limits.ts';

export const INSTANCE_SERVICE_PORT = 8503;
export const PROXY_PORT = 8501;
const QUICK = { timeoutMs: limits.instanceCallTimeoutMs };

export type { EngineVolume, InstanceResponse, MembershipRecord };

export interface InstanceSpecInput {
  name: string;
  type: 'engine' | 'replica';
  volumeName: string;
  binary: string;
  args: string[];
  ports: { count: number; args: readonly string[] };
}

/** The engine of a proxy call. */
export interface EngineTarget {
  /** IP of the instance manager whose proxy is asked. */
  proxyIp: string;
  address: string;
  engineName: string;
  volumeName: string;
}

function hostPort(ip: string, port: number): string {
  return `tcp://${ip.includes(':') ? `[${ip}]` : ip}:${port}`;
}

/** Null unless the engine's process runs somewhere that can be asked. */
export function engineTarget(engine: Engine, manager: InstanceManager | null): EngineTarget | null {
  const { storageIP, port, currentState } = engine.status;
  if (currentState !== 'running' || storageIP === '' || port === 0 || manager === null || manager.status.ip === '')
    return null;
  const host = storageIP.includes(':') ? `[${storageIP}]` : storageIP;
  return {
    proxyIp: manager.status.ip,
    address: `${host}:${port}`,
    engineName: engine.metadata.name,
    volumeName: engine.spec.volumeName,
  };
}

/** The peer says that there is no such thing. */
export function isMissing(error: unknown): boolean {
  return error instanceof RpcError && (error.code === Code.NotFound || error.message.includes('cannot find'));
}

export function isExisting(error: unknown): boolean {
  return error instanceof RpcError && (error.code === Code.AlreadyExists || error.message.includes('already exists'));
}

function proxyRequest({ address, engineName, volumeName }: EngineTarget): object {
  return { address, engine_name: engineName, volume_name: volumeName, data_engine: 0, backend_store_driver: 0 };
}

/** What the controllers ask of an engine. */
export type EngineCalls = Pick<
  ServiceCalls<ProxyEngineServiceMethods>,
  | 'SnapshotList'
  | 'SnapshotRemove'
  | 'SnapshotPurge'
  | 'SnapshotPurgeStatus'
  | 'SnapshotClone'
  | 'SnapshotCloneStatus'
  | 'VolumeSnapshot'
  | 'VolumeExpand'
  | 'VolumeUnmapMarkSnapChainRemovedSet'
  | 'VolumeSnapshotMaxCountSet'
  | 'VolumeSnapshotMaxSizeSet'
  | 'ReplicaAdd'
  | 'ReplicaRemove'
  | 'ReplicaRebuildingStatus'
  | 'MembershipConfirm'
>;

/** What the controllers ask of instance managers: answered by real ones here, by a simulated world in tests. */
export interface InstanceManagerCalls extends Pick<
  InstanceManagers,
  'version' | 'list' | 'watch' | 'get' | 'create' | 'delete' | 'watchVolume' | 'request' | 'plainRequest'
> {
  proxy: (target: EngineTarget) => EngineCalls;
}

export class InstanceManagers {
  readonly #clients: ClientCache;
  readonly #tls: TlsFiles | null;

  constructor(tls: TlsFiles | null) {
    this.#tls = tls;
    this.#clients = new ClientCache(tls === null ? {} : { tls });
  }

  close(): void {
    this.#clients.close();
  }

  #instances(ip: string): ServiceCalls<InstanceServiceMethods> {
    return this.#clients.get(InstanceService, hostPort(ip, INSTANCE_SERVICE_PORT));
  }

  proxy(target: EngineTarget): ServiceCalls<ProxyEngineServiceMethods> {
    return this.#clients.get(ProxyEngineService, hostPort(target.proxyIp, PROXY_PORT));
  }

  version(ip: string): Promise<VersionResponse> {
    return this.#instances(ip).VersionGet({}, QUICK);
  }

  async list(ip: string): Promise<Record<string, InstanceResponse>> {
    return (await this.#instances(ip).InstanceList({}, QUICK)).instances;
  }

  /** A stream of its own connection, with pings, so that a dead node is noticed. */
  watch(ip: string, signal: AbortSignal): MessageStream<Empty> {
    const client = createClient(InstanceService, hostPort(ip, INSTANCE_SERVICE_PORT), {
      keepalive: true,
      ...(this.#tls === null ? {} : { tls: this.#tls }),
    });
    signal.addEventListener('abort', () => client.close(), { once: true });
    return client.InstanceWatch({}, { signal });
  }

  /** Null if the instance manager has no such process. */
  async get(ip: string, name: string, type: 'engine' | 'replica'): Promise<InstanceResponse | null> {
    try {
      return await this.#instances(ip).InstanceGet({ name, type, data_engine: 0, backend_store_driver: 0 }, QUICK);
    } catch (error) {
      if (isMissing(error)) return null;
      throw error;
    }
  }

  /** A process of that name that is there already is left as it is. */
  async create(ip: string, spec: InstanceSpecInput): Promise<void> {
    try {
      await this.#instances(ip).InstanceCreate({
        spec: {
          name: spec.name,
          type: spec.type,
          volume_name: spec.volumeName,
          port_count: spec.ports.count,
          port_args: [...spec.ports.args],
          process_instance_spec: { binary: spec.binary, args: spec.args },
          data_engine: 0,
          backend_store_driver: 0,
        },
      });
    } catch (error) {
      if (!isExisting(error)) throw error;
    }
  }

  /** Only the process with this UUID, if one is given; one that is gone is fine. */
  async delete(
    ip: string,
    name: string,
    type: 'engine' | 'replica',
    options: { uuid: string; keepDevice: boolean },
  ): Promise<void> {
    try {
      await this.#instances(ip).InstanceDelete({
        name,
        type,
        uuid: options.uuid,
        keepDevice: options.keepDevice,
        cleanup_required: true,
        data_engine: 0,
        backend_store_driver: 0,
      });
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
  }

  async setLogLevel(ip: string, level: string): Promise<void> {
    await this.#instances(ip).LogSetLevel({ data_engine: 0, level }, QUICK);
  }

  /** Changes of the engine as they happen, the present state first. */
  watchVolume(target: EngineTarget, signal: AbortSignal): MessageStream<{ volume: EngineVolume | null }> {
    const client = createClient(ProxyEngineService, hostPort(target.proxyIp, PROXY_PORT), {
      keepalive: true,
      ...(this.#tls === null ? {} : { tls: this.#tls }),
    });
    signal.addEventListener('abort', () => client.close(), { once: true });
    return client.VolumeWatch(proxyRequest(target), { signal });
  }

  request(target: EngineTarget): { proxy_engine_request: object } {
    return { proxy_engine_request: proxyRequest(target) };
  }

  plainRequest(target: EngineTarget): object {
    return proxyRequest(target);
  }
}
