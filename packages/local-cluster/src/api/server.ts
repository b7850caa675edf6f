/**
 * The API server on plain HTTP, on a loopback address.
 *
 * Whoever asks must present the token of the kubeconfig, must have addressed this server (Host) and must not be a
 * page of another origin: a web page open on the same machine can reach loopback addresses, too. The token comes as a
 * bearer token or as the first part of the path: kubectl sends no credentials over plain HTTP, but keeps a server's path.
 */
import { timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { watchesMax } from '../limits.ts';
import {
  aggregated,
  coreVersions,
  groupInfo,
  groupList,
  resourceList,
  REVIEW_GROUPS,
  versionInfo,
} from './discovery.ts';
import { objectAt, type JsonObject } from './json.ts';
import { accepted, bodyOf, mediaTypeOf, parsed } from './media.ts';
import { OpenApi } from './openapi.ts';
import type { Operations } from './operations.ts';
import type { Registry } from './registry.ts';
import type { RequestCounts } from './request-counts.ts';
import { ResourceHandler, type Answer, type PodLog } from './resource-handler.ts';
import { resourceRoute } from './route.ts';
import { ApiError, internalError, pathNotFound, statusOf, tooManyRequests, unauthorized } from './status-error.ts';

/** Requests under /local, which Kubernetes does not have; `null`: there is no such path. */
export type LocalHandler = (method: string, parts: string[]) => Promise<JsonObject | null>;

export interface ServerParts {
  registry: Registry;
  operations: Operations;
  token: string;
  podLog: PodLog;
  local: LocalHandler;
  counts: RequestCounts;
  /** unexpected failures, for the log */
  failed: (request: string, error: unknown) => void;
}

export interface RunningServer {
  address: string;
  port: number;
  close(): Promise<void>;
}

const isHealth = (path: string): boolean => ['/healthz', '/livez', '/readyz'].includes(path);

/** A path under no built-in group: the real server's front does not word it as a Status. */
const nothingHere = (): Answer => ({ code: 404, text: '404 page not found\n', media: 'text/plain' });

const answer = (value: JsonObject, code = 200): Answer => ({ code, text: JSON.stringify(value) });

/** By this media type clients tell an aggregated answer from the old form. */
const discoveryMedia = (apiVersion: string): string =>
  `application/json;g=apidiscovery.k8s.io;v=${apiVersion.split('/')[1] ?? 'v2'};as=APIGroupDiscoveryList`;

function same(given: string, wanted: string): boolean {
  const bytes = Buffer.from(given);
  const expected = Buffer.from(wanted);
  return bytes.length === expected.length && timingSafeEqual(bytes, expected);
}

class ApiServer {
  readonly #parts: ServerParts;
  readonly #openapi: OpenApi;
  readonly #resources: ResourceHandler;
  readonly #token: string;
  #hosts = new Set<string>();
  #address = '';
  #open = 0;

  constructor(parts: ServerParts) {
    this.#parts = parts;
    this.#openapi = new OpenApi(parts.registry, `/${parts.token}`);
    this.#resources = new ResourceHandler(parts.operations, parts.podLog);
    this.#token = parts.token;
  }

  listening({ address, port }: AddressInfo): void {
    this.#address = `${address}:${port}`;
    this.#hosts = new Set([this.#address, `localhost:${port}`]);
  }

  /** Refuses who may not ask; returns the path without the token. */
  #admit(request: IncomingMessage, pathname: string): string {
    const host = request.headers.host ?? '';
    if (!this.#hosts.has(host))
      throw new ApiError(
        403,
        'Forbidden',
        `this server answers to ${this.#address}, not to Host ${JSON.stringify(host)}`,
      );
    const origin = request.headers.origin;
    if (origin !== undefined && ![...this.#hosts].some((own) => origin === `http://${own}`))
      throw new ApiError(403, 'Forbidden', `requests from Origin ${JSON.stringify(origin)} are refused`);
    const [, first = '', ...rest] = pathname.split('/');
    if (same(first, this.#token)) return `/${rest.join('/')}`;
    if (same(request.headers.authorization ?? '', `Bearer ${this.#token}`)) return pathname;
    throw unauthorized();
  }

  /** Answers one request and never throws. */
  async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const warnings: string[] = [];
    this.#open++;
    response.once('close', () => this.#open--);
    try {
      const url = new URL(request.url ?? '/', 'http://local');
      if (!isHealth(url.pathname)) url.pathname = this.#admit(request, url.pathname);
      const health = isHealth(url.pathname);
      if (this.#open > watchesMax) throw tooManyRequests(`more than ${watchesMax} requests are open`);
      const found: Answer | null = health
        ? { code: 200, text: 'ok', media: 'text/plain' }
        : await this.#route(url, request, response, (text) => warnings.push(text));
      if (found !== null) this.#send(response, found, warnings);
    } catch (error) {
      this.#refuse(request, response, error, warnings);
    }
  }

  #send(response: ServerResponse, { code, text, media }: Answer, warnings: string[]): void {
    const headers: Record<string, string | string[]> = {
      'content-type': media ?? 'application/json',
      'cache-control': 'no-cache, private',
      'content-length': String(Buffer.byteLength(text)),
    };
    if (warnings.length > 0)
      headers['warning'] = warnings.map(
        (warning) => `299 - ${JSON.stringify(warning.replaceAll(/[^\x20-\x7e]/g, ' '))}`,
      );
    response.writeHead(code, headers);
    response.end(text);
  }

  #refuse(request: IncomingMessage, response: ServerResponse, error: unknown, warnings: string[]): void {
    const what = `${request.method ?? ''} ${request.url ?? ''}`;
    if (!(error instanceof ApiError)) this.#parts.failed(what, error);
    if (response.headersSent) {
      response.destroy();
      return;
    }
    const known =
      error instanceof ApiError ? error : internalError(error instanceof Error ? error.message : String(error));
    if (known.code === 413) response.setHeader('connection', 'close');
    this.#send(response, answer(statusOf(known), known.code), warnings);
  }

  async #route(
    url: URL,
    request: IncomingMessage,
    response: ServerResponse,
    warn: (text: string) => void,
  ): Promise<Answer | null> {
    const route = resourceRoute(this.#parts.registry, url.pathname);
    if (route !== null) {
      this.#parts.counts.note(request.method ?? '', route);
      return this.#resources.handle(route, url, request, response, warn);
    }
    const parts = url.pathname.split('/').filter((part) => part !== '');
    if (parts[0] === 'local') {
      const local = await this.#parts.local(request.method ?? '', parts.slice(1));
      if (local === null) throw pathNotFound();
      return answer(local);
    }
    if (request.method === 'GET') {
      const document = this.#document(parts, request);
      if (document !== null) return document;
    }
    const review = await this.#review(parts, request);
    if (review !== null) return review;
    if (this.#isBuiltIn(parts)) throw pathNotFound();
    return nothingHere();
  }

  /** Whether a path is under a version of the API that is there without definitions. */
  #isBuiltIn([root, group = '', version = '']: string[]): boolean {
    if (root === 'api') return group === 'v1';
    return (
      root === 'apis' &&
      this.#parts.registry.all().some((type) => !type.custom && type.group === group && type.version === version)
    );
  }

  #document(parts: string[], request: IncomingMessage): Answer | null {
    const { registry } = this.#parts;
    const path = parts.join('/');
    if (path === 'openapi/v2') {
      accepted(request.headers.accept);
      return { code: 200, text: this.#openapi.swagger() };
    }
    if (parts[0] === 'openapi') {
      const text = parts[1] === 'v3' && parts.length > 2 ? this.#openapi.document(parts.slice(2).join('/')) : null;
      if (text !== null) return { code: 200, text };
      return path === 'openapi/v3' ? answer(this.#openapi.index()) : null;
    }
    if (path === 'version') return answer(versionInfo());
    if (parts[0] !== 'api' && parts[0] !== 'apis') return null;
    const core = parts[0] === 'api';
    const { discovery } = accepted(request.headers.accept);
    if (parts.length === 1) {
      if (discovery !== '')
        return { ...answer(aggregated(registry, core, discovery)), media: discoveryMedia(discovery) };
      return answer(core ? coreVersions(this.#address) : groupList(registry));
    }
    const group = core ? '' : (parts[1] ?? '');
    const version = parts[core ? 1 : 2];
    const found = version === undefined ? groupInfo(registry, group) : resourceList(registry, group, version);
    return found === null || parts.length > (core ? 2 : 3) ? null : answer(found);
  }

  /** Reviews of the asking user, who may do everything. */
  async #review(parts: string[], request: IncomingMessage): Promise<Answer | null> {
    const [, group = '', version = '', plural = ''] = parts;
    const kind = REVIEW_GROUPS.filter((entry) => entry.group === group && entry.version === version)
      .flatMap((entry) => entry.resources)
      .find(([name]) => name === plural)?.[1];
    if (kind === undefined || request.method !== 'POST') return null;
    const body = objectAt(parsed(await bodyOf(request), mediaTypeOf(request)));
    const all = [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }];
    const status: Record<string, JsonObject> = {
      SelfSubjectAccessReview: { allowed: true, reason: 'local-cluster allows everything to whoever has its token' },
      SelfSubjectRulesReview: {
        resourceRules: all,
        nonResourceRules: [{ verbs: ['*'], nonResourceURLs: ['*'] }],
        incomplete: false,
      },
      SelfSubjectReview: {
        userInfo: { username: 'local-cluster-admin', groups: ['system:masters', 'system:authenticated'] },
      },
    };
    return answer({ ...body, kind, apiVersion: `${group}/${version}`, metadata: {}, status: status[kind] }, 201);
  }
}

function listen(server: Server, address: string, port: number): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        error.code === 'EADDRINUSE'
          ? new Error(
              `port ${port} on ${address} is in use by another program; stop it, or choose another with --api-port`,
            )
          : error,
      ),
    );
    server.listen(port, address, () => {
      const bound = server.address();
      if (bound === null || typeof bound === 'string') reject(new Error('the API server has no address'));
      else resolve(bound);
    });
  });
}

/** Starts the API server. */
export async function startServer(parts: ServerParts, address: string, port: number): Promise<RunningServer> {
  const api = new ApiServer(parts);
  const server = createServer({ keepAliveTimeout: 60_000, requestTimeout: 60_000 }, (request, response) => {
    void api.serve(request, response);
  });
  const bound = await listen(server, address, port);
  api.listening(bound);
  return {
    address: bound.address,
    port: bound.port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
