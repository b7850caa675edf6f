import { CRD_KINDS, newObject, type CrdKind, type CrdObjects } from '@longhorn/shared-types';
import { describe, expect, it } from 'vitest';
import { mutate, validate, type Operation } from './admission.ts';
import { NO_FACTS, type AdmissionFacts } from './admission-facts.ts';
import type { JsonObject } from './json-object.ts';
import { BUILT_KINDS } from './not-built.ts';
import { AdmissionError } from './problem.ts';

const NS = 'longhorn-system';

function raw(object: object): JsonObject {
  return JSON.parse(JSON.stringify(object));
}

function refusals(
  kind: CrdKind,
  operation: Operation,
  object: object | null,
  old: object | null,
  facts = NO_FACTS,
): string {
  const request = {
    kind,
    operation,
    object: object === null ? null : raw(object),
    old: old === null ? null : raw(old),
  };
  try {
    mutate(request, facts);
  } catch (error) {
    if (error instanceof AdmissionError) return error.message;
    throw error;
  }
  return validate(request, facts)
    .map(({ message }) => message)
    .join('; ');
}

function made<K extends CrdKind>(
  kind: K,
  name: string,
  change: (object: CrdObjects[K]) => void = () => {},
): CrdObjects[K] {
  const object = newObject(kind, NS, name);
  change(object);
  return object;
}

const volume = made('Volume', 'v');
const withVolume: AdmissionFacts = { ...NO_FACTS, volume };

describe('kinds that are not built', () => {
  const kinds = Object.values(CRD_KINDS)
    .map(({ kind }) => kind)
    .filter((kind) => !BUILT_KINDS.has(kind));

  it.each(kinds)('%s cannot be created, and can be deleted', (kind) => {
    expect(refusals(kind, 'CREATE', made(kind, 'x'), null)).toBe(`kind ${kind} is not supported yet`);
    expect(refusals(kind, 'DELETE', null, made(kind, 'x'))).toBe('');
  });
});

describe('engines and replicas', () => {
  const engine = made('Engine', 'v-e-0', ({ spec }) => (spec.volumeName = 'v'));
  const replica = (name: string, healthy = true): CrdObjects['Replica'] =>
    made('Replica', name, ({ spec }) =>
      Object.assign(spec, { volumeName: 'v', healthyAt: healthy ? '2026-11-21T12:00:00Z' : '' }),
    );

  it('need a volume, and there is one engine of it', () => {
    expect(refusals('Engine', 'CREATE', engine, null)).toContain('volume does not exist for engine: v');
    expect(refusals('Engine', 'CREATE', engine, null, withVolume)).toBe('');
    const other = made('Engine', 'v-e-1');
    expect(refusals('Engine', 'CREATE', engine, null, { ...withVolume, engines: [other] })).toContain(
      'engine creation would result in 2 engines for non-migratable volume',
    );
  });

  it('keep their data engine', () => {
    const changed = made('Replica', 'r', ({ spec }) => (spec.dataEngine = 'v2'));
    expect(refusals('Replica', 'UPDATE', changed, made('Replica', 'r'))).toContain(
      'changing data engine for replica r',
    );
  });

  it.each([
    ['the last good one', [replica('a'), replica('b', false)], {}, 'no other healthy replica available for volume v'],
    ['one of two good ones', [replica('a'), replica('b')], {}, ''],
    ['a failed one', [replica('a', false), replica('b')], {}, ''],
    ['the last one when it is forced', [replica('a')], { 'longhorn.io/force-delete-last-replica': '' }, ''],
  ])('deleting %s', (_, replicas, annotations, message) => {
    const subject = made('Replica', 'a', (object) => {
      Object.assign(object.spec, replicas[0]!.spec);
      object.metadata.annotations = annotations;
    });
    const found = refusals('Replica', 'DELETE', null, subject, { ...withVolume, replicas });
    expect(found.startsWith(message) && (message !== '' || found === '')).toBe(true);
  });

  it('the last replica goes with its volume', () => {
    const dying = made('Volume', 'v', ({ metadata }) => (metadata.deletionTimestamp = '2026-11-21T12:00:00Z'));
    expect(
      refusals('Replica', 'DELETE', null, replica('a'), { ...NO_FACTS, volume: dying, replicas: [replica('a')] }),
    ).toBe('');
  });
});

