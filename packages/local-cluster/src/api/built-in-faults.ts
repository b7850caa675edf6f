/**
 * The checks of single built-in kinds: what a client would be refused by the real server, and without which the
 * controllers of this package could not rely on an object.
 */
import { definitionFaults } from './definition.ts';
import { equal, isObject, listAt, objectAt, stringAt, textAt, valueAt, type Json, type JsonObject } from './json.ts';
import type { KubeObject } from './object.ts';
import type { ResourceType } from './resource-type.ts';
import { badRequest, causes, type Cause } from './status-error.ts';

function mountFaults(container: JsonObject, at: string, volumes: ReadonlySet<string>): Cause[] {
  return listAt(container['volumeMounts']).flatMap((mount, index): Cause[] => {
    const name = stringAt(valueAt(mount, 'name'));
    return volumes.has(name)
      ? []
      : [{ reason: 'FieldValueNotFound', message: `Not found: "${name}"`, field: `${at}.volumeMounts[${index}].name` }];
  });
}

function containerFaults(containers: Json | undefined, field: string, volumes: ReadonlySet<string>): Cause[] {
  const seen = new Set<string>();
  return listAt(containers).flatMap((entry, index) => {
    const container = objectAt(entry);
    const at = `${field}[${index}]`;
    const found: Cause[] = [];
    const name = stringAt(container['name']);
    if (name === '') found.push(causes.required(`${at}.name`));
    if (seen.has(name))
      found.push({ reason: 'FieldValueDuplicate', message: `Duplicate value: "${name}"`, field: `${at}.name` });
    seen.add(name);
    if (stringAt(container['image']) === '') found.push(causes.required(`${at}.image`));
    for (const key of ['command', 'args'])
      if (container[key] !== undefined && !listAt(container[key]).every((word) => typeof word === 'string'))
        found.push(causes.invalid(`${at}.${key}`, container[key], 'must be a list of strings'));
    return [...found, ...mountFaults(container, at, volumes)];
  });
}

function podSpecFaults(spec: Json | undefined, field: string): Cause[] {
  if (listAt(valueAt(spec, 'containers')).length === 0) return [causes.required(`${field}.containers`)];
  const volumes = new Set(listAt(valueAt(spec, 'volumes')).map((volume) => stringAt(valueAt(volume, 'name'))));
  return [
    ...containerFaults(valueAt(spec, 'containers'), `${field}.containers`, volumes),
    ...containerFaults(valueAt(spec, 'initContainers'), `${field}.initContainers`, volumes),
  ];
}

/** A pod's spec without what may change while it runs. */
function fixedPodSpec(spec: Json | undefined, placed: boolean): JsonObject {
  const { tolerations: _t, activeDeadlineSeconds: _a, terminationGracePeriodSeconds: _g, ...kept } = objectAt(spec);
  if (!placed) delete kept['nodeName'];
  for (const key of ['containers', 'initContainers'])
    if (kept[key] !== undefined)
      kept[key] = listAt(kept[key]).map((container) => {
        const { image: _, ...rest } = objectAt(container);
        return rest;
      });
  return kept;
}

function podFaults(object: KubeObject, previous: KubeObject | null): Cause[] {
  const found = podSpecFaults(object['spec'], 'spec');
  if (previous === null) return found;
  const placed = valueAt(previous, 'spec', 'nodeName') !== undefined;
  if (!equal(fixedPodSpec(object['spec'], placed), fixedPodSpec(previous['spec'], placed)))
    found.push(
      causes.forbidden(
        'spec',
        'pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)',
      ),
    );
  return found;
}

function templateFaults(object: KubeObject, previous: KubeObject | null): Cause[] {
  const selector = objectAt(valueAt(object, 'spec', 'selector', 'matchLabels'));
  const expressions = listAt(valueAt(object, 'spec', 'selector', 'matchExpressions'));
  const labels = objectAt(valueAt(object, 'spec', 'template', 'metadata', 'labels'));
  const found: Cause[] = [];
  const replicas = valueAt(object, 'spec', 'replicas');
  if (typeof replicas === 'number' && replicas < 0)
    found.push(causes.invalid('spec.replicas', replicas, 'must be greater than or equal to 0'));
  const empty = Object.keys(selector).length === 0 && expressions.length === 0;
  if (empty) found.push(causes.required('spec.selector'));
  if (previous !== null && !equal(valueAt(object, 'spec', 'selector'), valueAt(previous, 'spec', 'selector')))
    found.push(causes.invalid('spec.selector', valueAt(object, 'spec', 'selector'), 'field is immutable'));
  if (empty || !Object.entries(selector).every(([key, value]) => labels[key] === value))
    found.push(causes.invalid('spec.template.metadata.labels', labels, '`selector` does not match template `labels`'));
  return [...found, ...podSpecFaults(valueAt(object, 'spec', 'template', 'spec'), 'spec.template.spec')];
}

