import { describe, expect, it } from 'vitest';
import { metadata } from '../../test/fixture.ts';
import { BUILTIN_TYPES } from './builtin-kinds.ts';
import { builtinDefaults } from './built-in-defaults.ts';
import { builtinFaults, refuseUndecodable } from './built-in-faults.ts';
import { withoutUnknownFields } from './built-in-fields.ts';
import type { JsonObject } from './json.ts';
import { metadataFaults, metadataWarnings, qualifiedNameFaults } from './metadata-faults.ts';
import type { KubeObject } from './object.ts';
import type { ResourceType } from './resource-type.ts';

function typeOf(kind: string): ResourceType {
  const type = BUILTIN_TYPES.find((entry) => entry.kind === kind);
  if (type === undefined) throw new Error(`no kind ${kind}`);
  return type;
}

const object = (kind: string, rest: JsonObject = {}): KubeObject => ({
  apiVersion: 'v1',
  kind,
  metadata: metadata('x', 'test'),
  ...rest,
});

/** kind, what it has, what it had (null: it is new), the fields at fault */
const FAULTS: [string, JsonObject, JsonObject | null, string[]][] = [
  ['ConfigMap', { data: { a: '2' } }, { data: { a: '1' } }, []],
  ['ConfigMap', { data: { a: '2' }, immutable: true }, { data: { a: '1' }, immutable: true }, ['data']],
  ['ConfigMap', { data: {} }, { data: {}, immutable: true }, ['immutable']],
  ['Secret', { type: 'a' }, { type: 'b' }, ['type']],
  ['StorageClass', { provisioner: 'p' }, null, []],
  ['StorageClass', {}, null, ['provisioner']],
  ['StorageClass', { provisioner: 'p', parameters: { a: '1' } }, { provisioner: 'p' }, ['parameters']],
  ['VolumeAttachment', { spec: { nodeName: 'a' } }, { spec: { nodeName: 'b' } }, ['spec']],
  ['VolumeAttachment', { spec: { nodeName: 'a' } }, { spec: { nodeName: 'a' } }, []],
  ['Lease', { spec: { leaseDurationSeconds: 0 } }, null, ['spec.leaseDurationSeconds']],
  ['Service', { spec: { ports: [{ port: 80, targetPort: 80 }] } }, null, []],
  ['Service', { spec: {} }, null, ['spec.ports']],
  ['Service', { spec: { clusterIP: 'None' } }, null, []],
  [
    'PersistentVolumeClaim',
    { spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } } },
    null,
    [],
  ],
  [
    'PersistentVolumeClaim',
    { spec: { accessModes: [], resources: { requests: { storage: '0Gi' } } } },
    null,
    ['spec.accessModes', 'spec.resources[storage]'],
  ],
  ['Event', { involvedObject: { namespace: 'test' } }, null, []],
  ['Event', { involvedObject: { namespace: 'elsewhere' } }, null, ['involvedObject.namespace']],
];

describe('checks of built-in kinds', () => {
  it.each(FAULTS)('%s %j after %j: %j', (kind, now, before, fields) => {
    const previous = before === null ? null : object(kind, before);
    expect(builtinFaults(typeOf(kind), object(kind, now), previous).map(({ field }) => field)).toEqual(fields);
  });

  const pod = (spec: JsonObject): KubeObject => object('Pod', { spec });
  const containers = [{ name: 'c', image: '1' }];
  it.each<[string, JsonObject, boolean]>([
    ['takes another image', { containers: [{ name: 'c', image: '2' }] }, true],
    ['takes a node for a pod that has none', { containers, nodeName: 'n' }, true],
    ['takes more tolerations', { containers, tolerations: [{ key: 'a' }] }, true],
    ['refuses another restart policy', { containers, restartPolicy: 'Never' }, false],
    ['refuses another command', { containers: [{ name: 'c', image: '1', command: ['x'] }] }, false],
  ])('%s', (_name, spec, taken) => {
    expect(builtinFaults(typeOf('Pod'), pod(spec), pod({ containers })).length === 0).toBe(taken);
  });

  it('refuses a pod that mounts a volume which it does not have', () => {
    const spec = { containers: [{ name: 'c', image: '1', volumeMounts: [{ name: 'v', mountPath: '/v' }] }] };
    expect(builtinFaults(typeOf('Pod'), pod(spec), null).map(({ field }) => field)).toEqual([
      'spec.containers[0].volumeMounts[0].name',
    ]);
    expect(builtinFaults(typeOf('Pod'), pod({ ...spec, volumes: [{ name: 'v' }] }), null)).toEqual([]);
  });

  it.each<[string, JsonObject, RegExp]>([
    ['ConfigMap', { data: { a: 1 } }, /cannot unmarshal number into .* ConfigMap\.data/],
    ['ConfigMap', { data: 'text' }, /map\[string\]string/],
    ['Secret', { data: { a: '!' } }, /illegal base64/],
    ['PersistentVolumeClaim', { spec: { resources: { requests: { storage: 'big' } } } }, /quantities must match/],
  ])('does not decode %s %j', (kind, contents, message) => {
    expect(() => refuseUndecodable(typeOf(kind), object(kind, contents))).toThrow(message);
  });
});

