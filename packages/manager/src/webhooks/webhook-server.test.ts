import { X509Certificate } from 'node:crypto';
import { request } from 'node:https';
import { connect } from 'node:tls';
import pino from 'pino';
import { newObject } from '@longhorn/shared-types';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock, type Clock } from '../clock.ts';
import { Datastore, resourceOf } from '../datastore/datastore.ts';
import type { RawObject, Resource } from '../datastore/kube-transport.ts';
import { MemoryApi } from '../datastore/memory-api.ts';
import { VirtualClock } from '../virtual-clock.ts';
import { SERVING_VALID_MS } from './certificates.ts';
import { webhookLimits } from './webhook-limits.ts';
import { startWebhookServer, type WebhookServer } from './webhook-server.ts';

const NS = 'longhorn-system';
const HOST = `longhorn-admission-webhook.${NS}.svc`;
const SECRETS: Resource = { group: '', version: 'v1', plural: 'secrets', kind: 'Secret', namespaced: true };
const CONFIGURATIONS: Resource = {
  group: 'admissionregistration.k8s.io',
  version: 'v1',
  plural: 'validatingwebhookconfigurations',
  kind: 'ValidatingWebhookConfiguration',
  namespaced: false,
};
const log = pino({ level: 'silent' });

interface Configuration {
  webhooks: {
    name: string;
    clientConfig: { caBundle: string };
    rules: { resources: string[]; operations: string[] }[];
  }[];
}

let api: MemoryApi;
let datastore: Datastore;
let server: WebhookServer;
let ca: string;

function start(clock: Clock = systemClock): Promise<WebhookServer> {
  const randomBytes = (count: number): Buffer => Buffer.alloc(count, 7);
  return startWebhookServer({
    datastore,
    host: '127.0.0.1',
    port: 0,
    podName: '',
    clock,
    log,
    randomBytes,
  });
}

async function configuration(): Promise<Configuration> {
  const found: RawObject & Partial<Configuration> = await api.get(CONFIGURATIONS, '', 'longhorn-webhook-validator');
  return { webhooks: found.webhooks ?? [] };
}

async function bundle(): Promise<string> {
  return Buffer.from((await configuration()).webhooks[0]!.clientConfig.caBundle, 'base64').toString('utf8');
}

function call(
  path: string,
  body: string | null,
  port = server.port,
  trusted = ca,
): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const method = body === null ? 'GET' : 'POST';
    const sent = request(
      { host: '127.0.0.1', port, servername: HOST, ca: trusted, path, method, agent: false },
      (response) => {
        let text = '';
        response.on('data', (chunk: Buffer) => (text += chunk.toString('utf8')));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
      },
    );
    sent.on('error', reject);
    sent.end(body ?? undefined);
  });
}

function review(kind: string, operation: string, object: object | null, oldObject: object | null = null): string {
  return JSON.stringify({
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: { uid: 'u1', kind: { group: 'longhorn.io', version: 'v1beta2', kind }, operation, object, oldObject },
  });
}

beforeEach(async () => {
  api = new MemoryApi();
  datastore = new Datastore({ transport: api, namespace: NS, clock: systemClock, log });
  const image = newObject('Setting', NS, 'default-engine-image');
  image.value = 'longhornio/longhorn-engine:v1.10.1';
  await datastore.create('Setting', image);
  await datastore.start();
  server = await start();
  ca = Buffer.from((await configuration()).webhooks[0]!.clientConfig.caBundle, 'base64').toString('utf8');
});

afterEach(async () => {
  await server.stop();
  await datastore.stop();
});

