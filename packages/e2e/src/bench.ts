/**
 * `nx run e2e:bench -- [options]`: the benchmark of a volume as a user gets it. Starts a cluster of three nodes, applies a Volume
 * object with defaults (three replicas, device served as NBD by the setting blockdev-driver), attaches it, and hands its device to
 * the jobs of `engine:bench`, beside the yardstick, whose replicas lie on the same three file systems. Options are those of engine:bench,
 * and `--instance K` for the cluster's addresses (60). Cases are not run: they start processes of their own.
 *
 * Wants root, so that every node has a file system of its own.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Cluster } from './cluster.ts';
import { stopOnSignal } from './interruption.ts';
import { at } from './kube.ts';
import { engineProcess, replicaProcess } from './processes.ts';
import {
  attach,
  deleteVolume,
  detach,
  engineOf,
  replicasOf,
  setSetting,
  volumeManifest,
  waitHealthy,
} from './volumes.ts';

const VOLUME = 'bench';
const MIB = 1 << 20;
const NODES = ['node-1', 'node-2', 'node-3'];
/** As engine:bench; of it --fill is written, by ours and by the yardstick on the same disks. */
const SIZE_MIB_DEFAULT = '4096';
/** As volumes of the default StorageClass and of the UI have it. */
const VOLUME_DEFAULTS = { revisionCounterDisabled: true };

const args = process.argv.slice(2);
const instance = Number(takeOption('--instance', '60'));
const sizeMib = takeOption('--size', SIZE_MIB_DEFAULT);
if (!Number.isInteger(instance)) throw new Error('--instance wants a whole number');
if (process.getuid?.() !== 0) throw new Error('the benchmark wants root: every node has a file system of its own');

const folder = mkdtempSync(join(tmpdir(), 'longhorn-e2e-bench-'));
const clusterFolder = join(folder, 'cluster');
const cluster = new Cluster(clusterFolder, instance);
stopOnSignal(cluster, folder);
try {
  await cluster.start();
  await setSetting(cluster, 'blockdev-driver', 'nbd');
  await cluster.kube.create('volumes', volumeManifest(VOLUME, Number(sizeMib) * MIB, NODES.length, VOLUME_DEFAULTS));
  const device = await attach(cluster, VOLUME, 'node-1');
  await waitHealthy(cluster, VOLUME);
  console.log(`volume on ${device}, replicas on ${await placesOfReplicas()}`);
  process.exitCode = await engineBench(device, await processesOfVolume());
  await detach(cluster, VOLUME);
  await deleteVolume(cluster, VOLUME);
} finally {
  await cluster.stop();
  rmSync(folder, { recursive: true, force: true });
}

function takeOption(name: string, fallback: string): string {
  const index = args.indexOf(name);
  if (index < 0) return fallback;
  const [, value] = args.splice(index, 2);
  if (value === undefined) throw new Error(`${name} wants a value`);
  return value;
}

async function placesOfReplicas(): Promise<string> {
  const nodes = (await replicasOf(cluster, VOLUME)).map((replica) => String(at(replica, 'spec.nodeID')));
  if (new Set(nodes).size !== NODES.length) throw new Error(`the replicas are on ${nodes.join(', ')}`);
  return nodes.toSorted().join(', ');
}

async function processesOfVolume(): Promise<number[]> {
  const engine = await engineOf(cluster, VOLUME);
  const pids = [engineProcess(clusterFolder, 'node-1', engine.metadata.name).pid];
  for (const replica of await replicasOf(cluster, VOLUME)) {
    pids.push(replicaProcess(clusterFolder, String(at(replica, 'spec.nodeID')), replica.metadata.name).pid);
  }
  return pids;
}

function engineBench(device: string, pids: readonly number[]): Promise<number> {
  const program = resolve(import.meta.dirname, '../../engine/bench/bench.ts');
  const disks = NODES.map((node) => join(clusterFolder, 'nodes', node, 'disk'));
  const given = ['--volume', device, '--pids', pids.join(','), '--size', sizeMib, '--quorum-folders', disks.join(',')];
  const child = spawn(process.execPath, [program, ...given, ...args], { stdio: 'inherit' });
  return new Promise((done, failed) => {
    child.once('error', failed);
    child.once('exit', (code) => done(code ?? 1));
  });
}
