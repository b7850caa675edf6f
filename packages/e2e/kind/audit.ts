/**
 * The API server's own record of who asked for what: switched on in the static pod of a control plane of kubeadm, which is a
 * container of the local docker. Only requests of service accounts of the system's namespace are recorded, without bodies.
 */
import { parse, stringify } from 'yaml';
import { at } from '../src/kube.ts';
import { kubectl, list, NAMESPACE, until } from './kubectl.ts';
import { controlPlane, onNode } from './nodes.ts';
import { parseAudit, type AuditedRequest } from './rights.ts';

const MANIFEST = '/etc/kubernetes/manifests/kube-apiserver.yaml';
const FOLDER = '/var/log/kubernetes/audit';
const LOG = `${FOLDER}/audit.log`;
const POLICY = {
  apiVersion: 'audit.k8s.io/v1',
  kind: 'Policy',
  // A watch is recorded when it begins: some last for the life of their pod.
  omitStages: ['RequestReceived'],
  rules: [{ level: 'Metadata', userGroups: [`system:serviceaccounts:${NAMESPACE}`] }, { level: 'None' }],
};
const FLAGS = [`--audit-policy-file=${FOLDER}/policy.json`, `--audit-log-path=${LOG}`];
const RESTART_MS = 300_000;

interface Manifest {
  spec: {
    containers: { command: string[]; volumeMounts: object[] }[];
    volumes: object[];
  };
}

/** Records from now on: the API server starts anew for it, or where it records already, what it has is thrown away. */
export async function enableAudit(): Promise<void> {
  const node = await controlPlane();
  const manifest = parse(await onNode(node, `cat ${MANIFEST}`)) as Manifest;
  const [container] = manifest.spec.containers;
  if (container === undefined) throw new Error(`${MANIFEST} has no container`);
  if (container.command.some((word) => word.startsWith('--audit-policy-file'))) {
    // The API server appends to the file that it has open.
    await onNode(node, `rm -f ${FOLDER}/audit-*.log; : > ${LOG}`);
    return;
  }
  container.command.push(...FLAGS);
  container.volumeMounts.push({ name: 'audit', mountPath: FOLDER });
  manifest.spec.volumes.push({ name: 'audit', hostPath: { path: FOLDER, type: 'DirectoryOrCreate' } });
  const write = (path: string, text: string): string => `cat > ${path} <<'END_OF_FILE'\n${text}\nEND_OF_FILE\n`;
  // Written beside and renamed: the kubelet must not see half of it.
  const script = `mkdir -p ${FOLDER}\n${write(`${FOLDER}/policy.json`, JSON.stringify(POLICY))}${write('/etc/kubernetes/kube-apiserver.new', stringify(manifest))}mv /etc/kubernetes/kube-apiserver.new ${MANIFEST}\n`;
  await onNode(node, script);
  await until('the API server records what is asked', RESTART_MS, async () => {
    await kubectl(['get', '--raw', '/readyz'], '', 10_000);
    const [pod] = (await list('pods', 'kube-system')).filter(({ metadata }) =>
      metadata.name.startsWith('kube-apiserver-'),
    );
    return (
      JSON.stringify(at(pod, 'spec.containers')).includes('--audit-policy-file') &&
      at(pod, 'status.phase') === 'Running'
    );
  });
}

/** What the system's service accounts have asked for since the record was switched on. */
export async function auditedRequests(): Promise<readonly AuditedRequest[]> {
  const text = await onNode(await controlPlane(), `cat ${FOLDER}/audit*.log`, RESTART_MS);
  return parseAudit(text);
}
