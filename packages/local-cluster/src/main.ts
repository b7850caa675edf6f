/**
 * `local-cluster`: the command line, and the only place that joins the machine's clock, randomness and files to the rest.
 */
import { accessSync, constants, existsSync, rmSync } from 'node:fs';
import { release } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command, InvalidArgumentError } from 'commander';
import { pino } from 'pino';
import { Cluster, type ClusterOptions } from './cluster.ts';
import { lockFolder } from './cluster-folder.ts';
import { machineAfter, machineEnvironment } from './io/environment.ts';
import { nodeGraceMs } from './limits.ts';
import { readManifests } from './manifests.ts';
import { wipe } from './wipe.ts';
import { builtImages } from './node/image-map.ts';

// Reading environments of processes may hang; see node/processes.ts.
process.env['UV_THREADPOOL_SIZE'] ??= '16';

const log = pino({ level: process.env['LOCAL_CLUSTER_LOG'] ?? 'info' }, pino.destination({ dest: 2, sync: true }));
/** The packages folder, from src/ and from dist/ alike. */
const packages = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new InvalidArgumentError('must be a whole number');
  return value;
}

function gibibytes(text: string): number {
  const match = /^(\d+)(Mi|Gi|Ti)$/.exec(text);
  const unit = { Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40 }[match?.[2] ?? ''];
  if (match === null || unit === undefined) throw new InvalidArgumentError('must be a size such as 20Gi');
  const bytes = Number(match[1]) * unit;
  if (bytes < 64 * 2 ** 20) throw new InvalidArgumentError('must be at least 64Mi');
  return bytes;
}

/** Variables of this process that pods get: where programs are found, language, time zone, and what tests set. */
function inherited(): Record<string, string> {
  const names = ['PATH', 'HOME', 'LANG', 'TZ', 'TMPDIR', 'NODE_OPTIONS', 'NODE_EXTRA_CA_CERTS'];
  const result: Record<string, string> = { LONGHORN_NODE: process.execPath };
  for (const [name, value] of Object.entries(process.env))
    if (value !== undefined && (names.includes(name) || name.startsWith('LONGHORN_POD_'))) result[name] = value;
  delete result['LONGHORN_POD_MARK'];
  return result;
}

function canUseLoopDevices(): boolean {
  if (process.getuid?.() !== 0 || !existsSync('/dev/loop-control')) return false;
  try {
    accessSync('/dev/loop-control', constants.W_OK);
    return true;
  } catch (error) {
    log.info({ err: error }, 'nodes have plain folders for disks: loop devices cannot be used');
    return false;
  }
}

interface UpFlags {
  dir: string;
  nodes: number;
  manifests: string[];
  diskSize: number;
  apiPort: number;
  uiPort: number;
  instance: number;
  nodeGrace: number;
  plainDisks: boolean;
}

function optionsOf(flags: UpFlags): ClusterOptions {
  const ours = join(packages, 'local-cluster', 'manifests');
  const diskKind = !flags.plainDisks && canUseLoopDevices() ? 'ext4' : 'folder';
  const plain = diskKind === 'folder' ? [join(packages, 'local-cluster', 'manifests-plain-disks')] : [];
  const definitions = join(packages, '..', 'charts', 'longhorn', 'definitions');
  const folders = flags.manifests.length > 0 ? flags.manifests : [ours, ...plain];
  const all = existsSync(definitions) ? [definitions, ...folders] : folders;
  const { instance } = flags;
  return {
    folder: resolve(flags.dir),
    nodes: flags.nodes,
    instance,
    apiPort: flags.apiPort === 0 ? 0 : flags.apiPort + instance,
    manifests: all.flatMap((folder) => readManifests(resolve(folder))),
    images: builtImages(packages),
    diskKind,
    diskSizeBytes: flags.diskSize,
    nodeGraceMs: flags.nodeGrace * 1000,
    exposures: [
      {
        title: 'ui',
        namespace: 'longhorn-system',
        service: 'longhorn-frontend',
        port: 80,
        listen: { address: '127.0.0.1', port: flags.uiPort === 0 ? 0 : flags.uiPort + instance },
      },
    ],
    environment: machineEnvironment,
    after: machineAfter,
    inherited: inherited(),
    note: (text, error) => (error === undefined ? log.warn(text) : log.warn({ err: error }, text)),
  };
}

/** Resolves with the first signal that asks for the end; later ones change nothing. */
function askedToStop(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, resolve);
  });
}

async function up(flags: UpFlags): Promise<void> {
  const asked = askedToStop();
  const cluster = await Cluster.start(optionsOf(flags));
  log.info(
    { ...cluster.addresses, kubeconfig: cluster.kubeconfig, nodes: flags.nodes, kernel: release() },
    'the cluster is up',
  );
  log.info({ signal: await asked }, 'stopping');
  await cluster.stop();
}

async function reset(flags: { dir: string }): Promise<void> {
  const folder = resolve(flags.dir);
  if (!existsSync(folder)) return;
  if (!existsSync(join(folder, 'cluster-id')))
    throw new Error(`${folder} is not the folder of a local-cluster; nothing was removed`);
  const unlock = lockFolder(folder);
  await wipe(folder, machineAfter);
  unlock();
  rmSync(folder, { recursive: true, force: true });
}

const program = new Command('local-cluster').description(
  'A small Kubernetes for one machine, whose pods are processes',
);
const collect = (value: string, before: string[]): string[] => [...before, value];
program
  .command('up')
  .description('run the cluster until a signal ends it')
  .option('--dir <folder>', 'where its state is kept', '.longhorn')
  .option('--nodes <count>', 'number of nodes', wholeNumber, 3)
  .option(
    '--manifests <folder>',
    'YAML files with the objects that it starts with (repeatable; default: Longhorn)',
    collect,
    [],
  )
  .option('--disk-size <size>', "size of a new node's disk", gibibytes, 20 * 2 ** 30)
  .option('--api-port <port>', 'port of the API server; 0: any', wholeNumber, 17443)
  .option('--ui-port <port>', 'port of the UI; 0: any', wholeNumber, 9580)
  .option('--instance <number>', 'sets a second cluster on one machine apart (addresses and ports)', wholeNumber, 0)
  .option('--node-grace <seconds>', 'a node without power is NotReady after this time', wholeNumber, nodeGraceMs / 1000)
  .option('--plain-disks', 'plain folders as disks, even where file systems could be mounted', false)
  .action(up);
program
  .command('reset')
  .description('remove a cluster and all its data')
  .option('--dir <folder>', 'where its state is kept', '.longhorn')
  .action(reset);

try {
  await program.parseAsync();
  process.exit(0);
} catch (error) {
  process.stderr.write(`local-cluster: ${error instanceof Error ? error.message : String(error)}\n`);
  log.debug({ err: error }, 'failed');
  process.exit(1);
}
