/** What the cluster and its nodes hold, as sorted lines: compared before and after, nothing may be left behind. */
import { kubectl, list, NAMESPACE, until } from './kubectl.ts';
import { nodeNames, onNode } from './nodes.ts';

/** Each line is one thing that somebody would have to clean up. */
export type Inventory = readonly string[];

const OURS = 'longhorn';
/** Made by Kubernetes itself in every namespace. */
const OF_THE_NAMESPACE = ['kube-root-ca.crt', 'serviceaccount/default'];

/**
 * Lines with a prefix each: mounts, device nodes, sockets that are listened on, files, processes, holders of devices. Folders
 * do not count, nor do disks: their replicas and what says that they are disks. Loop devices are the kernel's, which the
 * nodes share with the whole machine: one that is ours shows as a device node or has a holder.
 */
const NODE_SCRIPT = `
grep -h ${OURS} /proc/1/mountinfo | awk '{print "mount " $5}' | sort
ls /dev/longhorn 2>/dev/null | sed 's/^/device /'
awk '/${OURS}/ {print "socket " $NF}' /proc/net/unix | sort -u
find /var/run/longhorn /var/lib/longhorn /var/lib/kubelet/plugins/driver.longhorn.io /var/lib/kubelet/plugins_registry /var/lib/kubelet/plugins/kubernetes.io/csi -path '*/replicas/*' -prune -o -name longhorn-disk.cfg -o \\( -type f -o -type s -o -type l \\) -print 2>/dev/null | sed 's/^/file /'
for d in /proc/[0-9]*; do c=$(tr '\\0' ' ' < $d/cmdline 2>/dev/null) && case "$c" in *${OURS}*) echo "process $c";; esac; grep -qsz LONGHORN_DEVICE_HOLDER $d/environ && echo "holder $c"; done
true`;

/**
 * The registrar's socket at the kubelet: the sidecar takes it away when it ends in order, and nobody else may. The kubelet
 * forgets the driver by the end of the socket's server.
 */
const OF_THE_REGISTRAR = 'file /var/lib/kubelet/plugins_registry/driver.longhorn.io-reg.sock';

/** What the nodes hold. */
export async function nodeInventory(): Promise<Inventory> {
  const nodes = await nodeNames();
  const outputs = await Promise.all(nodes.map((node) => onNode(node, NODE_SCRIPT)));
  return outputs
    .flatMap((output, index) => output.split('\n').map((line) => `${nodes[index]}: ${line}`))
    .filter((line) => !line.endsWith(': ') && !line.endsWith(OF_THE_REGISTRAR))
    .sort();
}

/** Names of all objects of a cluster that are Longhorn's, whatever their kind. */
export async function objectInventory(): Promise<Inventory> {
  const verbs = ['api-resources', '--verbs=list', '--output=name'];
  const [namespaced, clusterWide] = await Promise.all([
    kubectl([...verbs, '--namespaced=true']),
    kubectl([...verbs, '--namespaced=false']),
  ]);
  const kinds = (text: string): string =>
    text
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('events'))
      .join(',');
  const names = async (args: readonly string[]): Promise<string[]> =>
    (await kubectl(['get', ...args, '--ignore-not-found', '--output=name', '--show-kind'])).split('\n');
  const all = [
    ...(await names([kinds(namespaced), `--namespace=${NAMESPACE}`])),
    ...(await names([kinds(clusterWide)])).filter((line) => line.includes(OURS)),
  ];
  return all
    .filter(
      (line) =>
        line !== '' && !OF_THE_NAMESPACE.some((text) => line.endsWith(text)) && line !== `namespace/${NAMESPACE}`,
    )
    .sort();
}

/** Lines of `after` that `before` has not. */
export function added(before: Inventory, after: Inventory): Inventory {
  const known = new Set(before);
  return after.filter((line) => !known.has(line));
}

/** Volumes, attachments and claims that are still there. */
async function volumeObjects(): Promise<Inventory> {
  const kinds = ['volumes.longhorn.io', 'engines.longhorn.io', 'replicas.longhorn.io', 'volumeattachments.longhorn.io'];
  const ours = await Promise.all(kinds.map((kind) => list(kind)));
  const cluster = await Promise.all(
    ['persistentvolumes', 'volumeattachments.storage.k8s.io'].map((kind) => list(kind, null)),
  );
  return [...ours, ...cluster]
    .flat()
    .map(({ kind, metadata }) => `${kind} ${metadata.name}`)
    .sort();
}

/** What volumes leave on nodes while the system runs: nothing, once they are deleted. Data folders included. */
async function volumeRemains(): Promise<Inventory> {
  const nodes = await nodeNames();
  const script = `
grep -h -e /dev/longhorn -e longhorn.*backing -e driver.longhorn.io.*globalmount -e 'kubernetes.io~csi/pvc-' /proc/1/mountinfo | awk '{print "mount " $5}'
ls /dev/longhorn 2>/dev/null | sed 's/^/device /'
ls /var/run/longhorn/devices 2>/dev/null | sed 's/^/record /'
ls /var/lib/longhorn/replicas 2>/dev/null | sed 's/^/replica /'
for d in /proc/[0-9]*; do grep -qsz LONGHORN_DEVICE_HOLDER $d/environ && echo "holder"; done
true`;
  const outputs = await Promise.all(nodes.map((node) => onNode(node, script)));
  return outputs
    .flatMap((output, index) => output.split('\n').map((line) => `${nodes[index]}: ${line}`))
    .filter((line) => !line.endsWith(': '))
    .sort();
}

/** What volumes hold now, to be compared by `untilVolumesGone`. */
export async function volumeInventory(): Promise<Inventory> {
  return [...(await volumeObjects()), ...(await volumeRemains())];
}

/** Waits until nothing of volumes is there that was not there `before`; returns what is left. */
export async function untilVolumesGone(before: Inventory): Promise<Inventory> {
  let left: Inventory = [];
  await until(
    'nothing is left of the volumes',
    120_000,
    async () => {
      left = added(before, await volumeInventory());
      return left.length === 0;
    },
    () => Promise.resolve(left.join('\n')),
  );
  return left;
}
