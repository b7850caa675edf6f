/**
 * A Kubernetes API in memory for tests and simulations: versions, optimistic locking, the status subresource,
 * finalizers, owner references with background collection, watches. Deliveries to watches are synchronous. A pod that is
 * deleted with a grace period stays, terminating, until somebody deletes it without one, as a kubelet does.
 */
import {
  ApiError,
  collectionPath,
  type DeleteOptions,
  type KubeTransport,
  type ListOptions,
  type RawList,
  type RawObject,
  type Resource,
  type WatchEnd,
  type WatchEvent,
} from './kube-transport.ts';

interface Watcher {
  resource: Resource;
  namespace: string;
  deliver: (event: WatchEvent) => void;
  end: (end: WatchEnd) => void;
}

type Json = Record<string, unknown>;

interface Stored {
  resource: Resource;
  path: string;
  object: RawObject;
}

function metaOf(object: RawObject): Json {
  return object.metadata;
}

function withoutStatus(object: RawObject): Json {
  const { status: _status, metadata, ...rest } = object;
  const { resourceVersion: _version, managedFields: _managed, ...meta } = metadata;
  return { ...rest, metadata: meta };
}

/** `namespace` '': all of them. */
function isWithin(stored: Stored, resource: Resource, namespace: string): boolean {
  const { group, plural } = stored.resource;
  if (group !== resource.group || plural !== resource.plural) return false;
  return namespace === '' || stored.object.metadata.namespace === namespace;
}

/** `a.b=c,d=e` of a field selector. */
function isSelected(object: RawObject, fieldSelector: string): boolean {
  return fieldSelector.split(',').every((term) => {
    const [path = '', wanted = ''] = term.split('=');
    const value = path.split('.').reduce<unknown>((at, field) => (isJson(at) ? at[field] : undefined), object);
    return value === wanted;
  });
}

function isJson(value: unknown): value is Json {
  return typeof value === 'object' && value !== null;
}

function finalizersOf(object: RawObject): unknown[] {
  const finalizers = metaOf(object)['finalizers'];
  return Array.isArray(finalizers) ? finalizers : [];
}

export interface MemoryApiWrites {
  verb: string;
  kind: string;
  name: string;
}

export class MemoryApi implements KubeTransport {
  readonly #objects = new Map<string, Stored>();
  readonly #watchers = new Set<Watcher>();
  readonly #now: () => number;
  #version = 0;
  #uid = 0;
  /** Every successful write, for tests of quietness. */
  readonly writes: MemoryApiWrites[] = [];
  /** Throws to make a call fail: `(verb, kind, name) => void`. */
  fault: ((verb: string, kind: string, name: string) => void) | null = null;

  constructor(now: () => number = () => 0) {
    this.#now = now;
  }

  list(resource: Resource, namespace: string, { fieldSelector = '', onObject }: ListOptions = {}): Promise<RawList> {
    return this.#attempt('list', resource, '', () => {
      const items = [...this.#objects.values()]
        .filter((stored) => isWithin(stored, resource, namespace))
        .filter(({ object }) => fieldSelector === '' || isSelected(object, fieldSelector))
        .map(({ object }) => structuredClone(object));
      const resourceVersion = String(this.#version);
      if (onObject === undefined) return { items, resourceVersion };
      items.forEach(onObject);
      return { items: [], resourceVersion };
    });
  }

  watch(
    resource: Resource,
    namespace: string,
    _resourceVersion: string,
    onEvent: (event: WatchEvent) => void,
    signal: AbortSignal,
  ): Promise<WatchEnd> {
    return new Promise((resolve) => {
      const watcher: Watcher = { resource, namespace, deliver: onEvent, end };
      const watchers = this.#watchers;
      function end(reason: WatchEnd): void {
        watchers.delete(watcher);
        resolve(reason);
      }
      watchers.add(watcher);
      signal.addEventListener('abort', () => end({ kind: 'closed' }), { once: true });
    });
  }

