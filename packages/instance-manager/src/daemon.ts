/**
 * The instance manager: four gRPC services on consecutive ports, and the processes under it.
 *
 *     P    ProcessManagerService          P+2  imrpc.DiskService
 *     P+1  imrpc.ProxyEngineService       P+3  imrpc.InstanceService      (P+1 and P+3 with mutual TLS if configured)
 *
 * It keeps nothing on disk. Its processes die with it, by the kernel's hand if need be.
 */
import { accessSync, constants, mkdirSync } from 'node:fs';
import type { Logger } from 'pino';
import { DiskService, InstanceService, ProxyEngineService } from '@longhorn/shared-types/generated/imrpc';
import { ProcessManagerService } from '@longhorn/shared-types/generated/nameless';
import { bindAddress, joinHostPort, probeHost, type HostPort } from '@longhorn/shared-types/grpc/address';
import { ClientCache } from '@longhorn/shared-types/grpc/client-cache';
import { addHealthService } from '@longhorn/shared-types/grpc/health';
import { addReflection } from '@longhorn/shared-types/grpc/reflection';
import { errorText } from '@longhorn/shared-types/grpc/rpc-error';
import { createServer, type RpcServer } from '@longhorn/shared-types/grpc/server';
import { TlsFiles } from '@longhorn/shared-types/grpc/tls';
import { MOUNT_CHECK_MS, PROCESS_LIMITS, type ProcessLimits } from './limits.ts';
import { logLevels } from './log-levels.ts';
import { runCommand } from './node/command.ts';
import { removeDataSocket, removeDeadSockets } from './node/data-sockets.ts';
import { hasDeviceRecord, recoverDevices } from './node/devices.ts';
import { readMounts } from './node/mounts.ts';
import { findSetpriv } from './process/child.ts';
import type { PortRange } from './process/port-allocator.ts';
import { liveness, probe } from './process/probe.ts';
import { ProcessManager } from './process/process-manager.ts';
import { refreshReadOnlyConditions } from './process/readonly-condition.ts';
import { diskService } from './service/disk-service.ts';
import { instanceService } from './service/instance-service.ts';
import { processService } from './service/process-service.ts';
import { proxyService } from './service/proxy-service.ts';

export interface DaemonOptions {
  /** `HOST:PORT`; without a host the pod's address */
  readonly listen: string;
  readonly logsFolder: string;
  readonly ports: PortRange;
  /** "" = no TLS */
  readonly tlsFolder: string;
  readonly binaryFolders: readonly string[];
  readonly podIp: string;
  readonly hostRoot: string;
  readonly runFolder: string;
  readonly env: NodeJS.ProcessEnv;
  readonly logger: Logger;
  readonly limits?: ProcessLimits;
}

export interface Daemon {
  /** port of the process manager service */
  readonly port: number;
  readonly manager: ProcessManager;
  /** Stops serving, then ends all processes; resolves when they are gone. */
  shutdown(): Promise<void>;
}

function textLogger(logger: Logger): { info(text: string): void; error(text: string): void } {
  return { info: (text) => logger.info(text), error: (text) => logger.error(text) };
}

/** One line of our log per line of a process, so that the pod's log tells all. */
function echo(logger: Logger, name: string, chunk: Buffer): void {
  if (!logger.isLevelEnabled('info')) return;
  for (const line of chunk.toString('utf8').split('\n')) if (line !== '') logger.info(`[${name}] ${line}`);
}

