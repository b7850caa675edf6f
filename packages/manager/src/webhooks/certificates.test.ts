import { createPublicKey, X509Certificate } from 'node:crypto';
import { createServer, request } from 'node:https';
import { describe, expect, it } from 'vitest';
import {
  isServingUsable,
  isUsable,
  makeCa,
  makeServingCertificate,
  RENEW_BEFORE_MS,
  SERVING_VALID_MS,
} from './certificates.ts';

const NOW_MS = Date.parse('2026-11-21T12:00:00Z');
const HOST = 'longhorn-admission-webhook.longhorn-system.svc';
const SERIAL = Buffer.from('8123456789abcdef', 'hex');

describe('certificates', () => {
  const ca = makeCa(NOW_MS, SERIAL);
  const serving = makeServingCertificate(ca, [HOST, 'localhost'], NOW_MS, Buffer.from([1]));

  it('have the names, uses and times that they should have', () => {
    const authority = new X509Certificate(ca.certificatePem);
    const certificate = new X509Certificate(serving.certificatePem);
    expect(authority.ca).toBe(true);
    expect(authority.subject).toContain(`dynamiclistener-ca@${NOW_MS / 1000}`);
    expect(authority.verify(createPublicKey(ca.certificatePem))).toBe(true);
    expect(certificate.ca).toBe(false);
    expect(certificate.subjectAltName).toBe(`DNS:${HOST}, DNS:localhost`);
    expect(certificate.checkIssued(authority)).toBe(true);
    expect(certificate.verify(createPublicKey(ca.certificatePem))).toBe(true);
    expect(Date.parse(certificate.validTo)).toBe(NOW_MS + SERVING_VALID_MS);
    expect(certificate.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1']);
  });

  it('are renewed in time, for another CA, another name, or when they are broken', () => {
    const lastMs = NOW_MS + SERVING_VALID_MS - RENEW_BEFORE_MS - 1;
    const other = makeCa(NOW_MS, SERIAL);
    expect(isServingUsable(serving, ca, [HOST], lastMs)).toBe(true);
    expect(isServingUsable(serving, ca, [HOST], lastMs + 1)).toBe(false);
    expect(isServingUsable(serving, other, [HOST], NOW_MS)).toBe(false);
    expect(isServingUsable(serving, ca, ['other'], NOW_MS)).toBe(false);
    expect(isUsable({ ...serving, keyPem: ca.keyPem }, NOW_MS)).toBe(false);
    expect(isUsable({ certificatePem: 'x', keyPem: '' }, NOW_MS)).toBe(false);
  });

  it('let a client that knows only the CA connect to a server', async () => {
    const now = Date.now();
    const authority = makeCa(now, SERIAL);
    const pair = makeServingCertificate(authority, [HOST], now, Buffer.from([2]));
    const server = createServer({ cert: pair.certificatePem, key: pair.keyPem }, (_, response) => response.end('ok'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const answer = await new Promise<number>((resolve, reject) => {
      const sent = request(
        { host: '127.0.0.1', port, servername: HOST, ca: authority.certificatePem, agent: false },
        (response) => {
          response.resume();
          resolve(response.statusCode ?? 0);
        },
      );
      sent.on('error', reject);
      sent.end();
    });
    expect(answer).toBe(200);
    await new Promise((resolve) => server.close(resolve));
  });
});
