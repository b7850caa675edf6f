/** The plugin: one gRPC server with Identity, Controller and Node on one socket. */
import type { Logger } from 'pino';
import { Controller, Identity, Node } from '@longhorn/shared-types/generated/csi-v1';
import { errorText } from '@longhorn/shared-types/grpc/rpc-error';
import { createServer } from '@longhorn/shared-types/grpc/server';
import type { Clock } from './call/clock.ts';
import { VolumeLocks } from './call/volume-locks.ts';
import { controllerHandlers } from './controller/controller-service.ts';
import { makeRoom, type Endpoint } from './endpoint.ts';
import { identityHandlers } from './identity-service.ts';
import { START_ATTEMPT_TIMEOUT_MS, START_ATTEMPTS_MAX, START_PAUSE_MS } from './limits.ts';
import { ManagerClient, type Fetch } from './api/manager-client.ts';
import { nodeHandlers } from './node/node-service.ts';
import type { NodeHost } from './node/node-host.ts';

export interface DaemonOptions {
  readonly nodeId: string;
  readonly driver: string;
  readonly endpoint: Endpoint;
  /** base of the manager's API, with `/v1` */
  readonly managerUrl: string;
  /** folder for notes that must outlive the process */
  readonly stateFolder: string;
  readonly clock: Clock;
  readonly fetch: Fetch;
  readonly host: NodeHost;
  readonly log: Logger;
}

export interface Daemon {
  /** Lets running calls end, for a while. */
  stop(): Promise<void>;
}

const STOP_GRACE_MS = 10_000;

async function whenManagerAnswers(
  { managerUrl, clock, fetch, log }: DaemonOptions,
  signal: AbortSignal,
): Promise<void> {
  const client = new ManagerClient({ baseUrl: managerUrl, clock, fetch, timeoutMs: START_ATTEMPT_TIMEOUT_MS });
  for (let attempt = 1; ; attempt++) {
    try {
      await client.probe(signal);
      return;
    } catch (error) {
      if (attempt === START_ATTEMPTS_MAX) {
        throw new Error(`Failed to initialize Longhorn API client: ${errorText(error)}`, { cause: error });
      }
      log.warn({ attempt }, `waiting for the manager: ${errorText(error)}`);
      await clock.sleep(START_PAUSE_MS, signal);
    }
  }
}

/** Waits for the manager, then serves. */
export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  const { clock, log, driver, endpoint } = options;
  const stopping = new AbortController();
  await whenManagerAnswers(options, stopping.signal);
  const manager = new ManagerClient({ baseUrl: options.managerUrl, clock, fetch: options.fetch });
  const server = createServer();
  // Controller and Node have locks of their own: a wait for the manager must not keep a volume from being unmounted.
  const controllerOptions = { clock, log, locks: new VolumeLocks(), manager, driver };
  const nodeOptions = { ...options, locks: new VolumeLocks(), manager };
  server.add(Identity, identityHandlers(controllerOptions, driver));
  server.add(Controller, controllerHandlers(controllerOptions));
  server.add(Node, nodeHandlers(nodeOptions));
  await makeRoom(endpoint);
  await server.listen(endpoint);
  log.info({ endpoint, driver, nodeId: options.nodeId }, 'serving');
  return {
    stop: async () => {
      stopping.abort();
      await server.close(STOP_GRACE_MS);
    },
  };
}
