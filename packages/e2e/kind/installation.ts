/** The chart, as docs/install.md says: installed, tested, uninstalled. */
import { join } from 'node:path';
import { at, conditionIsTrue } from '../src/kube.ts';
import { run } from '../src/shell.ts';
import { get, kubectl, list, NAMESPACE, until } from './kubectl.ts';
import { ROOT } from './images.ts';
import { workers } from './nodes.ts';

const RELEASE = 'longhorn';
const CHART = join(ROOT, 'charts/longhorn');

export function helm(args: readonly string[], timeoutMs = 300_000): Promise<string> {
  return run('helm', [...args, '--namespace', NAMESPACE], { timeoutMs });
}

export async function isInstalled(): Promise<boolean> {
  return (await helm(['list', '--all', '--short', '--filter', `^${RELEASE}$`])).trim() !== '';
}

/** Nodes of kind share one disk of the machine, of which they may have less left than the default keeps free. */
const VALUES = ['--set', 'defaultSettings.storageMinimalAvailablePercentage=5'];

export async function install(): Promise<void> {
  await helm(['install', RELEASE, CHART, '--create-namespace', ...VALUES]);
}

export async function upgrade(values: Readonly<Record<string, string>>): Promise<void> {
  const sets = Object.entries(values).flatMap(([path, value]) => ['--set', `${path}=${value}`]);
  await helm(['upgrade', RELEASE, CHART, '--reuse-values', ...sets]);
}

/** `helm test`: a volume is made, written, read and deleted. */
export function test(): Promise<string> {
  return helm(['test', RELEASE, '--timeout', '4m'], 280_000);
}

/** What is not there or not Ready yet, in words; empty = all is. `nodes`: how many take pods. */
async function missing(nodes: number): Promise<string[]> {
  const pods = (await list('pods')).filter((pod) => at(pod, 'status.phase') !== 'Succeeded');
  const wanted: Record<string, number> = {
    'longhorn-manager-': nodes,
    'instance-manager-': nodes,
    'engine-image-ei-': nodes,
    'longhorn-csi-plugin-': nodes,
    'longhorn-driver-deployer-': 1,
    'longhorn-ui-': 2,
    'csi-attacher-': 3,
    'csi-provisioner-': 3,
    'csi-resizer-': 3,
    'csi-snapshotter-': 3,
  };
  return Object.entries(wanted).flatMap(([prefix, count]) => {
    const ready = pods.filter(
      (pod) => pod.metadata.name.startsWith(prefix) && conditionIsTrue(pod['status'], 'Ready'),
    ).length;
    return ready >= count ? [] : [`${prefix}*: ${ready} of ${count} are Ready`];
  });
}

/** Waits until every component runs on every node, and nodes take replicas. */
export async function allReady(timeoutMs: number): Promise<void> {
  const nodes = (await workers()).length;
  let last: string[] = [];
  await until(
    'all pods of the system are Ready',
    timeoutMs,
    async () => {
      last = await missing(nodes);
      return last.length === 0;
    },
    () => Promise.resolve(last.join('\n')),
  );
}

/** `helm uninstall`, refused while the flag is not set. */
export async function uninstall(): Promise<void> {
  await helm(['uninstall', RELEASE, '--wait', '--timeout', '10m'], 660_000);
}

/** Sets the flag without which nothing is uninstalled. */
export async function confirmDeletion(): Promise<void> {
  const patch = JSON.stringify({ value: 'true' });
  const args = ['patch', 'settings.longhorn.io', 'deleting-confirmation-flag', '--type=merge', '--patch', patch];
  await kubectl(['--namespace', NAMESPACE, ...args]);
}

/** A setting's value. */
export async function setting(name: string): Promise<unknown> {
  return (await get('settings.longhorn.io', name))?.['value'];
}
