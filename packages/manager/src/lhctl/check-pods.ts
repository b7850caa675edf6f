/**
 * The DaemonSet that looks at every node, and what its pods answer. The answer is the termination message of the init
 * container, so that no log has to be read; the other container waits, because pods of a DaemonSet start again when they end.
 */
import type { RawObject, Resource } from '../datastore/kube-transport.ts';
import { limits } from './limits.ts';
import type { Finding, Level } from '../environment/node-checks.ts';
import type { NodeReport } from './report.ts';

export const CHECK_NAME = 'longhorn-environment-check';
export const DAEMON_SETS: Resource = {
  group: 'apps',
  version: 'v1',
  plural: 'daemonsets',
  kind: 'DaemonSet',
  namespaced: true,
};
const LABELS = { app: CHECK_NAME };

/** The pod that runs the check; the DaemonSet goes with it, even when it is killed in the middle. */
export interface CheckOwner {
  readonly podName: string;
  readonly podUid: string;
}

export function checkDaemonSet(
  image: string,
  namespace: string,
  dataPath: string,
  owner: CheckOwner | null,
): RawObject {
  const host = { name: 'host', mountPath: '/host', readOnly: true, mountPropagation: 'HostToContainer' };
  const container = { image, imagePullPolicy: 'IfNotPresent' };
  return {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata: { name: CHECK_NAME, namespace, labels: LABELS, ...ownedBy(owner) },
    spec: {
      selector: { matchLabels: LABELS },
      updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: '100%' } },
      template: {
        metadata: { labels: LABELS },
        spec: {
          automountServiceAccountToken: false,
          terminationGracePeriodSeconds: 1,
          tolerations: [{ operator: 'Exists' }],
          initContainers: [
            {
              ...container,
              name: 'check',
              command: [
                'lhctl',
                'check',
                '--local',
                '--host-root=/host',
                `--data-path=${dataPath}`,
                '--report-to=/dev/termination-log',
              ],
              env: [{ name: 'NODE_NAME', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } }],
              securityContext: { privileged: true, readOnlyRootFilesystem: true },
              volumeMounts: [host],
            },
          ],
          containers: [
            {
              ...container,
              name: 'wait',
              command: ['sleep', 'infinity'],
              securityContext: { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true },
            },
          ],
          volumes: [{ name: 'host', hostPath: { path: '/' } }],
        },
      },
    },
  };
}

function ownedBy(owner: CheckOwner | null): object {
  if (owner === null) return {};
  return { ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name: owner.podName, uid: owner.podUid }] };
}

/** What a pod leaves: what is missing. What is good does not fit in the message, and nobody needs to read it. */
export function messageOf({ findings }: NodeReport): string {
  const kept = findings.filter(({ level }) => level !== 'info');
  for (let count = kept.length; ; count -= 1) {
    const text = JSON.stringify(kept.slice(0, count));
    if (Buffer.byteLength(text) <= limits.messageBytesMax) return text;
  }
}

type Json = Record<string, unknown>;
const record = (value: unknown): Json => (typeof value === 'object' && value !== null ? (value as Json) : {});
const text = (value: unknown): string => (typeof value === 'string' ? value : '');
const first = (value: unknown): Json => record(Array.isArray(value) ? value[0] : undefined);

const LEVELS: readonly string[] = ['error', 'warn', 'info'];

function findingFrom(value: unknown): Finding {
  const { topic, level, message } = record(value);
  if (typeof topic !== 'string' || typeof message !== 'string' || !LEVELS.includes(text(level)))
    throw new Error('the answer of a node is not that of this version of lhctl');
  return { topic, level: level as Level, message };
}

/** The answer of a pod; null: it has none yet. */
export function reportOf(pod: RawObject): NodeReport | null {
  const status = record(pod['status']);
  const terminated = record(record(first(status['initContainerStatuses'])['state'])['terminated']);
  const message = text(terminated['message']);
  if (terminated['exitCode'] === undefined) return null;
  const node = text(record(pod['spec'])['nodeName']);
  let parsed: unknown;
  try {
    parsed = JSON.parse(message);
  } catch (error) {
    throw new Error(`${node}: the check ended with ${JSON.stringify(terminated['exitCode'])}: ${message}`, {
      cause: error,
    });
  }
  const findings = (Array.isArray(parsed) ? parsed : []).map(findingFrom);
  const good: Finding = { topic: 'Node', level: 'info', message: 'nothing is missing' };
  return { node, findings: findings.length === 0 ? [good] : findings };
}

const waitingOf = (pod: RawObject): Json =>
  record(record(first(record(pod['status'])['initContainerStatuses'])['state'])['waiting']);

/** The kubelet tries again, but by itself it gets no other outcome. */
const GIVEN_UP = ['ImagePullBackOff', 'InvalidImageName', 'ErrImageNeverPull', 'CreateContainerConfigError'];

/** A pod that will not answer, whatever time it has. */
export function isStuck(pod: RawObject): boolean {
  return GIVEN_UP.includes(text(waitingOf(pod)['reason']));
}

/** Of a pod without an answer: what it waits for. */
export function silentNode(pod: RawObject): NodeReport {
  const status = record(pod['status']);
  const waiting = waitingOf(pod);
  const why = [text(waiting['reason']), text(waiting['message'])].filter((word) => word !== '').join(': ');
  const message = `the check gave no answer: ${why === '' ? `its pod is ${text(status['phase']) || 'not there'}` : why}`;
  return {
    node: text(record(pod['spec'])['nodeName']) || pod.metadata.name,
    findings: [{ topic: 'Check', level: 'error', message }],
  };
}
