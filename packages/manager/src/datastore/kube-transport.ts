/**
 * The few verbs of a Kubernetes API server that the datastore is built on. Two implementations: the real one over HTTP
 * (kube-http.ts) and one in memory for tests and simulations (memory-api.ts).
 */

/** A JSON object as the API server sends it, before it is decoded. */
export interface RawObject {
  apiVersion?: string;
  kind?: string;
  metadata: { name: string; namespace?: string; uid?: string; resourceVersion?: string; [field: string]: unknown };
  [field: string]: unknown;
}

/** Where a kind lives. */
export interface Resource {
  /** '' is the core group. */
  group: string;
  version: string;
  plural: string;
  kind: string;
  namespaced: boolean;
}

export interface RawList {
  items: RawObject[];
  resourceVersion: string;
}

export interface ListOptions {
  /** As in the API: `involvedObject.kind=Pod,involvedObject.name=web-0`. */
  fieldSelector?: string;
  /** Takes each object as its page comes; the answer's `items` are empty then, so that no long list is in memory. */
  onObject?: (object: RawObject) => void;
}

export interface WatchEvent {
  type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK';
  object: RawObject;
}

export interface DeleteOptions {
  /** Deletes only this incarnation. */
  uid?: string;
  resourceVersion?: string;
  propagationPolicy?: 'Foreground' | 'Background' | 'Orphan';
  gracePeriodSeconds?: number;
}

/** How a watch ended: the server closed it, its version is too old, or an error. */
export type WatchEnd = { kind: 'closed' } | { kind: 'gone' } | { kind: 'failed'; error: Error };

export interface KubeTransport {
  /** `namespace` '': in all of them. */
  list(resource: Resource, namespace: string, options?: ListOptions): Promise<RawList>;
  /** Resolves when the watch is over. */
  watch(
    resource: Resource,
    namespace: string,
    resourceVersion: string,
    onEvent: (event: WatchEvent) => void,
    signal: AbortSignal,
  ): Promise<WatchEnd>;
  get(resource: Resource, namespace: string, name: string): Promise<RawObject>;
  create(resource: Resource, namespace: string, object: RawObject): Promise<RawObject>;
  /** `metadata.resourceVersion` guards the write. */
  replace(resource: Resource, namespace: string, object: RawObject, subresource: '' | 'status'): Promise<RawObject>;
  /** JSON merge patch. */
  patch(resource: Resource, namespace: string, name: string, patch: object): Promise<RawObject>;
  delete(resource: Resource, namespace: string, name: string, options: DeleteOptions): Promise<void>;
}

/** An answer of the API server that is not a success. `status` 0: no answer came. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly status: number;
  readonly reason: string;

  constructor(status: number, reason: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.status = status;
    this.reason = reason;
  }
}

export function isConflict(error: unknown): error is ApiError {
  return error instanceof ApiError && error.status === 409 && error.reason !== 'AlreadyExists';
}

export function isAlreadyExists(error: unknown): error is ApiError {
  return error instanceof ApiError && error.status === 409 && error.reason === 'AlreadyExists';
}

export function isNotFound(error: unknown): error is ApiError {
  return error instanceof ApiError && error.status === 404;
}

/** Path of a collection, as in every Kubernetes API. */
export function collectionPath(resource: Resource, namespace: string): string {
  const root = resource.group === '' ? '/api/v1' : `/apis/${resource.group}/${resource.version}`;
  const scope = resource.namespaced && namespace !== '' ? `/namespaces/${encodeURIComponent(namespace)}` : '';
  return `${root}${scope}/${resource.plural}`;
}
