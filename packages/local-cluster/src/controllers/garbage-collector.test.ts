import { strict as assert } from 'node:assert';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fixture, metadata, type Fixture } from '../../test/fixture.ts';
import { builtinType, STORAGE } from '../api/builtin-kinds.ts';
import type { KubeObject } from '../api/object.ts';
import { plainDelete } from '../api/operations.ts';
import type { Controller } from './controller.ts';
import { garbageCollector } from './garbage-collector.ts';

describe('garbage collector', () => {
  let f: Fixture;
  let collector: Controller;
  const notes: unknown[] = [];
  beforeEach(async () => {
    f = await fixture();
    collector = garbageCollector({
      operations: f.operations,
      registry: f.registry,
      // Retries are asked for only when something fails, and then the test is to fail.
      after: () => () => undefined,
      note: (text, error) => notes.push(text, error),
    });
    collector.start();
  });
  afterEach(async () => {
    await collector.close();
    await f.close();
    assert.deepEqual(notes, []);
  });

  const make = (name: string, owners: KubeObject[] = [], finalizers: string[] = []): Promise<KubeObject> =>
    f.operations.create(f.widget, {
      apiVersion: 'example.io/v1',
      kind: 'Widget',
      metadata: {
        ...metadata(name, 'test'),
        ...(finalizers.length === 0 ? {} : { finalizers }),
        ownerReferences: owners.map((owner) => ({
          apiVersion: owner.apiVersion,
          kind: owner.kind,
          name: owner.metadata.name,
          uid: owner.metadata.uid,
          blockOwnerDeletion: true,
        })),
      },
    });
  const left = (): string[] => f.store.list(f.widget.storage).map((object) => object.metadata.name);
  const remove = (name: string, propagation: 'Background' | 'Foreground' | 'Orphan'): Promise<unknown> =>
    f.operations.remove(f.widget, 'test', name, { ...plainDelete, propagation });

  it('removes dependents after their owner, down to the last', async () => {
    const a = await make('a');
    const b = await make('b', [a]);
    await make('c', [b]);
    await make('other');
    await remove('a', 'Background');
    await collector.idle();
    expect(left()).toEqual(['other']);
  });

  it('keeps what has another owner, without the reference to the one that is gone', async () => {
    const a = await make('a');
    const b = await make('b');
    await make('c', [a, b]);
    await remove('a', 'Background');
    await collector.idle();
    expect(f.operations.get(f.widget, 'test', 'c').metadata.ownerReferences).toMatchObject([{ name: 'b' }]);
  });

  it('removes an owner after its dependents when told so', async () => {
    const a = await make('a');
    await make('b', [a], ['example.io/hold']);
    await remove('a', 'Foreground');
    await collector.idle();
    expect(left()).toEqual(['a', 'b']);
    await f.operations.update(f.widget, 'test', 'b', '', (object) => {
      const { finalizers: _, ...rest } = object.metadata;
      return { ...object, metadata: rest };
    });
    await collector.idle();
    expect(left()).toEqual([]);
  });

  it('cuts dependents loose when told so', async () => {
    const a = await make('a');
    await make('b', [a]);
    await remove('a', 'Orphan');
    await collector.idle();
    expect(left()).toEqual(['b']);
    expect(f.operations.get(f.widget, 'test', 'b').metadata.ownerReferences).toBeUndefined();
  });

  it('removes what names an owner that never was', async () => {
    const a = await make('a');
    await make('b', [{ ...a, metadata: { ...a.metadata, uid: 'unknown' } }]);
    await collector.idle();
    expect(left()).toEqual(['a']);
  });

  it('empties a namespace before it goes, and a definition before it does', async () => {
    await make('a');
    await make('b', [], ['example.io/hold']);
    await f.operations.remove(builtinType(STORAGE.namespaces), '', 'test');
    await collector.idle();
    expect(left()).toEqual(['b']);
    expect(f.store.get(STORAGE.namespaces, '', 'test')?.['status']).toEqual({ phase: 'Terminating' });
    await f.operations.update(f.widget, 'test', 'b', '', (object) => {
      const { finalizers: _, ...rest } = object.metadata;
      return { ...object, metadata: rest };
    });
    await collector.idle();
    expect(f.store.get(STORAGE.namespaces, '', 'test')).toBeNull();
    await f.operations.remove(builtinType(STORAGE.definitions), '', 'widgets.example.io');
    await collector.idle();
    expect(f.registry.find('example.io', 'v1', 'widgets')).toBeNull();
  });
});
