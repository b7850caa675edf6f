/**
 * Printer columns of built-in kinds, as kubectl users know them.
 */
import { humanAge } from './human-age.ts';
import { listAt, objectAt, stringAt, stringMapAt, textAt, valueAt, type Json } from './json.ts';
import type { KubeObject } from './object.ts';

export interface ComputedColumn {
  name: string;
  type: string;
  priority: number;
  cell: (object: KubeObject, now: Date) => Json;
}

const column = (name: string, cell: ComputedColumn['cell'], priority = 0, type = 'string'): ComputedColumn => ({
  name,
  type,
  priority,
  cell,
});
const at = (name: string, path: string, priority = 0, type = 'string'): ComputedColumn =>
  column(name, (object) => valueAt(object, ...path.split('.')) ?? (type === 'integer' ? 0 : '<none>'), priority, type);
const age = column('Age', (object, now) => humanAge(object.metadata.creationTimestamp, now));
const count = (value: Json | undefined): number => Object.keys(objectAt(value)).length;

function podReason(pod: KubeObject): string {
  if (pod.metadata.deletionTimestamp !== undefined)
    return valueAt(pod, 'status', 'reason') === 'NodeLost' ? 'Unknown' : 'Terminating';
  for (const status of listAt(valueAt(pod, 'status', 'containerStatuses'))) {
    const waiting = stringAt(valueAt(status, 'state', 'waiting', 'reason'));
    if (waiting !== '') return waiting;
    const ended = valueAt(status, 'state', 'terminated');
    if (ended !== undefined)
      return stringAt(valueAt(ended, 'reason')) || `ExitCode:${textAt(valueAt(ended, 'exitCode'))}`;
  }
  return stringAt(valueAt(pod, 'status', 'reason')) || stringAt(valueAt(pod, 'status', 'phase')) || 'Pending';
}

const containerStatuses = (pod: KubeObject): Json[] => listAt(valueAt(pod, 'status', 'containerStatuses'));

const pods: readonly ComputedColumn[] = [
  column('Ready', (pod) => {
    const total = listAt(valueAt(pod, 'spec', 'containers')).length;
    return `${containerStatuses(pod).filter((status) => valueAt(status, 'ready') === true).length}/${total}`;
  }),
  column('Status', podReason),
  column('Restarts', (pod) =>
    String(
      containerStatuses(pod).reduce<number>((sum, status) => sum + Number(valueAt(status, 'restartCount') ?? 0), 0),
    ),
  ),
  age,
  at('IP', 'status.podIP', 1),
  at('Node', 'spec.nodeName', 1),
];

function nodeStatus(node: KubeObject): string {
  const ready = listAt(valueAt(node, 'status', 'conditions')).find((entry) => valueAt(entry, 'type') === 'Ready');
  const word = valueAt(ready, 'status') === 'True' ? 'Ready' : ready === undefined ? 'Unknown' : 'NotReady';
  return valueAt(node, 'spec', 'unschedulable') === true ? `${word},SchedulingDisabled` : word;
}

function nodeRoles(node: KubeObject): string {
  const prefix = 'node-role.kubernetes.io/';
  const roles = Object.keys(node.metadata.labels ?? {}).filter((label) => label.startsWith(prefix));
  return roles.length === 0 ? '<none>' : roles.map((label) => label.slice(prefix.length)).join(',');
}

function servicePorts(service: KubeObject): string {
  const ports = listAt(valueAt(service, 'spec', 'ports'));
  return ports
    .map((port) => `${textAt(valueAt(port, 'port'))}/${stringAt(valueAt(port, 'protocol')) || 'TCP'}`)
    .join(',');
}

function endpointList(endpoints: KubeObject): string {
  const all = listAt(endpoints['subsets']).flatMap((subset) =>
    listAt(valueAt(subset, 'addresses')).flatMap((address) =>
      listAt(valueAt(subset, 'ports')).map(
        (port) => `${stringAt(valueAt(address, 'ip'))}:${textAt(valueAt(port, 'port'))}`,
      ),
    ),
  );
  return all.length === 0
    ? '<none>'
    : all.slice(0, 3).join(',') + (all.length > 3 ? ` + ${all.length - 3} more...` : '');
}

const selectorText = (value: Json | undefined): string =>
  Object.entries(stringMapAt(value))
    .map(([key, entry]) => `${key}=${entry}`)
    .join(',') || '<none>';

const ready = (object: KubeObject): string =>
  `${Number(valueAt(object, 'status', 'readyReplicas') ?? 0)}/${Number(valueAt(object, 'spec', 'replicas') ?? 0)}`;

