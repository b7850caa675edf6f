/**
 * The cache of one kind: objects by name, with indexes. The newest version wins, whichever way it comes (list, watch or
 * the answer to our own write), so a controller never acts on something older than what it wrote itself.
 *
 * Objects in the cache are shared: whoever wants to change one makes a copy first.
 */
import { strict as assert } from 'node:assert';
import type { ObjectMeta } from '@longhorn/shared-types';
import { limits } from '../limits.ts';

export interface StoredObject {
  metadata: ObjectMeta;
}

export type ChangeListener<T> = (current: T | null, previous: T | null) => void;

/** The index keys of an object; an object may have none or several in an index. */
export type IndexFunctions<T> = Record<string, (object: T) => readonly string[]>;

/** Versions are decimal numbers without leading zeros, of any length. */
export function isNewerVersion(version: string, than: string): boolean {
  return version.length === than.length ? version > than : version.length > than.length;
}

export class ObjectStore<T extends StoredObject> {
  readonly kind: string;
  readonly #objects = new Map<string, T>();
  readonly #indexFunctions: IndexFunctions<T>;
  readonly #indexes = new Map<string, Map<string, Set<string>>>();
  readonly #listeners: ChangeListener<T>[] = [];
  /** Insertion order is age. */
  readonly #deletedUids = new Set<string>();

  constructor(kind: string, indexFunctions: IndexFunctions<T> = {}) {
    this.kind = kind;
    this.#indexFunctions = indexFunctions;
    for (const name of Object.keys(indexFunctions)) this.#indexes.set(name, new Map());
  }

  get(name: string): T | null {
    return this.#objects.get(name) ?? null;
  }

  list(): T[] {
    return [...this.#objects.values()];
  }

  get size(): number {
    return this.#objects.size;
  }

  /** The objects with this key in the index, sorted by name. */
  byIndex(index: string, key: string): T[] {
    const names = this.#indexes.get(index);
    assert(names !== undefined, `${this.kind} has no index ${index}`);
    return [...(names.get(key) ?? [])].toSorted().flatMap((name) => this.get(name) ?? []);
  }

  onChange(listener: ChangeListener<T>): void {
    this.#listeners.push(listener);
  }

  /** Takes in a version from wherever; false if it is not news. */
  apply(object: T): boolean {
    const { name, uid, resourceVersion } = object.metadata;
    if (this.#deletedUids.has(uid)) return false;
    const present = this.#objects.get(name);
    if (present !== undefined && !isNewerVersion(resourceVersion, present.metadata.resourceVersion)) return false;
    this.#set(name, object, present ?? null);
    return true;
  }

  /** Takes in a deletion; one of an incarnation that has been replaced already is not news. */
  remove(name: string, uid: string): boolean {
    this.#rememberDeleted(uid);
    const present = this.#objects.get(name);
    if (present === undefined || present.metadata.uid !== uid) return false;
    this.#objects.delete(name);
    this.#reindex(name, present, null);
    this.#announce(null, present);
    return true;
  }

  /** Takes in a whole list as of a version: what is not in it and not newer than it is gone. */
  replaceAll(objects: T[], listVersion: string): void {
    const names = new Set(objects.map((object) => object.metadata.name));
    for (const present of this.list()) {
      const { name, uid, resourceVersion } = present.metadata;
      if (!names.has(name) && !isNewerVersion(resourceVersion, listVersion)) this.remove(name, uid);
    }
    for (const object of objects) {
      const present = this.get(object.metadata.name);
      if (present !== null && present.metadata.uid !== object.metadata.uid) {
        this.remove(present.metadata.name, present.metadata.uid);
      }
      this.apply(object);
    }
  }

  #set(name: string, object: T, previous: T | null): void {
    if (previous !== null && previous.metadata.uid !== object.metadata.uid)
      this.#rememberDeleted(previous.metadata.uid);
    this.#objects.set(name, object);
    this.#reindex(name, previous, object);
    this.#announce(object, previous);
  }

  #announce(current: T | null, previous: T | null): void {
    for (const listener of this.#listeners) listener(current, previous);
  }

  #reindex(name: string, previous: T | null, current: T | null): void {
    for (const [index, keysOf] of Object.entries(this.#indexFunctions)) {
      const names = this.#indexes.get(index);
      assert(names !== undefined);
      for (const key of previous === null ? [] : keysOf(previous)) {
        const entry = names.get(key);
        entry?.delete(name);
        if (entry?.size === 0) names.delete(key);
      }
      for (const key of current === null ? [] : keysOf(current)) {
        const entry = names.get(key);
        if (entry === undefined) names.set(key, new Set([name]));
        else entry.add(name);
      }
    }
  }

  #rememberDeleted(uid: string): void {
    if (uid === '') return;
    this.#deletedUids.add(uid);
    if (this.#deletedUids.size > limits.deletedUidsMax) {
      const oldest = this.#deletedUids.values().next().value;
      if (oldest !== undefined) this.#deletedUids.delete(oldest);
    }
  }
}
