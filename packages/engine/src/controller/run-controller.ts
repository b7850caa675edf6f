/**
 * The engine process: joins the control side with the kernel's clock, sockets and devices, and serves until it is told to end.
 *
 * Exit codes: 0 an orderly end, 61 no replica can be used although all answered (without an epoch), 1 anything else.
 */
import { addHealthService } from '@longhorn/shared-types/grpc/health';
import { addReflection } from '@longhorn/shared-types/grpc/reflection';
import { bindAddress } from '@longhorn/shared-types/grpc/address';
import { createServer } from '@longhorn/shared-types/grpc/server';
import { errorText } from '@longhorn/shared-types/grpc/rpc-error';
import { ControllerService } from '@longhorn/shared-types/generated/ptypes';
import { randomUUID } from 'node:crypto';
import { systemClock } from './control-clock.ts';
import type { ControlLog } from './control-log.ts';
import { controllerHandlers } from './controller-service.ts';
import { createVolumeCore } from './create-core.ts';
import { hostFreeze, thawLeftover } from './freeze.ts';
import type { OpenFrontend } from './frontend-control.ts';
import { nodeBackends } from './node-backends.ts';
import { ReplicaStartError } from './start-plain.ts';
import { VolumeContext, type EngineOptions } from './volume-context.ts';
import { VolumeEngine } from './volume-engine.ts';

export interface ControllerProcessOptions {
  readonly engine: EngineOptions;
  readonly listen: string;
  readonly replicas: readonly string[];
  readonly frontend: string;
  readonly podIp: string;
  /** prefix of the host's file system */
  readonly hostRoot: string;
  readonly unixDataSocket: string | null;
  readonly openFrontend: OpenFrontend;
  readonly log: ControlLog;
}

/** ENODATA: what the control plane looks for as "exit status 61". */
const EXIT_NO_BACKEND = 61;

/** Runs until a signal; resolves with the exit code. */
export async function runController(options: ControllerProcessOptions): Promise<number> {
  const { log } = options;
  const { volumeName, engineName, epoch, sizeBytes, currentSizeBytes } = options.engine;
  const ended = new Ending();
  const context = new VolumeContext(
    {
      options: options.engine,
      backends: nodeBackends({ volumeName, epoch, podIp: options.podIp, unixDataSocket: options.unixDataSocket }),
      clock: systemClock,
      log,
      randomId: randomUUID,
      crash: (error) => crash(log, error),
    },
    createVolumeCore,
  );
  process.on('uncaughtException', (error) => crash(log, error));
  process.on('unhandledRejection', (error) => crash(log, error));
  const engine: VolumeEngine = new VolumeEngine(
    context,
    options.openFrontend,
    options.frontend,
    hostFreeze(options.hostRoot, () => engine.frontend.endpoint()),
  );
  await thawLeftover(options.hostRoot, `/dev/longhorn/${volumeName}`);
  // With an epoch the control plane must be able to answer before the volume is served; without one upstream starts first.
  if (epoch === 0 && options.replicas.length > 0) {
    try {
      await engine.start(options.replicas, sizeBytes, currentSizeBytes);
    } catch (error) {
      log.error(errorText(error));
      return error instanceof ReplicaStartError ? EXIT_NO_BACKEND : 1;
    }
  }
  const server = createServer({ identity: { role: 'controller', volumeName, instanceName: engineName } });
  server.add(
    ControllerService,
    controllerHandlers(engine, () => undefined),
  );
  addHealthService(server, 'endless');
  addReflection(server);
  await server.listen(bindAddress(options.listen, options.podIp));
  log.info('listening', { address: options.listen, volume: volumeName, epoch });
  if (epoch > 0 && options.replicas.length > 0) {
    engine.start(options.replicas, sizeBytes, currentSizeBytes).catch((error: unknown) => crash(log, error));
  }
  const signal = await ended.signal();
  log.warn('ending', { signal });
  return endOrderly(engine, log);
}

async function endOrderly(engine: VolumeEngine, log: ControlLog): Promise<number> {
  try {
    await engine.shutdown();
    return 0;
  } catch (error) {
    log.error('the shutdown failed', { reason: errorText(error) });
    return 1;
  }
}

class Ending {
  private resolve: (signal: string) => void = () => undefined;
  private readonly ended: Promise<string>;

  constructor() {
    this.ended = new Promise((resolve) => {
      this.resolve = resolve;
    });
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => this.resolve(signal));
  }

  signal(): Promise<string> {
    return this.ended;
  }
}

/** A broken invariant: no further word is to be believed, so nothing is closed in an orderly way. */
function crash(log: ControlLog, error: unknown): never {
  log.error('the engine ends: a broken invariant', {
    reason: error instanceof Error ? (error.stack ?? error.message) : String(error),
  });
  process.exit(70);
}
