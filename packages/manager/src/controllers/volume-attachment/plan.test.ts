import { describe, expect, it } from 'vitest';
import { newObject, type Volume } from '@longhorn/shared-types';
import { planAttachment } from './plan.ts';

interface Ticket {
  id: string;
  type: string;
  node: string;
  disableFrontend?: string;
}

function plan(
  tickets: Ticket[],
  volume: Partial<{
    nodeID: string;
    current: string;
    state: Volume['status']['state'];
    robustness: Volume['status']['robustness'];
    disableFrontend: boolean;
    grows: boolean;
    clone: { dataSource: string; state: string; next?: string };
    copies: { name: string; state: string; next?: string }[];
    eviction: 'none' | 'possible' | 'no place';
    /** Nodes that can run an engine, with a `!` those that are cordoned. */
    able: string[];
    runsOn: string;
    /** Its engine was not told to grow, though it is to. */
    lacksRoom: boolean;
    left: string[];
    boundTo: string;
  }> = {},
  cordoned: string[] = [],
  detaches = false,
): ReturnType<typeof planAttachment> {
  const object = newObject('Volume', 'ns', 'v');
  Object.assign(object.spec, { nodeID: volume.nodeID ?? '', disableFrontend: volume.disableFrontend ?? false });
  Object.assign(object.status, {
    state: volume.state ?? 'detached',
    robustness: volume.robustness ?? 'unknown',
    currentNodeID: volume.current ?? '',
    expansionRequired: volume.grows ?? false,
    ownerID: 'owner',
  });
  const cloned = (target: Volume, dataSource: string, state: string, next = ''): Volume => {
    target.spec.dataSource = dataSource;
    Object.assign(target.status.cloneStatus, { state, nextAllowedAttemptAt: next, attemptCount: 1 });
    return target;
  };
  if (volume.clone !== undefined) cloned(object, volume.clone.dataSource, volume.clone.state, volume.clone.next);
  const attachment = newObject('VolumeAttachment', 'ns', 'v');
  attachment.spec.volume = 'v';
  for (const { id, type, node, disableFrontend } of tickets) {
    attachment.spec.attachmentTickets[id] = {
      id,
      type,
      nodeID: node,
      generation: 3,
      parameters: disableFrontend === undefined ? {} : { disableFrontend },
    };
  }
  return planAttachment({
    nowMs: 0,
    volume: object,
    attachment,
    copies: (volume.copies ?? []).map(({ name, state, next }) =>
      cloned(newObject('Volume', 'ns', name), 'vol://v', state, next),
    ),
    eviction: volume.eviction ?? 'none',
    engineNodes: {
      able: (volume.able ?? ['n1', 'n2', 'owner']).map((name) => ({
        name: name.replace('!', ''),
        isCordoned: name.endsWith('!'),
      })),
      runsOn: volume.runsOn ?? '',
    },
    leftTickets: new Set(volume.left),
    isToGrow: volume.lacksRoom !== true,
    boundTo: volume.boundTo ?? '',
    cordonedNodes: new Set(cordoned),
    detachesCordoned: detaches,
  });
}

const csi = (node: string, id = 'c'): Ticket => ({ id, type: 'csi-attacher', node, disableFrontend: 'false' });
const api = (node: string, id = 'a'): Ticket => ({ id, type: 'longhorn-api', node });
const eviction = (node: string): Ticket => ({
  id: 'volume-eviction-controller-v',
  type: 'volume-eviction-controller',
  node,
  disableFrontend: 'any',
});
const snapshot = (node: string): Ticket => ({ id: 's', type: 'snapshot-controller', node, disableFrontend: 'any' });