describe('fields of built-in kinds', () => {
  it.each<[string, JsonObject, string[]]>([
    ['ConfigMap', { data: {}, dtaa: {} }, ['dtaa']],
    ['Deployment', { spec: {}, status: {}, specs: {} }, ['specs']],
    ['StorageClass', { provisioner: 'p', parameter: {} }, ['parameter']],
    ['Secret', { stringData: {} }, []],
  ])('%s %j: unknown %j', (kind, contents, expected) => {
    const unknown: string[] = [];
    const kept = withoutUnknownFields(typeOf(kind), object(kind, contents), unknown);
    expect(unknown).toEqual(expected);
    expect(Object.keys(kept).filter((key) => expected.includes(key))).toEqual([]);
  });

  it('knows the top of every kind but events, which have two faces', () => {
    const open = BUILTIN_TYPES.filter((type) => {
      const unknown: string[] = [];
      withoutUnknownFields(type, object(type.kind, { nothing: 1 }), unknown);
      return unknown.length === 0;
    });
    expect(new Set(open.map(({ kind }) => kind))).toEqual(new Set(['Event']));
  });
});

describe('defaults of built-in kinds', () => {
  it('fills in webhooks, so that clients find the policies that hold', () => {
    const { webhooks } = builtinDefaults(
      typeOf('MutatingWebhookConfiguration'),
      object('MutatingWebhookConfiguration', { webhooks: [{ name: 'w', rules: [{ operations: ['*'] }] }] }),
    );
    expect(webhooks).toEqual([
      {
        name: 'w',
        failurePolicy: 'Fail',
        matchPolicy: 'Equivalent',
        namespaceSelector: {},
        objectSelector: {},
        reinvocationPolicy: 'Never',
        rules: [{ operations: ['*'], scope: '*' }],
        timeoutSeconds: 10,
      },
    ]);
  });

  it('is done when it is done again', () => {
    for (const type of BUILTIN_TYPES) {
      const once = builtinDefaults(type, object(type.kind, { spec: {} }));
      expect(builtinDefaults(type, once), type.kind).toEqual(once);
    }
  });
});

describe('metadata', () => {
  it.each<[string, boolean]>([
    ['name', true],
    ['example.io/name', true],
    ['Name_1.x', true],
    ['not valid', false],
    ['-a', false],
    ['/name', false],
    ['a/b/c', false],
    ['Upper.io/name', false],
    ['a'.repeat(64), false],
  ])('key %s: %s', (key, valid) => {
    expect(qualifiedNameFaults(key).length === 0).toBe(valid);
  });

  it('refuses wrong annotations also on an update, and names only when an object is new', () => {
    const wrong = object('ConfigMap');
    wrong.metadata = { ...metadata('Upper', 'test'), annotations: { 'not valid': '' } };
    const fields = (created: boolean): string[] =>
      metadataFaults(typeOf('ConfigMap'), wrong, created).map(({ field }) => field);
    expect(fields(true)).toEqual(['metadata.name', 'metadata.annotations']);
    expect(fields(false)).toEqual(['metadata.annotations']);
  });

  it('warns of a new finalizer without a domain, once', () => {
    const held = object('ConfigMap');
    held.metadata = { ...metadata('x', 'test'), finalizers: ['longhorn.io', 'example.io/x', 'orphan'] };
    expect(metadataWarnings(held, null)).toEqual([expect.stringContaining('"longhorn.io"')]);
    expect(metadataWarnings(held, held)).toEqual([]);
  });
});
