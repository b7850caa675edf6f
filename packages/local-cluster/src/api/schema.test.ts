import { describe, expect, it } from 'vitest';
import { applyDefaults, pruneResource, type Schema } from './schema.ts';
import { validate } from './schema-validate.ts';
import type { Json, JsonObject } from './json.ts';

const schema: Schema = {
  type: 'object',
  required: ['spec'],
  properties: {
    spec: {
      type: 'object',
      properties: {
        size: { type: 'string', pattern: '^[0-9]+$' },
        count: { type: 'integer', minimum: 0, maximum: 20 },
        mode: { type: 'string', enum: ['a', 'b'] },
        engine: { type: 'string', default: 'v1' },
        disks: { type: 'object', additionalProperties: { type: 'object', properties: { path: { type: 'string' } } } },
        tags: { type: 'array', maxItems: 2, items: { type: 'string', maxLength: 3 } },
        free: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
        port: { 'x-kubernetes-int-or-string': true },
        none: { type: 'string', nullable: true },
        at: { type: 'string', format: 'date-time' },
        keyed: {
          type: 'array',
          'x-kubernetes-list-type': 'map',
          'x-kubernetes-list-map-keys': ['k'],
          items: { type: 'object', properties: { k: { type: 'string' } } },
        },
      },
    },
  },
};

describe('pruneResource', () => {
  it('removes and names what the schema does not know, at every depth', () => {
    const unknown: string[] = [];
    const given: JsonObject = {
      apiVersion: 'x/v1',
      kind: 'X',
      metadata: { name: 'n', odd: 1 },
      extra: 1,
      spec: { size: '1', nope: 2, disks: { d: { path: '/', more: 1 } }, free: { any: { thing: 1 } } },
    };
    expect(pruneResource(given, schema, unknown)).toEqual({
      apiVersion: 'x/v1',
      kind: 'X',
      metadata: { name: 'n' },
      spec: { size: '1', disks: { d: { path: '/' } }, free: { any: { thing: 1 } } },
    });
    expect(unknown).toEqual(['metadata.odd', 'extra', 'spec.nope', 'spec.disks.d.more']);
  });
});

describe('applyDefaults', () => {
  it('fills absent fields and nulls that may not be, and leaves the argument alone', () => {
    const given = { spec: { engine: null, none: null } };
    expect(applyDefaults(given, schema)).toEqual({ spec: { engine: 'v1', none: null } });
    expect(given).toEqual({ spec: { engine: null, none: null } });
    expect(applyDefaults({}, schema)).toEqual({});
  });
});

describe('validate', () => {
  const cases: [name: string, spec: Json, found: string[]][] = [
    ['accepts what fits', { size: '5', count: 3, mode: 'a', port: 'http', none: null, at: '2026-01-01T00:00:00Z' }, []],
    [
      'wants the type of a field',
      { size: 5 },
      ['spec.size: Invalid value: "integer": spec.size in body must be of type string: "integer"'],
    ],
    [
      'refuses null where it may not be',
      { mode: null },
      ['spec.mode: Invalid value: "null": spec.mode in body must be of type string: "null"'],
    ],
    [
      'refuses a fraction for an integer',
      { count: 1.5 },
      ['spec.count: Invalid value: "number": spec.count in body must be of type integer: "number"'],
    ],
    [
      'holds limits',
      { count: 21 },
      ['spec.count: Invalid value: 21: spec.count in body should be less than or equal to 20'],
    ],
    [
      'holds lower limits',
      { count: -1 },
      ['spec.count: Invalid value: -1: spec.count in body should be greater than or equal to 0'],
    ],
    [
      'refuses integers that lose digits',
      { count: 2 ** 63 },
      [
        `spec.count: Invalid value: ${2 ** 63}: spec.count in body must be an integer below 2^53; larger values lose digits`,
        `spec.count: Invalid value: ${2 ** 63}: spec.count in body should be less than or equal to 20`,
      ],
    ],
    ['wants one of an enumeration', { mode: 'c' }, ['spec.mode: Unsupported value: "c": supported values: "a", "b"']],
    [
      'holds patterns',
      { size: '1 GiB' },
      ['spec.size: Invalid value: "1 GiB": spec.size in body should match \'^[0-9]+$\''],
    ],
    ['looks into lists', { tags: ['ok', 'long'] }, ['spec.tags[1]: Too long: may not be more than 3 bytes']],
    ['counts lists', { tags: ['a', 'b', 'c'] }, ['spec.tags: Too many: 3: must have at most 2 items']],
    [
      'takes integers and strings for ports',
      { port: true },
      ['spec.port: Invalid value: "boolean": spec.port in body must be of type integer,string: "boolean"'],
    ],
    ['wants unique keys', { keyed: [{ k: 'a' }, { k: 'a' }] }, ['spec.keyed[1]: Duplicate value: {"k":"a"}']],
    [
      'checks times',
      { at: 'yesterday' },
      ['spec.at: Invalid value: "yesterday": spec.at in body must be of type date-time: "yesterday"'],
    ],
  ];
  it.each(cases)('%s', (_name, spec, found) => {
    expect(validate({ spec }, schema, '').map((cause) => `${cause.field}: ${cause.message}`)).toEqual(found);
  });
  it('wants required fields', () => {
    expect(validate({}, schema, '')).toEqual([
      { reason: 'FieldValueRequired', message: 'Required value', field: 'spec' },
    ]);
  });
});
