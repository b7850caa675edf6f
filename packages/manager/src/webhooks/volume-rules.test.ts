import { newObject } from '@longhorn/shared-types';
import { describe, expect, it } from 'vitest';
import { applyPatch } from '../../test/apply-patch.ts';
import { mutate, validate } from './admission.ts';
import { NO_FACTS, type AdmissionFacts } from './admission-facts.ts';
import type { JsonObject } from './json-object.ts';
import { AdmissionError } from './problem.ts';

const ENGINE_IMAGE = 'longhornio/longhorn-engine:v1.10.1';
const SETTINGS: Record<string, string> = { 'default-engine-image': ENGINE_IMAGE };
const FACTS: AdmissionFacts = { ...NO_FACTS, settingText: (name) => SETTINGS[name] ?? null };

function volume(spec: JsonObject, name = 'vol-1'): JsonObject {
  return { apiVersion: 'longhorn.io/v1beta2', kind: 'Volume', metadata: { name, namespace: 'longhorn-system' }, spec };
}

function stored(object: JsonObject, old: JsonObject | null = null, facts = FACTS): JsonObject {
  const operation = old === null ? 'CREATE' : 'UPDATE';
  return applyPatch(object, mutate({ kind: 'Volume', operation, object, old }, facts));
}

function refusals(object: JsonObject, old: JsonObject | null = null, facts = FACTS): string[] {
  const operation = old === null ? 'CREATE' : 'UPDATE';
  try {
    const made = stored(object, old, facts);
    return validate({ kind: 'Volume', operation, object: made, old }, facts).map(
      ({ field, message }) => `${field}: ${message}`,
    );
  } catch (error) {
    if (error instanceof AdmissionError) return error.problems.map(({ field, message }) => `${field}: ${message}`);
    throw error;
  }
}

