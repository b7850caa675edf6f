/** `longhorn-manager`: the command line. Joins the real clock, randomness, files and API server. */
import { randomBytes, randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { Command } from 'commander';
import type { Logger } from 'pino';
import { TlsFiles } from '@longhorn/shared-types/grpc/tls';
import { systemClock } from './clock.ts';
import { startDaemon } from './daemon.ts';
import { addDeployDriverCommand } from './driver-deployer/command.ts';
import { loadKubeConfig, makeLog } from './process-setup.ts';
import { addUninstallCommand } from './uninstall/command.ts';
import { addUpgradeCommands } from './upgrade/command.ts';

interface DaemonFlags {
  engineImage: string;
  instanceManagerImage: string;
  shareManagerImage: string;
  backingImageManagerImage: string;
  supportBundleManagerImage: string;
  managerImage: string;
  serviceAccount: string;
  kubeConfig?: string;
  upgradeVersionCheck: boolean;
}

function required(name: string): string {
  const value = process.env[name] ?? '';
  if (value === '') throw new Error(`the environment variable ${name} must be set`);
  return value;
}

function loadTls(log: Logger): TlsFiles | null {
  const folder = process.env['TLS_DIR'] ?? '/tls-files/';
  return existsSync(`${folder}/tls.crt`) ? new TlsFiles(folder, (text) => log.warn(text)).watch() : null;
}

async function runDaemon(flags: DaemonFlags, debug: boolean): Promise<void> {
  const nodeName = required('NODE_NAME');
  const log = makeLog(debug, { node: nodeName });
  const daemon = await startDaemon({
    kubeConfig: loadKubeConfig(flags.kubeConfig),
    nodeName,
    podIp: process.env['POD_IP'] ?? '',
    podName: process.env['POD_NAME'] ?? '',
    namespace: process.env['POD_NAMESPACE'] ?? 'longhorn-system',
    serviceAccount: flags.serviceAccount,
    isUpgradeChecked: flags.upgradeVersionCheck,
    images: {
      engine: flags.engineImage,
      instanceManager: flags.instanceManagerImage,
      manager: flags.managerImage,
      shareManager: flags.shareManagerImage,
      backingImageManager: flags.backingImageManagerImage,
      supportBundleManager: flags.supportBundleManagerImage,
    },
    environment: {
      hostRoot: process.env['LONGHORN_HOST_ROOT'] ?? '/host',
      dataRoot: process.env['LONGHORN_DATA_ROOT'] ?? '/var/lib/longhorn',
      engineBinariesDir: process.env['LONGHORN_ENGINE_BINARIES_DIR'] ?? '/engine-binaries',
    },
    tls: loadTls(log),
    clock: systemClock,
    log,
    randomBytes,
    uuid: randomUUID,
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
  process.on('unhandledRejection', (error) => log.error({ err: error }, 'unexpected failure, going on'));
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
}

const program = new Command('longhorn-manager')
  .option('-d, --debug', 'log more', false)
  .option('-j, --log-json', 'accepted for compatibility: logs are always JSON', false);
program
  .command('daemon')
  .requiredOption('--engine-image <image>', 'default engine image')
  .requiredOption('--instance-manager-image <image>', 'instance manager image')
  .requiredOption('--share-manager-image <image>', 'share manager image')
  .option('--backing-image-manager-image <image>', 'backing image manager image', '')
  .option('--support-bundle-manager-image <image>', 'support bundle image', '')
  .requiredOption('--manager-image <image>', 'image of this daemon')
  .requiredOption('--service-account <name>', 'service account of the pods that it makes')
  .option('--kube-config <path>', 'kubeconfig; by default that of the pod')
  .option('--upgrade-version-check', 'refuse to start over the data of a version that one may not come from', false)
  .action((flags: DaemonFlags) => runDaemon(flags, program.opts<{ debug: boolean }>().debug));

addDeployDriverCommand(program);
addUninstallCommand(program);
addUpgradeCommands(program);

program.parseAsync().catch((error: unknown) => {
  const task = program.args[0] === 'daemon' ? 'Error starting manager' : 'Error';
  console.error(error instanceof Error ? `${task}: ${error.message}` : error);
  process.exit(1);
});
