import { describe, expect, it } from 'vitest';
import { newObject, type Condition, type Engine, type Replica } from '@longhorn/shared-types';
import { candidateDisk, candidateNode } from '../../../test/candidates.ts';
import type { CandidateDisk } from '../../scheduler/scheduling-world.ts';
import { noteFailure } from '../replica-failure.ts';
import { SettingsView } from '../settings-view.ts';
import { explain } from './blocked-by.ts';
import { newDraft, type VolumeWorld } from './world.ts';

const GIB = 2 ** 30;

interface Given {
  modes: Record<string, string>;
  /** what the engine said when it gave `b` up */
  failure?: string;
  ioReason?: string;
  /** of the disk of `b` */
  availableBytes: number;
}

function disk(name: string, availableBytes: number): CandidateDisk {
  const isShort = availableBytes <= GIB / 4;
  return candidateDisk(`uuid-${name}`, {
    name: `disk-${name}`,
    path: `/mnt/${name}`,
    schedulable: !isShort,
    unschedulableReason: isShort ? 'DiskPressure' : '',
    maximumBytes: GIB,
    availableBytes,
  });
}

function replica(name: string, given: Given): Replica {
  const object = newObject('Replica', 'ns', name);
  Object.assign(object.spec, {
    nodeID: `node-${name}`,
    diskID: `uuid-${name}`,
    diskPath: `/mnt/${name}`,
    active: true,
  });
  object.spec.healthyAt = '2026-01-01T00:00:00Z';
  if (given.modes[name] !== 'RW') object.spec.failedAt = '2026-01-02T00:00:00Z';
  if (name === 'b' && given.failure !== undefined) noteFailure(object, given.failure, 0);
  return object;
}

function engine(given: Given): Engine {
  const object = newObject('Engine', 'ns', 'v-e-0');
  Object.assign(object.spec, { active: true, desireState: 'running' });
  Object.assign(object.status, {
    currentState: 'running',
    ioState: 'serving',
    ioReason: given.ioReason ?? '',
    replicaModeMap: given.modes,
  });
  return object;
}

function reasons(given: Given): { name: string; reason: string; next: string }[] {
  const volume = newObject('Volume', 'ns', 'v');
  volume.spec.nodeID = 'node-a';
  volume.status.state = 'attached';
  const ready: Condition = {
    type: 'Ready',
    status: 'True',
    reason: '',
    message: '',
    lastProbeTime: '',
    lastTransitionTime: '',
  };
  const names = ['a', 'b'].map((name) => `node-${name}`);
  const world: VolumeWorld = {
    nowMs: 0,
    hex: () => '00000000',
    volume,
    engines: [engine(given)],
    replicas: ['a', 'b'].map((name) => replica(name, given)),
    attachment: null,
    device: null,
    outOfServiceNodes: new Set(),
    snapshotNames: [],
    cloneSource: null,
    nodes: new Map(
      names.map((name) => {
        const node = newObject('Node', 'ns', name);
        node.status.conditions.push(ready);
        return [name, node];
      }),
    ),
    instanceManagers: names.map((name) => {
      const manager = newObject('InstanceManager', 'ns', `im-${name}`);
      manager.spec.nodeID = name;
      manager.status.currentState = 'running';
      return manager;
    }),
    engineImages: [],
    candidateNodes: ['a', 'b'].map((name) =>
      candidateNode(`node-${name}`, { disks: [disk(name, name === 'b' ? given.availableBytes : GIB)] }),
    ),
    settings: new SettingsView(() => null),
    reuseNotBeforeMs: new Map(),
  };
  const draft = newDraft(world);
  explain(world, draft);
  return draft.volume.status.blockedBy.map(({ name, reason, next }) => ({ name, reason, next }));
}

describe('a volume whose replica has failed', () => {
  it('says why, and that it is brought up to date', () => {
    const failure = 'connection-lost: read ECONNRESET';
    expect(reasons({ modes: { a: 'RW' }, failure, availableBytes: GIB })).toEqual([
      {
        name: 'b',
        reason: 'it failed on node node-b: connection-lost: read ECONNRESET',
        next: 'brought up to date, then it counts again',
      },
    ]);
  });

  it('says which disk is full and how much is wanted', () => {
    const failure = 'no-space: no space left on device';
    expect(reasons({ modes: { a: 'RW' }, failure, availableBytes: 0 })).toEqual([
      {
        name: 'b',
        reason:
          'it failed on node node-b: no space left on device; disk disk-b (/mnt/b) on node node-b has 0 MiB available, its rebuild wants more than 256 MiB',
        next: 'brought up to date by itself once that much is free (25% of the disk, setting storage-minimal-available-percentage)',
      },
    ]);
  });
});

describe('a volume that refuses new data', () => {
  const modes = { a: 'RW', b: 'RW' };

  it('says so, and which of its disks are full', () => {
    expect(reasons({ modes, ioReason: 'No space.', availableBytes: 0 })).toEqual([
      { name: 'v-e-0', reason: 'No space.', next: 'goes on by itself once the cause is gone' },
      {
        name: 'b',
        reason: 'disk disk-b (/mnt/b) on node node-b is full',
        next: 'it takes new data again once space is free',
      },
    ]);
  });

  it('that serves everything says nothing, however full a disk is', () => {
    expect(reasons({ modes, availableBytes: 0 })).toEqual([]);
  });
});
