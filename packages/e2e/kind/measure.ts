/**
 * `node packages/e2e/kind/measure.ts`: figures of a cluster with the system installed, as tables for docs/benchmarks.md.
 *
 *     memory [VOLUMES]     kubelet's working set by component, with 0 and with VOLUMES (10) attached volumes
 *     latency [ROUNDS]     claim created to pod Running, and VolumeAttachment deleted to attached on another node, ROUNDS (20) times
 */
import { at } from '../src/kube.ts';
import {
  apply,
  dropNamespace,
  get,
  kubectl,
  list,
  makeNamespace,
  NAMESPACE,
  until,
  type KubeObject,
} from './kubectl.ts';
import { workers } from './nodes.ts';
import { claim, deletePod, pod, podReady, volumeIs, volumeOf } from './workloads.ts';

const SPACE = 'e2e-measure';
const SETTLE_MS = 30_000;
const MIB = 2 ** 20;

const items = (value: unknown): unknown[] => (Array.isArray(value) ? (value as unknown[]) : []);

/** Component of a pod: its name without what makes it unique. */
function component(name: string): string {
  const known = [
    'longhorn-manager',
    'instance-manager',
    'engine-image-ei',
    'longhorn-csi-plugin',
    'longhorn-driver-deployer',
    'longhorn-ui',
  ];
  const sidecars = ['csi-attacher', 'csi-provisioner', 'csi-resizer', 'csi-snapshotter'];
  return [...known, ...sidecars].find((prefix) => name.startsWith(prefix)) ?? name;
}

interface Memory {
  /** MiB of each pod of a component */
  byComponent: Map<string, number[]>;
  byNode: Map<string, number>;
}

async function memory(): Promise<Memory> {
  const byComponent = new Map<string, number[]>();
  const byNode = new Map<string, number>();
  for (const node of await workers()) {
    const summary: unknown = JSON.parse(await kubectl(['get', '--raw', `/api/v1/nodes/${node}/proxy/stats/summary`]));
    for (const each of items(at(summary, 'pods')).filter((found) => at(found, 'podRef.namespace') === NAMESPACE)) {
      const used = Number(at(each, 'memory.workingSetBytes') ?? 0) / MIB;
      const name = component(String(at(each, 'podRef.name')));
      byComponent.set(name, [...(byComponent.get(name) ?? []), used]);
      byNode.set(node, (byNode.get(node) ?? 0) + used);
    }
  }
  return { byComponent, byNode };
}

const range = (values: readonly number[]): string => {
  const [least, most] = [Math.min(...values), Math.max(...values)].map((value) => value.toFixed(0));
  return least === most ? `${least}` : `${least} to ${most}`;
};

async function measureMemory(count: number): Promise<void> {
  const idle = await memory();
  await makeNamespace(SPACE);
  try {
    const names = Array.from({ length: count }, (_, index) => `volume-${index}`);
    await apply(
      SPACE,
      names.flatMap((name) => [claim(name, { size: '256Mi' }), pod(name, { claims: { [name]: 'file system' } })]),
    );
    for (const name of names) await podReady(SPACE, name, 600_000);
    for (const name of names) await volumeIs(await volumeOf(SPACE, name), { robustness: 'healthy' }, 300_000);
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    const loaded = await memory();
    console.log(`| pod | pods | MiB each, no volume | MiB each, ${count} volumes |\n| --- | --- | --- | --- |`);
    for (const [name, values] of [...idle.byComponent].sort(([a], [b]) => (a < b ? -1 : 1)))
      console.log(`| ${name} | ${values.length} | ${range(values)} | ${range(loaded.byComponent.get(name) ?? [0])} |`);
    console.log(
      `| a node | ${idle.byNode.size} | ${range([...idle.byNode.values()])} | ${range([...loaded.byNode.values()])} |`,
    );
  } finally {
    await dropNamespace(SPACE);
  }
}

/** What happens between a claim and its running pod, in order, each as the stamp (whole seconds, ms since 1970) of an object. */
const STEPS = {
  'claim created': 'start',
  'volume made (provisioner, manager)': 'volume',
  'pod on a node (scheduler)': 'scheduled',
  'VolumeAttachment made (attach-detach controller)': 'asked',
  'attached (attacher, manager, engine)': 'attached',
  'container started (kubelet: mkfs, mount, sandbox)': 'started',
} as const;

type Stamps = Record<(typeof STEPS)[keyof typeof STEPS], number>;

const stamp = (value: unknown): number => Date.parse(String(value));

/** Stamp of the change that the attacher made to an attachment's status. */
async function attachedStamp(name: string): Promise<number> {
  const args = ['get', 'volumeattachments.storage.k8s.io', name, '--show-managed-fields', '--output', 'json'];
  const attachment = JSON.parse(await kubectl(args)) as KubeObject;
  const fields = items(at(attachment, 'metadata.managedFields'));
  const ofStatus = fields.filter((each) => at(each, 'fieldsV1.f:status.f:attached') !== undefined);
  if (ofStatus.length === 0) throw new Error(`nobody has written the status of ${name}: ${JSON.stringify(fields)}`);
  return Math.max(...ofStatus.map((each) => stamp(at(each, 'time'))));
}

