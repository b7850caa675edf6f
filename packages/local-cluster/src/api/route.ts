/**
 * From a path to the resource that it names.
 */
import type { Registry } from './registry.ts';
import type { ResourceType } from './resource-type.ts';
import { badRequest } from './status-error.ts';

export interface ResourceRoute {
  type: ResourceType;
  /** `null`: of all namespaces, or a cluster-wide kind */
  namespace: string | null;
  /** `null`: the collection */
  name: string | null;
  subresource: string;
  /** `/watch/…`, the old form of a watch */
  watch: boolean;
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch (error) {
    throw Object.assign(badRequest(`the path part ${JSON.stringify(part)} is not encoded correctly`), { cause: error });
  }
}

/** The resource that a path names, or `null`. */
export function resourceRoute(registry: Registry, pathname: string): ResourceRoute | null {
  const parts = pathname
    .split('/')
    .filter((part) => part !== '')
    .map(decoded);
  const core = parts[0] === 'api';
  if (!core && parts[0] !== 'apis') return null;
  const group = core ? '' : (parts[1] ?? '');
  const version = (core ? parts[1] : parts[2]) ?? '';
  let rest = parts.slice(core ? 2 : 3);
  const watch = rest[0] === 'watch';
  if (watch) rest = rest.slice(1);
  let namespace: string | null = null;
  // `namespaces/NS` and its subresources name the Namespace itself, `namespaces/NS/KIND` something inside it.
  const inside = rest[0] === 'namespaces' && rest.length >= 3 && registry.find(group, version, rest[2] ?? '') !== null;
  if (inside) {
    namespace = rest[1] ?? '';
    rest = rest.slice(2);
  }
  const type = registry.find(group, version, rest[0] ?? '');
  if (type === null || rest.length > 3) return null;
  if (namespace !== null && !type.namespaced) return null;
  if (namespace === null && type.namespaced && rest.length > 1) return null;
  return { type, namespace, name: rest[1] ?? null, subresource: rest[2] ?? '', watch };
}