describe('nodes', () => {
  const disk = {
    path: '/d',
    diskType: 'filesystem',
    allowScheduling: true,
    diskDriver: '',
    evictionRequested: false,
    storageReserved: 0,
    tags: [] as string[],
  } as const;
  const node = (change: (object: CrdObjects['Node']) => void = () => {}): CrdObjects['Node'] =>
    made('Node', 'node-1', (object) => {
      object.spec.name = 'node-1';
      object.spec.disks = { d: { ...disk, tags: [] } };
      object.status.diskStatus = newStatus(['d']);
      change(object);
    });

  function newStatus(names: string[]): CrdObjects['Node']['status']['diskStatus'] {
    const status = {
      conditions: [],
      diskDriver: '',
      diskName: '',
      diskPath: '',
      diskType: '',
      diskUUID: '',
      filesystemType: 'ext2/ext3',
      instanceManagerName: '',
      scheduledBackingImage: {},
      scheduledReplica: {},
      storageAvailable: 0,
      storageMaximum: 0,
      storageScheduled: 0,
    };
    return Object.fromEntries(names.map((name) => [name, { ...status }]));
  }

  it('get their tags sorted and their disks a type', () => {
    const object = {
      metadata: { name: 'n' },
      spec: { tags: ['b', 'a', 'b'], disks: { d: { path: '/d', tags: null } } },
    };
    expect(mutate({ kind: 'Node', operation: 'CREATE', object, old: null }, NO_FACTS)).toEqual([
      { op: 'add', path: '/metadata/finalizers', value: ['longhorn.io'] },
      { op: 'add', path: '/spec/tags', value: ['a', 'b'] },
      { op: 'add', path: '/spec/disks/d/tags', value: [] },
      { op: 'add', path: '/spec/disks/d/diskType', value: 'filesystem' },
    ]);
  });

  it.each<[string, (object: CrdObjects['Node']) => void, string]>([
    ['nothing', () => {}, ''],
    ['a bad tag', ({ spec }) => (spec.tags = ['a b']), 'at least one error encountered while validating tags'],
    [
      'eviction with scheduling',
      ({ spec }) => Object.assign(spec, { allowScheduling: true, evictionRequested: true }),
      'need to disable scheduling on node node-1',
    ],
    [
      'eviction of a disk with scheduling',
      ({ spec }) => (spec.disks['d']!.evictionRequested = true),
      'need to disable scheduling on disk d',
    ],
    ['no name', ({ spec }) => (spec.name = ''), "You can't have a Spec.Name empty"],
    [
      'a disk that is used taken away',
      ({ spec }) => (spec.disks = {}),
      'Please disable the disk /d and remove all replicas',
    ],
    ['another disk type', ({ spec }) => (spec.disks['d']!.diskType = 'block'), 'type is not allow to change'],
    ['a relative path', ({ spec }) => (spec.disks['e'] = { ...disk, path: 'e', tags: [] }), 'path must be absolute'],
    [
      'a second disk of the same path',
      ({ spec }) => (spec.disks['e'] = { ...disk, path: '/d/', tags: [] }),
      'has the same path /d/ as disk d',
    ],
    [
      'negative reserve',
      ({ spec }) => (spec.disks['d']!.storageReserved = -1),
      'should be positive and no more than storageMaximum',
    ],
    [
      'negative CPU',
      ({ spec }) => (spec.instanceManagerCPURequest = -1),
      'instanceManagerCPURequest should be greater than or equal to 0',
    ],
  ])('changed to %s', (_, change, message) => {
    const found = refusals('Node', 'UPDATE', node(change), node());
    expect(found.includes(message) && (message !== '' || found === '')).toBe(true);
  });

  it('wait until their status knows their disks', () => {
    const changed = node(({ spec }) => (spec.disks['e'] = { ...disk, path: '/e', tags: [] }));
    const old = node(({ status }) => (status.diskStatus = {}));
    expect(refusals('Node', 'UPDATE', changed, old)).toBe(
      'spec and status of disks on node node-1 are being syncing and please retry later.',
    );
    const request = { kind: 'Node', operation: 'UPDATE', object: raw(changed), old: raw(old) } as const;
    expect(validate(request, NO_FACTS)[0]?.code).toBe(403);
  });

  it('can be deleted once they are gone and empty', () => {
    expect(refusals('Node', 'DELETE', null, node())).toContain('could not delete node node-1');
    const gone = node(({ status }) => {
      status.conditions = [
        {
          type: 'Ready',
          status: 'False',
          reason: 'KubernetesNodeGone',
          message: '',
          lastProbeTime: '',
          lastTransitionTime: '',
        },
      ];
    });
    expect(refusals('Node', 'DELETE', null, gone)).toBe('');
    expect(refusals('Node', 'DELETE', null, gone, { ...NO_FACTS, replicas: [made('Replica', 'r')] })).toContain(
      '1 replica',
    );
  });
});