async function stampsOf(name: string, running: KubeObject): Promise<Stamps> {
  const volume = await volumeOf(SPACE, name);
  const attachment = await attachmentOf(volume);
  if (attachment === null) throw new Error(`volume ${volume} of a running pod has no VolumeAttachment`);
  const scheduled = items(at(running, 'status.conditions')).find((each) => at(each, 'type') === 'PodScheduled');
  const [container] = items(at(running, 'status.containerStatuses'));
  return {
    start: stamp(at(await get('pvc', name, SPACE), 'metadata.creationTimestamp')),
    volume: stamp(at(await get('pv', volume, null), 'metadata.creationTimestamp')),
    scheduled: stamp(at(scheduled, 'lastTransitionTime')),
    asked: stamp(at(attachment, 'metadata.creationTimestamp')),
    attached: await attachedStamp(attachment.metadata.name),
    started: stamp(at(container, 'state.running.startedAt')),
  };
}

/** Mean seconds of each step: stamps are cut to whole seconds, which their differences even out. */
function printSteps(all: readonly Stamps[]): void {
  console.log('| step | mean s |\n| --- | --- |');
  const steps = Object.entries(STEPS);
  for (const [index, [text, key]] of steps.entries()) {
    const before = steps[index - 1]?.[1];
    if (before === undefined) continue;
    const sum = all.reduce((total, each) => total + each[key] - each[before], 0);
    console.log(`| ${text} | ${(sum / all.length / 1000).toFixed(1)} |`);
  }
}

function summary(what: string, values: readonly number[]): string {
  const sorted = values.toSorted((a, b) => a - b);
  const figure = (index: number): string => (sorted[index] ?? 0).toFixed(1);
  return `| ${what} | ${figure(Math.floor(sorted.length / 2))} | ${figure(sorted.length - 1)} |`;
}

/** Seconds from the claim's creation to its pod Running, by the clock of this process, and the stamps in between. */
async function claimToRunning(name: string): Promise<{ total: number; stamps: Stamps }> {
  const start = performance.now();
  await apply(SPACE, [claim(name, { size: '1Gi' }), pod(name, { claims: { [name]: 'file system' } })]);
  const running = await podReady(SPACE, name);
  return { total: (performance.now() - start) / 1000, stamps: await stampsOf(name, running) };
}

async function attachmentOf(volume: string): Promise<KubeObject | null> {
  const all = await list('volumeattachments.storage.k8s.io', null);
  return all.find((each) => at(each, 'spec.source.persistentVolumeName') === volume) ?? null;
}

/** Seconds from the deletion of one VolumeAttachment to `attached` of another one on another node. */
async function attachedElsewhere(volume: string, nodes: readonly string[]): Promise<number> {
  const before = await attachmentOf(volume);
  const node = nodes.find((each) => each !== at(before, 'spec.nodeName'));
  const name = `measure-${nodes.indexOf(String(node))}`;
  const start = performance.now();
  if (before !== null) await kubectl(['delete', 'volumeattachment', before.metadata.name, '--wait=false']);
  const next = {
    apiVersion: 'storage.k8s.io/v1',
    kind: 'VolumeAttachment',
    metadata: { name },
    spec: { attacher: 'driver.longhorn.io', nodeName: node, source: { persistentVolumeName: volume } },
  };
  await apply(SPACE, [next]);
  await until(
    `${volume} is attached on ${node}`,
    120_000,
    async () => at(await get('volumeattachments.storage.k8s.io', name, null), 'status.attached') === true,
  );
  return (performance.now() - start) / 1000;
}

async function measureLatency(rounds: number): Promise<void> {
  await makeNamespace(SPACE);
  try {
    const running: { total: number; stamps: Stamps }[] = [];
    for (let round = 0; round < rounds; round++) {
      running.push(await claimToRunning(`claim-${round}`));
      await deletePod(SPACE, `claim-${round}`);
      if (round > 0) await kubectl(['delete', 'pvc', `claim-${round}`, '-n', SPACE, '--timeout=60s'], '', 70_000);
    }
    const volume = await volumeOf(SPACE, 'claim-0');
    await volumeIs(volume, { state: 'detached' });
    const nodes = await workers();
    await attachedElsewhere(volume, nodes);
    const moved: number[] = [];
    for (let round = 0; round < rounds; round++) moved.push(await attachedElsewhere(volume, nodes));
    console.log('| | median s | worst s |\n| --- | --- | --- |');
    const totals = running.map(({ total }) => total);
    console.log(summary(`claim created to pod Running (${rounds})`, totals));
    console.log(summary(`VolumeAttachment deleted to attached on another node (${rounds})`, moved));
    printSteps(running.map(({ stamps }) => stamps));
    const last = await attachmentOf(volume);
    if (last !== null) await kubectl(['delete', 'volumeattachment', last.metadata.name]);
  } finally {
    await dropNamespace(SPACE);
  }
}

const [what, amount] = process.argv.slice(2);
if (what === 'memory') await measureMemory(Number(amount ?? 10));
else if (what === 'latency') await measureLatency(Number(amount ?? 20));
else throw new Error('usage: node packages/e2e/kind/measure.ts memory [VOLUMES] | latency [ROUNDS]');
