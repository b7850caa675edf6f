/** The DaemonSet of the plugin, and the CSIDriver object that tells Kubernetes about it. */
import { CSI_DRIVER_NAME } from '@longhorn/shared-types';
import type { RawObject } from '../datastore/kube-transport.ts';
import type { DriverOptions } from './options.ts';
import {
  fieldEnv,
  hostFolder,
  settingsOfPod,
  tolerationsAnnotation,
  wantedObject,
  workloadLabels,
} from './pod-parts.ts';
import type { PodSettings } from './settings.ts';

export const PLUGIN_NAME = 'longhorn-csi-plugin';
const HEALTH_PORT = 9808;
const SOCKET_MOUNT = { name: 'socket-dir', mountPath: '/csi/' };

export function csiDriver(version: string): RawObject {
  return wantedObject(
    {
      apiVersion: 'storage.k8s.io/v1',
      kind: 'CSIDriver',
      name: CSI_DRIVER_NAME,
      namespace: '',
      spec: { podInfoOnMount: true, storageCapacity: true },
    },
    version,
  );
}

function registrar({ images }: DriverOptions, { imagePullPolicy }: PodSettings, kubeletRoot: string): object {
  return {
    name: 'node-driver-registrar',
    image: images.nodeDriverRegistrar,
    imagePullPolicy,
    securityContext: { privileged: true },
    args: [
      '--v=2',
      '--csi-address=$(ADDRESS)',
      `--kubelet-registration-path=${kubeletRoot}/plugins/${CSI_DRIVER_NAME}/csi.sock`,
    ],
    env: [{ name: 'ADDRESS', value: '/csi/csi.sock' }],
    volumeMounts: [SOCKET_MOUNT, { name: 'registration-dir', mountPath: '/registration' }],
  };
}

function livenessProbe({ images }: DriverOptions, { imagePullPolicy }: PodSettings): object {
  return {
    name: 'longhorn-liveness-probe',
    image: images.livenessProbe,
    imagePullPolicy,
    args: ['--v=4', '--csi-address=/csi/csi.sock'],
    volumeMounts: [SOCKET_MOUNT],
  };
}

function health(failureThreshold: number): object {
  return {
    httpGet: { path: '/healthz', port: HEALTH_PORT },
    initialDelaySeconds: 3,
    timeoutSeconds: 4,
    periodSeconds: 5,
    failureThreshold,
  };
}

function plugin({ images, managerUrl }: DriverOptions, { imagePullPolicy }: PodSettings, kubeletRoot: string): object {
  const shared = (name: string, mountPath: string): object => ({ name, mountPath, mountPropagation: 'Bidirectional' });
  return {
    name: PLUGIN_NAME,
    image: images.csi,
    imagePullPolicy,
    securityContext: { privileged: true, capabilities: { add: ['SYS_ADMIN'] }, allowPrivilegeEscalation: true },
    args: [
      'longhorn-csi',
      '-d',
      'csi',
      '--nodeid=$(NODE_ID)',
      '--endpoint=$(CSI_ENDPOINT)',
      `--drivername=${CSI_DRIVER_NAME}`,
      `--manager-url=${managerUrl}`,
    ],
    env: [
      fieldEnv('NODE_ID', 'spec.nodeName'),
      fieldEnv('POD_NAMESPACE', 'metadata.namespace'),
      { name: 'CSI_ENDPOINT', value: 'unix:///csi/csi.sock' },
    ],
    ports: [{ containerPort: HEALTH_PORT, name: 'healthz', protocol: 'TCP' }],
    startupProbe: health(36),
    livenessProbe: health(3),
    volumeMounts: [
      shared('kubernetes-csi-dir', `${kubeletRoot}/plugins/kubernetes.io/csi`),
      SOCKET_MOUNT,
      shared('pods-mount-dir', `${kubeletRoot}/pods`),
      { name: 'host-dev', mountPath: '/dev' },
      { name: 'host-proc', mountPath: '/host/proc' },
      { name: 'host-sys', mountPath: '/sys' },
      { name: 'lib-modules', mountPath: '/lib/modules', readOnly: true },
    ],
  };
}

function volumes(kubeletRoot: string): object[] {
  return [
    hostFolder('kubernetes-csi-dir', `${kubeletRoot}/plugins/kubernetes.io/csi`),
    hostFolder('registration-dir', `${kubeletRoot}/plugins_registry`),
    hostFolder('socket-dir', `${kubeletRoot}/plugins/${CSI_DRIVER_NAME}`),
    hostFolder('pods-mount-dir', `${kubeletRoot}/pods`),
    { name: 'host-dev', hostPath: { path: '/dev' } },
    { name: 'host-proc', hostPath: { path: '/proc' } },
    { name: 'host-sys', hostPath: { path: '/sys' } },
    { name: 'lib-modules', hostPath: { path: '/lib/modules' } },
  ];
}

/** The network that shared volumes are mounted over, for the pods' network plugin. */
function networkAnnotation(network: string): Record<string, string> {
  if (network === '') return {};
  const [namespace = '', name = ''] = network.split('/');
  return { 'k8s.v1.cni.cncf.io/networks': JSON.stringify([{ namespace, name, interface: 'lhnet1' }]) };
}

export function pluginDaemonSet(
  options: DriverOptions,
  settings: PodSettings,
  kubeletRoot: string,
  version: string,
): RawObject {
  return wantedObject(
    {
      apiVersion: 'apps/v1',
      kind: 'DaemonSet',
      name: PLUGIN_NAME,
      namespace: options.namespace,
      labels: workloadLabels(PLUGIN_NAME),
      annotations: tolerationsAnnotation(settings),
      spec: {
        selector: { matchLabels: { app: PLUGIN_NAME } },
        template: {
          metadata: { labels: workloadLabels(PLUGIN_NAME), annotations: networkAnnotation(settings.shareNetwork) },
          spec: {
            serviceAccountName: options.serviceAccount,
            ...settingsOfPod(settings),
            containers: [
              registrar(options, settings, kubeletRoot),
              livenessProbe(options, settings),
              plugin(options, settings, kubeletRoot),
            ],
            volumes: volumes(kubeletRoot),
          },
        },
      },
    },
    version,
  );
}
