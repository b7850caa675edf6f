/** The pod of an instance manager. */
import {
  API_VERSION,
  COMPONENT,
  LABEL,
  MANAGED_BY,
  instanceManagerImageLabel,
  parseNodeSelector,
  parseTolerations,
  type InstanceManager,
  type Node,
} from '@longhorn/shared-types';
import type { KubeNode } from '../../datastore/core-kinds.ts';
import type { RawObject } from '../../datastore/kube-transport.ts';
import type { ControllerContext } from '../context.ts';
import type { SettingsView } from '../settings-view.ts';

export const INSTANCE_MANAGER_PORTS = [8500, 8501, 8502, 8503];

export function instanceManagerLabels(manager: InstanceManager): Record<string, string> {
  return {
    [LABEL.managedBy]: MANAGED_BY,
    [LABEL.component]: COMPONENT.instanceManager,
    [LABEL.node]: manager.spec.nodeID,
    [LABEL.instanceManagerType]: manager.spec.type,
    [LABEL.instanceManagerImage]: instanceManagerImageLabel(manager.spec.image),
    [LABEL.dataEngine]: 'v1',
  };
}

/** Milli CPU that the pod asks for; 0 = none. */
export function cpuRequestMilli(node: Node | null, kubeNode: KubeNode | null, settings: SettingsView): number {
  const own = node?.spec.instanceManagerCPURequest ?? 0;
  if (own > 0) return own;
  return Math.round(((kubeNode?.allocatableMilliCpu ?? 0) * settings.get('guaranteed-instance-manager-cpu')) / 100);
}

export function instanceManagerPod(
  { namespace, serviceAccount }: ControllerContext,
  manager: InstanceManager,
  settings: SettingsView,
  cpuMilli: number,
): RawObject {
  const timeoutS = settings.get('instance-manager-pod-liveness-probe-timeout');
  // Its servers listen on the pod's address where it has one.
  const host = '${POD_IP:-localhost}';
  const checks = INSTANCE_MANAGER_PORTS.map((port) => `nc -zv ${host} ${port} > /dev/null 2>&1`).join(' && ');
  const priorityClass = settings.get('priority-class');
  const secret = settings.get('registry-secret');
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: manager.metadata.name,
      namespace,
      labels: instanceManagerLabels(manager),
      ownerReferences: [
        {
          apiVersion: API_VERSION,
          kind: 'InstanceManager',
          name: manager.metadata.name,
          uid: manager.metadata.uid,
          controller: true,
          blockOwnerDeletion: true,
        },
      ],
    },
    spec: {
      nodeName: manager.spec.nodeID,
      serviceAccountName: serviceAccount,
      restartPolicy: 'Never',
      ...(priorityClass === '' ? {} : { priorityClassName: priorityClass }),
      ...(secret === '' ? {} : { imagePullSecrets: [{ name: secret }] }),
      tolerations: parseTolerations(settings.get('taint-toleration')),
      nodeSelector: parseNodeSelector(settings.get('system-managed-components-node-selector')),
      containers: [container(manager, settings, cpuMilli, timeoutS, checks)],
      volumes: volumes(),
    },
  };
}

function container(
  manager: InstanceManager,
  settings: SettingsView,
  cpuMilli: number,
  timeoutS: number,
  checks: string,
): object {
  return {
    name: 'instance-manager',
    image: manager.spec.image,
    imagePullPolicy: pullPolicy(settings.get('system-managed-pods-image-pull-policy')),
    args: ['instance-manager', '--debug', 'daemon', '--listen', ':8500'],
    securityContext: { privileged: true },
    ...(cpuMilli > 0 ? { resources: { requests: { cpu: `${cpuMilli}m` } } } : {}),
    livenessProbe: {
      exec: { command: ['sh', '-c', `test $(${checks}; echo $?) -eq 0`] },
      initialDelaySeconds: 3,
      timeoutSeconds: timeoutS,
      periodSeconds: timeoutS + 1,
      failureThreshold: 6,
    },
    env: [
      { name: 'TLS_DIR', value: '/tls-files/' },
      { name: 'ISCSI_CHAP_DIR', value: '/iscsi-chap/' },
      { name: 'POD_IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } },
      { name: 'POD_NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
      { name: 'POD_NAMESPACE', valueFrom: { fieldRef: { fieldPath: 'metadata.namespace' } } },
      { name: 'NODE_NAME', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } },
      { name: 'DATA_ENGINE', value: 'v1' },
    ],
    volumeMounts: [
      { name: 'host', mountPath: '/host', mountPropagation: 'HostToContainer' },
      { name: 'dev', mountPath: '/dev' },
      { name: 'engine-binaries', mountPath: '/engine-binaries/', mountPropagation: 'HostToContainer' },
      { name: 'unix-domain-socket', mountPath: '/host/var/lib/longhorn/unix-domain-socket/' },
      { name: 'longhorn-grpc-tls', mountPath: '/tls-files/' },
      { name: 'longhorn-iscsi-chap', mountPath: '/iscsi-chap/' },
      { name: 'log', mountPath: '/log', mountPropagation: 'HostToContainer' },
      { name: 'run', mountPath: '/var/run/longhorn' },
    ],
  };
}

function volumes(): object[] {
  return [
    { name: 'host', hostPath: { path: '/' } },
    { name: 'dev', hostPath: { path: '/dev' } },
    { name: 'engine-binaries', hostPath: { path: '/var/lib/longhorn/engine-binaries/', type: 'DirectoryOrCreate' } },
    {
      name: 'unix-domain-socket',
      hostPath: { path: '/var/lib/longhorn/unix-domain-socket/', type: 'DirectoryOrCreate' },
    },
    { name: 'longhorn-grpc-tls', secret: { secretName: 'longhorn-grpc-tls', optional: true } },
    { name: 'longhorn-iscsi-chap', secret: { secretName: 'longhorn-iscsi-chap', optional: true } },
    { name: 'log', hostPath: { path: '/var/lib/longhorn/logs/', type: 'DirectoryOrCreate' } },
    // Records of block devices outlive the pod as the devices do, and end with the node's next start.
    { name: 'run', hostPath: { path: '/var/run/longhorn', type: 'DirectoryOrCreate' } },
  ];
}

export function pullPolicy(setting: string): string {
  if (setting === 'always') return 'Always';
  return setting === 'never' ? 'Never' : 'IfNotPresent';
}
