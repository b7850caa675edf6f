/** `longhorn-manager pre-upgrade` and `post-upgrade`. */
import { randomBytes } from 'node:crypto';
import { Option, type Command } from 'commander';
import { systemClock } from '../clock.ts';
import { KubeHttp } from '../datastore/kube-http.ts';
import { endSignal, loadKubeConfig, makeLog } from '../process-setup.ts';
import { LONGHORN_VERSION } from '../version.ts';
import { postUpgrade, preUpgrade, type UpgradeJob } from './upgrade-jobs.ts';

interface Flags {
  namespace?: string;
  kubeConfig?: string;
  skipVersionCheck?: boolean;
}

async function run(work: (job: UpgradeJob) => Promise<void>, flags: Flags, debug: boolean): Promise<void> {
  const { namespace = '', kubeConfig, skipVersionCheck = false } = flags;
  if (namespace === '') throw new Error('namespace is required: --namespace or POD_NAMESPACE');
  // The clock's timers alone do not keep a process alive.
  const alive = setInterval(() => undefined, 60_000);
  try {
    await work({
      transport: new KubeHttp(loadKubeConfig(kubeConfig)),
      namespace,
      version: LONGHORN_VERSION,
      isVersionChecked: !skipVersionCheck,
      clock: systemClock,
      log: makeLog(debug, {}),
      suffix: () => randomBytes(8).toString('hex'),
      signal: endSignal(),
    });
  } finally {
    clearInterval(alive);
  }
}

export function addUpgradeCommands(program: Command): void {
  const add = (name: string, description: string, work: (job: UpgradeJob) => Promise<void>): Command =>
    program
      .command(name)
      .description(description)
      .addOption(new Option('--namespace <name>', 'namespace of the installation').env('POD_NAMESPACE'))
      .option('--kube-config <path>', 'kubeconfig; by default that of the pod')
      .action((flags: Flags) => run(work, flags, program.opts<{ debug: boolean }>().debug));
  add(
    'pre-upgrade',
    'refuse an upgrade that skips a version or goes back; bring stored objects up to date',
    preUpgrade,
  ).option('--skip-version-check', 'take any way from v1.4.0 on', false);
  add('post-upgrade', 'wait until all managers run the new image', postUpgrade);
}
