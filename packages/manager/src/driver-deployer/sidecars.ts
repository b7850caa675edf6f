/** Attacher, provisioner, resizer and snapshotter: Deployments whose leader calls the plugin of its own node. */
import { CSI_DRIVER_NAME } from '@longhorn/shared-types';
import type { RawObject } from '../datastore/kube-transport.ts';
import type { DriverOptions, Sidecar } from './options.ts';
import {
  fieldEnv,
  hostFolder,
  settingsOfPod,
  tolerationsAnnotation,
  wantedObject,
  workloadLabels,
} from './pod-parts.ts';
import type { PodSettings } from './settings.ts';

const METRICS_PORT = 8000;

const COMMON_ARGS = [
  '--v=2',
  '--csi-address=$(ADDRESS)',
  '--timeout=1m50s',
  '--leader-election',
  '--leader-election-namespace=$(POD_NAMESPACE)',
  '--kube-api-qps=50',
  '--kube-api-burst=100',
  `--http-endpoint=:${METRICS_PORT}`,
];

const OWN_ARGS: Record<Sidecar, readonly string[]> = {
  'csi-attacher': [],
  'csi-provisioner': ['--default-fstype=ext4', '--enable-capacity', '--capacity-ownerref-level=2'],
  // Growth of a volume in use is the driver's normal case; a failed one may be taken back only by people.
  'csi-resizer': ['--handle-volume-inuse-error=false', '--feature-gates=RecoverVolumeExpansionFailure=false'],
  'csi-snapshotter': [],
};

/** Spreads the replicas over nodes as far as there are nodes. */
function spread(name: string): object {
  return {
    podAntiAffinity: {
      preferredDuringSchedulingIgnoredDuringExecution: [
        {
          weight: 1,
          podAffinityTerm: {
            labelSelector: { matchExpressions: [{ key: 'app', operator: 'In', values: [name] }] },
            topologyKey: 'kubernetes.io/hostname',
          },
        },
      ],
    },
  };
}

export function sidecarDeployment(
  name: Sidecar,
  options: DriverOptions,
  settings: PodSettings,
  kubeletRoot: string,
  version: string,
): RawObject {
  const { namespace, serviceAccount, images, replicas } = options;
  const container = {
    name,
    image: images.sidecars[name],
    imagePullPolicy: settings.imagePullPolicy,
    args: [...COMMON_ARGS, ...OWN_ARGS[name]],
    env: [
      { name: 'ADDRESS', value: '/csi/csi.sock' },
      fieldEnv('POD_NAMESPACE', 'metadata.namespace'),
      fieldEnv('NAMESPACE', 'metadata.namespace'),
      fieldEnv('POD_NAME', 'metadata.name'),
    ],
    ports: [{ containerPort: METRICS_PORT, name }],
    volumeMounts: [{ name: 'socket-dir', mountPath: '/csi/' }],
  };
  return wantedObject(
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      name,
      namespace,
      labels: workloadLabels(name),
      annotations: tolerationsAnnotation(settings),
      spec: {
        replicas: replicas[name],
        selector: { matchLabels: { app: name } },
        template: {
          metadata: { labels: workloadLabels(name) },
          spec: {
            serviceAccountName: serviceAccount,
            ...settingsOfPod(settings),
            affinity: spread(name),
            containers: [container],
            volumes: [hostFolder('socket-dir', `${kubeletRoot}/plugins/${CSI_DRIVER_NAME}`)],
          },
        },
      },
    },
    version,
  );
}
