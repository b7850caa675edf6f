import { strict as assert } from 'node:assert';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { servedFixture, TOKEN, type ServedFixture } from '../../test/fixture.ts';
import { request as httpRequest } from 'node:http';
import type { Json, JsonObject } from './json.ts';

const WIDGETS = '/apis/example.io/v1/namespaces/test/widgets';
const body = (name: string, spec: JsonObject = {}, labels: JsonObject = {}): JsonObject => ({
  apiVersion: 'example.io/v1',
  kind: 'Widget',
  metadata: { name, labels },
  spec,
});

/** Reads lines of a stream until `count` of them are there. */
async function lines(url: string, count: number): Promise<JsonObject[]> {
  const abort = new AbortController();
  const response = await fetch(url, { signal: abort.signal });
  if (response.body === null) throw new Error('no stream');
  const found: JsonObject[] = [];
  let rest = '';
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    const parts = (rest + chunk).split('\n');
    rest = parts.pop() ?? '';
    found.push(...parts.map((line) => JSON.parse(line) as JsonObject));
    if (found.length >= count) break;
  }
  abort.abort();
  return found;
}

const brief = (event: JsonObject): Json => {
  const object = event['object'] as { metadata: { name?: string; annotations?: JsonObject } };
  return [event['type'] ?? null, object.metadata.name ?? null];
};

