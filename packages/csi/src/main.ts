/** `longhorn-csi`: the command line. Joins the real clock, network and node. */
import { dirname } from 'node:path';
import { Command } from 'commander';
import { destination, pino } from 'pino';
import { CSI_DRIVER_NAME } from '@longhorn/shared-types';
import { errorText } from '@longhorn/shared-types/grpc/rpc-error';
import { systemClock } from './call/clock.ts';
import { startDaemon } from './daemon.ts';
import { parseEndpoint } from './endpoint.ts';
import { linuxHost } from './io/linux-host.ts';

interface CsiFlags {
  nodeid: string;
  endpoint: string;
  drivername: string;
  managerUrl: string;
}

async function runCsi(flags: CsiFlags, debug: boolean): Promise<void> {
  const level = debug ? 'debug' : (process.env['LONGHORN_LOG_LEVEL'] ?? 'info');
  const log = pino({ level, base: { node: flags.nodeid } }, destination({ fd: 1, sync: true }));
  // One broken call must not end the mounts of a whole node.
  process.on('uncaughtException', (error) => log.error(error, 'unexpected failure, going on'));
  process.on('unhandledRejection', (error) => log.error(error, 'unexpected failure, going on'));
  const endpoint = parseEndpoint(flags.endpoint);
  const daemon = await startDaemon({
    nodeId: flags.nodeid,
    driver: flags.drivername,
    endpoint,
    managerUrl: flags.managerUrl,
    stateFolder: 'socketPath' in endpoint ? dirname(endpoint.socketPath) : '/var/run/longhorn',
    clock: systemClock,
    fetch,
    host: linuxHost,
    log,
  });
  const stop = (signal: string): void => {
    log.info({ signal }, 'stopping');
    daemon.stop().then(
      () => process.exit(0),
      (error: unknown) => {
        log.error({ err: error }, 'could not stop cleanly');
        process.exit(1);
      },
    );
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
}

const program = new Command('longhorn-csi').option('-d, --debug', 'log more', false);
program
  .command('csi')
  .requiredOption('--nodeid <name>', "this node's name in Kubernetes")
  .option('--endpoint <address>', 'where to listen', 'unix:///csi/csi.sock')
  .option('--drivername <name>', 'name of the driver', CSI_DRIVER_NAME)
  .requiredOption('--manager-url <url>', "base of the manager's API, with /v1")
  .action((flags: CsiFlags) => runCsi(flags, program.opts<{ debug: boolean }>().debug));

program.parseAsync().catch((error: unknown) => {
  console.error(`Error starting CSI driver: ${errorText(error)}`);
  process.exit(1);
});
