/** Mutual TLS with test CAs (valid for 100 years): a certificate with the peer name, one without, and one that replaces the first. */
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ControllerService } from '../generated/ptypes.ts';
import { createClient, type ClientOptions } from './client.ts';
import { createServer, type RpcServer } from './server.ts';
import { TlsFiles, readTlsMaterial } from './tls.ts';

const fixture = (name: string): string => fileURLToPath(new URL(`../../test/fixtures/tls/${name}`, import.meta.url));
const files = (folder: string): TlsFiles => new TlsFiles(folder, (text) => warnings.push(text));
const backend = (): TlsFiles => files(fixture('backend'));
const stranger = (): TlsFiles => files(fixture('stranger'));

let warnings: string[];
let folder: string;
let server: RpcServer;
let port: number;
beforeEach(async () => {
  warnings = [];
  folder = mkdtempSync(join(tmpdir(), 'grpc-tls-'));
  put('backend');
  await serve(backend());
});
afterEach(async () => {
  await server.close();
  rmSync(folder, { recursive: true });
});

function put(name: string): void {
  cpSync(fixture(name), folder, { recursive: true });
}

async function serve(tls: TlsFiles): Promise<void> {
  server = createServer({ tls });
  server.add(ControllerService, { VolumeGet: () => ({ name: 'secret' }) });
  port = await server.listen({ host: '127.0.0.1', port: 0 });
}

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
  expect(await ask({ tls: backend() })).toBe('secret');
});

it('refuses a client whose certificate has another name', async () => {
  expect(await ask({ tls: stranger() })).toContain(
    'certificate is not signed for "longhorn-backend.longhorn-system" hostname',
  );
});

it('refuses a client without TLS', async () => {
  expect(await ask({})).toContain('code = Unavailable');
});

it('is refused by a client when its own certificate has another name', async () => {
  await server.close();
  await serve(stranger());
  expect(await ask({ tls: backend() })).toMatch(/code = Unavailable desc = .*(altnames|certificate)/);
});

describe('files that are replaced', () => {
  it('count on the side of the server for connections made afterwards', async () => {
    await server.close();
    const own = files(folder);
    await serve(own);
    put('renewed');
    expect(await ask({ tls: backend() })).toBe('secret');
    own.reload();
    expect(await ask({ tls: backend() })).toContain('code = Unavailable');
    expect(await ask({ tls: files(fixture('renewed')) })).toBe('secret');
    expect(warnings).toEqual([]);
  });

  it('count on the side of a client, whose open connection goes on', async () => {
    const own = files(folder);
    const client = createClient(ControllerService, `127.0.0.1:${port}`, { timeoutMs: 5_000, tls: own });
    expect((await client.VolumeGet({})).name).toBe('secret');
    put('renewed');
    own.reload();
    expect((await client.VolumeGet({})).name).toBe('secret');
    const before = port;
    await server.close();
    server = createServer({ tls: files(fixture('renewed')) });
    server.add(ControllerService, { VolumeGet: () => ({ name: 'renewed' }) });
    port = await server.listen({ host: '127.0.0.1', port: before });
    await expect.poll(() => client.VolumeGet({}).then(({ name }) => name, String), { timeout: 10_000 }).toBe('renewed');
    client.close();
  });

  it('are not taken while they do not belong together, which is told once', async () => {
    await server.close();
    const own = files(folder);
    await serve(own);
    cpSync(join(fixture('renewed'), 'tls.crt'), join(folder, 'tls.crt'));
    own.reload();
    own.reload();
    expect(await ask({ tls: backend() })).toBe('secret');
    expect(warnings).toEqual([expect.stringContaining('tls.key is not the key of tls.crt')]);
    writeFileSync(join(folder, 'ca.crt'), 'nothing');
    own.reload();
    expect(warnings).toHaveLength(1);
    put('renewed');
    own.reload();
    expect(await ask({ tls: files(fixture('renewed')) })).toBe('secret');
  });
});

it('material that is missing is named', () => {
  expect(() => readTlsMaterial('/nowhere')).toThrow('/nowhere/ca.crt');
});