  /** Ends all watches as the server would. */
  endWatches(end: WatchEnd): void {
    for (const watcher of this.#watchers) watcher.end(end);
  }

  get(resource: Resource, namespace: string, name: string): Promise<RawObject> {
    return this.#attempt('get', resource, name, () => structuredClone(this.#find(resource, namespace, name).object));
  }

  create(resource: Resource, namespace: string, object: RawObject): Promise<RawObject> {
    const name = object.metadata.name;
    return this.#attempt('create', resource, name, () => {
      const path = `${collectionPath(resource, namespace)}/${name}`;
      if (this.#objects.has(path)) throw new ApiError(409, 'AlreadyExists', `${resource.kind} ${name} already exists`);
      const created = structuredClone(object);
      this.#uid += 1;
      created.metadata = {
        ...created.metadata,
        namespace: resource.namespaced ? namespace : '',
        uid: `uid-${this.#uid}`,
        generation: 1,
        creationTimestamp: new Date(this.#now()).toISOString(),
      };
      created.apiVersion = resource.group === '' ? resource.version : `${resource.group}/${resource.version}`;
      created.kind = resource.kind;
      return this.#store('ADDED', { resource, path, object: created });
    });
  }

  replace(resource: Resource, namespace: string, object: RawObject, subresource: '' | 'status'): Promise<RawObject> {
    return this.#attempt(subresource === '' ? 'update' : 'updateStatus', resource, object.metadata.name, () => {
      const stored = this.#find(resource, namespace, object.metadata.name);
      const { resourceVersion } = object.metadata;
      if (
        resourceVersion !== undefined &&
        resourceVersion !== '' &&
        resourceVersion !== stored.object.metadata.resourceVersion
      )
        throw new ApiError(409, 'Conflict', `${resource.kind} ${object.metadata.name}: the object has been modified`);
      const next =
        subresource === 'status'
          ? { ...structuredClone(stored.object), status: structuredClone(object['status']) }
          : { ...structuredClone(object), status: structuredClone(stored.object['status']) };
      if (subresource === '') {
        const fixed = metaOf(stored.object);
        next.metadata = {
          ...next.metadata,
          uid: fixed['uid'],
          creationTimestamp: fixed['creationTimestamp'],
          deletionTimestamp: fixed['deletionTimestamp'],
        } as RawObject['metadata'];
      }
      return this.#settle({ ...stored, object: next });
    });
  }

  patch(resource: Resource, namespace: string, name: string, patch: object): Promise<RawObject> {
    return this.#attempt('patch', resource, name, () => {
      const stored = this.#find(resource, namespace, name);
      return this.#settle({ ...stored, object: merge(stored.object, patch) as RawObject });
    });
  }

  delete(resource: Resource, namespace: string, name: string, options: DeleteOptions): Promise<void> {
    return this.#attempt('delete', resource, name, () => {
      const stored = this.#find(resource, namespace, name);
      if (options.uid !== undefined && options.uid !== stored.object.metadata.uid)
        throw new ApiError(409, 'Conflict', `${resource.kind} ${name} is another one`);
      const object = structuredClone(stored.object);
      if (finalizersOf(object).length > 0) {
        if (metaOf(object)['deletionTimestamp'] !== undefined && metaOf(object)['deletionTimestamp'] !== null) return;
        metaOf(object)['deletionTimestamp'] = new Date(this.#now()).toISOString();
        this.#store('MODIFIED', { ...stored, object });
        return;
      }
      const graceS = options.gracePeriodSeconds ?? 0;
      if (resource.plural === 'pods' && graceS > 0) {
        const deletionTimestamp = new Date(this.#now() + graceS * 1000).toISOString();
        Object.assign(metaOf(object), { deletionTimestamp, deletionGracePeriodSeconds: graceS });
        this.#store('MODIFIED', { ...stored, object });
        return;
      }
      this.#drop(stored);
    });
  }

  /** Sets the status or anything else from outside, as a kubelet would. */
  force(resource: Resource, namespace: string, name: string, patch: object): void {
    const stored = this.#find(resource, namespace, name);
    this.#settle({ ...stored, object: merge(stored.object, patch) as RawObject });
  }

  #find(resource: Resource, namespace: string, name: string): Stored {
    const stored = this.#objects.get(`${collectionPath(resource, namespace)}/${name}`);
    if (stored === undefined) throw new ApiError(404, 'NotFound', `${resource.kind} ${name} not found`);
    return stored;
  }

  #settle(stored: Stored): RawObject {
    const { deletionTimestamp: deleting, deletionGracePeriodSeconds: graceS } = metaOf(stored.object);
    const isTerminating = typeof graceS === 'number' && graceS > 0;
    if (deleting !== undefined && deleting !== null && !isTerminating && finalizersOf(stored.object).length === 0) {
      this.#drop(stored);
      return structuredClone(stored.object);
    }
    return this.#store('MODIFIED', stored);
  }

  #store(type: 'ADDED' | 'MODIFIED', stored: Stored): RawObject {
    const before = this.#objects.get(stored.path);
    if (before !== undefined && type === 'MODIFIED') {
      const same = JSON.stringify([withoutStatus(before.object), before.object['status']]);
      // As the real one: a write that changes nothing makes no new version.
      if (same === JSON.stringify([withoutStatus(stored.object), stored.object['status']]))
        return structuredClone(before.object);
    }
    this.#version += 1;
    stored.object.metadata.resourceVersion = String(this.#version);
    this.#objects.set(stored.path, stored);
    this.#deliver(type, stored);
    return structuredClone(stored.object);
  }

  #drop(stored: Stored): void {
    this.#version += 1;
    this.#objects.delete(stored.path);
    const object = structuredClone(stored.object);
    object.metadata.resourceVersion = String(this.#version);
    this.#deliver('DELETED', { ...stored, object });
    const remaining = [...this.#objects.values()];
    for (const owned of remaining) {
      const owners = metaOf(owned.object)['ownerReferences'];
      if (!Array.isArray(owners) || !owners.some((owner: Json) => owner['uid'] === object.metadata.uid)) continue;
      void this.delete(owned.resource, owned.object.metadata.namespace ?? '', owned.object.metadata.name, {});
    }
  }

  #deliver(type: WatchEvent['type'], stored: Stored): void {
    for (const watcher of this.#watchers) {
      if (isWithin(stored, watcher.resource, watcher.namespace))
        watcher.deliver({ type, object: structuredClone(stored.object) });
    }
  }

  #attempt<T>(verb: string, resource: Resource, name: string, work: () => T): Promise<T> {
    return new Promise((resolve) => {
      this.fault?.(verb, resource.kind, name);
      const versionBefore = this.#version;
      const result = work();
      if (this.#version !== versionBefore) this.writes.push({ verb, kind: resource.kind, name });
      resolve(result);
    });
  }
}

/** JSON merge patch. */
function merge(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return structuredClone(patch);
  const result: Json = typeof target === 'object' && target !== null ? structuredClone(target as Json) : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = merge(result[key], value);
  }
  return result;
}
