/** Claims and pods that the tests make. */
import { at, conditionIsTrue } from '../src/kube.ts';
import { get, kubectl, list, until, type KubeObject } from './kubectl.ts';
import { WORKLOAD_IMAGE } from './images.ts';

export interface ClaimOptions {
  size?: string;
  isBlock?: boolean;
  storageClass?: string;
}

export function claim(name: string, { size = '1Gi', isBlock = false, storageClass }: ClaimOptions = {}): object {
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { name },
    spec: {
      accessModes: ['ReadWriteOnce'],
      ...(storageClass === undefined ? {} : { storageClassName: storageClass }),
      ...(isBlock ? { volumeMode: 'Block' } : {}),
      resources: { requests: { storage: size } },
    },
  };
}

/** Where a pod finds its claim's volume. */
export const DATA = '/data';
export const DEVICE = '/dev/data';

export interface PodOptions {
  claims?: Readonly<Record<string, 'file system' | 'block'>>;
  node?: string;
}

/** Containers of a pod that idles with claims: one alone at DATA or DEVICE, several below by name. */
export function pod(name: string, { claims = {}, node }: PodOptions = {}): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels: { app: name } },
    spec: {
      ...podSpec(claims),
      ...(node === undefined ? {} : { nodeSelector: { 'kubernetes.io/hostname': node } }),
    },
  };
}

export function podSpec(claims: Readonly<Record<string, 'file system' | 'block'>>): object {
  const names = Object.keys(claims);
  const place = (base: string, name: string): string => (names.length === 1 ? base : `${base}-${name}`);
  const ofKind = (kind: 'file system' | 'block'): string[] => names.filter((name) => claims[name] === kind);
  return {
    terminationGracePeriodSeconds: 1,
    automountServiceAccountToken: false,
    containers: [
      {
        name: 'workload',
        image: WORKLOAD_IMAGE,
        imagePullPolicy: 'IfNotPresent',
        volumeMounts: ofKind('file system').map((name) => ({ name, mountPath: place(DATA, name) })),
        volumeDevices: ofKind('block').map((name) => ({ name, devicePath: place(DEVICE, name) })),
      },
    ],
    volumes: names.map((name) => ({ name, persistentVolumeClaim: { claimName: name } })),
  };
}

/** A Deployment of one such pod, which leaves a lost node after `tolerationSeconds`. */
export function deployment(
  name: string,
  claims: Readonly<Record<string, 'file system' | 'block'>>,
  { tolerationSeconds }: { tolerationSeconds: number },
): object {
  const leave = (key: string): object => ({ key, operator: 'Exists', effect: 'NoExecute', tolerationSeconds });
  const tolerations = [leave('node.kubernetes.io/not-ready'), leave('node.kubernetes.io/unreachable')];
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name },
    spec: {
      replicas: 1,
      strategy: { type: 'Recreate' },
      selector: { matchLabels: { app: name } },
      template: { metadata: { labels: { app: name } }, spec: { ...podSpec(claims), tolerations } },
    },
  };
}

/** The newest pod of a Deployment that is not being deleted; waits for it. */
export function podOf(namespace: string, name: string): Promise<KubeObject> {
  return until(`deployment ${name} has a pod`, 120_000, async () => {
    const pods = (await list('pods', namespace)).filter(
      (each) => at(each, 'metadata.labels.app') === name && at(each, 'metadata.deletionTimestamp') === undefined,
    );
    const created = (each: KubeObject): string => String(at(each, 'metadata.creationTimestamp'));
    return pods.toSorted((a, b) => (created(a) < created(b) ? 1 : -1))[0] ?? null;
  });
}

/**
 * A scheduler that tried a pod right before its claim was bound can miss that, and looks at the pod again after five minutes and up to 30 s
 * (kubernetes/kubernetes#87145); seen here with a claim that was bound within the second.
 */
const POD_READY_MS = 360_000;

/** Waits until a pod is Ready; answers it. */
export function podReady(namespace: string, name: string, timeoutMs = POD_READY_MS): Promise<KubeObject> {
  return until(
    `pod ${namespace}/${name} is Ready`,
    timeoutMs,
    async () => {
      const found = await get('pod', name, namespace);
      return conditionIsTrue(found?.['status'], 'Ready') ? found : null;
    },
    () => events(namespace, name),
  );
}

/** The events of an object, oldest first, one a line. */
export async function events(namespace: string, name: string): Promise<string> {
  const columns = 'custom-columns=TYPE:.type,REASON:.reason,MESSAGE:.message';
  const selector = `--field-selector=involvedObject.name=${name}`;
  return kubectl([
    'get',
    'events',
    '-n',
    namespace,
    selector,
    '--sort-by=.lastTimestamp',
    '-o',
    columns,
    '--no-headers',
  ]);
}

const EVENT_MS = 120_000;

/** Waits until an object has an event like this; answers all of its events. */
export async function eventOf(namespace: string, name: string, pattern: RegExp): Promise<string> {
  let seen = '';
  await until(
    `${name} has an event ${pattern}`,
    EVENT_MS,
    async () => pattern.test((seen = await events(namespace, name))),
    () => Promise.resolve(seen),
  );
  return seen;
}

/** Deletes a pod and waits until it is gone. */
export async function deletePod(namespace: string, name: string): Promise<void> {
  await kubectl(['delete', 'pod', name, '--namespace', namespace, '--timeout=120s'], '', 130_000);
}

/** Name of the volume behind a claim. */
export async function volumeOf(namespace: string, name: string): Promise<string> {
  return until(`claim ${name} is bound`, 60_000, async () => {
    const volume = at(await get('pvc', name, namespace), 'spec.volumeName');
    return typeof volume === 'string' && volume !== '' ? volume : null;
  });
}

/** Waits until a volume is in a state. */
export function volumeIs(
  volume: string,
  state: Readonly<Record<string, string>>,
  timeoutMs = 120_000,
): Promise<KubeObject> {
  let last: KubeObject | null = null;
  return until(
    `volume ${volume} is ${JSON.stringify(state)}`,
    timeoutMs,
    async () => {
      last = await get('volumes.longhorn.io', volume);
      return Object.entries(state).every(([key, value]) => at(last, `status.${key}`) === value) ? last : null;
    },
    () => Promise.resolve(JSON.stringify(last?.['status'])),
  );
}
