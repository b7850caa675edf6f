import { describe, expect, it } from 'vitest';
import { VolumeCapability_AccessMode_Mode, type CreateVolumeRequest } from '@longhorn/shared-types/generated/csi-v1';
import { fakeManager } from '../../test/fake-manager.ts';
import { systemClock } from '../call/clock.ts';
import type { CallScope } from '../call/scope.ts';
import { decodeResource } from '../api/rest-decoder.ts';
import { conflictWith, sizeOfCopy, volumeIdFor, VolumeLifecycle, wantedFields } from './create-volume.ts';

const present = decodeResource('volume', { id: 'v', size: '20971520', accessMode: 'rwo', dataEngine: 'v1' });
const MIB = 1_048_576n;

describe('an existing volume', () => {
  const asked = { sizeBytes: 20n * MIB, limitBytes: 0n };
  it.each([
    ['is the one asked for', {}, asked, null],
    ['with the same said again', { accessMode: 'rwo', dataEngine: '', numberOfReplicas: 5 }, asked, null],
    ['within the limit', {}, { sizeBytes: 10n * MIB, limitBytes: 20n * MIB }, null],
    [
      'is larger than asked',
      {},
      { sizeBytes: 10n * MIB, limitBytes: 0n },
      /size 20971520 differs from requested size 10485760/,
    ],
    ['is larger than the limit', {}, { sizeBytes: 10n * MIB, limitBytes: 18n * MIB }, /differs/],
    ['is smaller', {}, { sizeBytes: 22n * MIB, limitBytes: 30n * MIB }, /differs/],
    ['has another access mode', { accessMode: 'rwx' }, asked, /accessMode "rwo", requested is "rwx"/],
    ['has no source', { dataSource: 'vol://x' }, asked, /dataSource "", requested is "vol:\/\/x"/],
    ['is not encrypted', { encrypted: true }, asked, /encrypted false, requested is true/],
  ])('%s', (_name, wanted, range, conflict) => {
    expect(conflictWith(present, wanted, range) ?? 'none').toMatch(conflict ?? /^none$/);
  });
});

describe('the fields of a new volume', () => {
  const source = { dataSource: 'snap://x/y', sizeBytes: 20n * MIB };
  it.each([
    [
      'say how a claim or snapshot is copied',
      { cloneMode: 'linked-clone' },
      source,
      { dataSource: 'snap://x/y', cloneMode: 'linked-clone' },
    ],
    [
      'say how the source of the class is copied',
      { dataSource: 'vol://x', cloneMode: 'full-copy' },
      null,
      { dataSource: 'vol://x', cloneMode: 'full-copy' },
    ],
    [
      'say nothing of copying when nothing is copied',
      { cloneMode: 'linked-clone', frontend: 'blockdev' },
      null,
      { frontend: 'blockdev' },
    ],
    ['say nothing of how when the class does not', {}, source, { dataSource: 'snap://x/y' }],
  ])('%s', (_name, fields, from, expected) => {
    expect(wantedFields(fields, from)).toEqual(expected);
  });
});