describe('a new volume', () => {
  it('gets a value for everything that it does not say', () => {
    expect(stored(volume({}))).toEqual({
      apiVersion: 'longhorn.io/v1beta2',
      kind: 'Volume',
      metadata: {
        name: 'vol-1',
        namespace: 'longhorn-system',
        finalizers: ['longhorn.io'],
        labels: {
          'backup-target': 'default',
          longhornvolume: 'vol-1',
          'setting.longhorn.io/replica-auto-balance': 'ignored',
          'setting.longhorn.io/snapshot-data-integrity': 'ignored',
          'setting.longhorn.io/remove-snapshots-during-filesystem-trim': 'ignored',
        },
      },
      spec: {
        accessMode: 'rwo',
        backupBlockSize: '2097152',
        backupCompressionMethod: 'lz4',
        backupTargetName: 'default',
        dataEngine: 'v1',
        dataLocality: 'disabled',
        diskSelector: [],
        freezeFilesystemForSnapshot: 'ignored',
        frontend: 'blockdev',
        image: ENGINE_IMAGE,
        nodeSelector: [],
        numberOfReplicas: 3,
        offlineRebuilding: 'ignored',
        replicaAutoBalance: 'ignored',
        replicaDiskSoftAntiAffinity: 'ignored',
        replicaSoftAntiAffinity: 'ignored',
        replicaZoneSoftAntiAffinity: 'ignored',
        restoreVolumeRecurringJob: 'ignored',
        size: '10737418240',
        snapshotDataIntegrity: 'ignored',
        snapshotMaxCount: 250,
        unmapMarkSnapChainRemoved: 'ignored',
      },
    });
    expect(refusals(volume({}))).toEqual([]);
  });

  it('is made valid even when spec is missing', () => {
    expect(refusals({ metadata: { name: 'vol-1' } })).toEqual([]);
  });

  it.each([
    ['0', '2097152'],
    ['-1', '2097152'],
    ['1', '2097152'],
    ['2097153', '4194304'],
    ['2147483648', '2147483648'],
    ['9223372036852678656', '9223372036852678656'],
  ])('of size %s has size %s', (size, expected) => {
    expect(stored(volume({ size }))).toMatchObject({ spec: { size: expected } });
    expect(refusals(volume({ size }))).toEqual([]);
  });

  it.each([
    ['9223372036854775808', 'must be below 2^63 bytes'],
    ['9223372036854775807', 'must be below 2^63 bytes after rounding up'],
    ['99999999999999999999999999', 'must be below 2^63 bytes'],
    ['2Gi', 'must be the number of bytes as a string, such as "2147483648", not "2Gi"'],
    ['1.5', 'must be the number of bytes as a string'],
    [2147483648, 'must be of type string'],
    [{}, 'must be of type string'],
  ])('of size %j is refused with the field and the way out', (size, message) => {
    const found = refusalsOfWire(volume({ size }));
    expect(found).toHaveLength(1);
    expect(found[0]).toContain('spec.size');
    expect(found[0]).toContain(message);
  });

  it.each([
    ['Upper-Case', 'upper-case'],
    ['a'.repeat(300), `${'a'.repeat(31)}-`],
  ])('named %s is named %s', (name, start) => {
    const made = stored(volume({}, name));
    expect(made['metadata']).toMatchObject({ name: expect.stringMatching(new RegExp(`^${start}`)) });
    expect(refusals(volume({}, name))).toEqual([]);
  });

  it.each(['a/b', '..', 'a..b', '.', 'a_b', 'a b', '-a', 'x', 'ä-b'])('named %j is refused', (name) => {
    const found = refusals(volume({}, name));
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(/^metadata\.name: invalid name .*metadata\.name must /);
  });

  it('takes the replica count from the setting when it is 0, and any up to 20, however few nodes there are', () => {
    expect(stored(volume({ numberOfReplicas: 0 }))).toMatchObject({ spec: { numberOfReplicas: 3 } });
    expect(refusals(volume({ numberOfReplicas: 20 }))).toEqual([]);
    expect(refusals(volume({ numberOfReplicas: 20, replicaSoftAntiAffinity: 'enabled' }))).toEqual([]);
    expect(refusals(volume({ numberOfReplicas: 20, replicaSoftAntiAffinity: 'disabled' }))).toEqual([]);
  });

  it.each([
    [
      { numberOfReplicas: 21 },
      'spec.numberOfReplicas: replica count value 21 must between 1 to 20: set spec.numberOfReplicas',
    ],
    [
      { numberOfReplicas: -1 },
      'spec.numberOfReplicas: replica count value -1 must between 1 to 20: set spec.numberOfReplicas',
    ],
    [
      { dataLocality: 'strict-local' },
      'spec.numberOfReplicas: number of replica count should be 1 when data locality is strict-local',
    ],
    [
      { dataLocality: 'near' },
      'spec.dataLocality: invalid data locality mode: "near", must be one of disabled, best-effort',
    ],
    [{ accessMode: 'rox' }, 'spec.accessMode: invalid access mode: "rox"'],
    [{ replicaAutoBalance: 'most' }, 'spec.replicaAutoBalance: invalid replica auto-balance option: "most"'],
    [
      { frontend: '' },
      'spec.frontend: invalid volume frontend specified: "" for data engine v1, must be one of blockdev',
    ],
    [{ frontend: 'nvmf' }, 'spec.frontend: invalid volume frontend specified: "nvmf"'],
    [{ backupBlockSize: '4096' }, 'spec.backupBlockSize: unsupported BackupBlockSize: 4096'],
    [{ size: '2097152', backupBlockSize: '16777216' }, 'must be an integer multiple of the backup block size'],
    [{ snapshotMaxCount: 1 }, 'spec.snapshotMaxCount: snapshot max count should be between 2 to 250'],
    [
      { snapshotMaxSize: '5' },
      'spec.snapshotMaxSize: snapshot max size can not be 0 and at least twice of volume size',
    ],
    [{ dataEngine: 'v2' }, 'spec.dataEngine: v2-data-engine data engine is not enabled'],
    [{ replicaRebuildingBandwidthLimit: 5 }, 'replicaRebuildingBandwidthLimit is not supported for data engine v1'],
    [{ diskSelector: [''] }, 'spec.diskSelector: spec.diskSelector must be a list of tags'],
    [{ dataSource: 'x' }, 'spec.dataSource: invalid volume data source x, must be vol://VOLUME'],
    [{ cloneMode: 'full-copy' }, 'spec.cloneMode: spec.cloneMode needs spec.dataSource'],
    [{ migratable: true }, 'migratable volumes are only supported in ReadWriteMany'],
  ])('with %j is refused', (spec, message) => {
    expect(refusals(volume(spec)).join('\n')).toContain(message);
  });

  const origin = newObject('Volume', 'longhorn-system', 'origin');
  origin.spec.size = String(20 << 20);
  const point = newObject('Snapshot', 'longhorn-system', 'point');
  const size = origin.spec.size;
  it.each([
    ['as large', { size }, { sourceVolume: origin }, ''],
    ['larger', { size: String(40 << 20) }, { sourceVolume: origin }, ''],
    ['of no size', {}, { sourceVolume: origin }, ''],
    [
      'smaller',
      { size: String(10 << 20) },
      { sourceVolume: origin },
      'is smaller than size of source volume (20971520',
    ],
    ['of nothing', { size }, {}, 'spec.dataSource: source volume origin is not found'],
    [
      'linked',
      { size, cloneMode: 'linked-clone' },
      { sourceVolume: origin },
      'does not support clone mode linked-clone',
    ],
    [
      'strict-local',
      { size, dataLocality: 'strict-local', numberOfReplicas: 1 },
      { sourceVolume: origin },
      'strict-local with a dataSource is not supported yet',
    ],
    [
      'of a snapshot that is not ready',
      { size, dataSource: 'snap://origin/point' },
      { sourceVolume: origin, sourceSnapshot: point },
      'spec.dataSource: snapshot point is not ready to use',
    ],
    [
      'of a volume that goes',
      { size },
      {
        sourceVolume: {
          ...origin,
          metadata: { ...origin.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' },
        },
      },
      'source volume origin is being deleted',
    ],
  ])('that is a copy, %s', (_name, spec, facts, message) => {
    const made = refusals(volume({ dataSource: 'vol://origin', ...spec }), null, { ...FACTS, ...facts }).join('\n');
    expect(made === '').toBe(message === '');
    expect(made).toContain(message);
  });

  it('that is a copy has the size of its source, if none is said', () => {
    const made = stored(volume({ dataSource: 'vol://origin' }), null, { ...FACTS, sourceVolume: origin });
    expect(made['spec']).toMatchObject({ size, cloneMode: 'full-copy' });
  });

  it.each([
    [{ thinProvision: true }, 'thinProvision'],
    [{ snapshotPolicy: { snapshotInterval: '6h', snapshotRetention: 5 } }, 'snapshotPolicy'],
    [{ iopsLimit: 1 }, 'iopsLimit'],
    [{ throughputLimit: '100Mi' }, 'throughputLimit'],
    [{ throughputLimit: 1000 }, 'throughputLimit'],
    [{ guaranteedIops: 1 }, 'guaranteedIops'],
    [{ encryption: true }, 'encryption'],
    [{ kmsProvider: { name: 'vault', endpoint: 'https://v', keyName: 'k' } }, 'kmsProvider'],
    [{ keyRotation: '90d' }, 'keyRotation'],
    [{ nodeSelector: [{ key: 'zone', operator: 'In', values: ['a'] }] }, 'nodeSelectorTerms'],
    [{ fromBackup: { backup: 's3://b' } }, 'fromBackup'],
    [{ fromBackup: 's3://b?backup=1&volume=2' }, 'fromBackup'],
    [{ Standby: true, frontend: '' }, 'Standby'],
    [{ backingImage: 'b' }, 'backingImage'],
    [{ encrypted: true }, 'encrypted'],
    [{ accessMode: 'rwx' }, 'accessMode "rwx"'],
    [{ offlineRebuilding: 'enabled' }, 'offlineRebuilding "enabled"'],
  ])('with %j, which is not built, is refused', (spec, field) => {
    expect(refusals(volume(spec)).join('\n')).toContain(`spec.${field} is not supported yet: `);
  });

  it('takes booleans and objects where we take them, in the form of upstream', () => {
    expect(stored(volume({ replicaAutoBalance: true }))).toMatchObject({ spec: { replicaAutoBalance: 'best-effort' } });
    expect(stored(volume({ replicaAutoBalance: false }))).toMatchObject({ spec: { replicaAutoBalance: 'disabled' } });
    expect(stored(volume({ nodeSelector: ['fast', { key: 'z', operator: 'Exists' }] }))).toMatchObject({
      spec: { nodeSelector: ['fast'], nodeSelectorTerms: [{ key: 'z', operator: 'Exists' }] },
    });
    expect(stored(volume({ fromBackup: { backup: 'u' } }))).toMatchObject({ spec: { fromBackup: 'u' } });
    expect(refusals(volume({ fromBackup: { url: 'u' } }))[0]).toContain(
      'must be a backup URL or an object {backup: URL}',
    );
  });

  it('waits for the default engine image', () => {
    const facts = { ...NO_FACTS };
    expect(refusals(volume({}), null, facts)).toEqual(['spec.image: invalid empty setting default-engine-image']);
  });
});

/** As the API server calls: what cannot be decoded is refused before the rules run. */
function refusalsOfWire(object: JsonObject): string[] {
  const problems = validate({ kind: 'Volume', operation: 'CREATE', object, old: null }, FACTS);
  const typed = problems.filter(({ message }) => message.includes('must be of type'));
  return typed.length > 0 ? typed.map(({ field, message }) => `${field}: ${message}`) : refusals(object);
}

describe('a changed volume', () => {
  const old = stored(volume({ size: '4194304' }));
  const change = (spec: JsonObject): JsonObject => ({ ...old, spec: { ...(old['spec'] as JsonObject), ...spec } });
  const detached = (spec: JsonObject = {}): JsonObject => ({ ...change(spec), status: { state: 'detached' } });

  it('that does not change is not patched and not refused', () => {
    expect(mutate({ kind: 'Volume', operation: 'UPDATE', object: old, old }, FACTS)).toEqual([]);
    expect(refusals(old, old)).toEqual([]);
  });

  it.each([
    [{ size: '2097152' }, 'shrinking volume vol-1 size from 4194304 to 2097152 is not supported'],
    [{ dataEngine: 'v2' }, 'changing data engine for volume vol-1 is not supported'],
    [{ backupBlockSize: '16777216' }, 'changing backup block size for volume vol-1 is not supported'],
    [{ backupCompressionMethod: 'none' }, 'changing backup compression method for volume vol-1 is not supported'],
    [{ dataSource: 'vol://a' }, '.spec.dataSource is immutable (old=, new=vol://a)'],
    [{ numberOfReplicas: 21 }, 'replica count value 21 must between 1 to 20'],
    [{ thinProvision: true }, 'spec.thinProvision is not supported yet'],
    [{ image: 'other' }, 'engine image other does not exist'],
  ])('to %j is refused', (spec, message) => {
    expect(refusals(detached(spec), detached()).join('\n')).toContain(message);
  });

  it('may grow when it is detached, and takes its limit on snapshots along', () => {
    const before = detached({ snapshotMaxSize: '8388608' });
    const after = detached({ snapshotMaxSize: '8388608', size: '8388607' });
    expect(stored(after, before)).toMatchObject({ spec: { size: '8388608', snapshotMaxSize: '16777214' } });
    expect(refusals({ ...after, spec: { ...(after['spec'] as JsonObject), snapshotMaxSize: '0' } }, before)).toEqual(
      [],
    );
    const detaching = { ...before, status: { state: 'detaching' } };
    expect(refusals(after, detaching).join()).toContain(
      'waiting for the volume to fully detach. current state: detaching',
    );
  });

  it('keeps what a short manifest leaves out', () => {
    const short = { ...old, spec: { numberOfReplicas: 2 } };
    expect(stored(short, old)).toMatchObject({ spec: { size: '4194304', frontend: 'blockdev', image: ENGINE_IMAGE } });
  });

  it('loses the label of a setting that it no longer follows', () => {
    const made = stored(change({ replicaAutoBalance: 'disabled' }), old);
    expect(made).not.toHaveProperty(['metadata', 'labels', 'setting.longhorn.io/replica-auto-balance']);
  });

  it('that was made elsewhere with what is not built can still be changed otherwise', () => {
    const foreign = detached({ encrypted: true, size: '33554432' });
    expect(
      refusals({ ...foreign, spec: { ...(foreign['spec'] as JsonObject), numberOfReplicas: 2 } }, foreign),
    ).toEqual([]);
  });

  it('that is being deleted is left alone, however broken it is', () => {
    const dying: JsonObject = {
      ...old,
      metadata: { name: 'vol-1', finalizers: [], deletionTimestamp: '2026-11-21T12:00:00Z' },
      spec: { size: 'broken', numberOfReplicas: 99 },
    };
    expect(mutate({ kind: 'Volume', operation: 'UPDATE', object: dying, old }, FACTS)).toEqual([]);
    expect(validate({ kind: 'Volume', operation: 'UPDATE', object: dying, old }, FACTS)).toEqual([]);
  });

  it('cannot lower its limit on snapshots below what it has', () => {
    const engine = newObject('Engine', 'n', 'vol-1-e-0');
    const snapshot = (name: string): (typeof engine.status.snapshots)[string] => ({
      name,
      parent: '',
      children: {},
      removed: false,
      usercreated: true,
      created: '',
      size: '10',
      labels: {},
    });
    engine.status.snapshots = {
      a: snapshot('a'),
      b: snapshot('b'),
      c: snapshot('c'),
      'volume-head': snapshot('volume-head'),
    };
    const facts: AdmissionFacts = { ...FACTS, engines: [engine] };
    expect(refusals(detached({ snapshotMaxCount: 2 }), detached(), facts).join()).toContain(
      'please remove snapshots first: there are 3',
    );
    expect(refusals(detached({ snapshotMaxCount: 3 }), detached(), facts)).toEqual([]);
  });
});
