/**
 * Removes what depends on objects that are gone, and finishes deletions that wait for their dependents.
 *
 * - An object whose owners are all gone is deleted (background).
 * - An owner with the finalizer `foregroundDeletion` goes after its dependents; with `orphan` they are cut loose first.
 * - A namespace or a CustomResourceDefinition goes after everything in it.
 *
 * Work is found through an index of owners by uid that follows the store, so nothing is ever scanned on a clock.
 */
import { STORAGE } from '../api/builtin-kinds.ts';
import { stringAt, valueAt } from '../api/json.ts';
import { namespaceOf, type KubeObject } from '../api/object.ts';
import { CONTENTS, FOREGROUND, ORPHAN, plainDelete, type DeleteOptions } from '../api/operations.ts';
import type { ResourceType } from '../api/resource-type.ts';
import { ApiError } from '../api/status-error.ts';
import type { StoreEvent } from '../api/store.ts';
import type { Controller, ControllerParts } from './controller.ts';
import { WorkQueue } from './work-queue.ts';

/** Identifies an object over all resources. */
const locate = (resource: string, object: KubeObject): string =>
  JSON.stringify([resource, namespaceOf(object), object.metadata.name]);

const hasGone = (error: unknown): boolean => error instanceof ApiError && error.code === 404;

class GarbageCollector implements Controller {
  readonly #parts: ControllerParts;
  readonly #queue: WorkQueue;
  /** uids of all objects */
  readonly #present = new Set<string>();
  /** owner's uid to the places of its dependents */
  readonly #dependents = new Map<string, Set<string>>();
  #unsubscribe: () => void = () => undefined;

