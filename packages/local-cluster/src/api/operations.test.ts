import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fixture, metadata, type Fixture } from '../../test/fixture.ts';
import { builtinType, STORAGE } from './builtin-kinds.ts';
import type { KubeObject } from './object.ts';
import { plainDelete } from './operations.ts';
import { internalWrite } from './preparation.ts';

const widget = (name: string, spec: object = {}): KubeObject => ({
  apiVersion: 'example.io/v1',
  kind: 'Widget',
  metadata: metadata(name, 'test'),
  spec: { ...spec },
});

describe('Operations', () => {
  let f: Fixture;
  beforeEach(async () => {
    f = await fixture();
  });
  afterEach(() => f.close());

  it('gives a new object its identity, defaults and no status', async () => {
    const made = await f.operations.create(f.widget, { ...widget('w', { size: '1' }), status: { state: 'mine' } });
    expect(made).toEqual({
      apiVersion: 'example.io/v1',
      kind: 'Widget',
      metadata: {
        name: 'w',
        namespace: 'test',
        uid: expect.stringMatching(/^0{8}-/) as string,
        resourceVersion: String(f.store.version),
        creationTimestamp: '2026-01-01T00:00:00Z',
        generation: 1,
      },
      spec: { size: '1', engine: 'v1' },
    });
  });

  it('raises the generation with spec alone, and stores no change that is none', async () => {
    await f.operations.create(f.widget, widget('w', { size: '1' }));
    const change = (subresource: '' | 'status', to: (object: KubeObject) => KubeObject): Promise<KubeObject> =>
      f.operations.update(f.widget, 'test', 'w', subresource, to);
    const labelled = await change('', (w) => ({ ...w, metadata: { ...w.metadata, labels: { a: 'b' } } }));
    const larger = await change('', (w) => ({ ...w, spec: { size: '2' }, status: { state: 'ignored' } }));
    const status = await change('status', (w) => ({ ...w, spec: { size: '3' }, status: { state: 'on' } }));
    expect([labelled, larger, status].map((object) => object.metadata.generation)).toEqual([1, 2, 2]);
    expect(status).toMatchObject({ spec: { size: '2' }, status: { state: 'on' } });
    const version = f.store.version;
    await change('', (w) => ({ ...w, spec: { engine: 'v1', size: '2' } }));
    await change('status', (w) => w);
    expect(f.store.version).toBe(version);
  });

  it('refuses a write on an old version and retries a change that names none', async () => {
    const made = await f.operations.create(f.widget, widget('w', { size: '1' }));
    await f.operations.update(f.widget, 'test', 'w', '', (w) => ({ ...w, spec: { size: '2' } }));
    const stale = { ...made, spec: { size: '3' } };
    await expect(f.operations.update(f.widget, 'test', 'w', '', () => stale)).rejects.toMatchObject({
      code: 409,
      reason: 'Conflict',
    });
    const free = { ...stale, metadata: { ...stale.metadata, resourceVersion: '' } };
    const both = await Promise.all([
      f.operations.update(f.widget, 'test', 'w', '', () => free),
      f.operations.update(f.widget, 'test', 'w', '', (w) => ({
        ...w,
        metadata: { ...w.metadata, labels: { a: 'b' } },
      })),
    ]);
    expect(both).toHaveLength(2);
    expect(f.operations.get(f.widget, 'test', 'w')).toMatchObject({ spec: { size: '3' } });
  });

  it('names every field that is wrong', async () => {
    const wrong = widget('Bad_Name', { count: -1, mode: 'x' });
    await expect(f.operations.create(f.widget, wrong)).rejects.toMatchObject({
      code: 422,
      details: { causes: [{ field: 'metadata.name' }, { field: 'spec.count' }, { field: 'spec.mode' }] },
    });
  });

  it('refuses, warns of or drops unknown fields as asked', async () => {
    const odd = widget('w', { nope: 1 });
    await expect(f.operations.create(f.widget, odd, { ...internalWrite, fieldValidation: 'Strict' })).rejects.toThrow(
      /unknown field "spec.nope"/,
    );
    const warnings: string[] = [];
    const made = await f.operations.create(f.widget, odd, {
      ...internalWrite,
      fieldValidation: 'Warn',
      warn: (text) => warnings.push(text),
    });
    expect(warnings).toEqual(['unknown field "spec.nope"']);
    expect(made['spec']).toEqual({ engine: 'v1' });
  });

  it('waits for finalizers, then removes; takes no new ones meanwhile', async () => {
    const held = widget('w');
    held.metadata.finalizers = ['example.io/hold'];
    await f.operations.create(f.widget, held);
    const first = await f.operations.remove(f.widget, 'test', 'w');
    expect(first.gone).toBe(false);
    expect(first.object.metadata).toMatchObject({
      deletionTimestamp: '2026-01-01T00:00:00Z',
      deletionGracePeriodSeconds: 0,
      generation: 2,
    });
    const version = f.store.version;
    expect((await f.operations.remove(f.widget, 'test', 'w')).gone).toBe(false);
    expect(f.store.version).toBe(version);
    const more = (finalizers: string[]) => (w: KubeObject) => ({ ...w, metadata: { ...w.metadata, finalizers } });
    await expect(f.operations.update(f.widget, 'test', 'w', '', more(['example.io/hold', 'new/one']))).rejects.toThrow(
      /no new finalizers/,
    );
    await f.operations.update(f.widget, 'test', 'w', '', (w) => {
      const { finalizers: _, ...rest } = w.metadata;
      return { ...w, metadata: rest };
    });
    expect(f.store.get(f.widget.storage, 'test', 'w')).toBeNull();
  });

  it('holds preconditions of a deletion', async () => {
    const made = await f.operations.create(f.widget, widget('w'));
    await expect(f.operations.remove(f.widget, 'test', 'w', { ...plainDelete, uid: 'other' })).rejects.toMatchObject({
      code: 409,
    });
    await expect(
      f.operations.remove(f.widget, 'test', 'w', { ...plainDelete, resourceVersion: '1' }),
    ).rejects.toMatchObject({ code: 409 });
    expect((await f.operations.remove(f.widget, 'test', 'w', { ...plainDelete, uid: made.metadata.uid })).gone).toBe(
      true,
    );
  });

  it('gives a pod on a node its grace, which can only get shorter', async () => {
    const type = builtinType(STORAGE.pods);
    const spec = { nodeName: 'n', containers: [{ name: 'c', image: 'i' }] };
    await f.operations.create(type, { apiVersion: 'v1', kind: 'Pod', metadata: metadata('p', 'test'), spec });
    const grace = async (seconds: number | null): Promise<unknown> => {
      const { object, gone } = await f.operations.remove(type, 'test', 'p', {
        ...plainDelete,
        gracePeriodSeconds: seconds,
      });
      return gone ? 'gone' : object.metadata.deletionGracePeriodSeconds;
    };
    expect([await grace(null), await grace(60), await grace(5), await grace(0)]).toEqual([30, 30, 5, 'gone']);
  });

  it('changes nothing in a dry run', async () => {
    const version = f.store.version;
    const options = { ...internalWrite, dryRun: true };
    expect(await f.operations.create(f.widget, widget('w'), options)).toMatchObject({ metadata: { name: 'w' } });
    expect(f.store.version).toBe(version);
    await f.operations.create(f.widget, widget('w'));
    const after = f.store.version;
    expect(
      await f.operations.update(f.widget, 'test', 'w', '', (w) => ({ ...w, spec: { size: '9' } }), options),
    ).toMatchObject({ spec: { size: '9' } });
    await f.operations.remove(f.widget, 'test', 'w', { ...plainDelete, dryRun: true });
    expect(f.store.version).toBe(after);
  });

  it('refuses objects in a namespace that is not there or is going', async () => {
    const elsewhere = { ...widget('w'), metadata: metadata('w', 'nowhere') };
    await expect(f.operations.create(f.widget, elsewhere)).rejects.toMatchObject({ code: 404 });
    await f.operations.remove(builtinType(STORAGE.namespaces), '', 'test');
    await expect(f.operations.create(f.widget, widget('w'))).rejects.toMatchObject({ code: 403 });
  });

  it('makes names from a prefix', async () => {
    const { name: _, ...rest } = metadata('', 'test');
    const made = await f.operations.create(f.widget, {
      ...widget(''),
      metadata: { ...rest, name: '', generateName: 'w-' },
    });
    expect(made.metadata.name).toMatch(/^w-.{5}$/);
  });
});
