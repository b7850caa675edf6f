/**
 * The cache of one kind: objects by key, with indexes. The key is the name, or for kinds of all namespaces NAMESPACE/NAME. The newest version wins, whichever way it comes (list, watch or
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

/** The index values of an object; an object may have none or several in an index. */
export type IndexFunctions<T> = Record<string, (object: T) => readonly string[]>;

/** The key of an object, from what each of its versions and its deletion tell. */
export type KeyOf = (metadata: { name: string; namespace?: string }) => string;

export const nameKey: KeyOf = ({ name }) => name;

export const namespacedKey: KeyOf = ({ namespace = '', name }) => `${namespace}/${name}`;

/** Versions are decimal numbers without leading zeros, of any length. */
export function isNewerVersion(version: string, than: string): boolean {
  return version.length === than.length ? version > than : version.length > than.length;
}

export class ObjectStore<T extends StoredObject> {
  readonly kind: string;
  readonly keyOf: KeyOf;
  readonly #objects = new Map<string, T>();
  readonly #indexFunctions: IndexFunctions<T>;
  readonly #indexes = new Map<string, Map<string, Set<string>>>();
  readonly #listeners: ChangeListener<T>[] = [];
  /** Insertion order is age. */
  readonly #deletedUids = new Set<string>();

  constructor(kind: string, indexFunctions: IndexFunctions<T> = {}, keyOf: KeyOf = nameKey) {
    this.kind = kind;
    this.keyOf = keyOf;
    this.#indexFunctions = indexFunctions;
    for (const name of Object.keys(indexFunctions)) this.#indexes.set(name, new Map());
  }

  get(key: string): T | null {
    return this.#objects.get(key) ?? null;
  }

  list(): T[] {
    return [...this.#objects.values()];
  }

  get size(): number {
    return this.#objects.size;
  }

  /** The objects with this value in the index, sorted by key. */
  byIndex(index: string, value: string): T[] {
    const keys = this.#indexes.get(index);
    assert(keys !== undefined, `${this.kind} has no index ${index}`);
    return [...(keys.get(value) ?? [])].toSorted().flatMap((key) => this.get(key) ?? []);
  }

  onChange(listener: ChangeListener<T>): void {
    this.#listeners.push(listener);
  }

  /** Takes in a version from wherever; false if it is not news. */
  apply(object: T): boolean {
    const { uid, resourceVersion } = object.metadata;
    if (this.#deletedUids.has(uid)) return false;
    const key = this.keyOf(object.metadata);
    const present = this.#objects.get(key);
    if (present !== undefined && !isNewerVersion(resourceVersion, present.metadata.resourceVersion)) return false;
    this.#set(key, object, present ?? null);
    return true;
  }

  /** Takes in a deletion; one of an incarnation that has been replaced already is not news. */
  remove(key: string, uid: string): boolean {
    this.#rememberDeleted(uid);
    const present = this.#objects.get(key);
    if (present === undefined || present.metadata.uid !== uid) return false;
    this.#objects.delete(key);
    this.#reindex(key, present, null);
    this.#announce(null, present);
    return true;
  }

  /** Takes in a whole list as of a version: what is not in it and not newer than it is gone. */
  replaceAll(objects: T[], listVersion: string): void {
    const keys = new Set(objects.map((object) => this.keyOf(object.metadata)));
    for (const [key, present] of this.#objects) {
      const { uid, resourceVersion } = present.metadata;
      if (!keys.has(key) && !isNewerVersion(resourceVersion, listVersion)) this.remove(key, uid);
    }
    for (const object of objects) {
      const key = this.keyOf(object.metadata);
      const present = this.get(key);
      if (present !== null && present.metadata.uid !== object.metadata.uid) this.remove(key, present.metadata.uid);
      this.apply(object);
    }
  }

  #set(key: string, object: T, previous: T | null): void {
    if (previous !== null && previous.metadata.uid !== object.metadata.uid)
      this.#rememberDeleted(previous.metadata.uid);
    this.#objects.set(key, object);
    this.#reindex(key, previous, object);
    this.#announce(object, previous);
  }

  #announce(current: T | null, previous: T | null): void {
    for (const listener of this.#listeners) listener(current, previous);
  }

  #reindex(key: string, previous: T | null, current: T | null): void {
    for (const [index, valuesOf] of Object.entries(this.#indexFunctions)) {
      const keys = this.#indexes.get(index);
      assert(keys !== undefined);
      for (const value of previous === null ? [] : valuesOf(previous)) {
        const entry = keys.get(value);
        entry?.delete(key);
        if (entry?.size === 0) keys.delete(value);
      }
      for (const value of current === null ? [] : valuesOf(current)) {
        const entry = keys.get(value);
        if (entry === undefined) keys.set(value, new Set([key]));
        else entry.add(key);
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
