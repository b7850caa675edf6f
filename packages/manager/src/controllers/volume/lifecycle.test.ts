import { describe, expect, it } from 'vitest';
import { newObject, type Volume } from '@longhorn/shared-types';
import { SettingsView } from '../settings-view.ts';
import { recoverFaulted } from './lifecycle.ts';
import { newDraft } from './world.ts';

const NOW = '2026-01-01T12:00:00Z';

interface Given {
  state?: Volume['status']['state'];
  robustness?: Volume['status']['robustness'];
  autoSalvage?: boolean;
  /** Of its replica. */
  failedAt?: string;
  place?: string;
}

/** What is asked for, and why nothing is. */
function recover(given: Given): { robustness: string; requestedAt: string; events: string[]; blockers: string[] } {
  const { state = 'detached', robustness = 'faulted', autoSalvage = true, failedAt = NOW, place = 'node-1' } = given;
  const volume = newObject('Volume', 'ns', 'vol');
  Object.assign(volume.status, { state, robustness });
  const replica = newObject('Replica', 'ns', 'vol-r-1');
  Object.assign(replica.spec, { failedAt, healthyAt: '2025-12-31T12:00:00Z', nodeID: place, diskID: place });
  const world = {
    nowMs: Date.parse(NOW),
    hex: () => '00000000',
    volume,
    engines: [],
    replicas: [replica],
    attachment: null,
    device: null,
    snapshotNames: [],
    cloneSource: null,
    nodes: new Map(),
    outOfServiceNodes: new Set<string>(),
    instanceManagers: [],
    engineImages: [],
    candidateNodes: [],
    settings: new SettingsView((name) => (name === 'auto-salvage' ? String(autoSalvage) : null)),
    reuseNotBeforeMs: new Map(),
  };
  const draft = newDraft(world);
  recoverFaulted(world, draft, NOW);
  return {
    robustness: draft.volume.status.robustness,
    requestedAt: draft.volume.status.remountRequestedAt,
    events: draft.events.map(({ reason }) => reason),
    blockers: draft.blockers.map(({ reason }) => reason),
  };
}

describe('a faulted volume', () => {
  const recovered = { robustness: 'unknown', requestedAt: NOW, events: ['Remount'], blockers: [] };
  const left = (robustness: string, ...blockers: string[]): ReturnType<typeof recover> => ({
    robustness,
    requestedAt: '',
    events: [],
    blockers,
  });

  it.each<[string, Given, ReturnType<typeof recover>]>([
    ['that was detached is tried again, and asks for a remount', {}, recovered],
    ['that was salvaged by hand asks for one, too', { autoSalvage: false, failedAt: '' }, recovered],
    [
      'waits for a person without auto-salvage',
      { autoSalvage: false },
      left('faulted', 'it is faulted and the setting auto-salvage is off'),
    ],
    ['waits for data', { place: '' }, left('faulted', 'it has no replica with data')],
    ['waits until it is detached', { state: 'detaching' }, left('faulted')],
    ['that is none asks for nothing', { robustness: 'healthy' }, left('healthy')],
  ])('%s', (_case, given, expected) => {
    expect(recover(given)).toEqual(expected);
  });
});
