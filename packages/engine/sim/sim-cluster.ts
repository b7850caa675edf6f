/** Nodes, replicas and the network between processes; what cuts and kills do. */
import type { ReplicaServiceMethods } from '@longhorn/shared-types/generated/ptypes';
import { Code, rpcError } from '@longhorn/shared-types/grpc/rpc-error';
import type { Backends, ReplicaClient, SyncAgentClient } from '../src/controller/backends.ts';
import type { Random } from '../src/membership/random.ts';
import { noFaults, type FaultCount } from './fault-count.ts';
import { SimLink } from './sim-link.ts';
import { SimNode, SimReplica } from './sim-node.ts';
import type { ProcessClock, SimTime } from './sim-time.ts';

const CALL_TIMEOUT_MS = 180_000;
const DELAY_MS_MAX = 3;
const CLOSED = 'error reading from server: EOF';
const REFUSED = 'connection error: desc = "transport: Error while dialing: connect: connection refused"';

/** Where an engine runs, and what the network does between it and the nodes of replicas. */
export interface Caller {
  readonly clock: ProcessClock;
  readonly node: SimNode;
  readonly epoch: number;
  /** no packet passes */
  readonly cutFrom: Set<SimNode>;
  /** what it sends does not arrive there */
  readonly muteTo: Set<SimNode>;
  /** what is sent from there does not arrive at it */
  readonly deafTo: Set<SimNode>;
  /** packets take up to this many milliseconds longer */
  readonly slowTo: Map<SimNode, number>;
  readonly links: Set<SimLink>;
}

export class SimCluster {
  readonly nodes: SimNode[];
  readonly replicas: SimReplica[];
  readonly time: SimTime;
  readonly random: Random;
  readonly faults: FaultCount = noFaults();
  /** a build whose replicas have one hash for everything: a canary */
  comparesNothing = false;
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
    this.nodes = Array.from({ length: nodeCount }, (_, index) => new SimNode(`n${index}`, random, this.faults));
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
    return this.sends(caller, replica) && this.hears(caller, replica);
  }

  /** Packets to the replica arrive. */
  sends(caller: Caller, { node }: SimReplica): boolean {
    return this.isConnected(caller, node) && !caller.muteTo.has(node);
  }

  /** Packets from the replica arrive. */
  hears(caller: Caller, { node }: SimReplica): boolean {
    return this.isConnected(caller, node) && !caller.deafTo.has(node);
  }

  private isConnected(caller: Caller, node: SimNode): boolean {
    return caller.node.isUp && node.isUp && !caller.cutFrom.has(node);
  }

  private delayMsMax(caller: Caller, { node }: SimReplica): number {
    return DELAY_MS_MAX + (caller.slowTo.get(node) ?? 0);
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
      caller.clock.after(this.random.next() * this.delayMsMax(caller, replica), () => {
        const { process } = replica;
        if (!process || !this.reaches(caller, replica)) {
          caller.clock.after(this.reaches(caller, replica) ? 1 : 5000, () =>
            reject(new Error(`cannot connect to ${address}`)),
          );
          return;
        }
        const link: SimLink = this.connect(caller, replica, epoch, (error) => (error ? reject(error) : resolve(link)));
        caller.links.add(link);
      });
    });
  }

  /** A data connection of an engine, or of one that says it had this epoch, to a replica that runs. */
  connect(caller: Caller, replica: SimReplica, epoch: number, opened: (error: Error | null) => void): SimLink {
    const { process } = replica;
    if (!process) throw new Error(`${replica.name} does not run`);
    const { random, faults } = this;
    const network = {
      delayMsMax: () => this.delayMsMax(caller, replica),
      sends: () => this.sends(caller, replica),
      hears: () => this.hears(caller, replica),
    };
    const options = { address: addressOf(replica), process, engine: caller.clock, epoch, random, faults, ...network };
    return new SimLink(options, opened);
  }

  /** Calls as the network brings them: late, lost on the way there, or executed with the answer lost. */
  private client(caller: Caller, address: string): ReplicaClient {
    const replica = this.replicaAt(address);
    const call = (method: keyof ReplicaServiceMethods, request: object, timeoutMs: number): Promise<object> =>
      new Promise((resolve, reject) => {
        const giveUp = caller.clock.after(timeoutMs, () =>
          reject(rpcError(Code.DeadlineExceeded, 'context deadline exceeded')),
        );
        const later = (run: () => void): void => {
          caller.clock.after(this.random.next() * this.delayMsMax(caller, replica), run);
        };
        const lost = (): void => {
          this.faults.lostCalls++;
        };
        const answer = (run: () => void): void => {
          later(() => {
            if (!this.hears(caller, replica)) return lost();
            giveUp();
            run();
            return undefined;
          });
        };
        later(() => {
          if (!this.sends(caller, replica)) return lost();
          const { process } = replica;
          if (!process) return answer(() => reject(rpcError(Code.Unavailable, REFUSED)));
          // The kernel of a killed process closes its connections.
          const forget = process.onEnd(() => answer(() => reject(rpcError(Code.Unavailable, CLOSED))));
          process.clock.whenRunning(() => {
            process.call(method, request, caller.epoch).then(
              (response) => {
                forget();
                if (this.comparesNothing && 'hashes' in response) (response.hashes as Buffer).fill(0);
                if (process.isAlive) answer(() => resolve(response));
              },
              (error: unknown) => {
                forget();
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
    node.notes.clear();
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
