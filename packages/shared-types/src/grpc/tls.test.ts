/** Mutual TLS with a test CA (valid for 100 years): one certificate with the peer name, one without. */
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ControllerService } from '../generated/ptypes.ts';
import { createClient, type ClientOptions } from './client.ts';
import { createServer, type RpcServer } from './server.ts';
import { readTlsMaterial } from './tls.ts';

const folder = (name: string): string => fileURLToPath(new URL(`../../test/fixtures/tls/${name}`, import.meta.url));
const backend = readTlsMaterial(folder('backend'));
const stranger = readTlsMaterial(folder('stranger'));

let server: RpcServer;
let port: number;
beforeEach(async () => {
  server = createServer({ tls: backend });
  server.add(ControllerService, { VolumeGet: () => ({ name: 'secret' }) });
  port = await server.listen({ host: '127.0.0.1', port: 0 });
});
afterEach(() => server.close());

async function ask(options: ClientOptions): Promise<string> {
  const client = createClient(ControllerService, `127.0.0.1:${port}`, { timeoutMs: 5_000, ...options });
  try {
    return (await client.VolumeGet({})).name;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    client.close();
  }
}

it('serves a client with the same certificate', async () => {
  expect(await ask({ tls: backend })).toBe('secret');
});

it('refuses a client whose certificate has another name', async () => {
  expect(await ask({ tls: stranger })).toContain(
    'certificate is not signed for "longhorn-backend.longhorn-system" hostname',
  );
});

it('refuses a client without TLS', async () => {
  expect(await ask({})).toContain('code = Unavailable');
});

it('is refused by a client when its own certificate has another name', async () => {
  await server.close();
  server = createServer({ tls: stranger });
  server.add(ControllerService, { VolumeGet: () => ({ name: 'fake' }) });
  port = await server.listen({ host: '127.0.0.1', port: 0 });
  expect(await ask({ tls: backend })).toMatch(/code = Unavailable desc = .*(altnames|certificate)/);
});

it('material that is missing is named', () => {
  expect(() => readTlsMaterial('/nowhere')).toThrow('/nowhere/ca.crt');
});
