/**
 * The only way to the Kubernetes API. Reads come from caches that are at least as new as our own last write; writes
 * happen only when something differs, and are guarded by the version that the caller started from: a lost race is an
 * ApiError that `isConflict` tells, and the caller's key comes again.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import {
  API_GROUP,
  API_VERSION_NAME,
  CRD_KINDS,
  completeObject,
  type CrdKind,
  type CrdObjects,
} from '@longhorn/shared-types';
import type { Clock } from '../clock.ts';
import { sourceOfCopy } from '../clone-stage.ts';
import { limits } from '../limits.ts';
import {
  CORE_RESOURCES,
  decodeBudget,
  decodeConfigMap,
  decodeDaemonSet,
  decodeKubeNode,
  decodePod,
  type ConfigMap,
  type DaemonSet,
  type DisruptionBudget,
  type KubeNode,
  type Pod,
} from './core-kinds.ts';
import {
  isAlreadyExists,
  isConflict,
  isNotFound,
  type DeleteOptions,
  type KubeTransport,
  type RawObject,
  type Resource,
} from './kube-transport.ts';
import { namespacedKey, ObjectStore, type IndexFunctions, type StoredObject } from './object-store.ts';
import { reflect } from './reflector.ts';
import {
  claimKeys,
  decodeKubeAttachment,
  decodePersistentVolume,
  decodeWorkloadPod,
  WORKLOAD_RESOURCES,
  type KubeAttachment,
  type PersistentVolume,
  type WorkloadPod,
} from './workload-kinds.ts';

/** Kinds of ours that the manager keeps in a cache. */
export const CACHED_KINDS = [
  'Volume',
  'Engine',
  'Replica',
  'VolumeAttachment',
  'Snapshot',
  'Node',
  'InstanceManager',
  'EngineImage',
  'Setting',
  'Orphan',
] as const satisfies readonly CrdKind[];
export type CachedKind = (typeof CACHED_KINDS)[number];

type Stores = { [K in CachedKind]: ObjectStore<CrdObjects[K]> };

export interface DatastoreOptions {
  transport: KubeTransport;
  namespace: string;
  clock: Clock;
  log: Logger;
}

export function resourceOf(kind: CrdKind): Resource {
  return { group: API_GROUP, version: API_VERSION_NAME, plural: CRD_KINDS[kind].plural, kind, namespaced: true };
}

function one(value: string): readonly string[] {
  return value === '' ? [] : [value];
}

/** Index names: `volume`, `node`, `disk`; `source`: of a copy that is not complete, what it is made from. */
function makeStores(): Stores {
  const make = <K extends CachedKind>(
    kind: K,
    indexes: IndexFunctions<CrdObjects[K]> = {},
  ): ObjectStore<CrdObjects[K]> => new ObjectStore<CrdObjects[K]>(kind, indexes);
  return {
    Volume: make('Volume', { source: (v) => one(sourceOfCopy(v)) }),
    Engine: make('Engine', {
      volume: (e) => one(e.spec.volumeName),
      node: (e) => one(e.spec.nodeID),
      instanceManager: (e) => one(e.status.instanceManagerName),
    }),
    Replica: make('Replica', {
      volume: (r) => one(r.spec.volumeName),
      node: (r) => one(r.spec.nodeID),
      disk: (r) => one(r.spec.diskID),
    }),
    VolumeAttachment: make('VolumeAttachment'),
    Snapshot: make('Snapshot', { volume: (s) => one(s.spec.volume) }),
    Node: make('Node'),
    InstanceManager: make('InstanceManager', { node: (im) => one(im.spec.nodeID) }),
    EngineImage: make('EngineImage'),
    Setting: make('Setting'),
    Orphan: make('Orphan', { node: (o) => one(o.spec.nodeID) }),
  };
}

/** What `update` decides: the wanted object, or null to leave things as they are. */
export type Change<T> = (present: T) => T | null;