describe('where a volume can be used', () => {
  const scope: CallScope = { clock: systemClock, signal: new AbortController().signal, warn: () => undefined };
  const disk = { allowScheduling: true, conditions: { Schedulable: { status: 'True' } }, diskType: 'filesystem' };
  const roomy = { ...disk, storageMaximum: 2 ** 30 };
  const conditions = { Ready: { status: 'True' }, Schedulable: { status: 'True' } };
  const node = (name: string, hostnameLabel: string) => {
    const fields = { allowScheduling: true, conditions, disks: { d: roomy }, tags: [] };
    return { id: name, name, hostnameLabel, ...fields };
  };
  const settings = {
    'storage-over-provisioning-percentage': '100',
    'allow-empty-node-selector-volume': 'true',
    'allow-empty-disk-selector-volume': 'true',
  };
  const volume = { id: 'vol', state: 'detached', size: String(10n * MIB), accessMode: 'rwo', dataEngine: 'v1' };
  const topologies = async (fields: object): Promise<object[]> => {
    const nodes = [node('n1', 'host-1'), node('n2', '')];
    const resources = new Map<string, object>([
      ['/volumes/vol', { ...volume, ...fields }],
      ['/nodes', { data: nodes }],
      ...nodes.map((one): [string, object] => [`/nodes/${one.name}`, one]),
      ...Object.entries(settings).map(([name, value]): [string, object] => [`/settings/${name}`, { id: name, value }]),
    ]);
    const request: CreateVolumeRequest = {
      name: 'vol',
      capacity_range: null,
      volume_capabilities: [
        { block: {}, mount: null, access_mode: { mode: VolumeCapability_AccessMode_Mode.SINGLE_NODE_WRITER } },
      ],
      parameters: {},
      secrets: {},
      volume_content_source: null,
      accessibility_requirements: {
        requisite: [],
        preferred: [{ segments: { 'kubernetes.io/hostname': 'host-1' } }],
      },
      mutable_parameters: {},
    };
    const answer = await new VolumeLifecycle(fakeManager(resources)).create(request, scope);
    return (answer.volume?.accessible_topology ?? []).map(({ segments }) => ({ ...segments }));
  };

  it.each([
    ['anywhere', { dataLocality: 'best-effort', replicas: [{ hostId: 'n1' }] }, []],
    ['where its replica is, by the label of that node', { replicas: [{ hostId: 'n1' }] }, ['host-1']],
    ['where its replica is, by its name when it has no label', { replicas: [{ hostId: 'n2' }] }, ['n2']],
    ['where its replica is, by the name of a node that is gone', { replicas: [{ hostId: 'n9' }] }, ['n9']],
    ['where its pod is to be, before it has a place', { replicas: [{ hostId: '' }] }, ['host-1']],
  ])('is %s, also when a setting made it strict-local', async (_name, fields, hostnames) => {
    expect(await topologies({ dataLocality: 'strict-local', ...fields })).toEqual(
      hostnames.map((hostname) => ({ 'kubernetes.io/hostname': hostname })),
    );
  });
});

describe('the size of a copy', () => {
  const source = { dataSource: 'vol://x', sizeBytes: 20n * MIB };
  const range = (mib: bigint, limitMib = 0n) => ({ sizeBytes: mib * MIB, limitBytes: limitMib * MIB });
  it.each([
    ['that of its source', range(20n), true, 20n],
    ['larger', range(30n), true, 30n],
    ['that of its source if none is said', range(10n), false, 20n],
    ['that of its source within the limit', range(10n, 20n), false, 20n],
  ])('is %s', (_name, asked, isSaid, mib) => {
    expect(sizeOfCopy(source, asked, isSaid).sizeBytes).toBe(mib * MIB);
  });

  it.each([
    ['is smaller', range(18n), true],
    ['may not be as large', range(10n, 18n), false],
  ])('that %s is refused', (_name, asked, isSaid) => {
    expect(() => sizeOfCopy(source, asked, isSaid)).toThrow(/OutOfRange.*smaller than that of its source vol:\/\/x/);
  });
});

describe('the id of a volume', () => {
  it.each([
    ['pvc-01234567-89ab-cdef-0123-456789abcdef', 'pvc-01234567-89ab-cdef-0123-456789abcdef'],
    ['My-Volume', 'my-volume'],
  ])('for %s is %s', (name, id) => {
    expect(volumeIdFor(name)).toBe(id);
  });

  it('for a long name is cut and marked', () => {
    expect(volumeIdFor('a'.repeat(128))).toMatch(/^a{31}-[0-9a-f]{8}$/);
  });

  it.each(['', '../etc', 'a\u0000b', 'a b'])('cannot be made of %j', (name) => {
    expect(() => volumeIdFor(name)).toThrow(expect.objectContaining({ code: 3 }));
  });
});
