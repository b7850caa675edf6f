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
  ];
  it.each(growing)('that is to grow is attached %s', (_name, { volume, attachment }, ticketNode, node) => {
    expect(attachment.spec.attachmentTickets['volume-expansion-controller-v']?.nodeID).toBe(ticketNode);
    expect(volume.spec.nodeID).toBe(node);
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
