/** The client library that the manager uses: typed calls and informers. */
import { CoreV1Api, CustomObjectsApi, KubeConfig, makeInformer, type V1ConfigMap } from '@kubernetes/client-node';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { servedFixture, type ServedFixture } from './fixture.ts';

let f: ServedFixture;
let config: KubeConfig;
beforeEach(async () => {
  f = await servedFixture();
  config = new KubeConfig();
  config.loadFromFile(f.kubeconfig);
});
afterEach(() => f.close());

it('creates, replaces and meets conflicts', async () => {
  const api = config.makeApiClient(CustomObjectsApi);
  const at = { group: 'example.io', version: 'v1', namespace: 'test', plural: 'widgets' };
  const made = (await api.createNamespacedCustomObject({
    ...at,
    body: { apiVersion: 'example.io/v1', kind: 'Widget', metadata: { name: 'w' }, spec: { size: '1' } },
  })) as { metadata: object; spec: object };
  await api.replaceNamespacedCustomObject({ ...at, name: 'w', body: { ...made, spec: { size: '2' } } });
  await expect(
    api.replaceNamespacedCustomObject({ ...at, name: 'w', body: { ...made, spec: { size: '3' } } }),
  ).rejects.toMatchObject({ code: 409 });
});

it('keeps an informer up to date', async () => {
  const api = config.makeApiClient(CoreV1Api);
  const informer = makeInformer<V1ConfigMap>(config, '/api/v1/namespaces/test/configmaps', () =>
    api.listNamespacedConfigMap({ namespace: 'test' }),
  );
  const seen: string[] = [];
  const third = new Promise<void>((resolve) => {
    const note = (verb: string) => (map: V1ConfigMap) => {
      seen.push(`${verb} ${map.metadata?.name ?? ''} ${map.data?.['a'] ?? ''}`);
      if (verb === 'delete') resolve();
    };
    informer.on('add', note('add'));
    informer.on('update', note('update'));
    informer.on('delete', note('delete'));
  });
  await f.call('POST', '/api/v1/namespaces/test/configmaps', { metadata: { name: 'm' }, data: { a: '1' } });
  await informer.start();
  const connected = new Promise<void>((resolve) => informer.on('connect', () => resolve()));
  await Promise.race([connected, f.call('GET', '/version')]);
  await f.call(
    'PATCH',
    '/api/v1/namespaces/test/configmaps/m',
    { data: { a: '2' } },
    { 'content-type': 'application/merge-patch+json' },
  );
  await f.call('DELETE', '/api/v1/namespaces/test/configmaps/m');
  await third;
  await informer.stop();
  expect(seen).toEqual(['add m 1', 'update m 2', 'delete m 2']);
});
