/**
 * The fields that objects of built-in kinds have at their top. A misspelled one is refused or warned of, as the schemas
 * of the real server would; deeper fields are kept as they are given.
 */
import type { JsonObject } from './json.ts';
import type { ResourceType } from './resource-type.ts';

const SPEC = ['spec'];
const FIELDS: Readonly<Record<string, readonly string[]>> = {
  ClusterRole: ['rules', 'aggregationRule'],
  ClusterRoleBinding: ['roleRef', 'subjects'],
  ConfigMap: ['data', 'binaryData', 'immutable'],
  CSIDriver: SPEC,
  CSINode: SPEC,
  CSIStorageCapacity: ['storageClassName', 'nodeTopology', 'capacity', 'maximumVolumeSize'],
  Endpoints: ['subsets'],
  Lease: SPEC,
  MutatingWebhookConfiguration: ['webhooks'],
  PriorityClass: ['value', 'globalDefault', 'description', 'preemptionPolicy'],
  Role: ['rules'],
  RoleBinding: ['roleRef', 'subjects'],
  Secret: ['data', 'stringData', 'type', 'immutable'],
  ServiceAccount: ['secrets', 'imagePullSecrets', 'automountServiceAccountToken'],
  StorageClass: [
    'provisioner',
    'parameters',
    'reclaimPolicy',
    'mountOptions',
    'allowVolumeExpansion',
    'volumeBindingMode',
    'allowedTopologies',
  ],
  ValidatingWebhookConfiguration: ['webhooks'],
};
const EVERYWHERE = ['apiVersion', 'kind', 'metadata'];

/** The object without fields that its kind does not have; their names go to `unknown`. */
export function withoutUnknownFields<T extends JsonObject>(type: ResourceType, object: T, unknown: string[]): T {
  const known = type.status ? [...SPEC, 'status'] : FIELDS[type.kind];
  if (known === undefined) return object;
  const found = Object.keys(object).filter((field) => !EVERYWHERE.includes(field) && !known.includes(field));
  if (found.length === 0) return object;
  unknown.push(...found);
  const kept = { ...object };
  for (const field of found) delete kept[field];
  return kept;
}