describe('where a volume is to be', () => {
  const attached = (node: string): Parameters<typeof plan>[1] => ({ nodeID: node, current: node, state: 'attached' });
  const cases: [string, ReturnType<typeof plan>, string][] = [
    ['nowhere without a ticket', plan([]), ''],
    ['where the only ticket says', plan([csi('n1')]), 'n1'],
    ['where the ticket of the highest priority says', plan([csi('n1'), api('n2')]), 'n2'],
    ['where the first of equals says', plan([csi('n2', 'b'), csi('n1', 'a')]), 'n1'],
    ['not yet while it is detaching', plan([csi('n1')], { state: 'detaching' }), ''],
    ['not while it is faulted', plan([csi('n1')], { robustness: 'faulted' }), ''],
    ['where it is, while a ticket wants it there', plan([csi('n1'), api('n2')], attached('n1')), 'n1'],
    ['away when its ticket is gone', plan([csi('n2')], attached('n1')), ''],
    ['away when it is faulted', plan([csi('n1')], { ...attached('n1'), robustness: 'faulted' }), ''],
    ['away when only snapshots hold it and a workload waits', plan([snapshot('n1'), csi('n2')], attached('n1')), ''],
    ['where a snapshot holds it when nobody waits', plan([snapshot('n1')], attached('n1')), 'n1'],
    ['away when that snapshot is gone', plan([snapshot('n1')], { ...attached('n1'), left: ['s'] }), ''],
    [
      'away when no ticket there fits its frontend',
      plan([csi('n1')], { ...attached('n1'), disableFrontend: true }),
      '',
    ],
    ['away from a cordoned node when that is set', plan([api('n1')], attached('n1'), ['n1'], true), ''],
    ['on a cordoned node otherwise', plan([api('n1')], attached('n1'), ['n1'], false), 'n1'],
    ['attached while its replicas move', plan([], { eviction: 'possible' }), 'owner'],
    ['nowhere while they have no place to move to', plan([], { eviction: 'no place' }), ''],
    ['attached while the last place is taken by the move', plan([eviction('n1')], { eviction: 'no place' }), 'owner'],
    ['nowhere after the move', plan([eviction('n1')], attached('n1')), ''],
    [
      'away when only a move holds it and a workload waits',
      plan([eviction('owner'), csi('n2')], { ...attached('owner'), eviction: 'possible' }),
      '',
    ],
  ];
  it.each(cases)('%s', (_name, { volume }, expected) => {
    expect(volume.spec.nodeID).toBe(expected);
  });

  const growth = (node: string): Ticket => ({
    id: 'volume-expansion-controller-v',
    type: 'volume-expansion-controller',
    node,
    disableFrontend: 'false',
  });
  const growing: [string, ReturnType<typeof plan>, string | undefined, string][] = [
    ['on its owner when nobody uses it', plan([], { grows: true }), 'owner', 'owner'],
    ['where a workload is about to have it', plan([csi('n1')], { grows: true }), 'n1', 'n1'],
    ['where it is', plan([csi('n1')], { ...attached('n1'), grows: true }), 'n1', 'n1'],
    ['where it is after its workload has gone', plan([growth('n1')], { ...attached('n1'), grows: true }), 'n1', 'n1'],
    ['where it began', plan([growth('n1')], { grows: true }), 'n1', 'n1'],
    ['no longer when it has grown', plan([growth('n1')], attached('n1')), undefined, ''],
    [
      'not before there is room',
      plan([growth('n1')], { ...attached('n1'), grows: true, lacksRoom: true }),
      undefined,
      '',
    ],
    ['by a workload while there is no room', plan([csi('n1')], { grows: true, lacksRoom: true }), undefined, 'n1'],
  ];
  it.each(growing)('that is to grow is attached %s', (_name, { volume, attachment }, ticketNode, node) => {
    expect(attachment.spec.attachmentTickets['volume-expansion-controller-v']?.nodeID).toBe(ticketNode);
    expect(volume.spec.nodeID).toBe(node);
  });

  const bound: [string, ReturnType<typeof plan>, string][] = [
    ['where its replica is', plan([csi('n1')], { boundTo: 'n1' }), 'n1'],
    ['nowhere when only another node wants it', plan([csi('n2')], { boundTo: 'n1' }), ''],
    ['where its replica is, whatever comes first elsewhere', plan([api('n2'), csi('n1')], { boundTo: 'n1' }), 'n1'],
    [
      'not away from a snapshot for who cannot have it',
      plan([snapshot('n1'), csi('n2')], { ...attached('n1'), boundTo: 'n1' }),
      'n1',
    ],
    ['where it is in use, even so', plan([csi('n2')], { ...attached('n2'), boundTo: 'n1' }), 'n2'],
  ];
  it.each(bound)('that is strict-local is %s', (_name, { volume }, expected) => {
    expect(volume.spec.nodeID).toBe(expected);
  });

  it('that is strict-local says so to who wants it on another node', () => {
    for (const state of [{}, attached('n1')]) {
      const { attachment } = plan([csi('n2')], { ...state, boundTo: 'n1' });
      expect(attachment.status.attachmentTicketStatuses['c']).toMatchObject({
        satisfied: false,
        conditions: [
          {
            type: 'Satisfied',
            status: 'False',
            message: 'strict-local volume v can only be attached to node n1, where its replica is',
          },
        ],
      });
    }
  });

  const attaching = (node: string): Parameters<typeof plan>[1] => ({ nodeID: node, state: 'attaching' });
  const works: [string, Parameters<typeof plan>[1], Ticket][] = [
    ['to grow', { grows: true }, growth('n1')],
    ['for its replicas to move', { eviction: 'possible' }, eviction('n1')],
    [
      'for its copy',
      { copies: [{ name: 'c', state: 'initiated' }] },
      { id: 'volume-clone-controller-c', type: 'volume-clone-controller', node: 'n1', disableFrontend: 'any' },
    ],
  ];
  describe.each(works)('that is attached %s', (_work, work, ticket) => {
    const cases: [string, string[], Ticket[], Parameters<typeof plan>[1], string][] = [
      ['is on its owner', ['n1', 'owner'], [], {}, 'owner'],
      ['is not on an owner that cannot run an engine', ['n1', 'n2'], [], {}, 'n1'],
      ['is not on an owner that is being drained', ['n2', 'owner!'], [], {}, 'n2'],
      ['is on an owner that is being drained when no other node can', ['owner!'], [], {}, 'owner'],
      ['is on its owner when nobody can', [], [], {}, 'owner'],
      ['leaves a node that cannot run it any more', ['n2', 'owner'], [ticket], attaching('n1'), ''],
      ['is left where it is when nobody can', [], [ticket], attaching('n1'), 'n1'],
      ['is left where it is about to be', ['n1', 'owner'], [ticket], attaching('n1'), 'n1'],
      ['is left where its engine runs', ['n2'], [ticket], { ...attached('n1'), runsOn: 'n1' }, 'n1'],
      ['leaves a node whose engine is gone for good', ['n2'], [ticket], attached('n1'), ''],
      ['makes room for a workload while it is attaching', ['n1', 'n2'], [ticket, csi('n2')], attaching('n1'), ''],
    ];
    it.each(cases)('%s', (_name, able, tickets, state, node) => {
      expect(plan(tickets, { ...work, ...state, able }).volume.spec.nodeID).toBe(node);
    });
  });

  it('that is to grow comes back to its workload, if that node can run an engine', () => {
    const given = { grows: true, state: 'detached' } as const;
    expect(plan([growth('n1'), csi('n2')], { ...given, able: ['n1', 'n2'] }).volume.spec.nodeID).toBe('n2');
    expect(plan([growth('n1'), csi('n2')], { ...given, able: ['n1'] }).volume.spec.nodeID).toBe('n1');
  });

  it('that is to grow stays attached until it has, whoever waits elsewhere', () => {
    const { volume } = plan([growth('n1'), csi('n2')], { ...attached('n1'), grows: true });
    expect(volume.spec.nodeID).toBe('n1');
  });

  const clone = (state: string, next = ''): Parameters<typeof plan>[1] => ({
    clone: { dataSource: 'vol://x', state, next },
  });
  const copying: [string, ReturnType<typeof plan>, string, string[]][] = [
    ['a copy: for itself', plan([], clone('')), 'owner', ['v']],
    ['a copy: for nobody else', plan([api('n1')], clone('initiated')), 'owner', ['v']],
    ['a copy: no further while a try is waited for', plan([], clone('failed', '2000-01-01T00:00:00Z')), '', []],
    ['a copy: for nobody when it failed', plan([api('n1')], clone('failed')), '', []],
    ['a copy: until its replicas are made', plan([], clone('copy-completed-awaiting-healthy')), 'owner', ['v']],
    ['a complete copy: as any other', plan([api('n1')], clone('completed')), 'n1', []],
    [
      'a copy: away from one who has it too early',
      plan([api('n1')], { ...attached('n1'), ...clone('initiated') }),
      '',
      ['v'],
    ],
    ['a source: for its copy', plan([], { copies: [{ name: 'c1', state: '' }] }), 'owner', ['c1']],
    [
      'a source: for each copy that has not got its data',
      plan([], {
        copies: [
          { name: 'c1', state: 'initiated' },
          { name: 'c2', state: 'copy-completed-awaiting-healthy' },
          { name: 'c3', state: 'failed', next: '2000-01-01T00:00:00Z' },
        ],
      }),
      'owner',
      ['c1'],
    ],
    [
      'a source: where its workload is',
      plan([csi('n1')], { ...attached('n1'), copies: [{ name: 'c1', state: '' }] }),
      'n1',
      ['c1'],
    ],
    [
      'a source: away when a workload waits elsewhere',
      plan([csi('n1')], { ...attached('owner'), copies: [{ name: 'c1', state: 'initiated' }] }),
      '',
      ['c1'],
    ],
  ];
  it.each(copying)('%s', (_name, { volume, attachment }, node, targets) => {
    expect(volume.spec.nodeID).toBe(node);
    const ids = Object.keys(attachment.spec.attachmentTickets).filter((id) => id.startsWith('volume-clone'));
    expect(ids).toEqual(targets.map((target) => `volume-clone-controller-${target}`));
    const wishes = ids.map((id) => attachment.spec.attachmentTickets[id]?.parameters['disableFrontend']);
    expect(wishes).toEqual(targets.map((target) => (target === 'v' ? 'true' : 'any')));
  });

  it('looks again when a copy is to be tried again', () => {
    expect(plan([], clone('failed', '2000-01-01T00:00:00Z')).requeueAtMs).toBe(Date.parse('2000-01-01T00:00:00Z'));
    expect(plan([], clone('initiated')).requeueAtMs).toBeNull();
  });

  it('takes the frontend from the ticket that won', () => {
    expect(plan([{ ...api('n1'), disableFrontend: 'true' }]).volume.spec.disableFrontend).toBe(true);
    expect(plan([csi('n1')], { disableFrontend: true }).volume.spec.disableFrontend).toBe(false);
  });
});

describe('what a ticket is told', () => {
  const cases: [string, ReturnType<typeof plan>, string, boolean, string][] = [
    ['satisfied', plan([csi('n1')], { nodeID: 'n1', current: 'n1', state: 'attached' }), 'c', true, ''],
    ['still attaching', plan([csi('n1')], { nodeID: 'n1', state: 'attaching' }), 'c', false, ''],
    [
      'attached elsewhere',
      plan([csi('n1'), csi('n2', 'd')], { nodeID: 'n1', current: 'n1', state: 'attached' }),
      'd',
      false,
      'the volume is currently attached to different node n1 ',
    ],
    [
      'attached in another way',
      plan([{ ...api('n1'), disableFrontend: 'true' }, csi('n1')], { nodeID: 'n1', current: 'n1', state: 'attached' }),
      'a',
      false,
      'volume v has already attached to node n1 with incompatible parameters',
    ],
  ];
  it.each(cases)('%s', (_name, { attachment }, id, satisfied, message) => {
    const status = attachment.status.attachmentTicketStatuses[id];
    expect(status?.satisfied).toBe(satisfied);
    expect(status?.generation).toBe(3);
    expect(status?.conditions[0]?.message).toBe(message);
  });
});
