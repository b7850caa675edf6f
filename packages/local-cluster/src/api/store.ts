/**
 * All objects, in memory for reading and in SQLite for keeping.
 *
 * Guarantees: one writer (the file is opened exclusively); a write is on disk before anybody hears of it
 * (`synchronous=FULL`, one transaction per write with the counter in it); resourceVersions come from one counter
 * that never goes back, also over deletions and restarts; per resource the last `historyEventsMax` changes can be replayed.
 */
import { DatabaseSync } from 'node:sqlite';
import { historyEventsMax } from '../limits.ts';
import { keyOf, namespaceOf, objectFrom, type KubeObject } from './object.ts';
import type { Json } from './json.ts';

export interface StoreEvent {
  type: 'ADDED' | 'MODIFIED' | 'DELETED';
  resource: string;
  version: number;
  /** after the change; of a deletion the last state, with the deletion's resourceVersion */
  object: KubeObject;
  previous: KubeObject | null;
}

export type StoreListener = (event: StoreEvent) => void;

/** Outcome of a write; the caller words the refusal, because it knows the kind. */
export type WriteResult = { result: 'written'; object: KubeObject } | { result: 'conflict' } | { result: 'exists' };

/** One entry per layout of the file, applied in order from the file's `user_version`. */
const MIGRATIONS: readonly string[] = [
  `CREATE TABLE objects (
     resource TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
     version INTEGER NOT NULL, body TEXT NOT NULL,
     PRIMARY KEY (resource, namespace, name)) WITHOUT ROWID;
   CREATE TABLE counter (only INTEGER PRIMARY KEY CHECK (only = 1), version INTEGER NOT NULL);
   INSERT INTO counter VALUES (1, 1);`,
];

const serialized = new WeakMap<KubeObject, string>();

/** JSON text of a stored object, made once: the database, every list and every watch use the same. */
export function textOf(object: KubeObject): string {
  const known = serialized.get(object);
  if (known !== undefined) return known;
  const text = JSON.stringify(object);
  serialized.set(object, text);
  return text;
}

function migrate(database: DatabaseSync, path: string): void {
  const row = database.prepare('PRAGMA user_version').get();
  const from = Number(row?.['user_version'] ?? 0);
  if (from > MIGRATIONS.length)
    throw new Error(
      `${path} was written by a newer version (layout ${from}, this one knows ${MIGRATIONS.length}): use that version again, or run "npm run reset"`,
    );
  for (let index = from; index < MIGRATIONS.length; index++) {
    database.exec('BEGIN IMMEDIATE');
    database.exec(MIGRATIONS[index] ?? '');
    database.exec(`PRAGMA user_version = ${index + 1}`);
    database.exec('COMMIT');
  }
}

interface Resource {
  objects: Map<string, KubeObject>;
  history: StoreEvent[];
  listeners: Set<StoreListener>;
  /** watches that start before this version cannot be served any more */
  oldest: number;
}

export class Store {
  readonly #database: DatabaseSync;
  readonly #resources = new Map<string, Resource>();
  readonly #everything = new Set<StoreListener>();
  readonly #put;
  readonly #drop;
  readonly #count;
  readonly #opened: number;
  #version: number;

