import { describe, expect, it } from 'vitest';
import { newObject, type Volume } from '@longhorn/shared-types';
import type { EventRecord } from '../../datastore/event-recorder.ts';
import type { BlockDevice } from '../../io/block-device.ts';
import { OWN_ANNOTATION } from '../../own-annotations.ts';
import { SettingsView } from '../settings-view.ts';
import { followDevice } from './device.ts';
import { newDraft } from './world.ts';

const NOW = '2026-01-01T12:00:00Z';
const EARLIER = '2026-01-01T11:00:00Z';
const DEVICE: BlockDevice = { number: '7:1', bootId: 'boot-1' };

interface Given {
  note?: string;
  device?: BlockDevice | null;
  state?: Volume['status']['state'];
  requestedAt?: string;
}

interface Result {
  note: string | undefined;
  requestedAt: string;
  events: EventRecord[];
}

function follow({ note, device = DEVICE, state = 'attached', requestedAt = '' }: Given): Result {
  const volume = newObject('Volume', 'ns', 'vol');
  volume.status.state = state;
  volume.status.remountRequestedAt = requestedAt;
  if (note !== undefined) volume.metadata.annotations[OWN_ANNOTATION.device] = note;
  const world = {
    nowMs: Date.parse(NOW),
    hex: () => '00000000',
    volume,
    engines: [],
    replicas: [],
    attachment: null,
    device,
    outOfServiceNodes: new Set<string>(),
    snapshotNames: [],
    cloneSource: null,
    nodes: new Map(),
    instanceManagers: [],
    engineImages: [],
    candidateNodes: [],
    settings: new SettingsView(() => null),
    reuseNotBeforeMs: new Map(),
  };
  const draft = newDraft(world);
  followDevice(world, draft);
  return {
    note: draft.volume.metadata.annotations[OWN_ANNOTATION.device],
    requestedAt: draft.volume.status.remountRequestedAt,
    events: draft.events,
  };
}

const event = (at: string): EventRecord => ({
  type: 'Normal',
  reason: 'Remount',
  message: `Volume vol requested remount at ${at} after its device was lost and made anew`,
});
const quiet = (note: string | undefined, requestedAt = ''): Result => ({ note, requestedAt, events: [] });

describe('the device of a volume', () => {
  it.each<[string, Given, Result]>([
    ['is noted when it is first seen', {}, quiet('7:1 boot-1')],
    ['is the same after an engine took it over', { note: '7:1 boot-1' }, quiet('7:1 boot-1')],
    ['is not known while it is not served', { note: '7:1 boot-1', device: null }, quiet('7:1 boot-1')],
    ['is not known before it is served', { device: null }, quiet(undefined)],
    ['may be another one after the node was started anew', { note: '7:2 boot-0' }, quiet('7:1 boot-1')],
    ['is forgotten when the volume is detached', { note: '7:2 boot-1', state: 'detached' }, quiet(undefined)],
    ['is forgotten while it is being detached', { note: '7:2 boot-1', state: 'detaching' }, quiet(undefined)],
    ['is noted anew over what cannot be read', { note: 'seven' }, quiet('7:1 boot-1')],
    [
      'that was replaced makes the volume ask for a remount',
      { note: '7:2 boot-1', requestedAt: EARLIER },
      { note: `7:1 boot-1 ${NOW}`, requestedAt: NOW, events: [event(NOW)] },
    ],
    [
      'that was replaced before and is again makes it ask again',
      { note: `7:2 boot-1 ${EARLIER}`, requestedAt: EARLIER },
      { note: `7:1 boot-1 ${NOW}`, requestedAt: NOW, events: [event(NOW)] },
    ],
    [
      'makes it ask once',
      { note: `7:1 boot-1 ${EARLIER}`, requestedAt: EARLIER },
      quiet(`7:1 boot-1 ${EARLIER}`, EARLIER),
    ],
    [
      'makes it ask after a crash between the note and the request',
      { note: `7:1 boot-1 ${EARLIER}` },
      { note: `7:1 boot-1 ${EARLIER}`, requestedAt: EARLIER, events: [event(EARLIER)] },
    ],
    [
      'takes back no later request',
      { note: `7:1 boot-1 ${EARLIER}`, requestedAt: NOW },
      quiet(`7:1 boot-1 ${EARLIER}`, NOW),
    ],
  ])('%s', (_case, given, expected) => {
    expect(follow(given)).toEqual(expected);
  });
});
