/** A node: its disk, its boot id, and the replica process that runs on it. The replica is the real one; only disk, clock and socket are not. */
import { ReplicaService, type ReplicaServiceMethods } from '@longhorn/shared-types/generated/ptypes';
import { identityMetadata } from '@longhorn/shared-types/grpc/identity';
import { Code, rpcError } from '@longhorn/shared-types/grpc/rpc-error';
import { serviceDefinition } from '@longhorn/shared-types/grpc/service';
import type { ServiceHandlers } from '@longhorn/shared-types/grpc/server';
import type { Random } from '../src/membership/random.ts';
import type { AnswerSink } from '../src/replica/answer-buffer.ts';
import { FAULT_EXIT_MS } from '../src/limits.ts';
import { DataConnection } from '../src/replica/data-connection.ts';
import { ReplicaIo } from '../src/replica/replica-io.ts';
import { ReplicaServer } from '../src/replica/replica-server.ts';
import { replicaHandlers } from '../src/replica/replica-service.ts';
import type { FaultCount } from './fault-count.ts';
import { SimDisk, SimFolder } from './sim-disk.ts';
import { ProcessClock, type SimTime, type WallClock } from './sim-time.ts';

const RECEIVE_BYTES = 64 << 10;

export class SimNode {
  readonly name: string;
  readonly disk: SimDisk;
  readonly wall: WallClock = { shiftMs: 0 };
  /** folders of replicas whose sync failed since the node was started */
  readonly notes = new Set<string>();
  isUp = true;
  bootId: string;
  private boots = 1;

  constructor(name: string, random: Random, faults: FaultCount) {
    this.name = name;
    this.disk = new SimDisk(random, faults);
    this.bootId = `${name}-boot-1`;
  }

  powerOn(): void {
    if (this.isUp) return;
    this.isUp = true;
    this.boots++;
    this.bootId = `${this.name}-boot-${this.boots}`;
  }
}

export interface SimReplicaOptions {
  readonly name: string;
  readonly node: SimNode;
  readonly time: SimTime;
  readonly random: Random;
  readonly sizeBytes: number;
  readonly log: (text: string) => void;
}

/** One replica: a folder on its node, and the process that serves it when it runs. */
export class SimReplica {
  readonly name: string;
  readonly node: SimNode;
  readonly folderPath: string;
  process: ReplicaProcess | null = null;
  /** a build that serves engines of every epoch: a canary */
  ignoresEpochs = false;
  private readonly options: SimReplicaOptions;
  private starting: { readonly clock: ProcessClock; readonly started: Promise<void> } | null = null;

  constructor(options: SimReplicaOptions) {
    this.options = options;
    this.name = options.name;
    this.node = options.node;
    this.folderPath = `/${options.name}`;
  }

  /** Starts the process, unless one is there; resolves when it serves. One that is killed before never does. */
  start(): Promise<void> {
    if (this.process || !this.node.isUp) return Promise.resolve();
    if (this.starting) return this.starting.started;
    const clock = new ProcessClock(this.options.time, this.node.wall);
    const started = this.startNow(clock);
    this.starting = { clock, started };
    return started;
  }

  private async startNow(clock: ProcessClock): Promise<void> {
    try {
      const started = await ReplicaProcess.start(this.options, this.folderPath, clock, () => this.kill());
      if (!clock.isAlive) return;
      this.process = started;
      if (this.ignoresEpochs) started.ignoreEpochs();
    } finally {
      if (this.starting?.clock === clock) this.starting = null;
    }
  }

  kill(): void {
    this.starting?.clock.kill();
    this.starting = null;
    this.process?.kill();
    this.process = null;
  }

  /** Removes the data, as for a replica that is replaced. */
  wipe(): void {
    this.kill();
    this.node.disk.removeFolder(this.folderPath);
  }
}

type Handlers = ServiceHandlers<ReplicaServiceMethods>;

export class ReplicaProcess {
  readonly clock: ProcessClock;
  readonly server: ReplicaServer;
  private readonly handlers: Handlers;
  private readonly connections = new Map<DataConnection, AnswerSink>();
  private readonly ends = new Set<() => void>();
  private nextId = 1;
  private ignoresEpochs = false;