describe('webhook server', () => {
  it('tells the API server what to ask, and whose certificate to trust', async () => {
    const [webhook] = (await configuration()).webhooks;
    expect(webhook).toMatchObject({
      name: 'validator.longhorn.io',
      failurePolicy: 'Fail',
      sideEffects: 'None',
      admissionReviewVersions: ['v1'],
      clientConfig: {
        service: { name: 'longhorn-admission-webhook', namespace: NS, path: '/v1/webhook/validation', port: 9502 },
      },
    });
    expect(webhook!.rules).toContainEqual({
      apiGroups: ['longhorn.io'],
      apiVersions: ['v1beta2'],
      resources: ['replicas'],
      scope: 'Namespaced',
      operations: ['CREATE', 'UPDATE', 'DELETE'],
    });
    expect(new X509Certificate(ca).ca).toBe(true);
    expect(await call('/v1/healthz', null)).toEqual({ status: 200, text: '' });
  });

  it('mutates and validates over TLS', async () => {
    const volume = { metadata: { name: 'vol-1', namespace: NS }, spec: { size: '1' } };
    const mutated = await call('/v1/webhook/mutation', review('Volume', 'CREATE', volume));
    const { response } = JSON.parse(mutated.text);
    expect(response).toMatchObject({ uid: 'u1', allowed: true, patchType: 'JSONPatch' });
    const patch: unknown = JSON.parse(Buffer.from(response.patch, 'base64').toString('utf8'));
    expect(patch).toContainEqual({ op: 'add', path: '/spec/size', value: '2097152' });
    const refused = await call('/v1/webhook/validation', review('Volume', 'CREATE', volume));
    expect(JSON.parse(refused.text)).toMatchObject({
      kind: 'AdmissionReview',
      response: {
        allowed: false,
        status: {
          status: 'Failure',
          code: 422,
          reason: 'Invalid',
          details: { causes: expect.arrayContaining([expect.objectContaining({ field: 'spec.size' })]) },
        },
      },
    });
  });

  it('asks the API server for what the cache does not have yet', async () => {
    await datastore.stop();
    const volume = newObject('Volume', NS, 'late');
    await api.create(resourceOf('Volume'), NS, { ...volume, metadata: { name: 'late', namespace: NS } });
    const engine = { metadata: { name: 'late-e-0', namespace: NS }, spec: { volumeName: 'late' } };
    const { text } = await call('/v1/webhook/validation', review('Engine', 'CREATE', engine));
    expect(JSON.parse(text).response).toEqual({ uid: 'u1', allowed: true });
  });

  it.each([
    ['not json', 400, 'not an admission review'],
    ['{}', 200, 'no rules for kind'],
    [review('Pod', 'CREATE', {}), 200, 'no rules for kind Pod'],
    [review('Volume', 'CONNECT', {}), 200, 'no rules for operation CONNECT'],
    [review('Volume', 'CREATE', null), 200, 'operation CREATE without its object'],
    [review('Volume', 'CREATE', { metadata: 5 }), 200, 'metadata: must be an object'],
    [
      review('Volume', 'CREATE', { metadata: {}, spec: { numberOfReplicas: 'x' } }),
      200,
      'spec.numberOfReplicas: must be of type integer',
    ],
  ])('answers %s', async (body, status, text) => {
    const answer = await call('/v1/webhook/mutation', body);
    expect(answer.status).toBe(status);
    expect(answer.text).toContain(text);
  });

  it('refuses when it cannot look, and says so', async () => {
    api.fault = (verb) => {
      if (verb === 'get') throw new Error('API server away');
    };
    const snapshot = { metadata: { name: 's' }, spec: { volume: 'nowhere' } };
    const { text } = await call('/v1/webhook/mutation', review('Snapshot', 'CREATE', snapshot));
    expect(JSON.parse(text).response.status).toMatchObject({
      code: 500,
      reason: 'InternalError',
      message: expect.stringContaining('API server away'),
    });
  });

  it('has no other paths and methods', async () => {
    expect((await call('/v1/other', null)).status).toBe(404);
    expect((await call('/v1/webhook/mutation', null)).status).toBe(405);
  });

  it('shares its certificates with other managers and writes nothing twice', async () => {
    const writes = api.writes.length;
    const second = await start();
    expect(api.writes.length).toBe(writes);
    await second.stop();
  });

  it('makes certificates anew that somebody broke, and tells the API server', async () => {
    const secret = await api.get(SECRETS, NS, 'longhorn-webhook-ca');
    await api.replace(SECRETS, NS, { ...secret, data: { 'tls.crt': 'eA==', 'tls.key': '' } }, '');
    const second = await start();
    const bundle = Buffer.from((await configuration()).webhooks[0]!.clientConfig.caBundle, 'base64').toString('utf8');
    expect(bundle).not.toBe(ca);
    await second.stop();
  });

  async function breakCa(): Promise<void> {
    const secret = await api.get(SECRETS, NS, 'longhorn-webhook-ca');
    await api.replace(SECRETS, NS, { ...secret, data: { 'tls.crt': 'eA==', 'tls.key': '' } }, '');
  }

  it('replaces an authority without a call that fails, and ends the trust in the old one after an hour', async () => {
    await breakCa();
    const clock = new VirtualClock(Date.now());
    const second = await start(clock);
    const trusted = await bundle();
    // The first one serves with the old certificate until it looks again.
    expect((await call('/v1/healthz', null, server.port, trusted)).status).toBe(200);
    expect((await call('/v1/healthz', null, second.port, trusted)).status).toBe(200);
    clock.advance(webhookLimits.previousCaTrustedMs);
    await expect.poll(bundle).not.toContain(ca);
    expect((await call('/v1/healthz', null, second.port, await bundle())).status).toBe(200);
    await second.stop();
  });

  it('serves with a certificate of a new authority only once that is trusted', async () => {
    const clock = new VirtualClock(Date.now());
    const second = await start(clock);
    await breakCa();
    let refused = 0;
    api.fault = (verb, kind) => {
      if (verb !== 'patch' || !kind.endsWith('WebhookConfiguration')) return;
      refused += 1;
      throw new Error('API server away');
    };
    clock.advance(webhookLimits.checkIntervalMs);
    await expect.poll(() => refused).toBe(1);
    expect((await call('/v1/healthz', null, second.port)).status).toBe(200);
    api.fault = null;
    await expect.poll(() => (clock.advance(webhookLimits.retryIntervalMs), bundle())).not.toBe(ca);
    expect((await call('/v1/healthz', null, second.port, await bundle())).status).toBe(200);
    await second.stop();
  });

  const served = (port: number): Promise<X509Certificate> =>
    new Promise((resolve, reject) => {
      const socket = connect({ host: '127.0.0.1', port, servername: HOST, rejectUnauthorized: false }, () => {
        const { raw } = socket.getPeerCertificate();
        socket.destroy();
        resolve(new X509Certificate(raw));
      });
      socket.once('error', reject);
    });

  it('finds an expired certificate when it starts and serves another', async () => {
    const before = await served(server.port);
    const later = new VirtualClock(Date.now() + SERVING_VALID_MS + 1);
    const second = await start(later);
    const after = await served(second.port);
    await second.stop();
    expect(Date.parse(before.validTo)).toBeLessThan(later.now());
    expect(Date.parse(after.validTo)).toBeGreaterThan(later.now());
    const bundle = Buffer.from((await configuration()).webhooks[0]!.clientConfig.caBundle, 'base64').toString('utf8');
    expect(after.verify(new X509Certificate(bundle).publicKey)).toBe(true);
  });

  it('replaces a certificate that expires while it serves, without a restart', async () => {
    const clock = new VirtualClock(Date.now());
    const second = await start(clock);
    const before = await served(second.port);
    // As after a long sleep of the machine: nobody looked in time.
    clock.advance(SERVING_VALID_MS + webhookLimits.checkIntervalMs);
    expect(Date.parse(before.validTo)).toBeLessThan(clock.now());
    const validUntil = async (): Promise<number> => Date.parse((await served(second.port)).validTo);
    await expect.poll(validUntil, { timeout: 10_000 }).toBeGreaterThan(clock.now());
    await second.stop();
  });
});