function createManager(options: DaemonOptions): ProcessManager {
  const { podIp, logger, env } = options;
  const limits = options.limits ?? PROCESS_LIMITS;
  return new ProcessManager({
    setpriv: findSetpriv(env['PATH'] ?? ''),
    env,
    limits,
    probe: (port, signal) => probe(probeHost(podIp), port, limits, signal),
    liveness: (port, signal) => liveness(probeHost(podIp), port, limits.hangCallMs, signal),
    nowMs: () => performance.now(),
    echo: (name, chunk) => echo(logger, name, chunk),
    logsFolder: options.logsFolder,
    ports: options.ports,
    binaryFolders: options.binaryFolders,
    cleanUpDevice: (binary, volume) => runCommand(binary, ['frontend', 'cleanup', '--volume', volume], { env }),
    hasDevice: (volume) => hasDeviceRecord(options.runFolder, volume),
    replicaEnded: (name) => removeDataSocket(options.runFolder, name, logger),
    logger: textLogger(logger),
  });
}

/** TLS files, or null: without usable files the services speak plain text, as mixed versions must. */
function tlsFiles({ tlsFolder, logger }: DaemonOptions): TlsFiles | null {
  if (tlsFolder === '') return null;
  try {
    return new TlsFiles(tlsFolder, (text) => logger.warn(text)).watch();
  } catch (error) {
    logger.warn(`no TLS, services speak plain text: ${errorText(error)}`);
    return null;
  }
}

function createServers(options: DaemonOptions, manager: ProcessManager, connections: ClientCache): RpcServer[] {
  const tls = tlsFiles(options);
  const secured = (): RpcServer => createServer(tls ? { tls } : {});
  const [processes, proxy, disks, instances] = [createServer(), secured(), createServer(), secured()];
  processes.add(ProcessManagerService, processService(manager));
  proxy.add(ProxyEngineService, proxyService({ connections, hostRoot: options.hostRoot }));
  disks.add(DiskService, diskService());
  instances.add(InstanceService, instanceService(manager, logLevels(options.logger)));
  const servers = [processes, proxy, disks, instances];
  for (const server of servers) {
    addHealthService(server, 'endless');
    addReflection(server);
  }
  return servers;
}

/**
 * Whether to listen on the loopback address too: in a pod of its own network namespace probes and the command line come
 * from there; where pods share a machine's loopback, it belongs to nobody.
 */
function wantsLoopback(listen: string, podIp: string): boolean {
  return listen.startsWith(':') && podIp !== '' && !podIp.startsWith('127.');
}

/** The process manager listens last: when it answers, all do. */
async function listenAll(servers: RpcServer[], { listen, podIp, logger }: DaemonOptions): Promise<number> {
  const base: HostPort = bindAddress(listen, podIp);
  for (const [index, server] of [...servers.entries()].toReversed()) {
    const port = base.port + index;
    await server.listen({ host: base.host, port });
    if (!wantsLoopback(listen, podIp)) continue;
    await server.listen({ host: '127.0.0.1', port }).catch((error: unknown) => {
      logger.warn(`not reachable by loopback: ${errorText(error)}`);
    });
  }
  return base.port;
}

/** Starts everything; throws when a port is taken or the logs folder cannot be written. */
export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  const { logger, logsFolder } = options;
  mkdirSync(logsFolder, { recursive: true, mode: 0o755 });
  accessSync(logsFolder, constants.W_OK);
  const manager = createManager(options);
  // Before the first engine can be asked for: its device must not meet the removal of an old one.
  await recoverDevices({ ...options, logger: textLogger(logger) });
  await removeDeadSockets(options.runFolder, logger);
  const connections = new ClientCache();
  const servers = createServers(options, manager, connections);
  const port = await listenAll(servers, options);
  const mounts = setInterval(() => {
    try {
      refreshReadOnlyConditions(manager.list(), readMounts());
    } catch (error) {
      logger.error(`mounts are not read: ${errorText(error)}`);
    }
  }, MOUNT_CHECK_MS);
  logger.info(
    `listening on ${joinHostPort(bindAddress(options.listen, options.podIp).host, port)} and the next 3 ports`,
  );
  return {
    port,
    manager,
    shutdown: async () => {
      clearInterval(mounts);
      await Promise.all(servers.map((server) => server.close()));
      await manager.shutdown();
      connections.close();
    },
  };
}
