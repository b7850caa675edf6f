import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fixture, metadata, type Fixture } from '../../test/fixture.ts';
import { certificate, expired, privateKey } from '../../test/webhook-certificate.ts';
import { builtinType, STORAGE } from './builtin-kinds.ts';
import type { JsonObject } from './json.ts';
import type { KubeObject } from './object.ts';
import { WebhookAdmission } from './webhook-admission.ts';

interface Review {
  request: {
    uid: string;
    operation: string;
    object: KubeObject | null;
    oldObject: KubeObject | null;
    subResource?: string;
  };
}
type Reply = (review: Review) => JsonObject;

describe('WebhookAdmission', () => {
  let f: Fixture;
  let server: Server;
  let admission: WebhookAdmission | null = null;
  let port = 0;
  let reply: Reply = () => ({ allowed: true });
  let asked: Review[] = [];
  let ready = true;

  beforeEach(async () => {
    asked = [];
    ready = true;
    server = createServer({ cert: certificate, key: privateKey }, (request, response) => {
      let text = '';
      request.on('data', (chunk: Buffer) => (text += chunk.toString()));
      request.once('end', () => {
        const review = JSON.parse(text) as Review;
        asked.push(review);
        response.end(JSON.stringify({ response: { uid: review.request.uid, ...reply(review) } }));
      });
    });
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    ({ port } = server.address() as AddressInfo);
    f = await fixture((store) => {
      const resolve = (): { address: string; port: number } | null => (ready ? { address: '127.0.0.1', port } : null);
      admission = new WebhookAdmission(store, resolve, () => 'review-1');
      return admission;
    });
  });
  afterEach(async () => {
    admission?.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await f.close();
  });

  async function configure(kind: 'mutating' | 'validating', change: JsonObject = {}): Promise<void> {
    const type = builtinType(kind === 'mutating' ? STORAGE.mutatingWebhooks : STORAGE.validatingWebhooks);
    await f.operations.create(type, {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: type.kind,
      metadata: metadata(kind),
      webhooks: [
        {
          name: `${kind}.example.io`,
          clientConfig: {
            service: { name: 'admission', namespace: 'test', path: '/v1/x', port: 9502 },
            caBundle: Buffer.from(certificate).toString('base64'),
          },
          admissionReviewVersions: ['v1'],
          sideEffects: 'None',
          rules: [
            {
              operations: ['CREATE', 'UPDATE', 'DELETE'],
              apiGroups: ['example.io'],
              apiVersions: ['v1'],
              resources: ['widgets'],
            },
          ],
          failurePolicy: 'Fail',
          timeoutSeconds: 5,
          ...change,
        },
      ],
    });
  }

  const make = (name: string, labels: Record<string, string> = {}): Promise<KubeObject> =>
    f.operations.create(f.widget, {
      apiVersion: 'example.io/v1',
      kind: 'Widget',
      metadata: { ...metadata(name, 'test'), labels },
      spec: { size: '1' },
    });

  it('lets a mutating webhook change the object before it is checked', async () => {
    await configure('mutating');
    const patch = [{ op: 'add', path: '/spec/count', value: 3 }];
    reply = () => ({
      allowed: true,
      patchType: 'JSONPatch',
      patch: Buffer.from(JSON.stringify(patch)).toString('base64'),
    });
    expect(await make('w')).toMatchObject({ spec: { size: '1', count: 3 } });
    patch[0] = { op: 'add', path: '/spec/count', value: -1 };
    await expect(make('x')).rejects.toMatchObject({ code: 422 });
  });

  it('passes on the refusal of a validating webhook, with its words', async () => {
    await configure('validating');
    reply = () => ({ allowed: false, status: { code: 422, reason: 'Invalid', message: 'spec.size is too small' } });
    await expect(make('w')).rejects.toMatchObject({
      code: 422,
      reason: 'Invalid',
      message: 'admission webhook "validating.example.io" denied the request: spec.size is too small',
    });
    expect(f.store.list(f.widget.storage)).toEqual([]);
  });

  it('asks with old and new object, also for deletions, and not for status', async () => {
    await configure('validating');
    reply = () => ({ allowed: true });
    await make('w');
    await f.operations.update(f.widget, 'test', 'w', '', (w) => ({ ...w, spec: { size: '2' } }));
    await f.operations.update(f.widget, 'test', 'w', 'status', (w) => ({ ...w, status: { state: 'on' } }));
    await f.operations.remove(f.widget, 'test', 'w');
    const size = (object: KubeObject | null): unknown => (object?.['spec'] as { size?: string } | undefined)?.size;
    expect(asked.map(({ request }) => [request.operation, size(request.object), size(request.oldObject)])).toEqual([
      ['CREATE', '1', undefined],
      ['UPDATE', '2', '1'],
      ['DELETE', undefined, '2'],
    ]);
  });

  it('refuses when the webhook cannot be asked, or goes on where the policy says so', async () => {
    ready = false;
    await configure('validating');
    await expect(make('w')).rejects.toMatchObject({
      code: 500,
      message: expect.stringContaining('no endpoints available') as string,
    });
    await f.operations.update(builtinType(STORAGE.validatingWebhooks), '', 'validating', '', (present) => {
      const [webhook] = present['webhooks'] as JsonObject[];
      return { ...present, webhooks: [{ ...webhook, failurePolicy: 'Ignore' }] };
    });
    expect(await make('w')).toMatchObject({ metadata: { name: 'w' } });
  });

  it('does not trust another certificate', async () => {
    await configure('validating', {
      clientConfig: {
        service: { name: 'other', namespace: 'test', port: 9502 },
        caBundle: Buffer.from(certificate).toString('base64'),
      },
    });
    await expect(make('w')).rejects.toMatchObject({ code: 500 });
    expect(asked).toEqual([]);
  });

  it('does not trust a certificate that has expired, and says so', async () => {
    server.setSecureContext({ cert: expired.certificate, key: expired.privateKey });
    await configure('validating', {
      clientConfig: {
        service: { name: 'admission', namespace: 'test', port: 9502 },
        caBundle: Buffer.from(expired.authority).toString('base64'),
      },
    });
    await expect(make('w')).rejects.toMatchObject({
      code: 500,
      message: expect.stringMatching(
        /failed calling webhook "validating\.example\.io".*certificate has expired/,
      ) as string,
    });
    expect(asked).toEqual([]);
  });

  it('asks only for objects that its selectors choose', async () => {
    await configure('validating', { objectSelector: { matchLabels: { guarded: 'yes' } } });
    reply = () => ({ allowed: false });
    expect(await make('free')).toMatchObject({ metadata: { name: 'free' } });
    await expect(make('guarded', { guarded: 'yes' })).rejects.toThrow(/denied the request without explanation/);
  });
});
