/**
 * All REST schemas, in the order in which `GET /v1/schemas` lists them, and the resources that this call returns.
 */
import { discoverySchemas } from './discovery-schemas.ts';
import { inputSchemas } from './input-schemas.ts';
import { nodeSchemas } from './node-schemas.ts';
import type { RestBase, RestFieldForm, RestFields, RestMethod, RestSchemaForm } from './schema-form.ts';
import { storeSchemas } from './store-schemas.ts';
import { volumeSchemas } from './volume-schemas.ts';

/** Schema id to schema. */
export const REST_SCHEMAS = {
  ...discoverySchemas,
  ...inputSchemas,
  ...volumeSchemas,
  ...nodeSchemas,
  ...storeSchemas,
};

/** Id of a schema. */
export type RestSchemaId = keyof typeof REST_SCHEMAS;

/** What a resource holds besides id, type, links and actions; also the type of nested objects and of inputs. */
export type RestContent<Id extends RestSchemaId> = RestFields<typeof REST_SCHEMAS, Id>;

/** A whole resource. */
export type RestResource<Id extends RestSchemaId> = RestBase & RestContent<Id>;

/** A list of resources. */
export interface RestCollection<Id extends RestSchemaId> {
  type: 'collection';
  resourceType: Id;
  links: Record<string, string>;
  data: RestResource<Id>[];
  createTypes?: Record<string, string>;
}

/** The order of upstream's list; schemas of ours follow. */
const UPSTREAM_ORDER = [
  'apiVersion',
  'schema',
  'error',
  'attachInput',
  'detachInput',
  'snapshotInput',
  'snapshotCRInput',
  'backup',
  'backupInput',
  'backupStatus',
  'syncBackupResource',
  'orphan',
  'restoreStatus',
  'purgeStatus',
  'rebuildStatus',
  'replicaRemoveInput',
  'salvageInput',
  'activateInput',
  'expandInput',
  'engineUpgradeInput',
  'replica',
  'controller',
  'diskUpdate',
  'UpdateReplicaCountInput',
  'UpdateReplicaAutoBalanceInput',
  'UpdateDataLocalityInput',
  'UpdateAccessModeInput',
  'UpdateSnapshotDataIntegrityInput',
  'UpdateSnapshotMaxCountInput',
  'UpdateSnapshotMaxSizeInput',
  'UpdateReplicaRebuildingBandwidthLimitInput',
  'UpdateBackupCompressionInput',
  'UpdateUnmapMarkSnapChainRemovedInput',
  'UpdateReplicaSoftAntiAffinityInput',
  'UpdateReplicaZoneSoftAntiAffinityInput',
  'UpdateReplicaDiskSoftAntiAffinityInput',
  'UpdateFreezeFilesystemForSnapshotInput',
  'UpdateBackupTargetInput',
  'UpdateOfflineRebuildingInput',
  'workloadStatus',
  'cloneStatus',
  'empty',
  'volumeRecurringJob',
  'volumeRecurringJobInput',
  'PVCreateInput',
  'PVCCreateInput',
  'settingDefinition',
  'volumeCondition',
  'nodeCondition',
  'diskCondition',
  'longhornCondition',
  'event',
  'supportBundle',
  'supportBundleInitateInput',
  'tag',
  'instanceManager',
  'instanceProcess',
  'backingImageDiskFileStatus',
  'backingImageCleanupInput',
  'updateMinNumberOfCopiesInput',
  'backingImageRestoreInput',
  'attachment',
  'volumeAttachment',
  'volume',
  'snapshot',
  'snapshotCR',
  'backupTarget',
  'backupVolume',
  'backupBackingImage',
  'setting',
  'recurringJob',
  'engineImage',
  'backingImage',
  'node',
  'diskUpdateInput',
  'diskInfo',
  'kubernetesStatus',
  'backupTargetListOutput',
  'backupVolumeListOutput',
  'backupListOutput',
  'snapshotListOutput',
  'systemBackup',
  'systemRestore',
  'snapshotCRListOutput',
] as const satisfies readonly RestSchemaId[];

/** Ids of all schemas in the order of the list. */
export const REST_SCHEMA_IDS: readonly RestSchemaId[] = [
  ...UPSTREAM_ORDER,
  ...restSchemaIds().filter((id) => !UPSTREAM_ORDER.some((known) => known === id)),
];

function restSchemaIds(): RestSchemaId[] {
  return Object.keys(REST_SCHEMAS).filter(isRestSchemaId);
}

/** Whether there is a schema of this id. */
export function isRestSchemaId(id: string): id is RestSchemaId {
  return Object.hasOwn(REST_SCHEMAS, id);
}

/** The form of a schema, in the general type. */
export function restSchema(id: RestSchemaId): RestSchemaForm {
  return REST_SCHEMAS[id];
}

/** Plural of a resource name; lower-cased it is the path of the collection. */
export function restPlural(id: string): string {
  return /(s|ch|x)$/.test(id) ? `${id}es` : `${id}s`;
}

/** Path of a collection below the base URL. */
export function restCollectionPath(id: RestSchemaId): string {
  return `/v1/${restPlural(id).toLowerCase()}`;
}

const BASE_FIELDS: Record<string, string> = {
  id: 'string',
  type: 'string',
  links: 'map[string]',
  actions: 'map[string]',
};

type SchemaField = Omit<RestFieldForm, 'omitEmpty' | 'added' | 'actual'>;

/** A schema as `GET /v1/schemas` shows it. */
export interface SchemaResource {
  id: RestSchemaId;
  type: 'schema';
  actions: Record<string, string>;
  links: { self: string; collection: string };
  pluralName: string;
  collectionMethods: readonly RestMethod[];
  resourceMethods: readonly RestMethod[];
  resourceFields: Record<string, SchemaField>;
  resourceActions?: Record<string, { input?: string; output?: string }>;
}

function schemaField(form: string | RestFieldForm): SchemaField {
  if (typeof form === 'string') return { type: form };
  const { omitEmpty: _omitEmpty, added: _added, actual: _actual, ...field } = form;
  return field;
}

/** One schema as a resource; `baseUrl` is scheme, host and prefix without a trailing slash. */
export function schemaResource(id: RestSchemaId, baseUrl: string): SchemaResource {
  const form = restSchema(id);
  const fields = { ...(form.isPlain === true ? {} : BASE_FIELDS), ...form.fields };
  return {
    id,
    type: 'schema',
    actions: {},
    links: { self: `${baseUrl}/v1/schemas/${id}`, collection: `${baseUrl}${restCollectionPath(id)}` },
    pluralName: restPlural(id),
    collectionMethods: form.collectionMethods ?? ['GET'],
    resourceMethods: form.resourceMethods ?? ['GET'],
    resourceFields: Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, schemaField(field)])),
    ...(form.actions === undefined ? {} : { resourceActions: { ...form.actions } }),
  };
}

/** All schemas as resources, in order. */
export function schemaResources(baseUrl: string): SchemaResource[] {
  return REST_SCHEMA_IDS.map((id) => schemaResource(id, baseUrl));
}
