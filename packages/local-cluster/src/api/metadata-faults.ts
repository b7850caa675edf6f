/**
 * What is wrong with the metadata that a client gave, in the real server's words.
 */
import type { KubeObject } from './object.ts';
import type { ResourceType } from './resource-type.ts';
import { causes, type Cause } from './status-error.ts';

const SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const SERVICE = /^[a-z]([-a-z0-9]*[a-z0-9])?$/;
const QUALIFIED_NAME = /^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/;
const LABEL_VALUE = /^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$/;
const ANNOTATIONS_BYTES_MAX = 256 << 10;

const SUBDOMAIN_FAULT =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const NAME_PART_FAULT =
  "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE_FAULT =
  "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

/** What is wrong with a key such as `example.io/name`; empty = nothing. */
export function qualifiedNameFaults(key: string): string[] {
  const parts = key.split('/');
  const name = parts.at(-1) ?? '';
  if (parts.length > 2)
    return ["a valid key must consist of an optional DNS subdomain prefix, '/' and a name (e.g. 'example.com/MyName')"];
  const found: string[] = [];
  const prefix = parts.length === 2 ? (parts[0] ?? '') : null;
  if (prefix === '') found.push('prefix part must be non-empty');
  else if (prefix !== null && (prefix.length > 253 || !SUBDOMAIN.test(prefix)))
    found.push(`prefix part ${SUBDOMAIN_FAULT}`);
  if (name === '') found.push('name part must be non-empty');
  else if (name.length > 63) found.push('name part must be no more than 63 characters');
  else if (!QUALIFIED_NAME.test(name)) found.push(NAME_PART_FAULT);
  return found;
}

/** Names that become one DNS label; RBAC allows nearly anything; all else is a DNS subdomain. */
function nameFaults(type: ResourceType, name: string): Cause[] {
  const refuse = (detail: string): Cause[] => [causes.invalid('metadata.name', name, detail)];
  if (type.group === 'rbac.authorization.k8s.io')
    return name.includes('/') || name.includes('%') || name === '.' || name === '..'
      ? refuse('may not be "." or "..", or contain "/" or "%"')
      : [];
  if (type.kind === 'Service' && !type.custom)
    return name.length <= 63 && SERVICE.test(name)
      ? []
      : refuse(
          "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')",
        );
  if (type.kind === 'Namespace' && !type.custom) {
    if (name.includes('.')) return refuse('must not contain dots');
    return name.length <= 63 && LABEL.test(name)
      ? []
      : refuse(
          "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
        );
  }
  if (name.length > 253) return refuse('must be no more than 253 characters');
  return SUBDOMAIN.test(name) ? [] : refuse(SUBDOMAIN_FAULT);
}

const keyFaults = (field: string, key: string): Cause[] =>
  qualifiedNameFaults(key).map((fault) => causes.invalid(field, key, fault));

function labelFaults(labels: Record<string, string> | undefined): Cause[] {
  return Object.entries(labels ?? {}).flatMap(([key, value]) => {
    const found = keyFaults('metadata.labels', key);
    if (value.length > 63) found.push(causes.invalid('metadata.labels', value, 'must be no more than 63 characters'));
    else if (!LABEL_VALUE.test(value)) found.push(causes.invalid('metadata.labels', value, LABEL_VALUE_FAULT));
    return found;
  });
}

function annotationFaults(annotations: Record<string, string> | undefined): Cause[] {
  const entries = Object.entries(annotations ?? {});
  const found = entries.flatMap(([key]) => keyFaults('metadata.annotations', key.toLowerCase()));
  const total = entries.reduce((sum, [key, value]) => sum + key.length + Buffer.byteLength(value), 0);
  if (total > ANNOTATIONS_BYTES_MAX)
    found.push({
      reason: 'FieldValueTooLong',
      message: `Too long: may not be more than ${ANNOTATIONS_BYTES_MAX} bytes`,
      field: 'metadata.annotations',
    });
  return found;
}

function ownerFaults(owners: KubeObject['metadata']['ownerReferences']): Cause[] {
  return (owners ?? []).flatMap((owner) =>
    (['apiVersion', 'kind', 'name', 'uid'] as const)
      .filter((field) => owner[field] === '')
      .map((field) =>
        field === 'apiVersion'
          ? causes.invalid('metadata.ownerReferences.apiVersion', '', 'version must not be empty')
          : causes.invalid(`metadata.ownerReferences.${field}`, '', 'must not be empty'),
      ),
  );
}

const KNOWN_FINALIZERS = new Set(['foregroundDeletion', 'orphan', 'kubernetes']);

function unqualifiedFaults(finalizers: readonly string[] | undefined): Cause[] {
  return (finalizers ?? []).flatMap((finalizer, index) =>
    finalizer.includes('/') || KNOWN_FINALIZERS.has(finalizer)
      ? []
      : [
          causes.invalid(
            `metadata.finalizers[${index}]`,
            finalizer,
            'name is neither a standard finalizer name nor is it fully qualified',
          ),
        ],
  );
}

/** Faults of the metadata that a client gave; `created`: the name is new, too. */
export function metadataFaults(type: ResourceType, { metadata }: KubeObject, created: boolean): Cause[] {
  return [
    ...(created ? nameFaults(type, metadata.name) : []),
    ...labelFaults(metadata.labels),
    ...annotationFaults(metadata.annotations),
    ...ownerFaults(metadata.ownerReferences),
    ...(metadata.finalizers ?? []).flatMap((finalizer) => keyFaults('metadata.finalizers', finalizer)),
    ...(type.custom ? [] : unqualifiedFaults(metadata.finalizers)),
  ];
}

/** What a client is warned of; `previous`: what the object had before. */
export function metadataWarnings({ metadata }: KubeObject, previous: KubeObject | null): string[] {
  const before = previous?.metadata.finalizers ?? [];
  return (metadata.finalizers ?? [])
    .filter((finalizer) => !finalizer.includes('/') && !KNOWN_FINALIZERS.has(finalizer) && !before.includes(finalizer))
    .map(
      (finalizer) =>
        `metadata.finalizers: "${finalizer}": prefer a domain-qualified finalizer name including a path (/) to avoid accidental conflicts with other finalizer writers`,
    );
}
