/**
 * `npm run idle -- [--volumes 20] [--seconds 60] [--instance N]`: what a system costs that is at rest. A cluster of its own with
 * attached healthy volumes of three replicas; fails when a manager uses more CPU than it may, or when anything but leases is written.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Cluster } from '../cluster.ts';
import { stopOnSignal } from '../interruption.ts';
import { attach, volumeManifest, waitHealthy, waitState } from '../volumes.ts';
import { cpuTimes, millicores, PARTS } from './cpu.ts';

const MANAGER_MILLICORES_MAX = 30;
const VOLUME_BYTES = 64 << 20;
/** What follows the last attachment (events, the first poll of snapshot sizes) is over after this. */
const SETTLE_MS = 75_000;
const NODES = ['node-1', 'node-2', 'node-3'];

const { values } = parseArgs({
  options: {
    volumes: { type: 'string', default: '20' },
    seconds: { type: 'string', default: '60' },
    instance: { type: 'string', default: '24' },
  },
});
const volumes = Number(values.volumes);
const seconds = Number(values.seconds);
if (!Number.isInteger(volumes) || volumes < 1) throw new Error(`--volumes wants a whole number, not ${values.volumes}`);
if (!Number.isInteger(seconds) || seconds < 1) throw new Error(`--seconds wants a whole number, not ${values.seconds}`);

async function attachAll(cluster: Cluster): Promise<void> {
  const names = Array.from({ length: volumes }, (_, index) => `idle-${index + 1}`);
  for (const [index, name] of names.entries()) {
    await cluster.kube.create('volumes', volumeManifest(name, VOLUME_BYTES, 3));
    await waitState(cluster, name, 'detached');
    await attach(cluster, name, NODES[index % NODES.length] ?? 'node-1');
  }
  for (const name of names) await waitHealthy(cluster, name);
}

const isLease = (write: string): boolean => /^\S+ leases( |$)/.test(write);

async function writesOf(cluster: Cluster): Promise<Map<string, number>> {
  return new Map(Object.entries((await cluster.kube.call('GET', '/local/writes')) as Record<string, number>));
}

/** Measures; answers with what is above a limit. */
async function measure(cluster: Cluster): Promise<string[]> {
  const writesBefore = await writesOf(cluster);
  const before = cpuTimes(cluster.folder);
  const start = performance.now();
  await delay(seconds * 1000);
  const elapsedMs = performance.now() - start;
  const used = millicores(before, cpuTimes(cluster.folder), elapsedMs);
  const writes = [...(await writesOf(cluster))]
    .map(([what, count]): [string, number] => [what, count - (writesBefore.get(what) ?? 0)])
    .filter(([, count]) => count > 0);
  console.log(`\nmillicores over ${(elapsedMs / 1000).toFixed(0)} s, ${volumes} volumes of three replicas`);
  console.log(['node'.padEnd(8), ...PARTS.map((part) => part.padStart(17))].join(''));
  for (const [node, parts] of used)
    console.log([node.padEnd(8), ...PARTS.map((part) => parts[part].toFixed(1).padStart(17))].join(''));
  const total = [...writesBefore.values()].reduce((sum, count) => sum + count, 0);
  console.log(`\nAPI writes (${total} before):${writes.length === 0 ? ' none' : ''}`);
  for (const [what, count] of writes.sort(([, a], [, b]) => b - a))
    console.log(`${String(count).padStart(5)}  ${what}`);
  return [
    ...[...used]
      .filter(([, parts]) => parts.manager > MANAGER_MILLICORES_MAX)
      .map(([node, parts]) => `the manager of ${node} uses ${parts.manager.toFixed(1)} millicores`),
    ...writes
      .filter(([what]) => !isLease(what))
      .map(([what, count]) => `${count} times ${what} although all is at rest`),
  ];
}

const folder = mkdtempSync(join(tmpdir(), 'longhorn-idle-'));
const cluster = new Cluster(join(folder, 'cluster'), Number(values.instance));
stopOnSignal(cluster, folder);
try {
  await cluster.start();
  const start = performance.now();
  await attachAll(cluster);
  console.log(`${volumes} volumes attached and healthy after ${((performance.now() - start) / 1000).toFixed(0)} s`);
  await delay(SETTLE_MS);
  const faults = await measure(cluster);
  for (const fault of faults) console.error(`ABOVE THE LIMIT: ${fault}`);
  process.exitCode = faults.length === 0 ? 0 : 1;
} finally {
  await cluster.stop();
  rmSync(folder, { recursive: true, force: true });
}