export class Datastore {
  readonly namespace: string;
  readonly transport: KubeTransport;
  readonly stores: Stores = makeStores();
  readonly kubeNodes = new ObjectStore<KubeNode>('Node');
  readonly pods = new ObjectStore<Pod>('Pod', { node: (pod) => one(pod.nodeName) });
  readonly daemonSets = new ObjectStore<DaemonSet>('DaemonSet');
  readonly budgets = new ObjectStore<DisruptionBudget>('PodDisruptionBudget');
  readonly configMaps = new ObjectStore<ConfigMap>('ConfigMap');
  /** Pods with claims, of all namespaces, by NAMESPACE/NAME; index values of `claim` are NAMESPACE/CLAIM. */
  readonly workloadPods = new ObjectStore<WorkloadPod>(
    'Pod',
    { node: (pod) => one(pod.nodeName), claim: claimKeys },
    namespacedKey,
  );
  /** Those of our driver; index values of `claim` as above. */
  readonly persistentVolumes = new ObjectStore<PersistentVolume>('PersistentVolume', {
    volume: (pv) => one(pv.volumeHandle),
    claim: ({ claim }) => (claim === null ? [] : [namespacedKey(claim)]),
  });
  /** Kubernetes' attachments of our driver. */
  readonly kubeAttachments = new ObjectStore<KubeAttachment>('VolumeAttachment', {
    node: (attachment) => one(attachment.nodeName),
  });
  readonly #options: DatastoreOptions;
  readonly #stop = new AbortController();
  #loops: Promise<void>[] = [];

  constructor(options: DatastoreOptions) {
    this.#options = options;
    this.namespace = options.namespace;
    this.transport = options.transport;
  }

