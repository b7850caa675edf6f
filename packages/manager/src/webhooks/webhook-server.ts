/**
 * The HTTPS server of the admission webhooks: /v1/webhook/mutation, /v1/webhook/validation and /v1/healthz. It makes or
 * takes its certificates, tells the API server about itself, and follows when a certificate is renewed or replaced.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { Logger } from 'pino';
import { LABEL, OBJECT_NAME } from '@longhorn/shared-types';
import { pause, type Clock } from '../clock.ts';
import { CORE_RESOURCES } from '../datastore/core-kinds.ts';
import type { Datastore } from '../datastore/datastore.ts';
import { gatherFacts } from './admission-facts.ts';
import { reviewAdmission, type Phase } from './admission-review.ts';
import { applyWebhookConfigurations, WEBHOOK_PORT } from './webhook-configuration.ts';
import { webhookLimits } from './webhook-limits.ts';
import { webhookCertificates } from './webhook-secrets.ts';

/** What the server needs. The datastore's caches are filled. */
export interface WebhookServerOptions {
  datastore: Datastore;
  /** Address to listen on (POD_IP); '' is all interfaces. */
  host: string;
  /** 0: any free port (for tests). */
  port?: number;
  /** Own pod, which gets the label that the service selects by; '' outside of pods. */
  podName: string;
  clock: Clock;
  log: Logger;
  randomBytes: (count: number) => Buffer;
}

export interface WebhookServer {
  port: number;
  stop: () => Promise<void>;
}

const PHASES: Record<string, Phase> = { '/v1/webhook/mutation': 'mutation', '/v1/webhook/validation': 'validation' };

class BodyTooLargeError extends Error {
  override readonly name = 'BodyTooLargeError';
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request) {
    const bytes = Buffer.isBuffer(chunk) ? chunk : Buffer.from(String(chunk));
    length += bytes.length;
    if (length > webhookLimits.bodyBytesMax)
      throw new BodyTooLargeError(`more than ${webhookLimits.bodyBytesMax} bytes`);
    chunks.push(bytes);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function answer(response: ServerResponse, status: number, body: string, type = 'text/plain'): void {
  response.writeHead(status, { 'content-type': type });
  response.end(body);
}

async function handle(
  options: WebhookServerOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { datastore, log } = options;
  const path = (request.url ?? '').split('?', 1)[0] ?? '';
  if (path === '/v1/healthz') return answer(response, 200, '');
  const phase = Object.hasOwn(PHASES, path) ? PHASES[path] : undefined;
  if (phase === undefined) return answer(response, 404, 'not found');
  if (request.method !== 'POST') return answer(response, 405, 'use POST');
  let review: unknown;
  try {
    review = JSON.parse(await readBody(request));
  } catch (error) {
    const tooLarge = error instanceof BodyTooLargeError;
    response.once('finish', () => request.destroy());
    return answer(response, tooLarge ? 413 : 400, `the body is not an admission review: ${String(error)}`);
  }
  const result = await reviewAdmission(
    phase,
    review,
    (object, operation) => gatherFacts(datastore, object, operation),
    (error) => log.error({ err: error, phase }, 'admission review failed'),
  );
  answer(response, 200, JSON.stringify(result), 'application/json');
}

function listen(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port, ...(host === '' ? {} : { host }) }, () => {
      server.off('error', reject);
      const address = server.address();
      resolve(typeof address === 'object' && address !== null ? address.port : port);
    });
  });
}

/**
 * One round: certificates, configurations, label. Idempotent; writes only what differs. In this order, an authority is
 * trusted before this server serves with its certificate, and it serves before it can be reached.
 */
async function setUp(options: WebhookServerOptions, server: Server): Promise<void> {
  const { datastore, clock, randomBytes, podName } = options;
  const { transport, namespace } = datastore;
  const { ca, serving } = await webhookCertificates({ transport, namespace, nowMs: () => clock.now(), randomBytes });
  await applyWebhookConfigurations(transport, namespace, ca.certificatePem, clock.now());
  server.setSecureContext({ cert: serving.certificatePem, key: serving.keyPem });
  if (podName !== '') {
    const pod = datastore.pods.get(podName);
    if (pod?.metadata.labels[LABEL.admissionWebhook] !== OBJECT_NAME.webhookService) {
      const labels = { [LABEL.admissionWebhook]: OBJECT_NAME.webhookService };
      await transport.patch(CORE_RESOURCES.pods, namespace, podName, { metadata: { labels } });
    }
  }
}

async function setUpFirst(options: WebhookServerOptions, server: Server, signal: AbortSignal): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await setUp(options, server);
    } catch (error) {
      if (attempt >= webhookLimits.setUpTriesMax || signal.aborted) throw error;
      options.log.warn({ err: error, attempt }, 'cannot set up the admission webhooks yet');
      await pause(options.clock, webhookLimits.retryIntervalMs, signal);
    }
  }
}

async function keepUp(options: WebhookServerOptions, server: Server, signal: AbortSignal): Promise<void> {
  let delayMs: number = webhookLimits.checkIntervalMs;
  for (;;) {
    await pause(options.clock, delayMs, signal);
    if (signal.aborted) return;
    try {
      await setUp(options, server);
      delayMs = webhookLimits.checkIntervalMs;
    } catch (error) {
      options.log.warn({ err: error }, 'cannot check the certificates of the admission webhooks, trying again');
      delayMs = webhookLimits.retryIntervalMs;
    }
  }
}

/** Starts the server; resolves when the API server knows it. */
export async function startWebhookServer(options: WebhookServerOptions): Promise<WebhookServer> {
  const { log } = options;
  const stopping = new AbortController();
  const server = createServer({ requestTimeout: webhookLimits.requestTimeoutMs }, (request, response) => {
    handle(options, request, response).catch((error: unknown) => {
      log.warn({ err: error }, 'a request to the admission webhooks broke off');
      response.destroy();
    });
  });
  server.maxConnections = webhookLimits.connectionsMax;
  server.on('tlsClientError', (error) => log.debug({ err: error }, 'TLS client error'));
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  const port = await listen(server, options.host, options.port ?? WEBHOOK_PORT);
  try {
    await setUpFirst(options, server, stopping.signal);
  } catch (error) {
    await close();
    throw error;
  }
  const kept = keepUp(options, server, stopping.signal);
  return {
    port,
    stop: async () => {
      stopping.abort();
      await Promise.all([kept, close()]);
    },
  };
}
