import { describe, expect, it } from 'vitest';
import { decodeResource } from '../api/rest-decoder.ts';
import type { VolumeResource } from '../api/volume-state.ts';
import { GROWTH_PATIENCE_MS } from '../limits.ts';
import { attachmentId, attachmentState, holderOf, refusalFor } from './publish.ts';

interface Ticket {
  id: string;
  type?: string;
  node: string;
  satisfied?: boolean;
  message?: string;
}

function volume(state: string, tickets: Ticket[], engine: object = {}): VolumeResource {
  const attachments = tickets.map(({ id, type = 'csi-attacher', node, satisfied = false, message = '' }) => [
    id,
    {
      attachmentID: id,
      attachmentType: type,
      nodeID: node,
      satisfied,
      conditions: [{ type: 'Satisfied', status: satisfied ? 'True' : 'False', message }],
    },
  ]);
  return decodeResource('volume', {
    id: 'v',
    state,
    size: '100',
    controllers: [{ hostId: 'n1', endpoint: '/dev/longhorn/v', size: '100', ...engine }],
    volumeAttachment: { attachments: Object.fromEntries(attachments) },
  });
}

const mine = { id: 't', node: 'n1', satisfied: true };

describe('a volume that is to be published', () => {
  it.each([
    ['is there', volume('attached', [mine]), true, ''],
    ['has lost its ticket', volume('attached', []), false, 'its ticket is gone'],
    ['is elsewhere', volume('attached', [{ ...mine, satisfied: false, message: 'at n2 ' }]), false, 'at n2'],
    ['is attaching', volume('attaching', [{ ...mine, satisfied: false }]), false, 'it is attaching'],
    ['has no device yet', volume('attached', [mine], { endpoint: '' }), false, 'its device is not there yet'],
    [
      'has its device on another node',
      volume('attached', [mine], { hostId: 'n2' }),
      false,
      'its device is not there yet',
    ],
    ['is growing', volume('attached', [mine], { isExpanding: true }), false, 'it is being expanded'],
    ['is still to grow', volume('attached', [mine], { size: '50' }), false, 'it is being expanded'],
    ['cannot grow', volume('attached', [mine], { size: '50', lastExpansionError: 'no space' }), true, ''],
  ])('%s', (_name, present, done, waitingFor) => {
    const state = attachmentState(present, 'n1', 't', GROWTH_PATIENCE_MS - 1);
    expect(state.done ? '' : state.waitingFor).toBe(waitingFor);
    expect(state.done).toBe(done);
  });

  it('that has no room to grow is used as it is, one that grows is waited for', () => {
    const waiting = { done: false, waitingFor: 'it is being expanded' };
    const small = volume('attached', [mine], { size: '50' });
    expect(attachmentState(small, 'n1', 't', GROWTH_PATIENCE_MS)).toEqual({ done: true, value: null });
    const growing = volume('attached', [mine], { size: '50', isExpanding: true });
    expect(attachmentState(growing, 'n1', 't', GROWTH_PATIENCE_MS)).toEqual(waiting);
  });

  it.each([
    ['on any node before it has a place', '', 'n2', null],
    ['where its replica is', 'n1', 'n1', null],
    [
      'not on another node',
      'n1',
      'n2',
      'volume v is strict-local and its replica is on node n1: it can only be used there, not on node n2',
    ],
    ['where it is in use already', 'n2', 'n1', null],
  ])('that is strict-local can be used %s', (_name, home, node, refusal) => {
    const bound = decodeResource('volume', {
      ...volume(home === 'n2' ? 'attached' : 'detached', [mine]),
      dataLocality: 'strict-local',
      replicas: [{ hostId: home }],
    });
    expect(refusalFor(bound, node)).toBe(refusal);
    expect(refusalFor({ ...bound, dataLocality: 'best-effort' }, node)).toBeNull();
  });

  it.each([
    [
      'another pod',
      volume('attached', [{ id: 'o', node: 'n2', satisfied: true }]),
      /a workload \(csi-attacher\) on node n2, ticket "o"/,
    ],
    [
      'a person',
      volume('attached', [{ id: '', type: 'longhorn-api', node: 'n2', satisfied: true }]),
      /by hand.*n2, ticket ""/,
    ],
    ['its own pod', volume('attached', [mine]), /^nobody$/],
    [
      'a snapshot, for a moment',
      volume('attached', [{ id: 's', type: 'snapshot-controller', node: 'n2', satisfied: true }]),
      /^nobody$/,
    ],
    ['one that waits itself', volume('attached', [{ id: 'o', node: 'n2' }]), /^nobody$/],
  ])('is held by %s', (_name, present, who) => {
    expect(holderOf(present, 'n1') ?? 'nobody').toMatch(who);
  });

  it('has a holder on any node when none is excepted', () => {
    expect(holderOf(volume('attached', [mine]), null)).toMatch(/node n1, ticket "t"/);
  });

  it('has the ticket that Kubernetes names the attachment by', () => {
    expect(attachmentId('pvc-1', 'driver.longhorn.io', 'node-1')).toMatch(/^csi-[0-9a-f]{64}$/);
    expect(attachmentId('a', 'driver.longhorn.io', 'b')).not.toBe(attachmentId('b', 'driver.longhorn.io', 'a'));
  });
});
