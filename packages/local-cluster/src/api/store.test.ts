import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { historyEventsMax } from '../limits.ts';
import { metadata } from '../../test/fixture.ts';
import type { KubeObject } from './object.ts';
import { Store, type StoreEvent } from './store.ts';

const pod = (name: string, extra: object = {}): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: metadata(name, 'a'),
  ...extra,
});

describe('Store', () => {
  let folder = '';
  let path = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'store-'));
    path = join(folder, 'state.db');
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('keeps objects and the counter over a restart, deletions included', () => {
    const first = new Store(path);
    first.create('/pods', pod('one'));
    const two = first.create('/pods', pod('two'));
    if (two.result !== 'written') throw new Error('not written');
    first.remove('/pods', two.object, two.object.metadata.resourceVersion);
    expect(first.version).toBe(4);
    first.close();
    const second = new Store(path);
    expect(second.version).toBe(4);
    expect(second.list('/pods').map((object) => [object.metadata.name, object.metadata.resourceVersion])).toEqual([
      ['one', '2'],
    ]);
    expect(second.since('/pods', 3)).toBeNull();
    expect(second.since('/pods', 4)).toEqual([]);
    second.close();
  });

  it('refuses a write on a version that is not the present one', () => {
    const store = new Store(path);
    store.create('/pods', pod('one'));
    expect(store.create('/pods', pod('one')).result).toBe('exists');
    expect(store.update('/pods', pod('one', { spec: {} }), '1').result).toBe('conflict');
    expect(store.update('/pods', pod('one', { spec: {} }), '2').result).toBe('written');
    expect(store.update('/pods', pod('one', { spec: { a: 1 } }), '2').result).toBe('conflict');
    expect(store.remove('/pods', pod('none'), '2').result).toBe('conflict');
    store.close();
  });

  it('tells listeners each change once, in order, with the state before', () => {
    const store = new Store(path);
    const seen: [StoreEvent['type'], number, boolean][] = [];
    const end = store.subscribe('/pods', (event) => seen.push([event.type, event.version, event.previous !== null]));
    const made = store.create('/pods', pod('one'));
    if (made.result !== 'written') throw new Error('not written');
    store.create('/nodes', pod('elsewhere'));
    store.update('/pods', pod('one', { spec: {} }), '2');
    store.remove('/pods', pod('one'), '4');
    end();
    store.create('/pods', pod('late'));
    expect(seen).toEqual([
      ['ADDED', 2, false],
      ['MODIFIED', 4, true],
      ['DELETED', 5, true],
    ]);
    store.close();
  });

  it('lists as of an earlier version, as far as history reaches', () => {
    const store = new Store(path);
    store.create('/pods', pod('one'));
    store.create('/pods', pod('two'));
    const at = store.version;
    store.update('/pods', pod('one', { spec: { a: 1 } }), '2');
    store.remove('/pods', pod('two'), '3');
    store.create('/pods', pod('three'));
    const then = store.listAt('/pods', at);
    expect(then?.map((object) => [object.metadata.name, object['spec']])).toEqual([
      ['one', undefined],
      ['two', undefined],
    ]);
    for (let index = 0; index <= historyEventsMax; index++) store.create('/pods', pod(`p${index}`));
    expect(store.listAt('/pods', at)).toBeNull();
    expect(store.since('/pods', at)).toBeNull();
    expect(store.since('/pods', store.version - 3)).toHaveLength(3);
    expect(store.since('/pods', store.version + 1)).toBeNull();
    store.close();
  });

  it('does not open a file of a newer layout', () => {
    new Store(path).close();
    const database = new DatabaseSync(path);
    database.exec('PRAGMA user_version = 99');
    database.close();
    expect(() => new Store(path)).toThrow(/written by a newer version/);
  });
});
