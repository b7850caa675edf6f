import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { FastifyInstance } from 'fastify';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { createPageServer } from './page-server.ts';
import { readSettings } from './settings.ts';

const page = `<!doctype html><title>Longhorn</title>${' '.repeat(2000)}`;
let folder: string;
let manager: Server;
let server: FastifyInstance;
let address: string;
let managerUrl: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ui-page-'));
  mkdirSync(join(folder, 'assets'));
  writeFileSync(join(folder, 'index.html'), page);
  writeFileSync(join(folder, 'index.html.gz'), gzipSync(page));
  writeFileSync(join(folder, 'assets/index-abc.js'), 'export {};');
  manager = createServer((request, response) => {
    let size = 0;
    request.on('data', (chunk: Buffer) => (size += chunk.length));
    request.on('end', () => {
      response.writeHead(request.url === '/v1/volumes/missing' ? 404 : 200, { 'content-type': 'application/json' });
      const { method, url, headers } = request;
      response.end(JSON.stringify({ method, url, size, forwarded: headers['x-forwarded-host'] }));
    });
  });
  const sockets = new WebSocketServer({ server: manager, path: '/v1/ws/1s/volumes' });
  sockets.on('connection', (socket) => socket.send('{"data":[]}'));
  await new Promise<void>((resolve) => manager.listen(0, '127.0.0.1', resolve));
  managerUrl = `http://127.0.0.1:${(manager.address() as AddressInfo).port}`;
  const settings = readSettings({ LONGHORN_MANAGER_IP: managerUrl, LONGHORN_UI_PORT: '0', HOST: '127.0.0.1' });
  server = await createPageServer(settings, folder);
  address = await server.listen({ host: settings.listenHost, port: settings.listenPort });
});

afterAll(async () => {
  await server.close();
  manager.closeAllConnections();
  manager.close();
  rmSync(folder, { recursive: true, force: true });
});

describe('the page', () => {
  it('is served compressed, with the headers that protect it', async () => {
    const response = await fetch(`${address}/`);
    expect(response.status).toBe(200);
    expect(response.headers.get('content-encoding')).toBe('gzip');
    expect(response.headers.get('content-security-policy')).toContain("default-src 'self'");
    expect(response.headers.get('x-content-type-options')).toBe('nosniff');
    expect(response.headers.get('cache-control')).toBe('no-cache');
    expect(await response.text()).toBe(page);
  });

  it('keeps files with a hash in their name for a year', async () => {
    const response = await fetch(`${address}/assets/index-abc.js`);
    expect(response.headers.get('cache-control')).toContain('immutable');
  });

  it('answers unknown paths of a browser with the page, and 404 to programs', async () => {
    expect((await fetch(`${address}/deep/link`, { headers: { accept: 'text/html' } })).status).toBe(200);
    expect((await fetch(`${address}/deep/link`)).status).toBe(404);
    expect((await fetch(`${address}/..%2f..%2fetc/passwd`)).status).toBe(404);
  });
});

describe('the API behind it', () => {
  it('gets path, query and body as they are', async () => {
    const body = 'x'.repeat(3 << 20);
    const response = await fetch(`${address}/v1/volumes/a?action=attach`, { method: 'POST', body });
    expect(await response.json()).toEqual({
      method: 'POST',
      url: '/v1/volumes/a?action=attach',
      size: body.length,
      forwarded: new URL(address).host,
    });
  });

  it('answers with its own status', async () => {
    expect((await fetch(`${address}/v1/volumes/missing`)).status).toBe(404);
  });

  it('is not there for pages of others', async () => {
    const response = await fetch(`${address}/v1/volumes`, {
      method: 'POST',
      headers: { origin: 'http://evil.example' },
    });
    expect(response.status).toBe(403);
    expect(await response.json()).toMatchObject({ type: 'error', message: expect.stringContaining('evil.example') });
  });

  it('is not reached when the manager is away, and that is said', async () => {
    const settings = readSettings({ LONGHORN_MANAGER_IP: 'http://127.0.0.1:1', HOST: '127.0.0.1' });
    const lonely = await createPageServer(settings, folder);
    const response = await lonely.inject({ url: '/v1/volumes', headers: { host: 'localhost' } });
    expect(response.statusCode).toBe(502);
    expect(response.json()).toMatchObject({ message: expect.stringContaining('http://127.0.0.1:1 does not answer') });
    await lonely.close();
  });
});

describe('web sockets', () => {
  const open = (origin: string): Promise<string> =>
    new Promise((resolve) => {
      const socket = new WebSocket(`${address.replace('http', 'ws')}/v1/ws/1s/volumes`, { origin });
      socket.on('message', (data: Buffer) => {
        resolve(data.toString('utf8'));
        socket.close();
      });
      socket.on('error', (error) => resolve(error.message));
    });

  it('are passed on', async () => {
    expect(await open(address)).toBe('{"data":[]}');
  });

  it('end when their manager falls silent, as it does without power', async () => {
    const settings = readSettings({ LONGHORN_MANAGER_IP: managerUrl, LONGHORN_UI_PORT: '0', HOST: '127.0.0.1' });
    const impatient = await createPageServer(settings, folder, 50);
    const at = await impatient.listen({ host: settings.listenHost, port: settings.listenPort });
    const socket = new WebSocket(`${at.replace('http', 'ws')}/v1/ws/1s/volumes`, { origin: at });
    const code = await new Promise((resolve) => socket.on('close', resolve));
    expect(code).toBe(1006);
    await impatient.close();
  });

  it('are refused to pages of others', async () => {
    expect(await open('http://evil.example')).toContain('403');
  });
});

describe('readSettings', () => {
  it.each([
    ['LONGHORN_MANAGER_IP', 'longhorn-backend'],
    ['LONGHORN_UI_PORT', '70000'],
    ['HOST', 'somewhere'],
  ])('names %s when it is wrong', (name, value) => {
    expect(() => readSettings({ [name]: value })).toThrow(name);
  });
});
