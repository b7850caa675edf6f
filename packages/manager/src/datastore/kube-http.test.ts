import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { KubeConfig } from '@kubernetes/client-node';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EVENT_RESOURCE } from './core-kinds.ts';
import { KubeHttp } from './kube-http.ts';

let server: Server;
let api: KubeHttp;
let requests: string[];

/** Two pages of one object each. */
beforeEach(async () => {
  requests = [];
  server = createServer((request, response) => {
    const url = new URL(request.url ?? '', 'http://server');
    requests.push(`${url.pathname}?${decodeURIComponent(url.search.slice(1))}`);
    const isSecond = url.searchParams.has('continue');
    const metadata = isSecond ? { resourceVersion: '8' } : { resourceVersion: '7', continue: 'next' };
    response.end(JSON.stringify({ metadata, items: [{ metadata: { name: isSecond ? 'b' : 'a' } }] }));
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  const config = new KubeConfig();
  const cluster = { name: 'c', server: `http://127.0.0.1:${port}`, skipTLSVerify: true };
  config.loadFromClusterAndUser(cluster, { name: 'u' });
  api = new KubeHttp(config);
});

afterEach(() => {
  server.closeAllConnections();
  server.close();
});

describe('a list', () => {
  it('is read page by page', async () => {
    const { items, resourceVersion } = await api.list(EVENT_RESOURCE, 'shop');
    expect(items.map(({ metadata }) => metadata.name)).toEqual(['a', 'b']);
    expect(resourceVersion).toBe('8');
    expect(requests).toEqual([
      '/api/v1/namespaces/shop/events?limit=500',
      '/api/v1/namespaces/shop/events?limit=500&continue=next',
    ]);
  });

  it('hands objects over as they come and keeps none, of all namespaces and selected by fields', async () => {
    const names: string[] = [];
    const fieldSelector = 'involvedObject.kind=Pod,involvedObject.name=web-0';
    const answer = await api.list(EVENT_RESOURCE, '', {
      fieldSelector,
      onObject: ({ metadata }) => names.push(metadata.name),
    });
    expect(answer.items).toEqual([]);
    expect(names).toEqual(['a', 'b']);
    expect(requests).toEqual([
      `/api/v1/events?limit=500&fieldSelector=${fieldSelector}`,
      `/api/v1/events?limit=500&fieldSelector=${fieldSelector}&continue=next`,
    ]);
  });
});
