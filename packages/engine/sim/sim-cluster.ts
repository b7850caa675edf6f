/** Nodes, replicas and the network between processes; what cuts and kills do. */
import type { ReplicaServiceMethods } from '@longhorn/shared-types/generated/ptypes';
import { Code, rpcError } from '@longhorn/shared-types/grpc/rpc-error';
import type { Backends, ReplicaClient, SyncAgentClient } from '../src/controller/backends.ts';
import type { Random } from '../src/membership/random.ts';
import { SimLink } from './sim-link.ts';
import { SimNode, SimReplica } from './sim-node.ts';
import type { ProcessClock, SimTime } from './sim-time.ts';

const CALL_TIMEOUT_MS = 180_000;
const DELAY_MS_MAX = 3;
const REFUSED = 'connection error: desc = "transport: Error while dialing: connect: connection refused"';

/** Where an engine runs and which replica nodes it cannot reach. */
export interface Caller {
  readonly clock: ProcessClock;
  readonly node: SimNode;
  readonly epoch: number;
  readonly cutFrom: Set<SimNode>;
  readonly links: Set<SimLink>;
}

export class SimCluster {
  readonly nodes: SimNode[];
  readonly replicas: SimReplica[];
  readonly time: SimTime;
  readonly random: Random;
  private readonly log: (text: string) => void;

  constructor(
    time: SimTime,
    random: Random,
    nodeCount: number,
    replicaCount: number,
    sizeBytes: number,
    log: (text: string) => void,
  ) {
    this.time = time;
    this.random = random;
    this.log = log;
    this.nodes = Array.from({ length: nodeCount }, (_, index) => new SimNode(`n${index}`, random));
    this.replicas = this.nodes
      .slice(0, replicaCount)
      .map((node, index) => new SimReplica({ name: `r${index}`, node, time, random, sizeBytes, log }));
  }

  /** One more replica, on a node that has none. */
  addReplica(name: string, node: SimNode, sizeBytes: number): SimReplica {
    const { time, random, log } = this;
    const replica = new SimReplica({ name, node, time, random, sizeBytes, log });
    this.replicas.push(replica);
    return replica;
  }

  replicaAt(address: string): SimReplica {
    const replica = this.replicas.find((candidate) => addressOf(candidate) === address);
    if (!replica) throw new Error(`no replica at ${address}`);
    return replica;
  }

  reaches(caller: Caller, replica: SimReplica): boolean {
    return caller.node.isUp && replica.node.isUp && !caller.cutFrom.has(replica.node);
  }

  backends(caller: Caller): Backends {
    return {
      replica: (address) => this.client(caller, address),
      syncAgent: (address) => noSyncAgent(address),
      openLink: (address, _report, epoch) => this.openLink(caller, address, epoch),
    };
  }

  private openLink(caller: Caller, address: string, epoch: number): Promise<SimLink> {
    const replica = this.replicaAt(address);
    return new Promise((resolve, reject) => {
      caller.clock.after(this.random.next() * DELAY_MS_MAX, () => {
        const { process } = replica;
        if (!process || !this.reaches(caller, replica)) {
          caller.clock.after(this.reaches(caller, replica) ? 1 : 5000, () =>
            reject(new Error(`cannot connect to ${address}`)),
          );
          return;
        }
        const link: SimLink = new SimLink(
          {
            address,
            process,
            engine: caller.clock,
            epoch,
            random: this.random,
            delayMsMax: DELAY_MS_MAX,
            isConnected: () => this.reaches(caller, replica),
          },
          (error) => (error ? reject(error) : resolve(link)),
        );
        caller.links.add(link);
      });
    });
  }

  /** Calls as the network brings them: late, lost on the way there, or executed with the answer lost. */
  private client(caller: Caller, address: string): ReplicaClient {
    const call = (method: keyof ReplicaServiceMethods, request: object, timeoutMs: number): Promise<object> =>
      new Promise((resolve, reject) => {
        const giveUp = caller.clock.after(timeoutMs, () =>
          reject(rpcError(Code.DeadlineExceeded, 'context deadline exceeded')),
        );
        const later = (run: () => void): void => {
          caller.clock.after(this.random.next() * DELAY_MS_MAX, run);
        };
        const answer = (run: () => void): void => {
          later(() => {
            if (!this.reaches(caller, replica)) return;
            giveUp();
            run();
          });
        };
        const replica = this.replicaAt(address);
        later(() => {
          if (!this.reaches(caller, replica)) return;
          const { process } = replica;
          if (!process) return answer(() => reject(rpcError(Code.Unavailable, REFUSED)));
          process.clock.whenRunning(() => {
            process.call(method, request, caller.epoch).then(
              (response) => {
                if (process.isAlive) answer(() => resolve(response));
              },
              (error: unknown) => {
                if (process.isAlive)
                  answer(() => reject(error instanceof Error ? rpcError(codeOf(error), detailsOf(error)) : error));
              },
            );
          });
          return undefined;
        });
      });
    return new Proxy({} as ReplicaClient, {
      get: (_target, name) => {
        if (name === 'address') return address;
        if (name === 'close') return () => undefined;
        return (request: object, options: { timeoutMs?: number } = {}) =>
          call(name as keyof ReplicaServiceMethods, request, options.timeoutMs ?? CALL_TIMEOUT_MS);
      },
    });
  }

  /** The node's power is cut: its processes end, what its disk had not synced is lost. */
  cutPower(node: SimNode): void {
    this.log(`power of ${node.name} is cut`);
    for (const replica of this.replicas) if (replica.node === node) replica.kill();
    node.disk.cutPower();
    node.isUp = false;
  }
}

function codeOf(error: Error): number {
  return 'code' in error && typeof error.code === 'number' ? error.code : Code.Unknown;
}

function detailsOf(error: Error): string {
  return 'details' in error && typeof error.details === 'string' ? error.details : error.message;
}

export function addressOf(replica: SimReplica): string {
  return `tcp://${replica.name}`;
}

function noSyncAgent(address: string): SyncAgentClient {
  return new Proxy({} as SyncAgentClient, {
    get: (_target, name) => {
      if (name === 'close') return () => undefined;
      return () => Promise.reject(new Error(`no sync agent at ${address}`));
    },
  });
}
