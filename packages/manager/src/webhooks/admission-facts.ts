/**
 * What the rules of admission may look at besides the object itself, gathered before they run: the rules are pure. The
 * datastore's caches can be behind the API server by a moment, so that what must exist is asked for directly when the
 * cache does not have it.
 */
import {
  engineImageName,
  isSettingName,
  parseDataSource,
  parseSetting,
  SettingError,
  type CrdKind,
  type CrdObjects,
  type Engine,
  type EngineImage,
  type InstanceManager,
  type Node,
  type Replica,
  type SettingName,
  type SettingValue,
  type Snapshot,
  type Volume,
} from '@longhorn/shared-types';
import type { KubeNode } from '../datastore/core-kinds.ts';
import type { CachedKind, Datastore } from '../datastore/datastore.ts';
import { isNotFound, type Resource } from '../datastore/kube-transport.ts';

/** The facts for one review. Fields that its kind does not need are empty. */
export interface AdmissionFacts {
  /** Text of a Setting object, null where there is none. */
  settingText: (name: SettingName) => string | null;
  /** The volume that the object belongs to. */
  volume: Volume | null;
  /** What a new volume is to be a copy of. */
  sourceVolume: Volume | null;
  sourceSnapshot: Snapshot | null;
  /** Of that volume, or on that node. */
  engines: readonly Engine[];
  replicas: readonly Replica[];
  /** The Longhorn node that the object names. */
  node: Node | null;
  kubeNode: KubeNode | null;
  nodeNames: readonly string[];
  engineImage: EngineImage | null;
  instanceManagers: readonly InstanceManager[];
  /** Whether the object that the setting's value names exists. */
  namedObjectExists: boolean;
}

/** No facts: the settings have their defaults, nothing exists. */
export const NO_FACTS: AdmissionFacts = {
  settingText: () => null,
  volume: null,
  sourceVolume: null,
  sourceSnapshot: null,
  engines: [],
  replicas: [],
  node: null,
  kubeNode: null,
  nodeNames: [],
  engineImage: null,
  instanceManagers: [],
  namedObjectExists: true,
};

/** The value of a setting; one that cannot be read counts as not stored. */
export function settingOf<N extends SettingName>(facts: AdmissionFacts, name: N): SettingValue<N> {
  try {
    return parseSetting(name, facts.settingText(name));
  } catch (error) {
    if (error instanceof SettingError) return parseSetting(name, null);
    throw error;
  }
}

/** The object from the cache, else from the API server. */
async function find<K extends CachedKind>(datastore: Datastore, kind: K, name: string): Promise<CrdObjects[K] | null> {
  if (name === '') return null;
  return datastore.store(kind).get(name) ?? (await datastore.read(kind, name));
}

const NAMED_BY_SETTING: Partial<Record<string, Resource>> = {
  'priority-class': {
    group: 'scheduling.k8s.io',
    version: 'v1',
    plural: 'priorityclasses',
    kind: 'PriorityClass',
    namespaced: false,
  },
  'default-longhorn-static-storage-class': {
    group: 'storage.k8s.io',
    version: 'v1',
    plural: 'storageclasses',
    kind: 'StorageClass',
    namespaced: false,
  },
};

async function namedObjectExists(datastore: Datastore, setting: string, value: string): Promise<boolean> {
  const resource = NAMED_BY_SETTING[setting];
  if (resource === undefined || value === '') return true;
  if (isSettingName(setting) && value === parseSetting(setting, null)) return true;
  try {
    await datastore.transport.get(resource, '', value);
    return true;
  } catch (error) {
    if (isNotFound(error)) return false;
    throw error;
  }
}

function withSettings(datastore: Datastore): AdmissionFacts {
  return { ...NO_FACTS, settingText: (name) => datastore.store('Setting').get(name)?.value ?? null };
}

async function ofVolume(datastore: Datastore, name: string): Promise<Partial<AdmissionFacts>> {
  return {
    volume: await find(datastore, 'Volume', name),
    engines: datastore.store('Engine').byIndex('volume', name),
    replicas: datastore.store('Replica').byIndex('volume', name),
  };
}

