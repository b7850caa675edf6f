/** An admission webhook whose answers the path chooses, with a certificate made for the run. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '../shell.ts';

interface Review {
  request: { uid: string };
}

const encoded = (operations: object[]): string => Buffer.from(JSON.stringify(operations)).toString('base64');

function responseTo(path: string): object {
  switch (path) {
    case '/deny':
      return { allowed: false, status: { message: 'this is not wanted' } };
    case '/deny-with-code':
      return {
        allowed: false,
        status: {
          code: 422,
          reason: 'Invalid',
          message: 'data.a: Invalid value',
          details: { kind: 'Thing', causes: [{ field: 'data.a', reason: 'FieldValueInvalid', message: 'is wrong' }] },
        },
      };
    case '/deny-silently':
      return { allowed: false };
    case '/warn':
      return { allowed: true, warnings: ['think again', 'and again: "twice"'] };
    case '/change':
      return {
        allowed: true,
        patchType: 'JSONPatch',
        patch: encoded([{ op: 'add', path: '/data/added', value: 'by the webhook' }]),
      };
    case '/spoil':
      return { allowed: true, patchType: 'JSONPatch', patch: encoded([{ op: 'remove', path: '/data/nothing' }]) };
    default:
      return { allowed: true };
  }
}

export interface WebhookServer {
  url: string;
  /** of its certificate, as webhook configurations want it */
  caBundle: string;
  close(): Promise<void>;
}

async function certificateFor(address: string): Promise<{ cert: string; key: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'api-comparison-'));
  try {
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
    const san = /^[\d.]+$/.test(address) ? `IP:${address}` : `DNS:${address}`;
    const words = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
    await run('openssl', [
      ...words,
      '-subj',
      '/CN=compare',
      '-addext',
      `subjectAltName=${san}`,
      '-keyout',
      key,
      '-out',
      cert,
    ]);
    return { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function listen(server: Server, address: string): Promise<number> {
  return new Promise((done, failed) => {
    server.once('error', failed);
    server.listen(0, address, () => {
      const bound = server.address();
      if (bound === null || typeof bound === 'string') failed(new Error('the webhook has no port'));
      else done(bound.port);
    });
  });
}

/** @param address of this machine by which the API servers reach it */
export async function startWebhookServer(address: string): Promise<WebhookServer> {
  const { cert, key } = await certificateFor(address);
  const server = createServer({ cert, key }, (request, response) => {
    let text = '';
    request.setEncoding('utf8');
    request.on('data', (chunk: string) => (text += chunk));
    request.once('end', () => {
      const path = new URL(request.url ?? '/', 'https://webhook').pathname;
      if (path === '/broken') {
        response.writeHead(500, { 'content-type': 'text/plain' }).end('it is broken');
        return;
      }
      const { uid } = (JSON.parse(text) as Review).request;
      const answer = { uid: path === '/wrong-uid' ? 'wrong' : uid, ...responseTo(path) };
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', response: answer }));
    });
  });
  const port = await listen(server, address);
  return {
    url: `https://${address}:${port}`,
    caBundle: Buffer.from(cert).toString('base64'),
    close: () =>
      new Promise((done) => {
        server.close(() => done());
        server.closeAllConnections();
      }),
  };
}
