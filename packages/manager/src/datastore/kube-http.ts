/**
 * KubeTransport over HTTP with the official client's configuration, authentication and watch. Its own informer is not
 * used: it gives up on failed lists and does not take in the answers of our own writes.
 */
import { RequestContext, Watch, createConfiguration, type HttpMethod, type KubeConfig } from '@kubernetes/client-node';
import { limits } from '../limits.ts';
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

type JsonObject = Record<string, unknown>;

function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function textOf(value: unknown, otherwise: string): string {
  return typeof value === 'string' ? value : otherwise;
}

function isRawObject(value: unknown): value is RawObject {
  return isJsonObject(value) && isJsonObject(value['metadata']) && typeof value['metadata']['name'] === 'string';
}

function asObject(value: unknown): RawObject {
  if (!isRawObject(value)) throw new ApiError(0, 'Malformed', 'the API server answered something that is no object');
  return value;
}

const EVENT_TYPES: readonly string[] = ['ADDED', 'MODIFIED', 'DELETED', 'BOOKMARK'];

export class KubeHttp implements KubeTransport {
  readonly #config: KubeConfig;
  readonly #server: string;
  readonly #http = createConfiguration({}).httpApi;

  constructor(config: KubeConfig) {
    const cluster = config.getCurrentCluster();
    if (cluster === null) throw new Error('The kubeconfig names no current cluster');
    this.#config = config;
    this.#server = cluster.server;
  }

  async list(resource: Resource, namespace: string, { fieldSelector, onObject }: ListOptions = {}): Promise<RawList> {
    const items: RawObject[] = [];
    const take = onObject ?? ((object: RawObject): number => items.push(object));
    const selected = fieldSelector === undefined ? '' : `&fieldSelector=${encodeURIComponent(fieldSelector)}`;
    const firstPage = `limit=${limits.listPageSize}${selected}`;
    let query = firstPage;
    for (;;) {
      const page = await this.#call('GET', `${collectionPath(resource, namespace)}?${query}`);
      const metadata = isJsonObject(page['metadata']) ? page['metadata'] : {};
      for (const item of Array.isArray(page['items']) ? page['items'] : []) take(asObject(item));
      const next = textOf(metadata['continue'], '');
      if (next === '') return { items, resourceVersion: textOf(metadata['resourceVersion'], '') };
      query = `${firstPage}&continue=${encodeURIComponent(next)}`;
    }
  }

  watch(
    resource: Resource,
    namespace: string,
    resourceVersion: string,
    onEvent: (event: WatchEvent) => void,
    signal: AbortSignal,
  ): Promise<WatchEnd> {
    const watch = new Watch(this.#config);
    Object.assign(watch, { requestTimeoutMs: limits.watchInactivityMs });
    return new Promise((resolve) => {
      let gone = false;
      const finish = (error: unknown): void => {
        const status = isJsonObject(error) || error instanceof Error ? Reflect.get(error, 'statusCode') : undefined;
        if (gone || status === 410) resolve({ kind: 'gone' });
        else if (signal.aborted || error === null || error === undefined) resolve({ kind: 'closed' });
        else
          resolve({
            kind: 'failed',
            error: error instanceof Error ? error : new Error('the watch failed', { cause: error }),
          });
      };
      const query = { resourceVersion, allowWatchBookmarks: true, timeoutSeconds: limits.watchTimeoutS };
      const receive = (type: string, object: unknown): void => {
        if (type === 'ERROR') gone = true;
        else if (EVENT_TYPES.includes(type) && isJsonObject(object))
          onEvent({ type: type as WatchEvent['type'], object: object as RawObject });
      };
      watch.watch(collectionPath(resource, namespace), query, receive, finish).then(
        (controller) => {
          if (signal.aborted) controller.abort();
          else signal.addEventListener('abort', () => controller.abort(), { once: true });
        },
        (error: unknown) => finish(error),
      );
    });
  }

  async get(resource: Resource, namespace: string, name: string): Promise<RawObject> {
    return asObject(await this.#call('GET', this.#path(resource, namespace, name)));
  }

  async create(resource: Resource, namespace: string, object: RawObject): Promise<RawObject> {
    return asObject(await this.#call('POST', collectionPath(resource, namespace), object));
  }

  async replace(
    resource: Resource,
    namespace: string,
    object: RawObject,
    subresource: '' | 'status',
  ): Promise<RawObject> {
    const path = this.#path(resource, namespace, object.metadata.name);
    return asObject(await this.#call('PUT', subresource === '' ? path : `${path}/${subresource}`, object));
  }

  async patch(resource: Resource, namespace: string, name: string, patch: object): Promise<RawObject> {
    const path = this.#path(resource, namespace, name);
    return asObject(await this.#call('PATCH', path, patch, 'application/merge-patch+json'));
  }

  async delete(resource: Resource, namespace: string, name: string, options: DeleteOptions): Promise<void> {
    const { uid, resourceVersion, ...rest } = options;
    const preconditions =
      uid === undefined && resourceVersion === undefined ? {} : { preconditions: { uid, resourceVersion } };
    const body = { apiVersion: 'v1', kind: 'DeleteOptions', ...rest, ...preconditions };
    await this.#call('DELETE', this.#path(resource, namespace, name), body);
  }

  #path(resource: Resource, namespace: string, name: string): string {
    return `${collectionPath(resource, namespace)}/${encodeURIComponent(name)}`;
  }

  async #call(
    method: keyof typeof HttpMethod,
    path: string,
    body?: object,
    contentType = 'application/json',
  ): Promise<JsonObject> {
    const context = new RequestContext(this.#server + path, method);
    context.setHeaderParam('Accept', 'application/json');
    if (body !== undefined) {
      context.setHeaderParam('Content-Type', contentType);
      context.setBody(JSON.stringify(body));
    }
    context.setSignal(AbortSignal.timeout(limits.apiCallTimeoutMs));
    await this.#config.applySecurityAuthentication(context);
    let status: number;
    let text: string;
    try {
      const response = await this.#http.send(context).toPromise();
      status = response.httpStatusCode;
      text = await response.body.text();
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      throw new ApiError(0, 'Unreachable', `${method} ${path}: the API server does not answer: ${message}`, {
        cause: error,
      });
    }
    return decode(method, path, status, text);
  }
}

function decode(method: string, path: string, status: number, text: string): JsonObject {
  let parsed: unknown;
  try {
    parsed = text === '' ? {} : JSON.parse(text);
  } catch (error) {
    throw new ApiError(status, 'Malformed', `${method} ${path}: answer ${status} is not JSON`, { cause: error });
  }
  const object = isJsonObject(parsed) ? parsed : {};
  if (status < 200 || status > 299) {
    const message = textOf(object['message'], text.slice(0, 500));
    throw new ApiError(status, textOf(object['reason'], ''), `${method} ${path}: ${status} ${message}`);
  }
  return object;
}
