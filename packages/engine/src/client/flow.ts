/**
 * What the flows of this folder work on: one engine and the replicas that it names.
 *
 * Flows drive upstream's and our engines alike: they speak upstream's RPCs, and ours only where the peer says that
 * it knows them. Connections come from a cache and stay open between flows.
 */
import type { ClientCache } from '@longhorn/shared-types/grpc/client-cache';
import type { CallOptions, ServiceCalls } from '@longhorn/shared-types/grpc/client';
import { dialAddress, joinHostPort, splitHostPort } from '@longhorn/shared-types/grpc/address';
import { Code, errorText, rpcError, RpcError, withPrefix } from '@longhorn/shared-types/grpc/rpc-error';
import {
  ControllerService,
  ReplicaMode,
  ReplicaService,
  SyncAgentService,
  type ControllerReplica,
  type ControllerServiceMethods,
  type Replica,
  type ReplicaServiceMethods,
  type SyncAgentServiceMethods,
} from '@longhorn/shared-types/generated/ptypes';
import { LONG_CALL_TIMEOUT_MS, QUICK_CALL_TIMEOUT_MS, SYNC_AGENT_PORT_OFFSET } from './limits.ts';

export interface EngineFlow {
  readonly connections: ClientCache;
  /** gRPC address of the engine, with or without `tcp://` */
  readonly address: string;
  /** "" = no identity check */
  readonly volumeName: string;
  /** "" = no identity check */
  readonly engineName: string;
}

export function controllerOf(flow: EngineFlow, options: CallOptions = {}): ServiceCalls<ControllerServiceMethods> {
  const identity = { volumeName: flow.volumeName, instanceName: flow.engineName };
  return flow.connections.get(ControllerService, dialAddress(flow.address), { identity, ...options });
}

function replicaOptions(flow: EngineFlow, instanceName: string, options: CallOptions): CallOptions {
  return { identity: { volumeName: flow.volumeName, instanceName }, ...options };
}

/** Replica service at `address`; `instanceName` "" = no check of it. */
export function replicaOf(
  flow: EngineFlow,
  address: string,
  instanceName = '',
  options: CallOptions = {},
): ServiceCalls<ReplicaServiceMethods> {
  const call = replicaOptions(flow, instanceName, options);
  return flow.connections.get(ReplicaService, dialAddress(address), call);
}

/** Sync agent of the replica at `address`. */
export function syncAgentOf(
  flow: EngineFlow,
  address: string,
  instanceName = '',
  options: CallOptions = {},
): ServiceCalls<SyncAgentServiceMethods> {
  const call = replicaOptions(flow, instanceName, options);
  return flow.connections.get(SyncAgentService, syncAgentAddress(address), call);
}

/** `tcp://HOST:PORT` of a replica -> `HOST:PORT+2`. */
export function syncAgentAddress(replicaAddress: string): string {
  const { host, port } = splitHostPort(replicaAddress);
  return joinHostPort(host, port + SYNC_AGENT_PORT_OFFSET);
}

/** Limit of a call that copies data: the caller's, else a day. */
export function longCallOptions(grpcTimeoutSeconds: number): CallOptions {
  return { timeoutMs: grpcTimeoutSeconds > 0 ? grpcTimeoutSeconds * 1_000 : LONG_CALL_TIMEOUT_MS };
}

/** A replica of the engine's list, its address unwrapped. */
export interface ListedReplica {
  /** `tcp://HOST:PORT`, key of all operations on it */
  readonly address: string;
  readonly mode: ReplicaMode;
  readonly instanceName: string;
  /** why it is ERR; "" if unknown */
  readonly reason: string;
}

export function listedReplica(replica: ControllerReplica): ListedReplica {
  if (!replica.address) throw rpcError(Code.Internal, 'engine listed a replica without an address');
  const { address } = replica.address;
  return { address, mode: replica.mode, instanceName: replica.instanceName, reason: replica.reason };
}

/** The engine's replicas in its order. */
export async function listReplicas(flow: EngineFlow): Promise<ListedReplica[]> {
  return withPrefix(`failed to list replicas for volume ${dialAddress(flow.address)}`, async () => {
    const { replicas } = await controllerOf(flow).ReplicaList({});
    return replicas.map(listedReplica);
  });
}

/** State of a replica; an empty answer (upstream's way to say that it is gone) is NotFound. */
export async function getReplica(flow: EngineFlow, address: string, instanceName = ''): Promise<Replica> {
  return withPrefix(`failed to get replica ${dialAddress(address)}`, async () => {
    const { replica } = await replicaOf(flow, address, instanceName).ReplicaGet(
      {},
      { timeoutMs: QUICK_CALL_TIMEOUT_MS },
    );
    if (!replica) throw rpcError(Code.NotFound, `cannot find replica ${address}`);
    return replica;
  });
}

/** `RW`, `WO`, `ERR`. */
export function modeName(mode: ReplicaMode): string {
  const found = Object.entries(ReplicaMode).find(([, number]) => number === mode);
  return found ? found[0] : String(mode);
}

/** Runs `work` for every replica at once; failures of several become one error `<address>: <text>; …`. */
export async function onEveryReplica(
  replicas: readonly ListedReplica[],
  work: (replica: ListedReplica) => Promise<void>,
): Promise<void> {
  const outcomes = await Promise.allSettled(replicas.map(work));
  const failures: string[] = [];
  outcomes.forEach((outcome, index) => {
    const address = replicas[index]?.address ?? '';
    if (outcome.status === 'rejected') failures.push(`${address}: ${errorText(outcome.reason)}`);
  });
  if (failures.length > 0) throw new Error(failures.join('; '));
}

/** A status per replica address; what `read` throws is turned into a status by `failed`. */
export async function statusOfEvery<Status>(
  replicas: readonly ListedReplica[],
  read: (replica: ListedReplica) => Promise<Status>,
  failed: (replica: ListedReplica, text: string) => Status,
): Promise<Record<string, Status>> {
  const entries = replicas.map(async (replica): Promise<[string, Status]> => {
    try {
      return [replica.address, await read(replica)];
    } catch (error) {
      return [replica.address, failed(replica, errorText(error))];
    }
  });
  return Object.fromEntries(await Promise.all(entries));
}

/** Whether the peer does not know the RPC. */
export function isUnimplemented(error: unknown): boolean {
  return error instanceof RpcError && error.code === Code.Unimplemented;
}
