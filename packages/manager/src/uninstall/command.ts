/** `longhorn-manager uninstall`. */
import { Option, type Command } from 'commander';
import { systemClock } from '../clock.ts';
import { KubeHttp } from '../datastore/kube-http.ts';
import { endSignal, loadKubeConfig, makeLog } from '../process-setup.ts';
import { uninstall } from './uninstaller.ts';

interface Flags {
  force: boolean;
  namespace?: string;
  kubeConfig?: string;
}

async function run({ force, namespace = '', kubeConfig }: Flags, debug: boolean): Promise<void> {
  if (namespace === '') throw new Error('namespace is required');
  // The clock's timers alone do not keep a process alive.
  const alive = setInterval(() => undefined, 60_000);
  try {
    await uninstall({
      transport: new KubeHttp(loadKubeConfig(kubeConfig)),
      namespace,
      force,
      clock: systemClock,
      log: makeLog(debug, {}),
      signal: endSignal(),
    });
  } finally {
    clearInterval(alive);
  }
}

export function addUninstallCommand(program: Command): void {
  program
    .command('uninstall')
    .description('remove Longhorn and all its volumes; the setting deleting-confirmation-flag must be true')
    .option('--force', 'go on although managers are not ready or volumes are in use', false)
    .addOption(new Option('--namespace <name>', 'namespace of the installation').env('LONGHORN_NAMESPACE'))
    .option('--kube-config <path>', 'kubeconfig; by default that of the pod')
    .action((flags: Flags) => run(flags, program.opts<{ debug: boolean }>().debug));
}
