/**
 * All served types: the built-in table and what the CustomResourceDefinitions in the store add.
 */
import { BUILTIN_TYPES, STORAGE } from './builtin-kinds.ts';
import { typesOf } from './definition.ts';
import { apiVersionOf, servedKey, type ResourceType } from './resource-type.ts';
import type { Store } from './store.ts';

export class Registry {
  readonly #store: Store;
  #types: ResourceType[] = [];
  #served = new Map<string, ResourceType>();
  #storage = new Map<string, ResourceType>();
  #revision = 0;

  constructor(store: Store) {
    this.#store = store;
    this.#rebuild();
    store.subscribe(STORAGE.definitions, () => this.#rebuild());
  }

  #rebuild(): void {
    const custom = this.#store.list(STORAGE.definitions).flatMap(typesOf);
    this.#types = [...BUILTIN_TYPES, ...custom];
    this.#served = new Map(this.#types.map((type) => [servedKey(type.group, type.version, type.plural), type]));
    this.#storage = new Map();
    for (const type of this.#types)
      if (!this.#storage.has(type.storage) || apiVersionOf(type) === type.storedApiVersion)
        this.#storage.set(type.storage, type);
    this.#revision++;
  }

  /** Changes whenever a type is added, changed or removed. */
  get revision(): number {
    return this.#revision;
  }

  all(): readonly ResourceType[] {
    return this.#types;
  }

  find(group: string, version: string, plural: string): ResourceType | null {
    return this.#served.get(servedKey(group, version, plural)) ?? null;
  }

  /** The type that stored objects of a storage key have. */
  stored(storage: string): ResourceType | null {
    return this.#storage.get(storage) ?? null;
  }

  byKind(apiVersion: string, kind: string): ResourceType | null {
    return this.#types.find((type) => type.kind === kind && apiVersionOf(type) === apiVersion) ?? null;
  }

  /** Groups with their versions, in order of first appearance. */
  groups(): Map<string, string[]> {
    const groups = new Map<string, string[]>();
    for (const { group, version } of this.#types) {
      const versions = groups.get(group) ?? [];
      if (!versions.includes(version)) versions.push(version);
      groups.set(group, versions);
    }
    return groups;
  }
}
