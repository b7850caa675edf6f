import { describe, expect, it } from 'vitest';
import type { RawObject } from '../../datastore/kube-transport.ts';
import { decideClass, LAST_APPLIED } from './default-class.ts';
import { readDefaultSettings } from './default-settings.ts';

describe('default settings', () => {
  it.each([
    [
      'plain values of every type',
      'auto-salvage: false\nsnapshot-max-count: 100\nlog-level: "Debug"',
      {
        'auto-salvage': 'false',
        'snapshot-max-count': '100',
        'log-level': 'Debug',
      },
    ],
    ['a value for all engines', 'default-replica-count: 2', { 'default-replica-count': '{"v1":"2","v2":"2"}' }],
    [
      'a value for one engine',
      `default-replica-count: '{"v1":"2"}'`,
      { 'default-replica-count': '{"v1":"2","v2":"3"}' },
    ],
    ['boolean texts as upstream reads them', 'auto-salvage: "T"', { 'auto-salvage': 'true' }],
    ['nothing', '', {}],
  ])('take %s', (_case, yaml, values) => {
    expect(readDefaultSettings(yaml)).toEqual({ values: new Map(Object.entries(values)), problems: [] });
  });

  it.each([
    ['no-such-setting: 1', 'setting no-such-setting is not supported'],
    ['current-longhorn-version: v2', 'setting current-longhorn-version is read-only'],
    ['default-replica-count: 99', 'should be less than or equal to 20'],
    ['default-replica-count: { v1: 2 }', 'setting default-replica-count: write the value as a text'],
    ['log-level: loud', 'is not a valid choice'],
  ])('leave out %s and keep the others', (yaml, problem) => {
    const { values, problems } = readDefaultSettings(`${yaml}\nauto-salvage: false`);
    expect(problems.join()).toContain(problem);
    expect([...values]).toEqual([['auto-salvage', 'false']]);
  });

  it('refuse what is no mapping', () => {
    expect(() => readDefaultSettings('- a')).toThrow('must be a mapping');
  });
});

describe('the default class', () => {
  const yaml =
    'kind: StorageClass\nmetadata:\n  name: longhorn\n  annotations:\n    a: "b"\nprovisioner: driver.longhorn.io\n';
  const present = (text: string | undefined): RawObject => ({
    metadata: { name: 'longhorn', annotations: text === undefined ? {} : { [LAST_APPLIED]: text } },
  });

  it.each<[string, RawObject | null, string]>([
    ['is made when it is missing', null, 'create'],
    ['is left alone when it was made from the same text', present(yaml), 'nothing'],
    ['is made anew from another text', present('old'), 'recreate'],
    ['is made anew when somebody else made it', present(undefined), 'recreate'],
  ])('%s', (_case, stored, kind) => {
    expect(decideClass(stored, yaml).kind).toBe(kind);
  });

  it('notes the text that it was made from', () => {
    expect(decideClass(null, yaml)).toMatchObject({
      object: { provisioner: 'driver.longhorn.io', metadata: { annotations: { a: 'b', [LAST_APPLIED]: yaml } } },
    });
  });

  it.each(['kind: StorageClass\nmetadata:\n  name: other\n', 'kind: Pod\nmetadata:\n  name: longhorn\n', 'x'])(
    'is not made from %j',
    (text) => {
      expect(() => decideClass(null, text)).toThrow('must hold the StorageClass longhorn');
    },
  );
});