async function ofSource(datastore: Datastore, dataSource: string): Promise<Partial<AdmissionFacts>> {
  const source = parseDataSource(dataSource);
  if (source === null) return {};
  const snapshot = source.snapshot === null ? null : await find(datastore, 'Snapshot', source.snapshot);
  return {
    sourceVolume: await find(datastore, 'Volume', source.volume),
    sourceSnapshot: snapshot?.spec.volume === source.volume ? snapshot : null,
  };
}

async function ofNode(datastore: Datastore, name: string): Promise<Partial<AdmissionFacts>> {
  return {
    node: await find(datastore, 'Node', name),
    kubeNode: datastore.kubeNodes.get(name),
    engines: datastore.store('Engine').byIndex('node', name),
    replicas: datastore.store('Replica').byIndex('node', name),
  };
}

/** Names of all nodes; the API server is asked for a wanted one that the cache does not know yet. */
async function existingNodes(datastore: Datastore, wanted: readonly string[]): Promise<string[]> {
  const names = new Set(
    datastore
      .store('Node')
      .list()
      .map((node) => node.metadata.name),
  );
  for (const name of wanted) {
    if (name !== '' && !names.has(name) && (await find(datastore, 'Node', name)) !== null) names.add(name);
  }
  return [...names];
}

/** Replicas of a volume as the API server has them now: the cache may not know yet that another one was deleted. */
async function freshReplicas(datastore: Datastore, volume: string): Promise<Replica[]> {
  const cached = datastore.store('Replica').byIndex('volume', volume);
  const read = await Promise.all(cached.map((replica) => datastore.read('Replica', replica.metadata.name)));
  return read.filter((replica) => replica !== null);
}

/** A kind and an object of it, as a pair that belongs together. */
export type KindedObject = { [K in CrdKind]: { kind: K; object: CrdObjects[K] } }[CrdKind];

/** Gathers what the rules of this object's kind need. */
export async function gatherFacts(
  datastore: Datastore,
  { kind, object }: KindedObject,
  operation: string,
): Promise<AdmissionFacts> {
  const facts = withSettings(datastore);
  switch (kind) {
    case 'Volume': {
      const { name } = object.metadata;
      const image = object.spec.image === '' ? settingOf(facts, 'default-engine-image') : object.spec.image;
      const engineImage = image === '' ? null : await find(datastore, 'EngineImage', engineImageName(image));
      const { nodeID, migrationNodeID } = object.spec;
      const nodeNames = await existingNodes(datastore, [nodeID, migrationNodeID]);
      const source = operation === 'CREATE' ? await ofSource(datastore, object.spec.dataSource) : {};
      return { ...facts, ...(await ofVolume(datastore, name)), ...source, engineImage, nodeNames };
    }
    case 'Engine':
      return { ...facts, ...(await ofVolume(datastore, object.spec.volumeName)) };
    case 'Replica': {
      const { volumeName } = object.spec;
      const related = await ofVolume(datastore, volumeName);
      const replicas = operation === 'DELETE' ? await freshReplicas(datastore, volumeName) : related.replicas;
      return { ...facts, ...related, ...(replicas === undefined ? {} : { replicas }) };
    }
    case 'Snapshot':
      return { ...facts, ...(await ofVolume(datastore, object.spec.volume)) };
    case 'VolumeAttachment': {
      const wanted = Object.values(object.spec.attachmentTickets).map(({ nodeID }) => nodeID);
      const nodeNames = await existingNodes(datastore, wanted);
      return { ...facts, ...(await ofVolume(datastore, object.spec.volume)), nodeNames };
    }
    case 'Node':
      return { ...facts, ...(await ofNode(datastore, object.metadata.name)) };
    case 'InstanceManager':
      return { ...facts, node: await find(datastore, 'Node', object.spec.nodeID) };
    case 'EngineImage':
      return facts;
    case 'Setting': {
      const instanceManagers = datastore.store('InstanceManager').list();
      const exists = await namedObjectExists(datastore, object.metadata.name, object.value);
      return { ...facts, instanceManagers, namedObjectExists: exists };
    }
    case 'Orphan':
    case 'Backup':
    case 'BackupVolume':
    case 'BackupTarget':
    case 'BackupBackingImage':
    case 'BackingImage':
    case 'BackingImageDataSource':
    case 'BackingImageManager':
    case 'RecurringJob':
    case 'ShareManager':
    case 'SupportBundle':
    case 'SystemBackup':
    case 'SystemRestore':
      return facts;
    default:
      return facts;
  }
}
