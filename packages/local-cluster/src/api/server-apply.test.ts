import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { servedFixture, type ServedFixture } from '../../test/fixture.ts';
import { fieldsFrom, fieldsOf, treeOf, withoutFields } from './field-set.ts';
import type { JsonObject } from './json.ts';

const WIDGET = '/apis/example.io/v1/namespaces/test/widgets/w';

describe('server-side apply', () => {
  let f: ServedFixture;
  beforeEach(async () => {
    f = await servedFixture();
  });
  afterEach(() => f.close());

  const apply = (
    manager: string,
    spec: JsonObject,
    extra: { force?: boolean; labels?: JsonObject } = {},
  ): ReturnType<ServedFixture['call']> =>
    f.call(
      'PATCH',
      `${WIDGET}?fieldManager=${manager}${extra.force === true ? '&force=true' : ''}`,
      {
        apiVersion: 'example.io/v1',
        kind: 'Widget',
        metadata: { name: 'w', ...(extra.labels === undefined ? {} : { labels: extra.labels }) },
        spec,
      },
      { 'content-type': 'application/apply-patch+yaml' },
    );
  const merge = (patch: JsonObject, manager = 'editor'): ReturnType<ServedFixture['call']> =>
    f.call('PATCH', `${WIDGET}?fieldManager=${manager}`, patch, { 'content-type': 'application/merge-patch+json' });
  const managers = async (): Promise<unknown> => {
    const { metadata } = (await f.call('GET', WIDGET)).body as {
      metadata: { managedFields?: { manager: string; fieldsV1: JsonObject }[] };
    };
    return Object.fromEntries((metadata.managedFields ?? []).map((entry) => [entry.manager, entry.fieldsV1]));
  };

  it('creates an object and says who manages what', async () => {
    const made = await apply('one', { size: '1', tags: ['a'] }, { labels: { a: 'b' } });
    expect([made.status, (made.body as { spec: JsonObject }).spec]).toEqual([
      201,
      { size: '1', tags: ['a'], engine: 'v1' },
    ]);
    expect(await managers()).toEqual({
      one: { 'f:metadata': { 'f:labels': { 'f:a': {} } }, 'f:spec': { 'f:size': {}, 'f:tags': {} } },
    });
  });

  it('stores nothing when nothing changes', async () => {
    await apply('one', { size: '1' });
    const version = f.store.version;
    f.environment.advance(10_000);
    expect((await apply('one', { size: '1' })).status).toBe(200);
    expect(f.store.version).toBe(version);
  });

  it('removes what the applier wants no longer, but for what others manage', async () => {
    await apply('one', { size: '1', count: 2, parts: { x: { on: true }, y: { on: true } } });
    await apply('two', { count: 2 });
    const { body } = await apply('one', { size: '1', parts: { y: { on: true } } });
    expect((body as { spec: JsonObject }).spec).toEqual({
      size: '1',
      count: 2,
      engine: 'v1',
      parts: { y: { on: true } },
    });
  });

  it('refuses to change a field of somebody else, unless by force', async () => {
    await apply('one', { size: '1', count: 2 });
    await apply('one', { size: '1', count: 2 });
    const refused = await apply('two', { size: '2' });
    expect(refused.body).toMatchObject({
      code: 409,
      reason: 'Conflict',
      message: 'Apply failed with 1 conflict: conflict with "one": .spec.size',
      details: { causes: [{ reason: 'FieldManagerConflict', field: '.spec.size' }] },
    });
    expect((await apply('two', { size: '2' }, { force: true })).body).toMatchObject({ spec: { size: '2', count: 2 } });
    expect(await managers()).toEqual({ one: { 'f:spec': { 'f:count': {} } }, two: { 'f:spec': { 'f:size': {} } } });
  });

  it('sees plain writes of others, before and after the first apply', async () => {
    await f.call('POST', '/apis/example.io/v1/namespaces/test/widgets', {
      apiVersion: 'example.io/v1',
      kind: 'Widget',
      metadata: { name: 'w' },
      spec: { size: '1' },
    });
    expect((await apply('one', { size: '2' })).body).toMatchObject({
      message: expect.stringContaining('conflict with "before-first-apply"') as string,
    });
    expect((await apply('one', { size: '2' }, { force: true })).status).toBe(200);
    expect((await merge({ spec: { size: '3' } })).status).toBe(200);
    expect((await apply('one', { size: '2' })).body).toMatchObject({
      message: 'Apply failed with 1 conflict: conflict with "editor" using example.io/v1: .spec.size',
    });
    expect((await apply('one', { count: 1 })).body).toMatchObject({ spec: { size: '3', count: 1 } });
  });

  it('wants a manager, one object and the name of the path', async () => {
    expect((await apply('', { size: '1' })).status).toBe(422);
    const headers = { 'content-type': 'application/apply-patch+yaml' };
    expect((await f.call('PATCH', `${WIDGET}?fieldManager=a`, '- 1', headers)).status).toBe(400);
    const other = { apiVersion: 'example.io/v1', kind: 'Widget', metadata: { name: 'other' } };
    expect((await f.call('PATCH', `${WIDGET}?fieldManager=a`, other, headers)).status).toBe(400);
    expect((await apply('one', { count: -1 })).status).toBe(422);
  });
});

describe('field sets', () => {
  const pod = {
    spec: { containers: [{ name: 'a', image: '1' }, { name: 'b' }], tolerations: [{ key: 'k' }], empty: {} },
  };
  it('go to trees and back', () => {
    const fields = fieldsOf(pod, null);
    expect(treeOf(fields)).toEqual({
      'f:spec': {
        'f:containers': {
          'k:{"name":"a"}': { '.': {}, 'f:image': {}, 'f:name': {} },
          'k:{"name":"b"}': { '.': {}, 'f:name': {} },
        },
        'f:empty': {},
        'f:tolerations': {},
      },
    });
    expect(fieldsFrom(treeOf(fields))).toEqual(fields);
  });
  it('are taken out of an object, with what they leave empty', () => {
    const fields = fieldsOf({ spec: { containers: [{ name: 'b' }], tolerations: [] } }, null);
    expect(withoutFields(pod, fields)).toEqual({ spec: { containers: [{ name: 'a', image: '1' }], empty: {} } });
  });
});
