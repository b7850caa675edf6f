/** `longhorn-instance-manager daemon`. */
import { destination, pino } from 'pino';
import { errorText } from '@longhorn/shared-types/grpc/rpc-error';
import { startDaemon } from '../daemon.ts';
import { parsePortRange } from '../process/port-allocator.ts';
import { nodeEnvironment } from './environment.ts';

export interface DaemonFlags {
  listen: string;
  logsDir: string;
  portRange: string;
  spdkEnabled?: boolean;
  binariesDir: string[];
  tlsDir: string;
  debug: boolean;
}

/** Runs until SIGTERM or SIGINT. */
export async function runDaemon(flags: DaemonFlags, env: NodeJS.ProcessEnv): Promise<void> {
  const node = nodeEnvironment(env);
  const logger = pino(
    { name: 'longhorn-instance-manager', level: flags.debug ? 'debug' : 'info' },
    destination({ fd: 1, sync: true }),
  );
  if (flags.spdkEnabled) throw new Error('--spdk-enabled: the v2 data engine is not part of this version');
  // One broken call must not end the processes of a whole node.
  process.on('uncaughtException', (error) => logger.error(error, 'unexpected failure, going on'));
  process.on('unhandledRejection', (error) => logger.error(error, 'unexpected failure, going on'));
  const daemon = await startDaemon({
    ...node,
    listen: flags.listen,
    logsFolder: flags.logsDir,
    ports: parsePortRange(flags.portRange),
    tlsFolder: flags.tlsDir,
    binaryFolders: flags.binariesDir.length > 0 ? flags.binariesDir : node.binaryFolders,
    env,
    logger,
  });
  const stop = async (signal: string): Promise<void> => {
    logger.info(`${signal}: ending all processes`);
    try {
      await daemon.shutdown();
    } catch (error) {
      logger.error(`shutdown: ${errorText(error)}`);
    }
    process.exit(0);
  };
  let stopping = false;
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      if (stopping) return;
      stopping = true;
      void stop(signal);
    });
  }
}
