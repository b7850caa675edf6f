/** The generated CRDs are upstream's, field by field, but for the differences that are listed here with their reason. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { crdManifests } from '../scripts/crd-manifests.ts';
import { CRD_KINDS } from '../src/crds/kinds.ts';
import { crdFacts, type CrdFacts, type FieldFacts } from '../src/crds/schema-facts.ts';

const golden: Record<string, CrdFacts> = JSON.parse(
  readFileSync(join(import.meta.dirname, 'golden/v1.10.1/crds.json'), 'utf8'),
);
const ours = new Map(
  [...crdManifests().values()].map((manifest) => {
    const facts = crdFacts(parse(manifest));
    return [String(facts.names['kind']), facts];
  }),
);

/** Fields that upstream lacks: kind, path of the topmost new field, reason. */
const ADDED: [kind: string, path: string, reason: string][] = [
  ['Engine', '.spec.epoch', 'fencing'],
  ['Engine', '.status.currentEpoch', 'fencing'],
  ['Engine', '.status.membership', 'fencing'],
  ['Engine', '.status.ioState', 'says whether I/O is held'],
  ['Engine', '.status.ioReason', 'says whether I/O is held'],
  ['Engine', '.status.ioSince', 'says whether I/O is held'],
  ['Volume', '.status.blockedBy', 'says why a volume is not healthy'],
  ['Volume', '.spec.thinProvision', 'lazy restore'],
  ['Volume', '.spec.snapshotPolicy', 'snapshots by themselves'],
  ['Volume', '.spec.iopsLimit', 'QoS'],
  ['Volume', '.spec.throughputLimit', 'QoS'],
  ['Volume', '.spec.guaranteedIops', 'QoS'],
  ['Volume', '.spec.encryption', 'keys in a KMS'],
  ['Volume', '.spec.kmsProvider', 'keys in a KMS'],
  ['Volume', '.spec.keyRotation', 'keys in a KMS'],
  ['Volume', '.spec.nodeSelectorTerms', 'node selector by labels'],
  ['Setting', '.spec', 'limits in the setting volume-qos'],
  ['Backup', '.spec.syncInterval', 'backup policy'],
  ['Backup', '.spec.backupTarget', 'backup policy'],
  ['Backup', '.spec.encryption', 'backup policy'],
  ['Backup', '.status.lastRunAt', 'backup policy'],
  ['Backup', '.status.nextRunAt', 'backup policy'],
  ['Backup', '.status.failures', 'backup policy'],
];

/** Fields of upstream whose schema differs: what ours says instead, and why. */
const CHANGED: [kind: string, path: string, facts: FieldFacts, reason: string][] = [
  [
    'Volume',
    '.spec.replicaAutoBalance',
    { enum: ['ignored', 'disabled', 'least-effort', 'best-effort', true, false], preserveUnknownFields: true },
    'a boolean is taken too; the webhook makes it one of the words',
  ],
  ['Volume', '.spec.fromBackup', { preserveUnknownFields: true }, 'an object is taken too; the webhook makes it a URL'],
  [
    'Volume',
    '.spec.nodeSelector[]',
    { preserveUnknownFields: true },
    'objects are taken too; the webhook moves them to nodeSelectorTerms',
  ],
  [
    'Setting',
    '',
    { type: 'object' },
    'value is not required, for the setting volume-qos; the webhook asks for it elsewhere',
  ],
];

function isAdded(kind: string, path: string): boolean {
  return ADDED.some(
    ([addedKind, top]) =>
      kind === addedKind && (path === top || (path.startsWith(top) && /^[.{[]/.test(path.slice(top.length)))),
  );
}

describe('generated CRDs', () => {
  it('are all kinds of upstream and no other', () => {
    expect([...ours.keys()].toSorted()).toEqual(Object.keys(golden).toSorted());
    expect(ours.size).toBe(22);
  });

  it.each(Object.keys(golden))(
    '%s has the names, versions, columns and fields of upstream, and the listed additions',
    (kind) => {
      const mine = structuredClone(ours.get(kind)!);
      const theirs = structuredClone(golden[kind]!);
      const fields = mine.versions[0]!.fields;
      for (const path of Object.keys(fields)) if (isAdded(kind, path)) delete fields[path];
      for (const [changedKind, path, facts] of CHANGED) {
        if (changedKind !== kind) continue;
        expect(fields[path]).toEqual(facts);
        fields[path] = theirs.versions[0]!.fields[path]!;
      }
      expect(mine).toEqual(theirs);
    },
  );

  it('has every listed addition, and no listed addition is in upstream', () => {
    for (const [kind, path] of ADDED) {
      expect(Object.keys(ours.get(kind)!.versions[0]!.fields)).toContain(path);
      expect(Object.keys(golden[kind]!.versions[0]!.fields)).not.toContain(path);
    }
  });

  it('describes every field below spec and status', () => {
    for (const [name, manifest] of crdManifests()) {
      const schema = parse(manifest).spec.versions[0].schema.openAPIV3Schema;
      expect(fieldsWithoutDescription(schema, ''), name).toEqual([]);
    }
  });

  it('is what lies in the chart', () => {
    const folder = join(import.meta.dirname, '../../../charts/longhorn/definitions');
    for (const [name, manifest] of crdManifests()) expect(readFileSync(join(folder, name), 'utf8')).toBe(manifest);
  });

  it('gives every kind its own names', () => {
    const kinds = Object.values(CRD_KINDS);
    expect(new Set(kinds.map((kind) => kind.plural)).size).toBe(kinds.length);
    expect(new Set(kinds.flatMap((kind) => kind.shortNames)).size).toBe(kinds.length);
  });
});

interface Described {
  description?: string;
  properties?: Record<string, Described>;
  items?: Described;
  additionalProperties?: Described;
}

function fieldsWithoutDescription(schema: Described, path: string): string[] {
  const children = Object.entries(schema.properties ?? {}).flatMap(([name, property]) => [
    ...(property.description === undefined && name !== 'metadata' ? [`${path}.${name}`] : []),
    ...fieldsWithoutDescription(property, `${path}.${name}`),
  ]);
  const nested = [schema.items, schema.additionalProperties].filter((entry) => entry !== undefined);
  return [...children, ...nested.flatMap((entry) => fieldsWithoutDescription(entry, `${path}[]`))];
}