describe('settings', () => {
  const setting = (
    name: string,
    value: string,
    change: (object: CrdObjects['Setting']) => void = () => {},
  ): CrdObjects['Setting'] =>
    made('Setting', name, (object) => {
      object.value = value;
      change(object);
    });

  it('are stored in the normal form', () => {
    const object = { metadata: { name: 'default-replica-count' }, value: '2' };
    expect(mutate({ kind: 'Setting', operation: 'UPDATE', object, old: object }, NO_FACTS)).toEqual([
      { op: 'add', path: '/value', value: '{"v1":"2","v2":"2"}' },
    ]);
  });

  it.each([
    ['no-such', 'x', 'setting no-such is not supported'],
    ['default-replica-count', '21', 'default-replica-count with invalid value 21: '],
    ['auto-salvage', 'maybe', 'must be true or false'],
    ['v2-data-engine', 'true', 'setting v2-data-engine with value true is not supported yet'],
    ['disable-snapshot-purge', 'true', 'cannot set disable-snapshot-purge setting to true when'],
    ['current-longhorn-version', 'v2', 'setting current-longhorn-version is read-only'],
    ['default-data-locality', 'best-effort', ''],
  ])('%s set to %s', (name, value, message) => {
    const found = refusals('Setting', 'UPDATE', setting(name, value), setting(name, 'before'));
    expect(found.includes(message) && (message !== '' || found === '')).toBe(true);
  });

  it('are checked against the cluster', () => {
    const busy = made('InstanceManager', 'im', ({ spec, status }) => {
      spec.dataEngine = 'v1';
      status.instanceEngines = { e: newProcess() };
    });
    const facts = { ...NO_FACTS, instanceManagers: [busy] };
    expect(
      refusals('Setting', 'UPDATE', setting('v1-data-engine', 'false'), setting('v1-data-engine', 'true'), facts),
    ).toContain('cannot apply v1-data-engine setting to Longhorn workloads when there are attached v1 volumes');
    const none = { ...NO_FACTS, namedObjectExists: false };
    expect(
      refusals('Setting', 'UPDATE', setting('priority-class', 'p'), setting('priority-class', ''), none),
    ).toContain('failed to get priority class p');
  });

  function newProcess(): CrdObjects['InstanceManager']['status']['instanceEngines'][string] {
    return {
      spec: { dataEngine: 'v1', name: 'e' },
      status: {
        conditions: {},
        endpoint: '',
        errorMsg: '',
        listen: '',
        portEnd: 0,
        portStart: 0,
        resourceVersion: 0,
        state: 'running',
        targetPortEnd: 0,
        targetPortStart: 0,
        type: 'engine',
        ublkID: 0,
        uuid: '',
      },
    };
  }

  it('may be written by the manager though read-only, and created with their empty default', () => {
    const marked = setting('current-longhorn-version', 'v2', ({ metadata }) => {
      metadata.annotations = { 'longhorn.io/update-setting-from-longhorn': '' };
    });
    expect(refusals('Setting', 'UPDATE', marked, setting('current-longhorn-version', ''))).toBe('');
    expect(refusals('Setting', 'CREATE', setting('default-engine-image', ''), null)).toBe('');
  });

  it('need a value, except for the one whose limits are in spec', () => {
    expect(refusals('Setting', 'CREATE', { metadata: { name: 'auto-salvage' } }, null)).toContain(
      'needs the field value',
    );
    expect(
      refusals('Setting', 'CREATE', { metadata: { name: 'volume-qos' }, spec: { iopsLimit: 1000 } }, null),
    ).toContain('spec.iopsLimit is not supported yet');
    expect(
      refusals(
        'Setting',
        'CREATE',
        { metadata: { name: 'auto-salvage' }, value: 'true', spec: { iopsLimit: 1 } },
        null,
      ),
    ).toContain('spec is only for the setting volume-qos');
  });

  it('cannot be deleted', () => {
    expect(refusals('Setting', 'DELETE', null, setting('auto-salvage', 'true'))).toContain(
      'can be modified but not deleted',
    );
    expect(refusals('Setting', 'DELETE', null, setting('old-one', 'true'))).toBe('');
  });
});