/** By storage key; kinds that are not here show name and age. */
export const BUILTIN_COLUMNS: Readonly<Record<string, readonly ComputedColumn[]>> = {
  '/pods': pods,
  '/nodes': [
    column('Status', nodeStatus),
    column('Roles', nodeRoles),
    age,
    at('Version', 'status.nodeInfo.kubeletVersion'),
    column(
      'Internal-IP',
      (node) => {
        const address = listAt(valueAt(node, 'status', 'addresses')).find(
          (entry) => valueAt(entry, 'type') === 'InternalIP',
        );
        return stringAt(valueAt(address, 'address')) || '<none>';
      },
      1,
    ),
  ],
  '/namespaces': [at('Status', 'status.phase'), age],
  '/services': [
    at('Type', 'spec.type'),
    at('Cluster-IP', 'spec.clusterIP'),
    column('External-IP', () => '<none>'),
    column('Port(s)', servicePorts),
    age,
    column('Selector', (service) => selectorText(valueAt(service, 'spec', 'selector')), 1),
  ],
  '/endpoints': [column('Endpoints', endpointList), age],
  '/configmaps': [column('Data', (map) => count(map['data']) + count(map['binaryData'])), age],
  '/secrets': [at('Type', 'type'), column('Data', (secret) => count(secret['data'])), age],
  '/events': [
    column('Last Seen', (event, now) => {
      const seen = stringAt(event['lastTimestamp']) || stringAt(event['eventTime']) || event.metadata.creationTimestamp;
      return humanAge(seen, now);
    }),
    at('Type', 'type'),
    at('Reason', 'reason'),
    column('Object', (event) => {
      const subject = objectAt(event['involvedObject']);
      return `${stringAt(subject['kind']).toLowerCase()}/${stringAt(subject['name'])}`;
    }),
    column('Message', (event) => stringAt(event['message']).trim()),
    at('Source', 'source.component', 1),
  ],
  'apps/daemonsets': [
    at('Desired', 'status.desiredNumberScheduled', 0, 'integer'),
    at('Current', 'status.currentNumberScheduled', 0, 'integer'),
    at('Ready', 'status.numberReady', 0, 'integer'),
    at('Up-to-date', 'status.updatedNumberScheduled', 0, 'integer'),
    at('Available', 'status.numberAvailable', 0, 'integer'),
    column('Node Selector', (set) => selectorText(valueAt(set, 'spec', 'template', 'spec', 'nodeSelector'))),
    age,
  ],
  'apps/deployments': [
    column('Ready', ready),
    at('Up-to-date', 'status.updatedReplicas', 0, 'integer'),
    at('Available', 'status.availableReplicas', 0, 'integer'),
    age,
  ],
  'coordination.k8s.io/leases': [at('Holder', 'spec.holderIdentity'), age],
  '/persistentvolumes': [
    at('Capacity', 'spec.capacity.storage'),
    at('Reclaim Policy', 'spec.persistentVolumeReclaimPolicy'),
    at('Status', 'status.phase'),
    column('Claim', (volume) => {
      const claim = objectAt(valueAt(volume, 'spec', 'claimRef'));
      return claim['name'] === undefined ? '' : `${stringAt(claim['namespace'])}/${stringAt(claim['name'])}`;
    }),
    at('StorageClass', 'spec.storageClassName'),
    age,
  ],
  '/persistentvolumeclaims': [
    at('Status', 'status.phase'),
    at('Volume', 'spec.volumeName'),
    at('Capacity', 'status.capacity.storage'),
    at('StorageClass', 'spec.storageClassName'),
    age,
  ],
  'storage.k8s.io/storageclasses': [
    at('Provisioner', 'provisioner'),
    at('ReclaimPolicy', 'reclaimPolicy'),
    at('VolumeBindingMode', 'volumeBindingMode'),
    column('AllowVolumeExpansion', (sc) => sc['allowVolumeExpansion'] === true),
    age,
  ],
  'policy/poddisruptionbudgets': [
    column('Min Available', (budget) => textAt(valueAt(budget, 'spec', 'minAvailable')) || 'N/A'),
    column('Max Unavailable', (budget) => textAt(valueAt(budget, 'spec', 'maxUnavailable')) || 'N/A'),
    at('Allowed Disruptions', 'status.disruptionsAllowed', 0, 'integer'),
    age,
  ],
  'scheduling.k8s.io/priorityclasses': [
    at('Value', 'value', 0, 'integer'),
    column('Global-Default', (priority) => priority['globalDefault'] === true, 0, 'boolean'),
    age,
  ],
  'apiextensions.k8s.io/customresourcedefinitions': [
    column('Created At', (definition) => definition.metadata.creationTimestamp, 0, 'date'),
  ],
};