  /** Fills all caches and keeps them filled; resolves when each has had its first list. */
  async start(): Promise<void> {
    const synced: Promise<void>[] = [];
    const run = <T extends StoredObject>(
      resource: Resource,
      store: ObjectStore<T>,
      decode: (raw: RawObject) => T | null,
      namespaces: 'own' | 'all' = 'own',
    ): void => {
      const { promise, resolve } = Promise.withResolvers<void>();
      synced.push(promise);
      const { transport, namespace, clock, log } = this.#options;
      const scope = resource.namespaced && namespaces === 'own' ? namespace : '';
      const signal = this.#stop.signal;
      this.#loops.push(
        reflect({ transport, resource, namespace: scope, store, decode, clock, log, signal, onSynced: resolve }),
      );
    };
    const runKind = <K extends CachedKind>(kind: K): void =>
      run<CrdObjects[K]>(resourceOf(kind), this.store(kind), (raw) => completeObject(kind, raw));
    for (const kind of CACHED_KINDS) runKind(kind);
    run(CORE_RESOURCES.kubeNodes, this.kubeNodes, decodeKubeNode);
    run(CORE_RESOURCES.pods, this.pods, decodePod);
    run(CORE_RESOURCES.daemonSets, this.daemonSets, decodeDaemonSet);
    run(CORE_RESOURCES.budgets, this.budgets, decodeBudget);
    run(CORE_RESOURCES.configMaps, this.configMaps, decodeConfigMap);
    run(WORKLOAD_RESOURCES.pods, this.workloadPods, decodeWorkloadPod, 'all');
    run(WORKLOAD_RESOURCES.persistentVolumes, this.persistentVolumes, decodePersistentVolume);
    run(WORKLOAD_RESOURCES.attachments, this.kubeAttachments, decodeKubeAttachment);
    await Promise.all(synced);
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#loops);
    this.#loops = [];
  }

  store<K extends CachedKind>(kind: K): ObjectStore<CrdObjects[K]> {
    return this.stores[kind];
  }

  /** Straight from the API server, for decisions that must not rest on a cache. Null if there is none. */
  async read<K extends CachedKind>(kind: K, name: string): Promise<CrdObjects[K] | null> {
    try {
      const raw = await this.transport.get(resourceOf(kind), this.namespace, name);
      const object = completeObject(kind, raw);
      this.store(kind).apply(object);
      return object;
    } catch (error) {
      if (isNotFound(error)) return null;
      throw error;
    }
  }

  /** Creates the object; one of that name that exists already is returned as it is. */
  async create<K extends CachedKind>(kind: K, object: CrdObjects[K]): Promise<CrdObjects[K]> {
    try {
      const raw = await this.transport.create(resourceOf(kind), this.namespace, toCreate(object));
      const created = completeObject(kind, raw);
      this.store(kind).apply(created);
      return created;
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
      const present = await this.read(kind, object.metadata.name);
      if (present === null) throw error;
      return present;
    }
  }

  /**
   * Writes what differs between the version that the caller started from and what it wants: the object first, then its
   * status. Returns the stored object (`wanted` itself if nothing differed).
   */
  async save<K extends CachedKind>(kind: K, base: CrdObjects[K], wanted: CrdObjects[K]): Promise<CrdObjects[K]> {
    const stored = await this.saveMain(kind, base, wanted);
    return this.saveStatus(kind, stored, { ...wanted, metadata: stored.metadata });
  }

  /** As `save`, without the status. */
  async saveMain<K extends CachedKind>(kind: K, base: CrdObjects[K], wanted: CrdObjects[K]): Promise<CrdObjects[K]> {
    if (isDeepStrictEqual(mainPart(base), mainPart(wanted))) return base;
    return this.#replace(kind, wanted, '');
  }

  /** As `save`, only the status. */
  async saveStatus<K extends CachedKind>(kind: K, base: CrdObjects[K], wanted: CrdObjects[K]): Promise<CrdObjects[K]> {
    if (isDeepStrictEqual(base.status, wanted.status)) return base;
    return this.#replace(kind, wanted, 'status');
  }

  /** Read, change, write; again on a conflict. For writers that are not the object's own controller. */
  async update<K extends CachedKind>(
    kind: K,
    name: string,
    change: Change<CrdObjects[K]>,
  ): Promise<CrdObjects[K] | null> {
    let present: CrdObjects[K] | null = this.store(kind).get(name);
    for (let attempt = 1; ; attempt += 1) {
      if (present === null) return null;
      const wanted = change(structuredClone(present));
      if (wanted === null) return present;
      try {
        return await this.save(kind, present, wanted);
      } catch (error) {
        if (isNotFound(error)) return null;
        if (!isConflict(error) || attempt >= limits.conflictTriesMax) throw error;
        present = await this.read(kind, name);
      }
    }
  }

  /** Asks for deletion; an object that is gone already is fine. */
  async delete(kind: CachedKind, name: string, options: DeleteOptions = {}): Promise<void> {
    try {
      await this.transport.delete(resourceOf(kind), this.namespace, name, options);
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  /** Lets a deleted object go. */
  async removeFinalizer<K extends CachedKind>(kind: K, object: CrdObjects[K]): Promise<void> {
    const wanted = structuredClone(object);
    wanted.metadata.finalizers = wanted.metadata.finalizers.filter((finalizer) => finalizer !== API_GROUP);
    try {
      await this.saveMain(kind, object, wanted);
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  async #replace<K extends CachedKind>(
    kind: K,
    wanted: CrdObjects[K],
    subresource: '' | 'status',
  ): Promise<CrdObjects[K]> {
    const raw = await this.transport.replace(resourceOf(kind), this.namespace, toRaw(wanted), subresource);
    const stored = completeObject(kind, raw);
    this.store(kind).apply(stored);
    return stored;
  }
}

/** Everything but the status and what the server writes itself. */
function mainPart(object: CrdObjects[CachedKind]): object {
  const { status: _status, metadata, ...rest } = object;
  const { labels, annotations, finalizers, ownerReferences } = metadata;
  return { ...rest, labels, annotations, finalizers, ownerReferences };
}

function toRaw(object: CrdObjects[CachedKind]): RawObject {
  const { metadata, ...rest } = object;
  return { ...rest, metadata: { ...metadata } };
}

function toCreate(object: CrdObjects[CachedKind]): RawObject {
  const { metadata, status: _status, ...rest } = object;
  const { name, namespace, labels, annotations, finalizers, ownerReferences } = metadata;
  return { ...rest, metadata: { name, namespace, labels, annotations, finalizers, ownerReferences } };
}