function eventFaults(object: KubeObject): Cause[] {
  if (!isObject(object['involvedObject'])) return [causes.required('involvedObject')];
  const about = stringAt(object['involvedObject']['namespace']) || 'default';
  return about === object.metadata.namespace
    ? []
    : [
        causes.invalid(
          'involvedObject.namespace',
          stringAt(object['involvedObject']['namespace']),
          'does not match event.namespace',
        ),
      ];
}

/** ConfigMaps and Secrets: their type cannot change, and nothing of one that says so. */
function dataFaults(object: KubeObject, previous: KubeObject | null): Cause[] {
  if (previous === null) return [];
  const found: Cause[] = [];
  if (object.kind === 'Secret' && object['type'] !== previous['type'])
    found.push(causes.invalid('type', object['type'], 'field is immutable'));
  if (previous['immutable'] !== true) return found;
  const why = 'field is immutable when `immutable` is set';
  if (object['immutable'] !== true) found.push(causes.forbidden('immutable', why));
  for (const field of ['data', 'binaryData'])
    if (!equal(object[field], previous[field])) found.push(causes.forbidden(field, why));
  return found;
}

const QUANTITY = /^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$/;

/** Refuses contents that the real server could not even decode. */
export function refuseUndecodable(type: ResourceType, object: KubeObject): void {
  if (type.custom) return;
  const refuse = (why: string): never => {
    throw badRequest(`${type.kind} in version "${type.version}" cannot be handled as a ${type.kind}: ${why}`);
  };
  if (type.kind === 'ConfigMap' || type.kind === 'Secret')
    for (const field of ['data', 'stringData', 'binaryData']) {
      const given = object[field];
      if (given !== undefined && given !== null && !isObject(given))
        refuse(
          `json: cannot unmarshal ${typeof given} into Go struct field ${type.kind}.${field} of type map[string]string`,
        );
      for (const value of Object.values(objectAt(object[field])))
        if (typeof value !== 'string')
          refuse(`json: cannot unmarshal ${typeof value} into Go struct field ${type.kind}.${field} of type string`);
        else if (type.kind === 'Secret' && field === 'data' && !/^[A-Za-z0-9+/\r\n]*={0,2}[\r\n]*$/.test(value))
          refuse(`illegal base64 data at input byte ${value.search(/[^A-Za-z0-9+/=\r\n]/)}`);
    }
  if (type.kind === 'PersistentVolumeClaim')
    for (const value of Object.values(objectAt(valueAt(object, 'spec', 'resources', 'requests'))))
      if (typeof value === 'string' && !QUANTITY.test(value))
        refuse(`quantities must match the regular expression '${QUANTITY.source}'`);
}

function claimFaults(object: KubeObject, previous: KubeObject | null): Cause[] {
  const found: Cause[] = [];
  if (listAt(valueAt(object, 'spec', 'accessModes')).length === 0)
    found.push(causes.required('spec.accessModes', 'at least 1 access mode is required'));
  const size = valueAt(object, 'spec', 'resources', 'requests', 'storage');
  if (size === undefined) found.push(causes.required('spec.resources[storage]'));
  else if (/^(-.*|0+(\.0*)?[A-Za-z]*)$/.test(textAt(size)))
    found.push(causes.invalid('spec.resources[storage]', size, 'must be greater than zero'));
  const bound = valueAt(previous ?? {}, 'status', 'phase') === 'Bound';
  const fixed = (claim: KubeObject): JsonObject => {
    const { resources, volumeAttributesClassName: _, volumeName: _v, ...rest } = objectAt(claim['spec']);
    return bound ? rest : { ...rest, resources };
  };
  if (previous !== null && !equal(fixed(object), fixed(previous)))
    found.push(
      causes.forbidden(
        'spec',
        'spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims',
      ),
    );
  return found;
}

const VOLUME_FIELDS = new Set([
  'accessModes',
  'capacity',
  'claimRef',
  'mountOptions',
  'nodeAffinity',
  'persistentVolumeReclaimPolicy',
  'storageClassName',
  'volumeAttributesClassName',
  'volumeMode',
]);

function volumeFaults(object: KubeObject): Cause[] {
  const spec = objectAt(object['spec']);
  const found: Cause[] = [];
  if (Object.keys(objectAt(spec['capacity'])).length === 0)
    found.push(causes.required('spec.capacity'), causes.notSupported('spec.capacity', {}, ['storage']));
  if (!Object.keys(spec).some((field) => !VOLUME_FIELDS.has(field) && spec[field] !== undefined))
    found.push(causes.required('spec', 'must specify a volume type'));
  return found;
}

function classFaults(object: KubeObject, previous: KubeObject | null): Cause[] {
  const found = stringAt(object['provisioner']) === '' ? [causes.required('provisioner')] : [];
  if (previous === null) return found;
  for (const field of ['parameters', 'provisioner', 'reclaimPolicy'])
    if (!equal(object[field], previous[field]))
      found.push(causes.forbidden(field, `updates to ${field} are forbidden.`));
  if (!equal(object['volumeBindingMode'], previous['volumeBindingMode']))
    found.push(causes.invalid('volumeBindingMode', object['volumeBindingMode'], 'field is immutable'));
  return found;
}