  private constructor(clock: ProcessClock, server: ReplicaServer, handlers: Handlers) {
    this.clock = clock;
    this.server = server;
    this.handlers = handlers;
  }

  /** `onEnd`: the process ends by itself. */
  static async start(
    options: SimReplicaOptions,
    folderPath: string,
    clock: ProcessClock,
    onEnd: () => void,
  ): Promise<ReplicaProcess> {
    const folder = new SimFolder(folderPath, options.node.disk.folder(folderPath), clock, options.random);
    const io = new ReplicaIo(clock);
    const { notes } = options.node;
    let started: ReplicaProcess | null = null;
    const server = await ReplicaServer.start({
      folder,
      io,
      clock,
      bootId: options.node.bootId,
      backingFilePath: '',
      openBacking: null,
      hasRevisionCounter: false,
      snapshotMaxCount: 250,
      snapshotMaxSizeBytes: 0,
      freeBytes: () => Promise.resolve(options.node.disk.isFull ? 0 : 1 << 30),
      isUnmapMarking: false,
      holder: options.name,
      fence: (epoch) => started?.fence(epoch),
      failureNote: {
        isThere: () => notes.has(folderPath),
        write: () => void notes.add(folderPath),
        remove: () => void notes.delete(folderPath),
      },
      onFault: () => {
        clock.after(FAULT_EXIT_MS, onEnd);
      },
      log: (text) => options.log(`${options.name}: ${text}`),
    });
    await server.create(options.sizeBytes);
    started = new ReplicaProcess(
      clock,
      server,
      replicaHandlers(server, { instanceName: options.name, dataSocketPath: '' }),
    );
    return started;
  }

  get isAlive(): boolean {
    return this.clock.isAlive;
  }

  /** Calls it when the process ends; the returned function takes that back. */
  onEnd(run: () => void): () => void {
    this.ends.add(run);
    return () => this.ends.delete(run);
  }

  kill(): void {
    this.clock.kill();
    for (const run of this.ends) run();
    this.ends.clear();
    this.server.io.stop();
    for (const [connection, sink] of this.connections) {
      connection.close();
      sink.destroy();
    }
    this.connections.clear();
  }

  /** A new data connection; answers go to `sink`. */
  connect(sink: AnswerSink): { receive: Buffer; connection: DataConnection } {
    const receive = Buffer.alloc(RECEIVE_BYTES);
    const connection: DataConnection = new DataConnection(this.nextId++, this.server.io, receive, sink);
    this.connections.set(connection, sink);
    if (this.ignoresEpochs) {
      Object.defineProperty(connection, 'epoch', { get: () => this.server.io.epoch, set: ignored });
    }
    return { receive, connection };
  }

  /** From now on every engine counts as the one that it was opened by. */
  ignoreEpochs(): void {
    this.ignoresEpochs = true;
  }

  disconnect(connection: DataConnection): void {
    connection.close();
    this.connections.delete(connection);
  }

  private fence(epoch: number): void {
    if (this.ignoresEpochs) return;
    for (const [connection, sink] of this.connections) {
      if (connection.epoch >= epoch) continue;
      this.disconnect(connection);
      sink.destroy();
    }
  }

  /** One call, through the wire's encoding both ways. */
  async call(method: keyof ReplicaServiceMethods, request: object, epoch: number): Promise<object> {
    const definition = serviceDefinition(ReplicaService)[method];
    if (!definition) throw rpcError(Code.Unimplemented, `method ${method} not implemented`);
    const handler = this.handlers[method] as (request: object, context: object) => Promise<object> | object;
    const context = {
      signal: new AbortController().signal,
      metadata: identityMetadata({ epoch: this.ignoresEpochs ? Math.max(epoch, this.server.io.epoch) : epoch }),
      peer: 'sim',
    };
    const received = definition.requestDeserialize(definition.requestSerialize(request)) as object;
    const answer = await handler(received, context);
    return definition.responseDeserialize(definition.responseSerialize(answer)) as object;
  }
}

function ignored(): void {
  // A canary has no epochs.
}
