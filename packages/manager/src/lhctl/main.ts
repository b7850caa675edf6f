/**
 * `lhctl`: what people run by hand. Exit codes: 0 good, 1 something is missing, 2 it could not be found out.
 */
import { writeFileSync } from 'node:fs';
import { Command, CommanderError, Option } from 'commander';
import { systemClock } from '../clock.ts';
import { KubeHttp } from '../datastore/kube-http.ts';
import { readHostFacts } from '../io/host-facts.ts';
import { endSignal, loadKubeConfig } from '../process-setup.ts';
import { BUILD_VERSION, LONGHORN_VERSION } from '../version.ts';
import { checkCluster } from './check-cluster.ts';
import { checkDaemonSet, messageOf } from './check-pods.ts';
import { findingsOf } from './node-checks.ts';
import { formatted, hasErrors, type Format, type NodeReport } from './report.ts';

interface CheckFlags {
  local: boolean;
  hostRoot: string;
  dataPath: string;
  output: Format;
  reportTo?: string;
  printManifest: boolean;
  image: string;
  namespace: string;
  kubeconfig?: string;
}

async function checkHere({ hostRoot, dataPath }: CheckFlags): Promise<NodeReport> {
  const facts = await readHostFacts(hostRoot.replace(/\/+$/, ''), dataPath, process.env['NODE_NAME'] ?? '');
  return { node: facts.node, findings: findingsOf(facts) };
}

async function checkEverywhere(flags: CheckFlags): Promise<NodeReport[]> {
  // The clock's timers alone do not keep a process alive.
  const alive = setInterval(() => undefined, 60_000);
  try {
    return await checkCluster({
      transport: new KubeHttp(loadKubeConfig(flags.kubeconfig)),
      namespace: flags.namespace,
      image: flags.image,
      dataPath: flags.dataPath,
      clock: systemClock,
      signal: endSignal(),
    });
  } finally {
    clearInterval(alive);
  }
}

async function check(flags: CheckFlags): Promise<void> {
  if (flags.printManifest) {
    console.log(JSON.stringify(checkDaemonSet(flags.image, flags.namespace, flags.dataPath), null, 2));
    return;
  }
  const reports = flags.local ? [await checkHere(flags)] : await checkEverywhere(flags);
  console.log(formatted(reports, flags.output));
  const [report] = reports;
  if (flags.reportTo !== undefined && report !== undefined) writeFileSync(flags.reportTo, messageOf(report));
  // A pod that has reported has done its work, whatever it found.
  else process.exitCode = hasErrors(reports) ? 1 : 0;
}

const program = new Command('lhctl').description('Longhorn from the command line').exitOverride();
program
  .command('version')
  .description('the build of this program, and the version of Longhorn that it is compatible with')
  .action(() => console.log(`lhctl ${BUILD_VERSION}, compatible with Longhorn ${LONGHORN_VERSION}`));
program
  .command('check')
  .description('what nodes lack for running Longhorn, and how to get it')
  .option('--local', 'check the machine that it runs on, instead of every node of the cluster', false)
  .option('--host-root <folder>', "with --local: where the host's / is mounted", '')
  .option('--data-path <folder>', 'folder of the default disk, as the host calls it', '/var/lib/longhorn')
  .addOption(new Option('-o, --output <format>', 'form of the report').choices(['text', 'json']).default('text'))
  .option('--report-to <file>', 'with --local: also write what is missing there, and end with 0')
  .option('--print-manifest', 'print the DaemonSet that checks every node, and do nothing', false)
  .addOption(
    new Option('--image <image>', 'image of the checking pods')
      .env('LHCTL_IMAGE')
      .default(`longhornio/longhorn-manager:${LONGHORN_VERSION}`),
  )
  .option('-n, --namespace <name>', 'namespace of the checking pods; it must allow privileged ones', 'longhorn-system')
  .option('--kubeconfig <path>', 'kubeconfig; by default that of KUBECONFIG, or of the pod')
  .addHelpText(
    'after',
    '\nExit codes: 0 nothing is missing (but for warnings), 1 something is, 2 it could not be found out.',
  )
  .action((flags: CheckFlags) => check(flags));

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2;
  else {
    console.error(`lhctl: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = 2;
  }
}