function portFaults(object: KubeObject): Cause[] {
  const spec = objectAt(object['spec']);
  const ports = listAt(spec['ports']);
  if (ports.length === 0 && spec['clusterIP'] !== 'None' && spec['type'] !== 'ExternalName')
    return [causes.required('spec.ports')];
  return ports.flatMap((port, index) => {
    const found: Cause[] = [];
    const at = `spec.ports[${index}]`;
    if (ports.length > 1 && stringAt(valueAt(port, 'name')) === '') found.push(causes.required(`${at}.name`));
    for (const field of ['port', 'targetPort']) {
      const number = valueAt(port, field);
      if (typeof number === 'number' && (number < 1 || number > 65535))
        found.push(causes.invalid(`${at}.${field}`, number, 'must be between 1 and 65535, inclusive'));
    }
    return found;
  });
}

function webhookFaults(object: KubeObject): Cause[] {
  return listAt(object['webhooks']).flatMap((webhook, index) => {
    const at = `webhooks[${index}]`;
    const found: Cause[] = [];
    if (!listAt(valueAt(webhook, 'admissionReviewVersions')).includes('v1'))
      found.push(causes.required(`${at}.admissionReviewVersions`, 'must specify one of v1, v1beta1'));
    const effects = valueAt(webhook, 'sideEffects');
    if (effects !== 'None' && effects !== 'NoneOnDryRun')
      found.push(causes.notSupported(`${at}.sideEffects`, effects ?? '', ['None', 'NoneOnDryRun']));
    const url = stringAt(valueAt(webhook, 'clientConfig', 'url'));
    if (url !== '' && !url.startsWith('https://'))
      found.push(
        causes.invalid(
          `${at}.clientConfig.url`,
          url.split(':')[0],
          "'https' is the only allowed URL scheme; desired format: https://host[/path]",
        ),
      );
    return found;
  });
}

function ruleFaults(object: KubeObject): Cause[] {
  return listAt(object['rules']).flatMap((rule, index) =>
    listAt(valueAt(rule, 'verbs')).length === 0
      ? [causes.required(`rules[${index}].verbs`, 'verbs must contain at least one value')]
      : [],
  );
}

function budgetFaults(object: KubeObject): Cause[] {
  const { minAvailable, maxUnavailable } = objectAt(object['spec']);
  return minAvailable !== undefined && maxUnavailable !== undefined
    ? [causes.invalid('spec', object['spec'], 'minAvailable and maxUnavailable cannot be both set')]
    : [];
}

/** A field that must stay as it is. */
function unchanged(object: KubeObject, previous: KubeObject | null, field: string, refusal: Cause): Cause[] {
  return previous === null || equal(object[field], previous[field]) ? [] : [refusal];
}

/** Faults of a built-in object; `previous` is null when it is created. */
export function builtinFaults(type: ResourceType, object: KubeObject, previous: KubeObject | null): Cause[] {
  if (type.custom) return [];
  switch (type.kind) {
    case 'Pod':
      return podFaults(object, previous);
    case 'DaemonSet':
    case 'Deployment':
      return templateFaults(object, previous);
    case 'Event':
      return previous === null ? eventFaults(object) : [];
    case 'ConfigMap':
    case 'Secret':
      return dataFaults(object, previous);
    case 'Service':
      return portFaults(object);
    case 'PersistentVolumeClaim':
      return claimFaults(object, previous);
    case 'PersistentVolume':
      return volumeFaults(object);
    case 'StorageClass':
      return classFaults(object, previous);
    case 'VolumeAttachment':
      return unchanged(object, previous, 'spec', causes.invalid('spec', object['spec'], 'field is immutable'));
    case 'PriorityClass':
      return unchanged(object, previous, 'value', causes.forbidden('value', 'may not be changed in an update.'));
    case 'RoleBinding':
    case 'ClusterRoleBinding':
      return unchanged(
        object,
        previous,
        'roleRef',
        causes.invalid('roleRef', object['roleRef'], 'cannot change roleRef'),
      );
    case 'Role':
    case 'ClusterRole':
      return ruleFaults(object);
    case 'PodDisruptionBudget':
      return budgetFaults(object);
    case 'Lease': {
      const seconds = valueAt(object, 'spec', 'leaseDurationSeconds');
      return typeof seconds === 'number' && seconds <= 0
        ? [causes.invalid('spec.leaseDurationSeconds', seconds, 'must be greater than 0')]
        : [];
    }
    case 'MutatingWebhookConfiguration':
    case 'ValidatingWebhookConfiguration':
      return webhookFaults(object);
    case 'CustomResourceDefinition':
      return definitionFaults(object);
    default:
      return [];
  }
}
