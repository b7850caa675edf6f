/**
 * The REST API of the manager: routes, errors, web sockets and the checks that keep web pages of others away from a
 * server on loopback. Upstream's web UI, Python client and Go client talk to it.
 */
import { STATUS_CODES } from 'node:http';
import websocket from '@fastify/websocket';
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import type { Clock } from '../clock.ts';
import type { Datastore } from '../datastore/datastore.ts';
import type { InstanceManagers } from '../instance-client/instance-managers.ts';
import type { ApiContext } from './api-context.ts';
import { apiLimits } from './api-limits.ts';
import { foreignRequest, isLoopback, requestUrl, type RequestUrl } from './request-url.ts';
import { describeFault } from './rest-fault.ts';
import { errorJson, toJsonText } from './rest-output.ts';
import { apiRoutes, type Answer, type Route } from './routes.ts';
import { StreamHub } from './streams.ts';

const API_PORT = 9500;

/** What the server needs. The datastore's caches are filled. */
export interface ApiServerOptions {
  datastore: Datastore;
  managers: InstanceManagers;
  /** Address to listen on (POD_IP); '' is all interfaces. */
  host: string;
  /** 0: any free port (for tests). */
  port?: number;
  clock: Clock;
  log: Logger;
  /** So many random hex digits. */
  events: ApiContext['events'];
  randomHex: (digits: number) => string;
}

export interface ApiServer {
  port: number;
  stop: () => Promise<void>;
}

function pathOf(request: FastifyRequest): string {
  return request.url.split('?', 1)[0] ?? '';
}

function urlOf(request: FastifyRequest): RequestUrl {
  return requestUrl(request.headers, pathOf(request));
}

function textParam(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

async function sendError(reply: FastifyReply, request: FastifyRequest, status: number, message: string): Promise<void> {
  const body = errorJson(status, STATUS_CODES[status] ?? '', message, urlOf(request));
  await reply.code(status).type('application/json').send(toJsonText(body));
}

async function send(reply: FastifyReply, request: FastifyRequest, answer: Answer): Promise<void> {
  if ('status' in answer) {
    const isUnknown = answer.status === 404 && request.method !== 'GET';
    await reply
      .code(answer.status)
      .type('text/plain')
      .send(isUnknown ? '404 page not found\n' : '');
    return;
  }
  await reply
    .type('application/json')
    .header('X-API-Schemas', `${urlOf(request).base}/v1/schemas`)
    .send(toJsonText(answer.json));
}

function addRoute(app: FastifyInstance, context: ApiContext, { method, path, handler }: Route): void {
  app.route({
    method,
    url: path,
    handler: async (request, reply) => {
      const params = Object.entries(request.params ?? {}).map(([key, value]) => [key, textParam(value)]);
      const query: object = typeof request.query === 'object' && request.query !== null ? request.query : {};
      const answer = await handler(context, {
        params: Object.fromEntries(params),
        action: textParam(Reflect.get(query, 'action')),
        body: request.body,
        url: urlOf(request),
      });
      await send(reply, request, answer);
      return reply;
    },
  });
}

function addStreams(app: FastifyInstance, hub: StreamHub): void {
  for (const url of ['/v1/ws/:stream', '/v1/ws/:period/:stream']) {
    app.route({
      method: 'GET',
      url,
      handler: async (request, reply) => {
        await sendError(reply, request, 400, 'this path is for web sockets');
        return reply;
      },
      wsHandler: (socket, request) => {
        const params: object = typeof request.params === 'object' && request.params !== null ? request.params : {};
        hub.accept(
          socket,
          textParam(Reflect.get(params, 'stream')),
          textParam(Reflect.get(params, 'period')),
          urlOf(request),
        );
      },
    });
  }
}

/** Before routing: foreign pages, odd paths, methods that nothing has. */
function addGuards(app: FastifyInstance, host: string): void {
  app.addHook('onRequest', async (request, reply) => {
    const reason = isLoopback(host) ? foreignRequest(request.headers) : null;
    if (reason !== null) {
      await sendError(reply, request, 403, reason);
      return reply;
    }
    const path = pathOf(request);
    const clean = path.replaceAll(/\/{2,}/g, '/').replace(/(.)\/$/, '$1');
    if (clean !== path) return reply.redirect(`${clean}${request.url.slice(path.length)}`, 301);
    if (['HEAD', 'OPTIONS', 'PATCH'].includes(request.method)) return reply.code(405).send();
    return undefined;
  });
  app.setNotFoundHandler((_request, reply) => reply.code(404).type('text/plain').send('404 page not found\n'));
}

function addErrors(app: FastifyInstance, log: Logger): void {
  app.setErrorHandler(async (error, request, reply) => {
    const code = error instanceof Error && 'statusCode' in error ? error.statusCode : undefined;
    const ofHttp = typeof code === 'number' && code >= 400 && code < 500 ? code : null;
    const { status, message } = describeFault(error);
    const isExpected = error instanceof Error && ['RestFault', 'ApiError', 'RpcError'].includes(error.name);
    if (!isExpected && ofHttp === null)
      log.error({ err: error, method: request.method, url: request.url }, 'request failed');
    else log.debug({ method: request.method, url: request.url, message }, 'request refused');
    await sendError(reply, request, ofHttp ?? status, message);
    return reply;
  });
  app.addHook('onResponse', async (request, reply) => {
    const line = {
      method: request.method,
      url: request.url,
      status: reply.statusCode,
      ms: Math.round(reply.elapsedTime),
    };
    if (request.method === 'GET') log.debug(line, 'request');
    else log.info(line, 'request');
  });
}

/** Starts the server; resolves when it listens. */
export async function startApiServer(options: ApiServerOptions): Promise<ApiServer> {
  const { datastore, managers, clock, log, events, randomHex, host } = options;
  const context: ApiContext = { datastore, managers, clock, log, events, randomHex };
  const hub = new StreamHub(context);
  const app = fastify({
    bodyLimit: apiLimits.bodyBytesMax,
    requestTimeout: apiLimits.requestTimeoutMs,
    forceCloseConnections: true,
    exposeHeadRoutes: false,
  });
  app.server.maxConnections = apiLimits.connectionsMax;
  // The content type of a body says nothing: upstream reads JSON whatever it is.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => done(null, body));
  addGuards(app, host);
  addErrors(app, log);
  await app.register(websocket, { options: { maxPayload: apiLimits.streamClientMessageBytesMax } });
  addStreams(app, hub);
  for (const route of apiRoutes()) addRoute(app, context, route);
  await app.listen({ host: host === '' ? '::' : host, port: options.port ?? API_PORT });
  const address = app.server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    stop: async () => {
      hub.stop();
      await app.close();
    },
  };
}
