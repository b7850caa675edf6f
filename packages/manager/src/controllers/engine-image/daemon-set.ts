/** The DaemonSet that puts an engine binary on every node and keeps it there. */
import { posix } from 'node:path';
import {
  API_VERSION,
  COMPONENT,
  LABEL,
  MANAGED_BY,
  canonicalImageName,
  engineImageDaemonSetName,
  parseNodeSelector,
  parseTolerations,
  type EngineImage,
} from '@longhorn/shared-types';
import type { RawObject } from '../../datastore/kube-transport.ts';
import type { ControllerContext } from '../context.ts';
import { pullPolicy } from '../instance-managers/pod.ts';
import type { SettingsView } from '../settings-view.ts';

const BINARY_ROOT = '/var/lib/longhorn/engine-binaries';

/**
 * Copies when different, removes on exit, and waits: the pod's life is the binary's. A running engine executes the file
 * itself, so a new one takes its place whole, by a rename.
 */
const COPY_SCRIPT = [
  'diff /usr/local/bin/longhorn /data/longhorn > /dev/null 2>&1',
  'if [ $? -ne 0 ]; then cp -p /usr/local/bin/longhorn /data/longhorn.new && sync /data/longhorn.new && mv -f /data/longhorn.new /data/longhorn && echo installed; fi',
  "trap 'rm /data/longhorn* && echo cleaned up' EXIT",
  'sleep infinity',
].join(' ; ');

export function engineImageLabels(image: EngineImage): Record<string, string> {
  return {
    [LABEL.managedBy]: MANAGED_BY,
    [LABEL.component]: COMPONENT.engineImage,
    [LABEL.engineImage]: image.metadata.name,
  };
}

export function engineImageDaemonSet(
  { namespace, serviceAccount }: ControllerContext,
  image: EngineImage,
  settings: SettingsView,
): RawObject {
  const labels = engineImageLabels(image);
  const probe = (command: string): object => ({
    exec: { command: ['sh', '-c', command] },
    initialDelaySeconds: 3,
    timeoutSeconds: 4,
    periodSeconds: 5,
    failureThreshold: 3,
  });
  const priorityClass = settings.get('priority-class');
  const secret = settings.get('registry-secret');
  return {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata: {
      name: engineImageDaemonSetName(image.metadata.name),
      namespace,
      labels,
      ownerReferences: [
        {
          apiVersion: API_VERSION,
          kind: 'EngineImage',
          name: image.metadata.name,
          uid: image.metadata.uid,
          blockOwnerDeletion: true,
        },
      ],
    },
    spec: {
      selector: { matchLabels: labels },
      updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: '100%' } },
      template: {
        metadata: { name: engineImageDaemonSetName(image.metadata.name), labels },
        spec: {
          serviceAccountName: serviceAccount,
          tolerations: parseTolerations(settings.get('taint-toleration')),
          nodeSelector: parseNodeSelector(settings.get('system-managed-components-node-selector')),
          ...(priorityClass === '' ? {} : { priorityClassName: priorityClass }),
          ...(secret === '' ? {} : { imagePullSecrets: [{ name: secret }] }),
          containers: [
            {
              name: engineImageDaemonSetName(image.metadata.name),
              image: image.spec.image,
              imagePullPolicy: pullPolicy(settings.get('system-managed-pods-image-pull-policy')),
              command: ['/bin/bash'],
              args: ['-c', COPY_SCRIPT],
              securityContext: { privileged: true },
              readinessProbe: probe('ls /data/longhorn && /data/longhorn version --client-only'),
              livenessProbe: probe('/data/longhorn version --client-only'),
              volumeMounts: [{ name: 'data', mountPath: '/data/' }],
            },
          ],
          volumes: [
            { name: 'data', hostPath: { path: posix.join(BINARY_ROOT, canonicalImageName(image.spec.image)) } },
          ],
        },
      },
    },
  };
}
