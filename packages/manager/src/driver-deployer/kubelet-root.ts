/**
 * Where the kubelet keeps its files: the driver's sockets and mounts lie below. A pod that sees the node's processes
 * reads the kubelet's command line and leaves it as its termination message, so that no log has to be read.
 */
import type { RawObject } from '../datastore/kube-transport.ts';
import type { DriverOptions } from './options.ts';
import { settingsOfPod, withoutEmpty } from './pod-parts.ts';
import type { PodSettings } from './settings.ts';

export const KUBELET_ROOT_DEFAULT = '/var/lib/kubelet';
const MESSAGE_BYTES_MAX = 4000;

export type ProcessToFind = 'kubelet' | 'k3s';

/** First line: whether the process was found; the rest: its command line, one argument a line. */
function script(name: ProcessToFind): string {
  const isWanted =
    name === 'kubelet'
      ? `[ "\${program##*/}" = kubelet ]`
      : `[ "\${program##*/}" = k3s ] && { [ "$first" = server ] || [ "$first" = agent ]; }`;
  return [
    'for file in /proc/[0-9]*/cmdline; do',
    `  { IFS= read -r -d '' program; IFS= read -r -d '' first; } < "$file" 2>/dev/null`,
    `  if ${isWanted}; then`,
    `    { echo "Proc found: ${name}"; tr '\\0' '\\n' < "$file"; } | head -c ${MESSAGE_BYTES_MAX} > /dev/termination-log`,
    '    exit 0',
    '  fi',
    'done',
    `echo "Proc not found: ${name}" > /dev/termination-log`,
  ].join('\n');
}

export function detectionPodName(name: ProcessToFind): string {
  return `discover-proc-${name}-cmdline`;
}

export function detectionPod(name: ProcessToFind, options: DriverOptions, settings: PodSettings): RawObject {
  const { namespace, serviceAccount, managerImage } = options;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: detectionPodName(name), namespace },
    spec: withoutEmpty({
      serviceAccountName: serviceAccount,
      ...settingsOfPod(settings),
      restartPolicy: 'Never',
      hostPID: true,
      containers: [
        {
          name: detectionPodName(name),
          image: managerImage,
          imagePullPolicy: settings.imagePullPolicy,
          command: ['/bin/bash', '-c', script(name)],
          securityContext: { privileged: true },
        },
      ],
    }),
  };
}

/** The command line that a finished detection pod found; null: there is no such process. */
export function foundCommandLine(message: string, name: ProcessToFind): string[] | null {
  const [first = '', ...rest] = message.split('\n');
  if (first === `Proc not found: ${name}`) return null;
  if (first !== `Proc found: ${name}`) throw new Error(`unknown output of ${detectionPodName(name)}: ${message}`);
  return rest.filter((argument) => argument !== '');
}

/** `--root-dir X` or `--root-dir=X` of a kubelet's command line; the last one counts, as for the kubelet. */
export function rootOfCommandLine(argv: readonly string[]): string {
  const values = argv.flatMap((argument, index) => {
    const match = /^--?root-dir(?:=(.*))?$/.exec(argument);
    if (match === null) return [];
    return [match[1] ?? argv[index + 1] ?? ''];
  });
  const root = (values.at(-1) ?? '').replace(/\/+$/, '');
  return root.startsWith('/') ? root : KUBELET_ROOT_DEFAULT;
}
