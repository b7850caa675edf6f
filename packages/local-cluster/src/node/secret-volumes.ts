/**
 * Secrets that pods mount: as files of the node, which follow the Secret while the pod lives. Processes have no mounts of
 * their own, so a variable whose value is the mount path tells them where the files are.
 */
import { mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { STORAGE } from '../api/builtin-kinds.ts';
import { isObject, listAt, stringAt, stringMapAt, valueAt } from '../api/json.ts';
import { namespaceOf } from '../api/object.ts';
import type { Store } from '../api/store.ts';
import { EnvironmentError } from './pod-environment.ts';
import type { Pod } from './pod.ts';

interface Mounted {
  namespace: string;
  secret: string;
  folder: string;
}

export class SecretVolumes {
  readonly #store: Store;
  /** by the pod's uid */
  readonly #mounted = new Map<string, { root: string; secrets: Mounted[] }>();
  readonly #unsubscribe: () => void;

  constructor(store: Store, note: (text: string, error: unknown) => void) {
    this.#store = store;
    this.#unsubscribe = store.subscribe(STORAGE.secrets, ({ object }) => {
      const { name } = object.metadata;
      const all = [...this.#mounted.values()].flatMap(({ secrets }) => secrets);
      for (const mounted of all.filter((each) => each.secret === name && each.namespace === namespaceOf(object))) {
        try {
          this.#project(mounted);
        } catch (error) {
          note(`files of the Secret ${name} were not written`, error);
        }
      }
    });
  }

  /** Files of a pod's Secrets, under `root`; folders by volume. Throws when a Secret is missing that must be there. */
  mount(pod: Pod, root: string): ReadonlyMap<string, string> {
    const folders = new Map<string, string>();
    const secrets: Mounted[] = [];
    for (const volume of listAt(valueAt(pod.object, 'spec', 'volumes'))) {
      const source = valueAt(volume, 'secret');
      if (!isObject(source)) continue;
      const secret = stringAt(source['secretName']);
      const name = stringAt(valueAt(volume, 'name'));
      if (source['optional'] !== true && this.#store.get(STORAGE.secrets, pod.namespace, secret) === null)
        throw new EnvironmentError(`secret "${secret}" of the volume ${name} is not there`);
      const mounted = { namespace: pod.namespace, secret, folder: join(root, name) };
      this.#project(mounted);
      secrets.push(mounted);
      folders.set(name, mounted.folder);
    }
    if (secrets.length > 0) this.#mounted.set(pod.uid, { root, secrets });
    return folders;
  }

  /** Removes the files of a pod that is gone. */
  unmount(uid: string): void {
    const mounted = this.#mounted.get(uid);
    this.#mounted.delete(uid);
    if (mounted !== undefined) rmSync(mounted.root, { recursive: true, force: true });
  }

  close(): void {
    this.#unsubscribe();
    this.#mounted.clear();
  }

  /** Each file is replaced as a whole. */
  #project({ namespace, secret, folder }: Mounted): void {
    const object = this.#store.get(STORAGE.secrets, namespace, secret);
    const data = object === null ? {} : stringMapAt(object['data']);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    for (const name of readdirSync(folder)) if (!Object.hasOwn(data, name)) rmSync(join(folder, name));
    for (const [name, value] of Object.entries(data)) {
      const path = join(folder, name);
      writeFileSync(`${path}~`, Buffer.from(value, 'base64'), { mode: 0o600 });
      renameSync(`${path}~`, path);
    }
  }
}

/** Variables whose value is the mount path of one of `folders`, with the folder instead. */
export function mountedVariables(
  environment: ReadonlyMap<string, string>,
  mounts: readonly { volume: string; path: string }[],
  folders: ReadonlyMap<string, string>,
): [string, string][] {
  const withoutEnd = (path: string): string => posix.normalize(`${path}/`);
  const byPath = new Map(mounts.map(({ volume, path }) => [withoutEnd(path), folders.get(volume)]));
  return [...environment].flatMap(([name, value]): [string, string][] => {
    const folder = value.startsWith('/') ? byPath.get(withoutEnd(value)) : undefined;
    return folder === undefined ? [] : [[name, folder]];
  });
}
