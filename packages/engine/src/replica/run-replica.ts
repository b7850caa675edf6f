/**
 * The replica process: data server on port + 1 and on a unix socket, gRPC on the port, sync agent on port + 2.
 * Ends with 0 on SIGINT and SIGTERM after everything acknowledged is on stable storage, and with an error when the replica has
 * failed: what its memory and its disk hold may differ, so only another process can serve it again.
 */
import { readFile, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { ReplicaService, SyncAgentService } from '@longhorn/shared-types/generated/ptypes';
import { bindAddress } from '@longhorn/shared-types/grpc/address';
import { addHealthService } from '@longhorn/shared-types/grpc/health';
import { addReflection } from '@longhorn/shared-types/grpc/reflection';
import { createServer, type RpcServer } from '@longhorn/shared-types/grpc/server';
import { openUndoFolder } from '../fault/undo-folder.ts';
import type { Folder } from '../io/disk.ts';
import { openNodeFolder } from '../io/node/node-folder.ts';
import { systemClock, type ReplicaClock } from '../io/replica-clock.ts';
import { FAULT_EXIT_MS, SECTOR_BYTES } from '../limits.ts';
import { SYNC_AGENT_PORT_OFFSET } from '../sync/sync-agent-address.ts';
import { SyncAgent } from '../sync/sync-agent.ts';
import { syncAgentHandlers } from '../sync/sync-agent-service.ts';
import { backingLayer } from './backing-file.ts';
import { DataServer } from './data-server.ts';
import { dataSocketPath, SOCKET_PATH_BYTES_MAX } from './data-socket-path.ts';
import { failureNote } from './failure-note.ts';
import { ReplicaIo } from './replica-io.ts';
import { ReplicaServer } from './replica-server.ts';
import { replicaHandlers } from './replica-service.ts';

export interface RunReplicaOptions {
  /** replica directory; made when missing */
  readonly directory: string;
  /** `HOST:PORT` or `:PORT` of gRPC */
  readonly listen: string;
  /** bytes; null: do not create a replica */
  readonly sizeBytes: number | null;
  readonly volumeName: string;
  readonly instanceName: string;
  /** "" = none */
  readonly backingFile: string;
  readonly isSyncAgentOn: boolean;
  readonly syncAgentPortCount: number;
  readonly isRevisionCounterDisabled: boolean;
  readonly dataServerProtocol: string;
  readonly isUnmapMarkingDiskChainRemoved: boolean;
  readonly snapshotMaxCount: number;
  /** 0 = no limit */
  readonly snapshotMaxSizeBytes: number;
  /** the variables of a node's processes, `POD_IP` and `LONGHORN_…`, are read from here */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly log: (text: string) => void;
  readonly clock?: ReplicaClock;
}

/** A running replica; `stop` is what the signals do. */
export interface RunningReplica {
  readonly server: ReplicaServer;
  readonly controlPort: number;
  readonly dataPort: number;
  /** 0: switched off */
  readonly syncAgentPort: number;
  readonly dataSocketPath: string;
  /** resolves with the reason when the replica has failed */
  readonly failed: Promise<string>;
  /** Ends everything and syncs nothing. */
  abandon(): Promise<void>;
  stop(): Promise<void>;
}

function checkOptions(options: RunReplicaOptions): void {
  if (options.directory === '') throw new Error('directory name is required');
  if (options.dataServerProtocol !== 'tcp' && options.dataServerProtocol !== 'unix') {
    throw new Error(`unsupported protocol: ${options.dataServerProtocol}`);
  }
  const { sizeBytes } = options;
  if (sizeBytes !== null && (!Number.isSafeInteger(sizeBytes) || sizeBytes <= 0 || sizeBytes % SECTOR_BYTES !== 0)) {
    throw new Error(`--size ${sizeBytes}: must be above 0 and a multiple of ${SECTOR_BYTES}`);
  }
  if (options.instanceName.includes('/')) throw new Error('--replica-instance-name: must not contain /');
}

const MACHINE_BOOT_ID = '/proc/sys/kernel/random/boot_id';

async function readBootId(environment: RunReplicaOptions['environment']): Promise<string> {
  return (await readFile(environment['LONGHORN_BOOT_ID_FILE'] ?? MACHINE_BOOT_ID, 'utf8')).trim();
}

/** The replica's folder; with `LONGHORN_UNSYNCED_UNDO` it loses what was not synced when the node has booted since. */
async function openFolder({ directory, environment }: RunReplicaOptions): Promise<Folder> {
  if ((environment['LONGHORN_UNSYNCED_UNDO'] ?? '') === '') return openNodeFolder(directory);
  const machine = (await readFile(MACHINE_BOOT_ID, 'utf8')).trim();
  return openUndoFolder(directory, { node: await readBootId(environment), machine });
}

/** null: the disk cannot be asked; whether it works is for I/O to show. */
async function freeBytes(directory: string): Promise<number | null> {
  try {
    const { bavail, bsize } = await statfs(directory);
    return bavail * bsize;
  } catch {
    return null;
  }
}

interface DataPlace {
  readonly port: number;
  readonly socketPath: string;
}

function runFolderOf({ environment }: RunReplicaOptions): string {
  return environment['LONGHORN_RUN_DIR'] ?? '/var/run/longhorn';
}

async function listenForData(options: RunReplicaOptions, data: DataServer): Promise<DataPlace> {
  const { environment } = options;
  const { host, port } = bindAddress(options.listen, environment['POD_IP'] ?? '');
  let dataPort = 0;
  if (options.dataServerProtocol === 'tcp') {
    dataPort = await data.listenTcp(host, port === 0 ? 0 : port + 1);
  } else {
    const root = environment['LONGHORN_HOST_ROOT'] ?? '/host';
    const dataRoot = environment['LONGHORN_DATA_ROOT'] ?? '/var/lib/longhorn';
    await data.listenUnix(join(`${root}${dataRoot}`, 'unix-domain-socket', `${options.volumeName}.sock`));
  }
  if (options.instanceName === '') return { port: dataPort, socketPath: '' };
  const socketPath = dataSocketPath(runFolderOf(options), options.instanceName);
  if (Buffer.byteLength(socketPath) > SOCKET_PATH_BYTES_MAX) return { port: dataPort, socketPath: '' };
  await data.listenUnix(socketPath);
  return { port: dataPort, socketPath };
}

interface StartedServer {
  readonly server: ReplicaServer;
  readonly data: DataServer;
  readonly folder: Folder;
  readonly failed: Promise<string>;
}

async function startServer(options: RunReplicaOptions): Promise<StartedServer> {
  const { promise: failed, resolve: onFault } = Promise.withResolvers<string>();
  const clock = options.clock ?? systemClock;
  const folder = await openFolder(options);
  const io = new ReplicaIo(clock);
  const data = new DataServer(io, options.log);
  const backing = await backingLayer(options.backingFile, options.sizeBytes);
  const server = await ReplicaServer.start({
    folder,
    io,
    clock,
    bootId: await readBootId(options.environment),
    backingFilePath: backing?.path ?? '',
    openBacking: backing?.open ?? null,
    hasRevisionCounter: !options.isRevisionCounterDisabled,
    snapshotMaxCount: options.snapshotMaxCount,
    snapshotMaxSizeBytes: options.snapshotMaxSizeBytes,
    isUnmapMarking: options.isUnmapMarkingDiskChainRemoved,
    freeBytes: () => freeBytes(options.directory),
    holder: `replica ${options.instanceName === '' ? options.volumeName : options.instanceName}`,
    fence: (epoch) => data.fence(epoch),
    failureNote: failureNote(runFolderOf(options), options.directory),
    onFault,
    log: options.log,
  });
  if (options.sizeBytes !== null) await server.create(options.sizeBytes);
  return { server, data, folder, failed };
}

interface StartedAgent {
  readonly port: number;
  stop(): Promise<void>;
}

/** The sync agent; with a control port of 0 every port of it is any free one. */
async function startSyncAgent(options: RunReplicaOptions, { server, folder }: StartedServer): Promise<StartedAgent> {
  if (!options.isSyncAgentOn) return { port: 0, stop: () => Promise.resolve() };
  const { environment, volumeName, instanceName } = options;
  const { host, port } = bindAddress(options.listen, environment['POD_IP'] ?? '');
  const root = environment['LONGHORN_HOST_ROOT'] ?? '/host';
  const dataRoot = environment['LONGHORN_DATA_ROOT'] ?? '/var/lib/longhorn';
  const agent = new SyncAgent({
    server,
    folder,
    clock: options.clock ?? systemClock,
    identity: { volumeName, instanceName },
    host,
    firstPort: port === 0 ? 0 : port + SYNC_AGENT_PORT_OFFSET + 1,
    portCount: options.syncAgentPortCount,
    hashLockFile: join(`${root}${dataRoot}`, '.lock', 'hash'),
    openBacking: server.options.openBacking,
    log: options.log,
  });
  const rpc = createServer({ identity: { role: 'replica', volumeName, instanceName } });
  rpc.add(SyncAgentService, syncAgentHandlers(agent));
  addReflection(rpc);
  const bound = await rpc.listen({ host, port: port === 0 ? 0 : port + SYNC_AGENT_PORT_OFFSET });
  return {
    port: bound,
    stop: async () => {
      await agent.stop();
      await rpc.close();
    },
  };
}

/** Starts everything; used by `runReplica` and by tests. */
export async function startReplica(options: RunReplicaOptions): Promise<RunningReplica> {
  checkOptions(options);
  const started = await startServer(options);
  const { server, data } = started;
  const identity = { role: 'replica', volumeName: options.volumeName, instanceName: options.instanceName } as const;
  const control: RpcServer = createServer({ identity });
  const place = await listenForData(options, data);
  const agent = await startSyncAgent(options, started);
  const names = { instanceName: options.instanceName, dataSocketPath: place.socketPath };
  control.add(ReplicaService, replicaHandlers(server, names));
  addHealthService(control, 'once');
  addReflection(control);
  const abandon = async (): Promise<void> => {
    server.io.stop();
    await data.close();
    await agent.stop();
    await control.close();
  };
  const address = bindAddress(options.listen, options.environment['POD_IP'] ?? '');
  const controlPort = await control.listen(address);
  return {
    server,
    controlPort,
    dataPort: place.port,
    syncAgentPort: agent.port,
    dataSocketPath: place.socketPath,
    failed: started.failed,
    abandon,
    stop: async () => {
      await server.syncAll();
      await abandon();
    },
  };
}

/** Runs until SIGINT or SIGTERM; resolves to the exit code. Rejects when the replica has failed. */
export async function runReplica(options: RunReplicaOptions): Promise<number> {
  // From the beginning: one that is stopped while it starts ends in order, too, and leaves nothing behind.
  const asked = new Promise<null>((resolve) => {
    process.once('SIGINT', () => resolve(null));
    process.once('SIGTERM', () => resolve(null));
  });
  const running = await startReplica(options);
  options.log(`replica ${options.instanceName} of ${options.volumeName} listens on ${options.listen}`);
  const failure = await Promise.race([asked, running.failed]);
  if (failure !== null) {
    // The engine hears of it first, in the answers that are on their way.
    await Promise.race([asked, setTimeout(FAULT_EXIT_MS)]);
    await running.abandon();
    throw new Error(`replica failed: ${failure}`);
  }
  await running.stop();
  return 0;
}