  constructor(path: string) {
    this.#database = new DatabaseSync(path);
    this.#database.exec(
      'PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA journal_size_limit=8388608',
    );
    migrate(this.#database, path);
    this.#put = this.#database.prepare(
      'INSERT INTO objects VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET version = excluded.version, body = excluded.body',
    );
    this.#drop = this.#database.prepare('DELETE FROM objects WHERE resource = ? AND namespace = ? AND name = ?');
    this.#count = this.#database.prepare('UPDATE counter SET version = ?');
    this.#version = Number(this.#database.prepare('SELECT version FROM counter').get()?.['version'] ?? 1);
    this.#opened = this.#version;
    for (const row of this.#database.prepare('SELECT resource, body FROM objects').iterate()) {
      const body = String(row['body']);
      const object = objectFrom(JSON.parse(body) as Json);
      this.#resource(String(row['resource'])).objects.set(keyOf(object), object);
    }
  }

  #resource(name: string): Resource {
    let resource = this.#resources.get(name);
    if (resource === undefined) {
      resource = { objects: new Map(), history: [], listeners: new Set(), oldest: this.#opened };
      this.#resources.set(name, resource);
    }
    return resource;
  }

  /** The version of the last write. */
  get version(): number {
    return this.#version;
  }

  get(resource: string, namespace: string, name: string): KubeObject | null {
    return this.#resource(resource).objects.get(`${namespace}/${name}`) ?? null;
  }

  /** Objects of one namespace, or of all with `null`, in the order of their keys. */
  list(resource: string, namespace: string | null = null): KubeObject[] {
    const objects = [...this.#resource(resource).objects.values()];
    const wanted = namespace === null ? objects : objects.filter((object) => namespaceOf(object) === namespace);
    return wanted.sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
  }

  /** What `list` said at an earlier version; `null` when history does not reach back that far. */
  listAt(resource: string, version: number): KubeObject[] | null {
    const since = this.since(resource, version);
    if (since === null) return null;
    const objects = new Map(this.#resource(resource).objects);
    for (const event of since.toReversed()) {
      if (event.previous === null) objects.delete(keyOf(event.object));
      else objects.set(keyOf(event.previous), event.previous);
    }
    return [...objects.values()].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
  }

  /** Changes after a version, oldest first; `null` when it is too old, or not one of this store. */
  since(resource: string, version: number): StoreEvent[] | null {
    const { history, oldest } = this.#resource(resource);
    if (version < oldest || version > this.#version) return null;
    return history.filter((event) => event.version > version);
  }

  /** Resources that hold objects. */
  resources(): string[] {
    return [...this.#resources].filter(([, resource]) => resource.objects.size > 0).map(([name]) => name);
  }

  subscribe(resource: string, listener: StoreListener): () => void {
    const { listeners } = this.#resource(resource);
    listeners.add(listener);
    return () => listeners.delete(listener);
  }

  subscribeAll(listener: StoreListener): () => void {
    this.#everything.add(listener);
    return () => this.#everything.delete(listener);
  }

  create(resource: string, object: KubeObject): WriteResult {
    if (this.#resource(resource).objects.has(keyOf(object))) return { result: 'exists' };
    return this.#write('ADDED', resource, object, null);
  }

  /** Replaces an object if it still is at the version that the caller saw. */
  update(resource: string, object: KubeObject, seen: string): WriteResult {
    const previous = this.#resource(resource).objects.get(keyOf(object));
    if (previous === undefined || previous.metadata.resourceVersion !== seen) return { result: 'conflict' };
    return this.#write('MODIFIED', resource, object, previous);
  }

  /** Removes an object if it still is at the version that the caller saw; watchers get `object` as its last state. */
  remove(resource: string, object: KubeObject, seen: string): WriteResult {
    const previous = this.#resource(resource).objects.get(keyOf(object));
    if (previous === undefined || previous.metadata.resourceVersion !== seen) return { result: 'conflict' };
    return this.#write('DELETED', resource, object, previous);
  }

  #write(type: StoreEvent['type'], name: string, given: KubeObject, previous: KubeObject | null): WriteResult {
    const version = this.#version + 1;
    const object: KubeObject = { ...given, metadata: { ...given.metadata, resourceVersion: String(version) } };
    this.#database.exec('BEGIN IMMEDIATE');
    try {
      if (type === 'DELETED') this.#drop.run(name, namespaceOf(object), object.metadata.name);
      else this.#put.run(name, namespaceOf(object), object.metadata.name, version, textOf(object));
      this.#count.run(version);
      this.#database.exec('COMMIT');
    } catch (error) {
      this.#database.exec('ROLLBACK');
      throw new Error(`cannot store ${name} ${keyOf(object)}`, { cause: error });
    }
    this.#version = version;
    const resource = this.#resource(name);
    if (type === 'DELETED') resource.objects.delete(keyOf(object));
    else resource.objects.set(keyOf(object), object);
    this.#announce(resource, { type, resource: name, version, object, previous });
    return { result: 'written', object };
  }

  #announce(resource: Resource, event: StoreEvent): void {
    resource.history.push(event);
    if (resource.history.length > historyEventsMax) {
      const dropped = resource.history.splice(0, resource.history.length - historyEventsMax);
      resource.oldest = dropped.at(-1)?.version ?? resource.oldest;
    }
    for (const listener of resource.listeners) listener(event);
    for (const listener of this.#everything) listener(event);
  }

  close(): void {
    this.#database.close();
  }
}