describe('the API server', () => {
  let f: ServedFixture;
  beforeEach(async () => {
    f = await servedFixture();
  });
  afterEach(async () => {
    assert.deepEqual(f.failures, []);
    await f.close();
  });

  it('answers only to its token, its name and its own origin', async () => {
    const status = (path: string, headers: Record<string, string>): Promise<number> =>
      new Promise((resolve, reject) => {
        httpRequest(`${f.url}${path}`, { headers }, (response) => {
          response.resume();
          resolve(response.statusCode ?? 0);
        })
          .once('error', reject)
          .end();
      });
    expect(await status('/version', {})).toBe(401);
    expect(await status('/version', { authorization: 'Bearer wrong-token' })).toBe(401);
    expect(await status('/version', { authorization: `Bearer ${TOKEN}` })).toBe(200);
    expect(await status(`/${TOKEN}/version`, {})).toBe(200);
    expect(await status(`/${TOKEN}/version`, { host: 'evil.example' })).toBe(403);
    expect(await status(`/${TOKEN}/version`, { origin: 'http://evil.example' })).toBe(403);
    expect(await status('/healthz', {})).toBe(200);
  });

  it('answers with the Status objects that clients decide by', async () => {
    expect((await f.call('GET', `${WIDGETS}/none`)).body).toEqual({
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message: 'widgets.example.io "none" not found',
      reason: 'NotFound',
      details: { name: 'none', group: 'example.io', kind: 'widgets' },
      code: 404,
    });
    await f.call('POST', WIDGETS, body('w'));
    expect((await f.call('POST', WIDGETS, body('w'))).body).toMatchObject({ reason: 'AlreadyExists', code: 409 });
    expect(await f.call('GET', '/apis/nothing/v1/here')).toMatchObject({
      status: 404,
      body: { text: '404 page not found\n' },
    });
    expect((await f.call('GET', '/api/v1/here')).body).toMatchObject({ reason: 'NotFound', code: 404 });
    expect((await f.call('POST', WIDGETS, '{"kind":')).body).toMatchObject({ reason: 'BadRequest', code: 400 });
    expect((await f.call('POST', WIDGETS, '[]')).body).toMatchObject({ reason: 'BadRequest' });
    expect((await f.call('POST', WIDGETS, { ...body('w'), kind: 'Other' })).status).toBe(422);
    expect((await f.call('POST', `${WIDGETS}/w`, body('w'))).status).toBe(405);
    expect(
      (await f.call('PATCH', `${WIDGETS}/w`, {}, { 'content-type': 'application/strategic-merge-patch+json' })).status,
    ).toBe(415);
    expect((await f.call('POST', WIDGETS, ' '.repeat(4 << 20))).status).toBe(413);
    expect((await f.call('GET', `${WIDGETS}?limit=x`)).status).toBe(400);
    expect((await f.call('GET', '/apis/example.io/v1/namespaces/te%zzst/widgets')).status).toBe(400);
  });

  it('pages through a list as of one version', async () => {
    for (const name of ['a', 'b', 'c']) await f.call('POST', WIDGETS, body(name));
    const first = await f.call('GET', `${WIDGETS}?limit=2`);
    const { metadata } = first.body as {
      metadata: { continue: string; resourceVersion: string; remainingItemCount: number };
    };
    expect(metadata.remainingItemCount).toBe(1);
    await f.call('POST', WIDGETS, body('d'));
    await f.call('DELETE', `${WIDGETS}/c`);
    const second = await f.call('GET', `${WIDGETS}?limit=2&continue=${metadata.continue}`);
    const names = (page: JsonObject): string[] =>
      (page['items'] as { metadata: { name: string } }[]).map((item) => item.metadata.name);
    expect([names(first.body), names(second.body)]).toEqual([['a', 'b'], ['c']]);
    expect(second.body).toMatchObject({ metadata: { resourceVersion: metadata.resourceVersion } });
    expect((await f.call('GET', `${WIDGETS}?continue=garbage`)).status).toBe(400);
  });

  it('streams what is there, what changes, and what a selector makes of it', async () => {
    await f.call('POST', WIDGETS, body('a', {}, { x: '1' }));
    const watching = lines(`${f.url}/${TOKEN}${WIDGETS}?watch=1&labelSelector=x%3D1`, 4);
    const label = (name: string, value: string): Promise<unknown> =>
      f.call(
        'PATCH',
        `${WIDGETS}/${name}`,
        { metadata: { labels: { x: value } } },
        { 'content-type': 'application/merge-patch+json' },
      );
    await f.call('GET', '/version');
    await f.call('POST', WIDGETS, body('b', {}, { x: '2' }));
    await label('b', '1');
    await label('a', '2');
    await f.call('DELETE', `${WIDGETS}/b`);
    expect((await watching).map(brief)).toEqual([
      ['ADDED', 'a'],
      ['ADDED', 'b'],
      ['DELETED', 'a'],
      ['DELETED', 'b'],
    ]);
  });

  it('resumes a watch from a version, and says 410 when it cannot', async () => {
    const made = await f.call('POST', WIDGETS, body('a'));
    const { resourceVersion } = made.body['metadata'] as { resourceVersion: string };
    await f.call('POST', WIDGETS, body('b'));
    const url = (version: string): string => `${f.url}/${TOKEN}${WIDGETS}?watch=1&resourceVersion=${version}`;
    expect((await lines(url(resourceVersion), 1)).map(brief)).toEqual([['ADDED', 'b']]);
    const future = await fetch(url('999999'));
    expect([future.status, ((await future.json()) as JsonObject)['reason']]).toEqual([410, 'Expired']);
  });

  it('ends the first events of a streaming list with a bookmark', async () => {
    await f.call('POST', WIDGETS, body('a'));
    const query = 'watch=1&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan';
    const [added, end] = await lines(`${f.url}/${TOKEN}${WIDGETS}?${query}`, 2);
    expect(added).toMatchObject({ type: 'ADDED', object: { metadata: { name: 'a' } } });
    expect(end).toMatchObject({
      type: 'BOOKMARK',
      object: { metadata: { annotations: { 'k8s.io/initial-events-end': 'true' } } },
    });
  });

  it('shows tables with the columns of the definition', async () => {
    await f.call('POST', WIDGETS, body('a', { size: '5' }));
    f.environment.advance(90_000);
    const table = await f.call('GET', WIDGETS, undefined, {
      accept: 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json',
    });
    expect(table.body).toMatchObject({
      kind: 'Table',
      columnDefinitions: [{ name: 'Name' }, { name: 'State' }, { name: 'Size' }, { name: 'Age' }],
      rows: [{ cells: ['a', null, '5', '90s'], object: { kind: 'PartialObjectMetadata' } }],
    });
    const partial = await f.call('GET', WIDGETS, undefined, {
      accept: 'application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io',
    });
    expect(partial.body).toMatchObject({
      kind: 'PartialObjectMetadataList',
      items: [{ kind: 'PartialObjectMetadata' }],
    });
  });

  it('serves one event store under both of its names', async () => {
    const event = {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: 'e' },
      involvedObject: { kind: 'Widget', name: 'a', namespace: 'test' },
      reason: 'Made',
      message: 'it was made',
      type: 'Normal',
    };
    await f.call('POST', '/api/v1/namespaces/test/events', event);
    expect((await f.call('GET', '/apis/events.k8s.io/v1/namespaces/test/events/e')).body).toMatchObject({
      apiVersion: 'events.k8s.io/v1',
      regarding: { name: 'a' },
      note: 'it was made',
    });
    const selected = await f.call(
      'GET',
      '/api/v1/namespaces/test/events?fieldSelector=involvedObject.name%3Da,involvedObject.kind%3DWidget',
    );
    expect(selected.body['items']).toHaveLength(1);
  });

  it('evicts a pod only as far as its disruption budget allows', async () => {
    const pods = '/api/v1/namespaces/test/pods';
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'p', labels: { a: 'b' } },
      spec: { containers: [{ name: 'c', image: 'i' }] },
    };
    await f.call('POST', pods, pod);
    await f.call(
      'PATCH',
      `${pods}/p/status`,
      { status: { conditions: [{ type: 'Ready', status: 'True' }] } },
      { 'content-type': 'application/merge-patch+json' },
    );
    const budget = {
      apiVersion: 'policy/v1',
      kind: 'PodDisruptionBudget',
      metadata: { name: 'b' },
      spec: { minAvailable: 1, selector: { matchLabels: { a: 'b' } } },
    };
    await f.call('POST', '/apis/policy/v1/namespaces/test/poddisruptionbudgets', budget);
    const eviction = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name: 'p' } };
    expect((await f.call('POST', `${pods}/p/eviction`, eviction)).status).toBe(429);
    await f.call('DELETE', '/apis/policy/v1/namespaces/test/poddisruptionbudgets/b');
    expect((await f.call('POST', `${pods}/p/eviction`, eviction)).status).toBe(201);
    expect((await f.call('GET', `${pods}/p`)).status).toBe(404);
  });

  it('serves a new version of a definition at once, and removes its objects with it', async () => {
    await f.call('POST', WIDGETS, body('a'));
    const path = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.example.io';
    const definition = (await f.call('GET', path)).body;
    expect(definition['status']).toMatchObject({
      conditions: [
        { type: 'NamesAccepted', status: 'True' },
        { type: 'Established', status: 'True' },
      ],
    });
    const patch = [
      {
        op: 'add',
        path: '/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/added',
        value: { type: 'string', default: 'x' },
      },
    ];
    expect((await f.call('PATCH', path, patch, { 'content-type': 'application/json-patch+json' })).status).toBe(200);
    expect((await f.call('POST', WIDGETS, body('b'))).body).toMatchObject({ spec: { added: 'x' } });
    const wrong = { ...definition, metadata: { name: 'other.example.io' } };
    expect((await f.call('POST', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', wrong)).status).toBe(422);
  });
});
