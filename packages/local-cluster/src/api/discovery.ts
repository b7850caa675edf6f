/**
 * Which groups, versions and resources there are, in the old form (one document a group version) and the
 * aggregated one.
 */
import type { JsonObject } from './json.ts';
import type { Registry } from './registry.ts';
import { apiVersionOf, type ResourceType } from './resource-type.ts';

const VERBS = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'];
const STATUS_VERBS = ['get', 'patch', 'update'];

interface Subresource {
  name: string;
  kind: string;
  verbs: string[];
  group?: string;
  version?: string;
}

export const SERVER_VERSION = { major: '1', minor: '33', gitVersion: 'v1.33.0+local-cluster' } as const;

/** Answer of `/version`. */
export const versionInfo = (): JsonObject => ({
  ...SERVER_VERSION,
  gitCommit: '',
  gitTreeState: 'clean',
  buildDate: '1970-01-01T00:00:00Z',
  goVersion: '',
  compiler: '',
  platform: `linux/${process.arch === 'x64' ? 'amd64' : process.arch}`,
});

/** Subresources that a type has. */
export function subresourcesOf(type: ResourceType): Subresource[] {
  const found: Subresource[] = [];
  if (type.status) found.push({ name: 'status', kind: type.kind, verbs: STATUS_VERBS });
  if (type.storage === '/pods')
    found.push(
      { name: 'log', kind: 'Pod', verbs: ['get'] },
      { name: 'binding', kind: 'Binding', verbs: ['create'] },
      { name: 'eviction', kind: 'Eviction', verbs: ['create'], group: 'policy', version: 'v1' },
    );
  if (type.storage === 'apps/deployments')
    found.push({ name: 'scale', kind: 'Scale', verbs: STATUS_VERBS, group: 'autoscaling', version: 'v1' });
  return found;
}

const SELF_REVIEWS: readonly [string, string][] = [
  ['selfsubjectaccessreviews', 'SelfSubjectAccessReview'],
  ['selfsubjectrulesreviews', 'SelfSubjectRulesReview'],
];
export const REVIEW_GROUPS: readonly { group: string; version: string; resources: readonly [string, string][] }[] = [
  { group: 'authorization.k8s.io', version: 'v1', resources: SELF_REVIEWS },
  { group: 'authentication.k8s.io', version: 'v1', resources: [['selfsubjectreviews', 'SelfSubjectReview']] },
];

function groupVersions(registry: Registry): Map<string, string[]> {
  const groups = registry.groups();
  for (const { group, version } of REVIEW_GROUPS) groups.set(group, [version]);
  return groups;
}

function groupDocument(group: string, versions: string[]): JsonObject {
  const listed = versions.map((version) => ({ groupVersion: `${group}/${version}`, version }));
  return { name: group, versions: listed, preferredVersion: listed[0] ?? {} };
}

/** Answer of `/api`. */
export const coreVersions = (address: string): JsonObject => ({
  kind: 'APIVersions',
  versions: ['v1'],
  serverAddressByClientCIDRs: [{ clientCIDR: '0.0.0.0/0', serverAddress: address }],
});

/** Answer of `/apis`. */
export function groupList(registry: Registry): JsonObject {
  const groups = [...groupVersions(registry)].filter(([group]) => group !== '');
  return {
    kind: 'APIGroupList',
    apiVersion: 'v1',
    groups: groups.map(([group, versions]) => groupDocument(group, versions)),
  };
}

/** Answer of `/apis/GROUP`, or `null`. */
export function groupInfo(registry: Registry, group: string): JsonObject | null {
  const versions = group === '' ? undefined : groupVersions(registry).get(group);
  return versions === undefined ? null : { kind: 'APIGroup', apiVersion: 'v1', ...groupDocument(group, versions) };
}

const reviewResources = (group: string, version: string): JsonObject[] =>
  REVIEW_GROUPS.filter((entry) => entry.group === group && entry.version === version).flatMap((entry) =>
    entry.resources.map(([name, kind]) => ({ name, singularName: '', namespaced: false, kind, verbs: ['create'] })),
  );

/** Answer of `/api/v1` and `/apis/GROUP/VERSION`, or `null`. */
export function resourceList(registry: Registry, group: string, version: string): JsonObject | null {
  const types = registry.all().filter((type) => type.group === group && type.version === version);
  const resources = types.flatMap((type): JsonObject[] => [
    {
      name: type.plural,
      singularName: type.singular,
      namespaced: type.namespaced,
      kind: type.kind,
      verbs: VERBS,
      ...(type.shortNames.length === 0 ? {} : { shortNames: [...type.shortNames] }),
      ...(type.categories.length === 0 ? {} : { categories: [...type.categories] }),
      storageVersionHash: Buffer.from(type.storage).toString('base64').slice(0, 12),
    },
    ...subresourcesOf(type).map((sub) => ({
      name: `${type.plural}/${sub.name}`,
      singularName: '',
      namespaced: type.namespaced,
      kind: sub.kind,
      verbs: sub.verbs,
      ...(sub.group === undefined ? {} : { group: sub.group, version: sub.version }),
    })),
  ]);
  const all = [...resources, ...reviewResources(group, version)];
  if (all.length === 0) return null;
  return { kind: 'APIResourceList', apiVersion: 'v1', groupVersion: apiVersionOf({ group, version }), resources: all };
}

function aggregatedResource(type: ResourceType): JsonObject {
  const kindOf = (group: string, version: string, kind: string): JsonObject => ({ group, version, kind });
  return {
    resource: type.plural,
    responseKind: kindOf(type.group, type.version, type.kind),
    scope: type.namespaced ? 'Namespaced' : 'Cluster',
    singularResource: type.singular,
    verbs: VERBS,
    ...(type.shortNames.length === 0 ? {} : { shortNames: [...type.shortNames] }),
    ...(type.categories.length === 0 ? {} : { categories: [...type.categories] }),
    subresources: subresourcesOf(type).map((sub) => ({
      subresource: sub.name,
      responseKind: kindOf(sub.group ?? type.group, sub.version ?? type.version, sub.kind),
      verbs: sub.verbs,
    })),
  };
}

/** Aggregated discovery of `/api` (`core`) or `/apis`. */
export function aggregated(registry: Registry, core: boolean, apiVersion: string): JsonObject {
  const groups = [...groupVersions(registry)].filter(([group]) => (group === '') === core);
  return {
    kind: 'APIGroupDiscoveryList',
    apiVersion,
    metadata: {},
    items: groups.map(([group, versions]) => ({
      metadata: group === '' ? {} : { name: group },
      versions: versions.map((version) => ({
        version,
        freshness: 'Current',
        resources: [
          ...registry
            .all()
            .filter((type) => type.group === group && type.version === version)
            .map(aggregatedResource),
          ...reviewResources(group, version).map((entry) => ({
            resource: entry['name'] ?? '',
            responseKind: { group, version, kind: entry['kind'] ?? '' },
            scope: 'Cluster',
            singularResource: '',
            verbs: ['create'],
          })),
        ],
      })),
    })),
  };
}
