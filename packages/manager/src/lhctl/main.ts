/**
 * `lhctl`: what people run by hand. Exit codes: 0 good, 1 something is missing, 2 it could not be found out.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { systemClock } from '../clock.ts';
import { KubeHttp } from '../datastore/kube-http.ts';
import { readHostFacts } from '../io/host-facts.ts';
import { endSignal, loadKubeConfig } from '../process-setup.ts';
import { BUILD_VERSION, LONGHORN_VERSION } from '../version.ts';
import { checkCluster } from './check-cluster.ts';
import { checkDaemonSet, messageOf, type CheckOwner } from './check-pods.ts';
import { findingsOf } from '../environment/node-checks.ts';
import { formatted, hasErrors, type Format, type NodeReport } from './report.ts';
import { createSnapshot, parseLabels } from './snapshot.ts';

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

/** The clock's timers alone do not keep a process alive. */
async function keptAlive<T>(work: Promise<T>): Promise<T> {
  const alive = setInterval(() => undefined, 60_000);
  try {
    return await work;
  } finally {
    clearInterval(alive);
  }
}

/** As docs/examples/environment-check.yaml tells it. */
function ownPod(): CheckOwner | null {
  const { POD_NAME: podName = '', POD_UID: podUid = '' } = process.env;
  return podName === '' || podUid === '' ? null : { podName, podUid };
}

function checkEverywhere(flags: CheckFlags): Promise<NodeReport[]> {
  return keptAlive(
    checkCluster({
      transport: new KubeHttp(loadKubeConfig(flags.kubeconfig)),
      namespace: flags.namespace,
      image: flags.image,
      dataPath: flags.dataPath,
      owner: ownPod(),
      clock: systemClock,
      signal: endSignal(),
    }),
  );
}

async function check(flags: CheckFlags): Promise<void> {
  if (flags.printManifest) {
    console.log(JSON.stringify(checkDaemonSet(flags.image, flags.namespace, flags.dataPath, null), null, 2));
    return;
  }
  const reports = flags.local ? [await checkHere(flags)] : await checkEverywhere(flags);
  console.log(formatted(reports, flags.output));
  const [report] = reports;
  if (flags.reportTo !== undefined && report !== undefined) writeFileSync(flags.reportTo, messageOf(report));
  // A pod that has reported has done its work, whatever it found.
  else process.exitCode = hasErrors(reports) ? 1 : 0;
}

interface SnapshotFlags {
  backend: string;
  namespace?: string;
  name: string;
  label: string[];
  timeout: number;
  output: Format;
}

/** Where Kubernetes tells a pod its namespace. */
const OWN_NAMESPACE = '/var/run/secrets/kubernetes.io/serviceaccount/namespace';

function ownNamespace(): string {
  try {
    return readFileSync(OWN_NAMESPACE, 'utf8').trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 'default';
    throw error;
  }
}

function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (!(seconds > 0)) throw new InvalidArgumentError('not a number of seconds above 0');
  return seconds;
}

async function snapshot(target: string, flags: SnapshotFlags): Promise<void> {
  const made = await keptAlive(
    createSnapshot({
      backend: flags.backend,
      target,
      namespace: flags.namespace ?? ownNamespace(),
      name: flags.name,
      labels: parseLabels(flags.label),
      timeoutMs: flags.timeout * 1000,
      clock: systemClock,
      signal: endSignal(),
    }),
  );
  console.log(flags.output === 'json' ? JSON.stringify(made) : `snapshot ${made.snapshot} of volume ${made.volume}`);
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
program
  .command('snapshot')
  .description('snapshots of volumes')
  .command('create')
  .argument('<volume>', 'name of a volume, or of a claim')
  .description('take a snapshot, and wait until it can be used')
  .addOption(
    new Option('--backend <url>', "address of the manager's API")
      .env('LONGHORN_BACKEND')
      .default('http://longhorn-backend.longhorn-system:9500'),
  )
  .option('-n, --namespace <name>', "namespace of the claim; by default the pod's own, else default")
  .option('--name <name>', 'name of the snapshot; by default one is made up', '')
  .option(
    '-l, --label <key=value>',
    'label of the snapshot; may be repeated',
    (word, all: string[]) => [...all, word],
    [],
  )
  .option('--timeout <seconds>', 'how long to wait', parseSeconds, 120)
  .addOption(new Option('-o, --output <format>', 'form of the answer').choices(['text', 'json']).default('text'))
  .addHelpText('after', '\nExit codes: 0 the snapshot can be used, 2 it could not be taken, or not in time.')
  .action((target: string, flags: SnapshotFlags) => snapshot(target, flags));

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2;
  else {
    console.error(`lhctl: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = 2;
  }
}