describe('attachments and snapshots', () => {
  const facts: AdmissionFacts = { ...withVolume, nodeNames: ['node-1', 'node-2'] };
  const ticket = (nodeID: string, id = 't'): CrdObjects['VolumeAttachment']['spec']['attachmentTickets'][string] => ({
    id,
    nodeID,
    generation: 0,
    type: 'longhorn-api',
    parameters: {},
  });
  const attachment = (
    tickets: CrdObjects['VolumeAttachment']['spec']['attachmentTickets'],
  ): CrdObjects['VolumeAttachment'] =>
    made('VolumeAttachment', 'v', ({ spec }) => Object.assign(spec, { volume: 'v', attachmentTickets: tickets }));

  it.each([
    [{ t: ticket('node-1') }, ''],
    [{ t: ticket('node-9') }, 'node "node-9" of attachment ticket "t" does not exist, use one of node-1, node-2'],
    [{ t: ticket('') }, 'node "" of attachment ticket "t" does not exist'],
    [{ key: ticket('node-1') }, 'inconsistent attachment ticket ID: key vs t'],
  ])('with tickets %j', (tickets, message) => {
    const found = refusals('VolumeAttachment', 'CREATE', attachment(tickets), null, facts);
    expect(found.includes(message) && (message !== '' || found === '')).toBe(true);
  });

  it('keep a ticket whose node has gone', () => {
    const there = attachment({ t: ticket('node-9') });
    expect(refusals('VolumeAttachment', 'UPDATE', there, there, facts)).toBe('');
  });

  it('count the changes of a ticket', () => {
    const old = attachment({ t: ticket('node-1') });
    const changed = attachment({ t: ticket('node-2'), u: ticket('node-1', 'u') });
    const withStatus = raw({ ...old, status: { attachmentTicketStatuses: { u: { id: 'u', generation: 6 } } } });
    expect(
      mutate({ kind: 'VolumeAttachment', operation: 'UPDATE', object: raw(changed), old: withStatus }, facts),
    ).toEqual([
      { op: 'add', path: '/metadata/finalizers', value: ['longhorn.io'] },
      { op: 'add', path: '/spec/attachmentTickets/t/generation', value: 1 },
      { op: 'add', path: '/spec/attachmentTickets/u/generation', value: 7 },
    ]);
  });

  it('belong to a volume that exists', () => {
    const snapshot = { metadata: { name: 's' }, spec: { volume: 'v', createSnapshot: true } };
    expect(refusals('Snapshot', 'CREATE', snapshot, null)).toBe('failed to get volume v: volume v does not exist');
    expect(mutate({ kind: 'Snapshot', operation: 'CREATE', object: snapshot, old: null }, withVolume)).toEqual([
      { op: 'add', path: '/metadata/finalizers', value: ['longhorn.io'] },
      { op: 'add', path: '/metadata/labels', value: { longhornvolume: 'v' } },
      {
        op: 'add',
        path: '/metadata/ownerReferences',
        value: [{ apiVersion: 'longhorn.io/v1beta2', kind: 'Volume', name: 'v', uid: '' }],
      },
    ]);
    expect(refusals('Snapshot', 'CREATE', { metadata: { name: 's' }, spec: {} }, null)).toBe('spec.volume is required');
    expect(refusals('Snapshot', 'UPDATE', { ...snapshot, spec: { volume: 'w' } }, snapshot, withVolume)).toContain(
      'spec.volume field is immutable',
    );
    expect(
      refusals('Snapshot', 'CREATE', { ...snapshot, spec: { volume: 'v', labels: { 'a=b': 'c' } } }, null, withVolume),
    ).toContain("labels cannot contain '='");
  });
});

