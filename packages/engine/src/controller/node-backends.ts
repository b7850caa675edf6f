/** Replicas over the network: gRPC on their port, data on the port after it or on a unix socket of this pod. */
import { existsSync } from 'node:fs';
import { ReplicaService, SyncAgentService } from '@longhorn/shared-types/generated/ptypes';
import { joinHostPort, splitHostPort } from '@longhorn/shared-types/grpc/address';
import { createClient } from '@longhorn/shared-types/grpc/client';
import type { Backends } from './backends.ts';
import { isPeerSilent } from '../io/node/tcp-silence.ts';
import { OPEN_TIMEOUT_MS } from './control-limits.ts';
import { nodeClock } from './core/node-clock.ts';
import { openReplicaLink, type ReplicaTarget } from './core/replica-link.ts';
import type { ReplicaReport } from './replica-report.ts';

const DATA_PORT_OFFSET = 1;
const SYNC_AGENT_PORT_OFFSET = 2;
const LOOPBACK_HOSTS = new Set(['localhost', '127.0.0.1', '::1']);

export interface BackendOptions {
  readonly volumeName: string;
  /** sent with every call: a replica that knows a higher one refuses changes */
  readonly epoch: number;
  /** address of this pod; "" = not told */
  readonly podIp: string;
  /** socket of upstream's `--data-server-protocol unix`; null = TCP */
  readonly unixDataSocket: string | null;
}

export function nodeBackends(options: BackendOptions): Backends {
  const identity = (instanceName: string) => ({
    volumeName: options.volumeName,
    instanceName,
    epoch: options.epoch,
  });
  return {
    replica: (address, instanceName) => createClient(ReplicaService, address, { identity: identity(instanceName) }),
    syncAgent: (address, instanceName) => {
      const { host, port } = splitHostPort(address);
      const agent = joinHostPort(host, port + SYNC_AGENT_PORT_OFFSET);
      return createClient(SyncAgentService, agent, { identity: identity(instanceName) });
    },
    openLink: (address, report, epoch) =>
      openReplicaLink({
        target: dataTarget(options, address, report),
        address,
        capabilities: report.capabilities,
        epoch,
        clock: nodeClock,
        timeoutMs: OPEN_TIMEOUT_MS,
        isPeerSilent,
      }),
  };
}

/** The unix socket only of a replica at this pod's own address: the same path may be another replica's elsewhere. */
function dataTarget(options: BackendOptions, address: string, report: ReplicaReport): ReplicaTarget {
  if (options.unixDataSocket !== null) return { path: options.unixDataSocket };
  const { host, port } = splitHostPort(address);
  const isOwnPod = host === options.podIp || LOOPBACK_HOSTS.has(host);
  if (isOwnPod && report.dataSocketPath !== '' && existsSync(report.dataSocketPath)) {
    return { path: report.dataSocketPath };
  }
  return { host, port: port + DATA_PORT_OFFSET };
}
