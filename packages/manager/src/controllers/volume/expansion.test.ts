import { describe, expect, it } from 'vitest';
import { newObject, type Engine, type Replica } from '@longhorn/shared-types';
import { candidateDisk, candidateNode } from '../../../test/candidates.ts';
import type { CandidateDisk } from '../../scheduler/scheduling-world.ts';
import { SettingsView } from '../settings-view.ts';
import { expansionProblem, resize } from './expansion.ts';
import { newDraft, type VolumeDraft, type VolumeWorld } from './world.ts';

const GIB = 1024 ** 3;
const LIMITS = { overProvisioningPercentage: 100, minimalAvailablePercentage: 25 };

const disk = (name: string, scheduledGib: number): CandidateDisk =>
  candidateDisk(name, {
    filesystemType: 'ext2/ext3',
    maximumBytes: 10 * GIB,
    availableBytes: 9 * GIB,
    scheduledBytes: scheduledGib * GIB,
  });

describe('room to grow', () => {
  const from1to3 = (diskIds: string[]) => ({ fromBytes: GIB, toBytes: 3 * GIB, diskIds });
  it.each([
    ['enough on every disk', from1to3(['a', 'b']), [disk('a', 8), disk('b', 1)], 'none'],
    [
      'one disk is short',
      from1to3(['a', 'b']),
      [disk('a', 9), disk('b', 1)],
      /^failed to schedule 2147483648 more bytes to disk a: /,
    ],
    [
      'two replicas on one disk count twice',
      from1to3(['a', 'a']),
      [disk('a', 7)],
      /^failed to schedule 4294967296 more bytes to disk a: /,
    ],
    ['a full disk without a replica does not matter', from1to3(['a']), [disk('a', 1), disk('b', 10)], 'none'],
    ['a replica without a place does not matter', from1to3(['a', '']), [disk('a', 1)], 'none'],
    [
      'no file of that size',
      { fromBytes: GIB, toBytes: 2 ** 44, diskIds: ['a'] },
      [disk('a', 1)],
      'file system ext2/ext3 of disk a does not support volume size 17592186044416',
    ],
  ])('%s', (_name, growth, disks, expected) => {
    expect(expansionProblem(growth, disks, LIMITS) ?? 'none').toMatch(expected);
  });
});

interface Given {
  wanted: number;
  engine: number;
  running: number;
  scheduledGib?: number;
}

function make({ wanted, engine: engineGib, running, scheduledGib = 1 }: Given): [VolumeWorld, VolumeDraft] {
  const volume = newObject('Volume', 'ns', 'v');
  volume.spec.size = String(wanted * GIB);
  const engine: Engine = newObject('Engine', 'ns', 'v-e-0');
  Object.assign(engine.spec, { active: true, volumeSize: String(engineGib * GIB) });
  engine.status.currentSize = String(running * GIB);
  const replica: Replica = newObject('Replica', 'ns', 'r');
  Object.assign(replica.spec, { diskID: 'a', nodeID: 'n', volumeSize: String(engineGib * GIB) });
  const node = candidateNode('n', { disks: [disk('a', scheduledGib)] });
  const world: VolumeWorld = {
    nowMs: 0,
    hex: () => '00000000',
    volume,
    engines: [engine],
    replicas: [replica],
    attachment: null,
    device: null,
    outOfServiceNodes: new Set(),
    snapshotNames: [],
    cloneSource: null,
    nodes: new Map(),
    instanceManagers: [],
    engineImages: [],
    candidateNodes: [node],
    settings: new SettingsView(() => null),
    reuseNotBeforeMs: new Map(),
  };
  return [world, newDraft(world)];
}

describe('the size of a volume', () => {
  const cases: [string, Given, { engine: number; required: boolean; blocked: boolean; events: string[] }][] = [
    ['stays', { wanted: 1, engine: 1, running: 1 }, { engine: 1, required: false, blocked: false, events: [] }],
    // Its only replica is on the only node: it keeps nobody away from growing itself.
    ['goes on', { wanted: 2, engine: 1, running: 1 }, { engine: 2, required: true, blocked: false, events: [] }],
    [
      'is being reached',
      { wanted: 2, engine: 2, running: 1 },
      { engine: 2, required: true, blocked: false, events: [] },
    ],
    ['is reached', { wanted: 2, engine: 2, running: 2 }, { engine: 2, required: false, blocked: false, events: [] }],
    [
      'of one that never ran',
      { wanted: 2, engine: 1, running: 0 },
      { engine: 2, required: false, blocked: false, events: [] },
    ],
    [
      'has no room',
      { wanted: 2, engine: 1, running: 1, scheduledGib: 10 },
      { engine: 1, required: true, blocked: true, events: [] },
    ],
    [
      'has no room and is taken back',
      { wanted: 1, engine: 1, running: 1, scheduledGib: 10 },
      { engine: 1, required: false, blocked: false, events: [] },
    ],
    [
      'is taken back',
      { wanted: 1, engine: 2, running: 1 },
      { engine: 1, required: false, blocked: false, events: ['CanceledExpansion'] },
    ],
  ];
  it.each(cases)('%s', (_name, given, expected) => {
    const [world, draft] = make(given);
    resize(world, draft);
    expect({
      engine: Number(draft.engine?.spec.volumeSize) / GIB,
      required: draft.volume.status.expansionRequired,
      blocked: draft.blockers.length > 0,
      events: draft.events.map(({ reason }) => reason),
    }).toEqual(expected);
    expect(draft.replicas[0]?.spec.volumeSize).toBe(draft.engine?.spec.volumeSize);
  });
});