describe('images and instance managers', () => {
  const image = made('EngineImage', 'ei-3154f3aa', ({ spec }) => (spec.image = 'longhornio/longhorn-engine:v1.10.1'));

  it('an engine image is named after its image', () => {
    const object = { metadata: { name: 'x' }, spec: { image: ' longhornio/longhorn-engine:v1.10.1 ' } };
    const patch = mutate({ kind: 'EngineImage', operation: 'CREATE', object, old: null }, NO_FACTS);
    expect(patch).toContainEqual({ op: 'add', path: '/metadata/name', value: 'ei-3154f3aa' });
  });

  it('the default engine image and one in use stay', () => {
    const facts: AdmissionFacts = {
      ...NO_FACTS,
      settingText: (name) => (name === 'default-engine-image' ? image.spec.image : null),
    };
    expect(refusals('EngineImage', 'DELETE', null, image, facts)).toContain('deleting the default engine image');
    const used = { ...image, status: { ...image.status, refCount: 1 } };
    expect(refusals('EngineImage', 'DELETE', null, used)).toContain('while being used');
    expect(refusals('EngineImage', 'DELETE', null, image)).toBe('');
  });

  it('an instance manager belongs to its node', () => {
    const manager = { metadata: { name: 'im' }, spec: { nodeID: 'node-1', image: 'i', type: 'aio' } };
    expect(refusals('InstanceManager', 'CREATE', manager, null)).toBe('failed to get node node-1: it does not exist');
    expect(
      refusals('InstanceManager', 'CREATE', manager, null, { ...NO_FACTS, node: made('Node', 'node-1') }),
    ).toContain('labels for instanceManager im is not set');
  });
});

describe('orphans', () => {
  const orphan = (parameters: Record<string, string>, orphanType = 'replica'): CrdObjects['Orphan'] =>
    made('Orphan', 'o', ({ spec }) => Object.assign(spec, { orphanType, parameters }));
  const full = { DataName: 'd', DiskName: 'n', DiskUUID: 'u', DiskPath: '/p', DiskType: '' };

  it.each([
    [orphan(full), ''],
    [orphan({ ...full, DiskPath: undefined } as never), 'parameter DiskPath for orphan o is missing'],
    [orphan({}, 'odd'), 'must be replica, engine-instance or replica-instance'],
    [
      orphan({ InstanceName: '', InstanceUUID: 'u', InstanceManager: 'm' }, 'engine-instance'),
      'parameter InstanceName for orphan o is empty',
    ],
  ])('case %#', (object, message) => {
    const found = refusals('Orphan', 'CREATE', object, null);
    expect(found.includes(message) && (message !== '' || found === '')).toBe(true);
  });

  it('do not change', () => {
    expect(refusals('Orphan', 'UPDATE', orphan({ ...full, DataName: 'e' }), orphan(full))).toBe(
      'orphan o spec is immutable',
    );
  });
});
