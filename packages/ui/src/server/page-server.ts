/**
 * Serves the built page and passes `/v1`, web sockets included, on to the manager. Bodies are streamed in both directions;
 * nothing is kept. Requests of foreign pages are refused (request-guard.ts).
 */
import httpProxy from '@fastify/http-proxy';
import fastifyStatic from '@fastify/static';
import fastify, { type FastifyInstance, type FastifyRequest } from 'fastify';
import type { WebSocket } from 'ws';
import { serverLimits } from './limits.ts';
import { refusal } from './request-guard.ts';
import type { ServerSettings } from './settings.ts';

/** Mantine sets styles by attributes; all else comes from this server only. */
const CONTENT_POLICY = [
  "default-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "object-src 'none'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'self'",
].join('; ');

const HEADERS = {
  'content-security-policy': CONTENT_POLICY,
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
} as const;

const header = (value: string | string[] | undefined): string | undefined =>
  Array.isArray(value) ? value.join(', ') : value;

function refusalOf({ headers }: FastifyRequest, settings: ServerSettings): string | null {
  return refusal(
    {
      host: headers.host,
      origin: headers.origin,
      fetchSite: header(headers['sec-fetch-site']),
      isNavigation: headers['sec-fetch-mode'] === 'navigate' && headers['sec-fetch-dest'] === 'document',
    },
    settings.hosts,
  );
}

/** An error in the form of the API's. */
function errorBody(status: number, message: string): object {
  return { type: 'error', status, code: String(status), message, detail: '', links: {}, actions: {} };
}

/**
 * Ends a web socket whose manager says nothing, not even a ping: its node may be without power, and no packet would ever tell.
 * The page sees the end, says that the connection is lost and opens another.
 */
function endWhenSilent(page: WebSocket, manager: WebSocket, silenceMsMax: number): void {
  const end = (): void => {
    manager.terminate();
    page.terminate();
  };
  let timer = setTimeout(end, silenceMsMax);
  const heard = (): void => {
    clearTimeout(timer);
    timer = setTimeout(end, silenceMsMax);
  };
  manager.on('message', heard);
  manager.on('ping', heard);
  manager.on('close', () => clearTimeout(timer));
  page.on('close', () => clearTimeout(timer));
}

/** The server, not listening yet. `webFolder` holds the built page. */
export async function createPageServer(
  settings: ServerSettings,
  webFolder: string,
  streamSilenceMsMax: number = serverLimits.streamSilenceMsMax,
): Promise<FastifyInstance> {
  const server = fastify({
    logger: false,
    forceCloseConnections: true,
    // Bodies are passed on and not kept: an upload of an image may be of any size and take any time.
    bodyLimit: Number.MAX_SAFE_INTEGER,
    requestTimeout: 0,
    connectionTimeout: 0,
    http: { headersTimeout: serverLimits.requestHeadersMsMax },
    exposeHeadRoutes: false,
  });
  server.addHook('onRequest', async (request, reply) => {
    const reason = refusalOf(request, settings);
    if (reason !== null) await reply.code(403).headers(HEADERS).send(errorBody(403, reason));
  });
  server.addHook('onSend', async (_request, reply) => {
    reply.headers(HEADERS);
  });
  await server.register(httpProxy, {
    upstream: settings.managerUrl,
    prefix: '/v1',
    rewritePrefix: '/v1',
    websocket: true,
    wsServerOptions: { maxPayload: serverLimits.clientFrameBytesMax },
    wsHooks: { onConnect: (_context, page, manager) => endWhenSilent(page, manager, streamSilenceMsMax) },
    undici: {
      connections: serverLimits.upstreamConnectionsMax,
      headersTimeout: serverLimits.upstreamHeadersMsMax,
      bodyTimeout: serverLimits.upstreamBodyMsMax,
    },
    replyOptions: {
      rewriteRequestHeaders: (request, headers) => ({ ...headers, 'x-forwarded-host': request.headers.host ?? '' }),
      onError: (reply, { error }) => {
        const why = `the manager at ${settings.managerUrl} does not answer: ${error.message}`;
        void reply.code(502).send(errorBody(502, why));
      },
    },
  });
  await server.register(fastifyStatic, {
    root: webFolder,
    preCompressed: true,
    cacheControl: false,
    setHeaders: (reply, path) => {
      // Names below assets/ carry a hash of the content.
      const isHashed = /[\\/]assets[\\/]/.test(path);
      void reply.header('cache-control', isHashed ? 'public, max-age=31536000, immutable' : 'no-cache');
    },
  });
  server.setNotFoundHandler((request, reply) => {
    const wantsPage = request.method === 'GET' && (request.headers.accept ?? '').includes('text/html');
    if (wantsPage) return reply.sendFile('index.html');
    return reply.code(404).send(errorBody(404, `there is no ${request.method} ${request.url.slice(0, 200)}`));
  });
  return server;
}
