import { describe, expect, it } from 'vitest';
import type { ObjectMeta } from '@longhorn/shared-types';
import { ObjectStore, isNewerVersion } from './object-store.ts';

interface Thing {
  metadata: ObjectMeta;
  group: string;
}

function thing(name: string, version: string, group = 'g', uid = `uid-${name}`): Thing {
  return {
    group,
    metadata: {
      name,
      uid,
      namespace: 'ns',
      resourceVersion: version,
      generation: 1,
      creationTimestamp: null,
      deletionTimestamp: null,
      labels: {},
      annotations: {},
      finalizers: [],
      ownerReferences: [],
    },
  };
}

function store(): ObjectStore<Thing> {
  return new ObjectStore<Thing>('Thing', { group: (object) => [object.group] });
}

describe('versions', () => {
  it.each([
    ['10', '9', true],
    ['9', '10', false],
    ['100', '100', false],
    ['12345678901234567890123', '12345678901234567890122', true],
  ])('%s after %s: %s', (version, than, newer) => {
    expect(isNewerVersion(version, than)).toBe(newer);
  });
});

describe('the cache of a kind', () => {
  it('keeps the newest version, whichever way it comes', () => {
    const things = store();
    expect(things.apply(thing('a', '5', 'new'))).toBe(true);
    expect(things.apply(thing('a', '4', 'old'))).toBe(false);
    expect(things.get('a')?.group).toBe('new');
  });

  it('keeps its indexes in step', () => {
    const things = store();
    things.apply(thing('b', '1', 'x'));
    things.apply(thing('a', '2', 'x'));
    things.apply(thing('b', '3', 'y'));
    expect(things.byIndex('group', 'x').map(({ metadata }) => metadata.name)).toEqual(['a']);
    things.remove('a', 'uid-a');
    expect(things.byIndex('group', 'x')).toEqual([]);
  });

  it('does not let a late answer bring a deleted object back', () => {
    const things = store();
    things.apply(thing('a', '1'));
    things.remove('a', 'uid-a');
    expect(things.apply(thing('a', '7'))).toBe(false);
    expect(things.apply(thing('a', '8', 'g', 'uid-other'))).toBe(true);
  });

  it('ignores the deletion of an incarnation that was replaced', () => {
    const things = store();
    things.apply(thing('a', '8', 'g', 'uid-2'));
    expect(things.remove('a', 'uid-1')).toBe(false);
    expect(things.size).toBe(1);
  });

  it('takes a list for the whole truth, but for what is newer than it', () => {
    const things = store();
    things.apply(thing('gone', '3'));
    things.apply(thing('fresh', '12'));
    const seen: string[] = [];
    things.onChange((current, previous) =>
      seen.push(`${previous?.metadata.name ?? '-'}>${current?.metadata.name ?? '-'}`),
    );
    things.replaceAll([thing('a', '5')], '10');
    expect(things.list().map(({ metadata }) => metadata.name)).toEqual(['fresh', 'a']);
    expect(seen).toEqual(['gone>-', '->a']);
  });
});
