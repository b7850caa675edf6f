/**
 * `npm start`, after the build: runs the cluster in the foreground, waits until it is healthy and says what to do with it.
 *
 * Further arguments go to `local-cluster up` (`npm start -- --nodes 4`).
 */
import { spawn } from 'node:child_process';
import { createWriteStream, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

const root = resolve(import.meta.dirname, '..');
const localCluster = join(root, 'packages/local-cluster/dist/local-cluster');
const folder = join(root, '.longhorn');
const healthyMsMax = 180_000;

interface Condition {
  type: string;
  status: string;
  message?: string;
}
interface Item {
  metadata: { name: string };
  spec?: { nodeName?: string };
  status?: {
    state?: string;
    phase?: string;
    conditions?: Condition[];
    containerStatuses?: { state: object }[];
    diskStatus?: Record<string, { conditions?: Condition[] }>;
  };
}

/** The API server's address with the token in it, from the kubeconfig; `null`: not written yet. */
function server(): string | null {
  const path = join(folder, 'kubeconfig');
  if (!existsSync(path)) return null;
  const config = JSON.parse(readFileSync(path, 'utf8')) as { clusters: { cluster: { server: string } }[] };
  return config.clusters[0]?.cluster.server ?? null;
}

/** Whether the folder is this start's: one that another cluster holds is healthy, but not by this start. */
function isOurs(): boolean {
  const path = join(folder, 'lock');
  return existsSync(path) && Number(readFileSync(path, 'utf8')) === cluster.pid;
}

/** Objects of a kind; none while the server does not answer. */
async function list(path: string): Promise<Item[]> {
  const address = server();
  if (address === null) return [];
  try {
    const response = await fetch(`${address}${path}`, { signal: AbortSignal.timeout(5_000) });
    return response.ok ? ((await response.json()) as { items: Item[] }).items : [];
  } catch (error) {
    // Not up yet; the deadline of the caller decides how long that is fine.
    if (error instanceof Error) return [];
    throw error;
  }
}

/** Where the UI is, once the cluster has written that down; `null`: not yet. */
function uiAddress(): string | null {
  const path = join(folder, 'addresses.json');
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as { ui: string }).ui : null;
}

async function uiAnswers(): Promise<boolean> {
  const address = uiAddress();
  if (address === null) return false;
  try {
    const response = await fetch(address, { signal: AbortSignal.timeout(5_000) });
    return response.ok;
  } catch (error) {
    if (error instanceof Error) return false;
    throw error;
  }
}

const has = (item: Item, type: string): boolean =>
  (item.status?.conditions ?? []).some((condition) => condition.type === type && condition.status === 'True');

/** Why a node's disk takes no replica; `null`: it does, or nothing is known of it yet. */
function fullDisk(node: Item): string | null {
  for (const disk of Object.values(node.status?.diskStatus ?? {}))
    for (const { type, status, message } of disk.conditions ?? [])
      if (type === 'Schedulable' && status === 'False') return message ?? 'its disk takes none';
  return null;
}

const LONGHORN = '/apis/longhorn.io/v1beta2/namespaces/longhorn-system';

/** What is not healthy yet, as sentences; none = healthy. */
async function missing(): Promise<string[]> {
  if (!isOurs()) return ['the API server does not answer yet'];
  const [machines, nodes, images] = await Promise.all([
    list('/api/v1/nodes'),
    list(`${LONGHORN}/nodes`),
    list(`${LONGHORN}/engineimages`),
  ]);
  if (machines.length === 0) return ['the API server does not answer yet'];
  const found: string[] = [];
  const schedulable = nodes.filter((node) => has(node, 'Ready') && has(node, 'Schedulable') && fullDisk(node) === null);
  if (schedulable.length < machines.length) {
    const reason = nodes.map(fullDisk).find((text) => text !== null) ?? '';
    found.push(`${schedulable.length} of ${machines.length} nodes can take replicas${reason && ` (${reason})`}`);
  }
  if (!images.some((image) => image.status?.state === 'deployed'))
    found.push('the engine image is not deployed on all nodes');
  if (!(await uiAnswers())) found.push('the UI does not answer');
  return found;
}

async function troubledPods(): Promise<string[]> {
  const pods = await list('/api/v1/namespaces/longhorn-system/pods');
  return pods
    .filter((pod) => !has(pod, 'Ready'))
    .map(
      (pod) =>
        `  ${pod.metadata.name} on ${pod.spec?.nodeName ?? 'no node'}: ${JSON.stringify(pod.status?.containerStatuses?.[0]?.state ?? pod.status?.phase ?? 'not started')}`,
    );
}

const sample = `apiVersion: longhorn.io/v1beta2
kind: Volume
metadata: {name: demo, namespace: longhorn-system}
spec: {size: "2147483648", numberOfReplicas: 3, frontend: blockdev}`;

function advice(): string {
  const kubeconfig = relative(process.cwd(), join(folder, 'kubeconfig')) || 'kubeconfig';
  return `
Longhorn is up:  ${uiAddress() ?? ''}

Three things to try, in another terminal:

1. Open the page above, create a volume and attach it.
2. Do the same with kubectl:

   export KUBECONFIG=${kubeconfig}
   kubectl apply -f - <<'EOF'
${sample.replaceAll(/^/gm, '   ')}
   EOF
   kubectl get volumes.longhorn.io -n longhorn-system -w

3. npm run demo

Logs: .longhorn/local-cluster.log, and kubectl logs. Ctrl-C stops everything; the volumes stay.
`;
}

mkdirSync(folder, { recursive: true });
const log = createWriteStream(join(folder, 'local-cluster.log'), { flags: 'a' });
const cluster = spawn(localCluster, ['up', '--dir', folder, ...process.argv.slice(2)], {
  cwd: root,
  stdio: ['ignore', 'inherit', 'pipe'],
  // Not in the terminal's foreground group: the stop is asked for once, below, and not by every Ctrl-C.
  detached: true,
});
cluster.stderr.on('data', (chunk: Buffer) => {
  log.write(chunk);
  // Words for people are plain lines; the log proper is JSON.
  for (const line of chunk.toString('utf8').split('\n'))
    if (line.startsWith('local-cluster:')) process.stderr.write(`${line}\n`);
});
let stopping = false;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.on(signal, () => {
    if (!stopping) process.stdout.write('\nStopping: volumes are closed in good order …\n');
    stopping = true;
    cluster.kill('SIGTERM');
  });
cluster.on('exit', (code) => {
  if (stopping && code === 0) process.stdout.write('Stopped.\n');
  process.exit(code ?? 1);
});

process.stdout.write('Starting the cluster …\n');
const deadline = Date.now() + healthyMsMax;
let last = '';
for (;;) {
  const left = await missing();
  if (stopping) break;
  if (left.length === 0) {
    process.stdout.write(advice());
    break;
  }
  const now = left.join('; ');
  if (now !== last) process.stdout.write(`  ${now}\n`);
  last = now;
  if (Date.now() > deadline) {
    process.stdout.write(
      `\nNot healthy after ${healthyMsMax / 1000} s: ${now}\n${(await troubledPods()).join('\n')}\nIt keeps running; look at .longhorn/local-cluster.log and kubectl logs. Ctrl-C stops it.\n`,
    );
    break;
  }
  await pause(500);
}