  constructor(parts: ControllerParts) {
    this.#parts = parts;
    this.#queue = new WorkQueue(
      (key) => this.#handle(key),
      parts.after,
      (key, error) => parts.note(`collecting ${key}`, error),
    );
  }

  start(): void {
    const { store } = this.#parts.operations;
    for (const resource of store.resources())
      for (const object of store.list(resource)) this.#index(resource, object, true);
    this.#unsubscribe = store.subscribeAll((event) => this.#heard(event));
    for (const resource of store.resources()) for (const object of store.list(resource)) this.#look(resource, object);
  }

  idle(): Promise<void> {
    return this.#queue.idle();
  }

  async close(): Promise<void> {
    this.#unsubscribe();
    await this.#queue.close();
  }

  #index(resource: string, object: KubeObject, present: boolean): void {
    const place = locate(resource, object);
    if (present) this.#present.add(object.metadata.uid);
    else this.#present.delete(object.metadata.uid);
    for (const { uid } of object.metadata.ownerReferences ?? []) {
      const places = this.#dependents.get(uid) ?? new Set();
      if (present) places.add(place);
      else places.delete(place);
      if (places.size > 0) this.#dependents.set(uid, places);
      else this.#dependents.delete(uid);
    }
  }

  #heard(event: StoreEvent): void {
    if (event.previous !== null) this.#index(event.resource, event.previous, false);
    if (event.type !== 'DELETED') {
      this.#index(event.resource, event.object, true);
      this.#look(event.resource, event.object);
      return;
    }
    for (const place of this.#dependents.get(event.object.metadata.uid) ?? []) this.#queue.add(place);
    this.#nudge(event.object, event.resource);
  }

  /** Queues an object that may need something. */
  #look(resource: string, object: KubeObject): void {
    const { metadata } = object;
    const orphaned = (metadata.ownerReferences ?? []).some((owner) => !this.#present.has(owner.uid));
    if (orphaned || (metadata.deletionTimestamp !== undefined && (metadata.finalizers ?? []).length > 0))
      this.#queue.add(locate(resource, object));
  }

  /** Queues those that may have waited for this object to go. */
  #nudge(object: KubeObject, resource: string): void {
    const { store } = this.#parts.operations;
    for (const owner of object.metadata.ownerReferences ?? []) {
      const type = this.#parts.registry.byKind(owner.apiVersion, owner.kind);
      if (type !== null)
        this.#queue.add(JSON.stringify([type.storage, type.namespaced ? namespaceOf(object) : '', owner.name]));
    }
    const namespace = store.get(STORAGE.namespaces, '', namespaceOf(object));
    if (namespace?.metadata.deletionTimestamp !== undefined) this.#queue.add(locate(STORAGE.namespaces, namespace));
    const [group = '', plural = ''] = resource.split('/');
    const definition = store.get(STORAGE.definitions, '', `${plural}.${group}`);
    if (definition?.metadata.deletionTimestamp !== undefined) this.#queue.add(locate(STORAGE.definitions, definition));
  }

  async #handle(key: string): Promise<void> {
    const [resource = '', namespace = '', name = ''] = JSON.parse(key) as string[];
    const object = this.#parts.operations.store.get(resource, namespace, name);
    const type = this.#parts.registry.stored(resource);
    if (object === null || type === null) return;
    if (object.metadata.deletionTimestamp !== undefined) await this.#finish(type, object);
    else await this.#collect(type, object);
  }

  /** Deletes an object whose owners are all gone; drops references to those that are gone. */
  async #collect(type: ResourceType, object: KubeObject): Promise<void> {
    const owners = object.metadata.ownerReferences ?? [];
    const left = owners.filter((owner) => this.#present.has(owner.uid));
    if (left.length === owners.length) return;
    if (left.length === 0) return this.#delete(type, object, plainDelete);
    await this.#change(type, object, (current) => ({
      ...current,
      metadata: { ...current.metadata, ownerReferences: left },
    }));
  }

  async #delete(type: ResourceType, object: KubeObject, options: DeleteOptions): Promise<void> {
    try {
      const { uid, name } = object.metadata;
      await this.#parts.operations.remove(type, namespaceOf(object), name, { ...options, uid });
    } catch (error) {
      if (!hasGone(error)) throw error;
    }
  }

  async #change(type: ResourceType, object: KubeObject, change: (current: KubeObject) => KubeObject): Promise<void> {
    try {
      await this.#parts.operations.update(type, namespaceOf(object), object.metadata.name, '', (current) =>
        current.metadata.uid === object.metadata.uid ? change(current) : current,
      );
    } catch (error) {
      if (!hasGone(error)) throw error;
    }
  }

  async #release(type: ResourceType, object: KubeObject, finalizer: string): Promise<void> {
    await this.#change(type, object, (current) => {
      const finalizers = (current.metadata.finalizers ?? []).filter((entry) => entry !== finalizer);
      const { finalizers: _, ...metadata } = current.metadata;
      return { ...current, metadata: finalizers.length === 0 ? metadata : { ...metadata, finalizers } };
    });
  }

  /** Goes on with a deletion that waits for one of our finalizers. */
  async #finish(type: ResourceType, object: KubeObject): Promise<void> {
    const finalizers = object.metadata.finalizers ?? [];
    if (finalizers.includes(ORPHAN)) await this.#orphan(type, object);
    else if (finalizers.includes(FOREGROUND)) await this.#foreground(type, object);
    if (finalizers.includes(CONTENTS)) await this.#contents(type, object);
  }

  #dependentsOf(object: KubeObject): { type: ResourceType; object: KubeObject }[] {
    const { operations, registry } = this.#parts;
    return [...(this.#dependents.get(object.metadata.uid) ?? [])].flatMap((place) => {
      const [resource = '', namespace = '', name = ''] = JSON.parse(place) as string[];
      const dependent = operations.store.get(resource, namespace, name);
      const type = registry.stored(resource);
      return dependent === null || type === null ? [] : [{ type, object: dependent }];
    });
  }

  async #orphan(type: ResourceType, object: KubeObject): Promise<void> {
    for (const dependent of this.#dependentsOf(object))
      await this.#change(dependent.type, dependent.object, (current) => {
        const left = (current.metadata.ownerReferences ?? []).filter((owner) => owner.uid !== object.metadata.uid);
        const { ownerReferences: _, ...metadata } = current.metadata;
        return { ...current, metadata: left.length === 0 ? metadata : { ...metadata, ownerReferences: left } };
      });
    await this.#release(type, object, ORPHAN);
  }

  async #foreground(type: ResourceType, object: KubeObject): Promise<void> {
    const waiting = this.#dependentsOf(object);
    for (const dependent of waiting)
      if (dependent.object.metadata.deletionTimestamp === undefined)
        await this.#delete(dependent.type, dependent.object, { ...plainDelete, propagation: 'Foreground' });
    const blocking = this.#dependentsOf(object).filter((dependent) =>
      (dependent.object.metadata.ownerReferences ?? []).some(
        (owner) => owner.uid === object.metadata.uid && owner.blockOwnerDeletion === true,
      ),
    );
    if (blocking.length === 0) await this.#release(type, object, FOREGROUND);
  }

  /** Everything in a namespace, or every object of a definition. */
  #contentsOf(object: KubeObject): { type: ResourceType; object: KubeObject }[] {
    const { operations, registry } = this.#parts;
    const { store } = operations;
    if (object.kind === 'CustomResourceDefinition') {
      const storage = `${stringAt(valueAt(object, 'spec', 'group'))}/${stringAt(valueAt(object, 'spec', 'names', 'plural'))}`;
      const type = registry.stored(storage);
      return type === null ? [] : store.list(storage).map((entry) => ({ type, object: entry }));
    }
    return store.resources().flatMap((resource) => {
      const type = registry.stored(resource);
      if (type === null || !type.namespaced) return [];
      return store.list(resource, object.metadata.name).map((entry) => ({ type, object: entry }));
    });
  }

  async #contents(type: ResourceType, object: KubeObject): Promise<void> {
    for (const inside of this.#contentsOf(object))
      if (inside.object.metadata.deletionTimestamp === undefined)
        await this.#delete(inside.type, inside.object, plainDelete);
    if (this.#contentsOf(object).length === 0) await this.#release(type, object, CONTENTS);
  }
}

export const garbageCollector = (parts: ControllerParts): Controller => new GarbageCollector(parts);
