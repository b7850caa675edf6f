/** What the settings say about the pods of the driver, read once at start. */
import {
  API_GROUP,
  API_VERSION_NAME,
  parseNodeSelector,
  parseTolerations,
  type Toleration,
} from '@longhorn/shared-types';
import { pullPolicy } from '../controllers/instance-managers/pod.ts';
import { SettingsView } from '../controllers/settings-view.ts';
import type { KubeTransport, Resource } from '../datastore/kube-transport.ts';

const SETTING: Resource = {
  group: API_GROUP,
  version: API_VERSION_NAME,
  plural: 'settings',
  kind: 'Setting',
  namespaced: true,
};

export interface PodSettings {
  tolerations: Toleration[];
  nodeSelector: Record<string, string>;
  priorityClass: string;
  registrySecret: string;
  imagePullPolicy: string;
  /** `NAMESPACE/NAME` of the network that shared volumes are mounted over; '' = the pods' own */
  shareNetwork: string;
}

export function podSettings(settings: SettingsView): PodSettings {
  const network = settings.get('storage-network-for-rwx-volume-enabled') ? settings.get('storage-network') : '';
  return {
    tolerations: parseTolerations(settings.get('taint-toleration')),
    nodeSelector: parseNodeSelector(settings.get('system-managed-components-node-selector')),
    priorityClass: settings.get('priority-class'),
    registrySecret: settings.get('registry-secret'),
    imagePullPolicy: pullPolicy(settings.get('system-managed-pods-image-pull-policy')),
    shareNetwork: network,
  };
}

/** One list call; settings that are not stored have their defaults. */
export async function readPodSettings(transport: KubeTransport, namespace: string): Promise<PodSettings> {
  const { items } = await transport.list(SETTING, namespace);
  const values = new Map(items.map((item) => [item.metadata.name, item['value']]));
  const view = new SettingsView((name) => {
    const value = values.get(name);
    return typeof value === 'string' ? value : null;
  });
  return podSettings(view);
}
