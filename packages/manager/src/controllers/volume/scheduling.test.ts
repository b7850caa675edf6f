import { describe, expect, it } from 'vitest';
import { engineImageName, newObject, type Replica } from '@longhorn/shared-types';
import { candidateDisk, candidateNode } from '../../../test/candidates.ts';
import { isReady } from '../../api/volume-view.ts';
import type { CandidateNode } from '../../scheduler/scheduling-world.ts';
import { SettingsView } from '../settings-view.ts';
import { scheduleReplicas } from './scheduling.ts';
import { newDraft, type VolumeWorld } from './world.ts';

const GIB = 1024 ** 3;
const IMAGE = 'engine:v1';

const node = (name: string): CandidateNode =>
  candidateNode(name, {
    imagesReady: [engineImageName(IMAGE)],
    disks: [candidateDisk(name, { availableBytes: 90 * GIB })],
  });

interface Given {
  locality: 'disabled' | 'best-effort' | 'strict-local';
  /** of the setting allow-volume-creation-with-degraded-availability */
  allowsDegraded: boolean;
  nodes: readonly string[];
  /** where the volume is to be attached; '' while it is detached */
  attachedTo?: string;
}

function schedule({ locality, allowsDegraded, nodes, attachedTo = '' }: Given) {
  const volume = newObject('Volume', 'ns', 'v');
  const numberOfReplicas = locality === 'strict-local' ? 1 : 2;
  Object.assign(volume.spec, { dataLocality: locality, numberOfReplicas, size: String(GIB), nodeID: attachedTo });
  Object.assign(volume.status, { state: attachedTo === '' ? 'detached' : 'attaching', currentImage: IMAGE });
  const replicas: Replica[] = Array.from({ length: numberOfReplicas }, (_one, index) => {
    const replica = newObject('Replica', 'ns', `v-r-${index}`);
    Object.assign(replica.spec, { volumeName: 'v', volumeSize: String(GIB), active: true });
    return replica;
  });
  const world: VolumeWorld = {
    nowMs: 0,
    hex: () => '00000000',
    volume,
    engines: [],
    replicas,
    attachment: null,
    device: null,
    snapshotNames: [],
    cloneSource: null,
    nodes: new Map(),
    outOfServiceNodes: new Set(),
    instanceManagers: [],
    engineImages: [],
    candidateNodes: nodes.map(node),
    settings: new SettingsView((name) =>
      name === 'allow-volume-creation-with-degraded-availability' ? String(allowsDegraded) : null,
    ),
    reuseNotBeforeMs: new Map(),
  };
  const draft = newDraft(world);
  scheduleReplicas(world, draft);
  const { status, message } = draft.volume.status.conditions.find(({ type }) => type === 'Scheduled') ?? {};
  return {
    scheduled: status,
    isTold: message !== '',
    ready: isReady({ volume: draft.volume, engines: [], replicas: draft.replicas, attachment: null }),
    placed: draft.replicas.map(({ spec }) => spec.nodeID).filter((name) => name !== ''),
  };
}

describe('a new volume', () => {
  const everywhere = ['n1', 'n2'];
  const cases: [string, Given, ReturnType<typeof schedule>][] = [
    [
      'without locality has its places at once',
      { locality: 'disabled', allowsDegraded: true, nodes: everywhere },
      { scheduled: 'True', isTold: false, ready: true, placed: everywhere },
    ],
    [
      'without locality has its places at once also where all are wanted',
      { locality: 'disabled', allowsDegraded: false, nodes: everywhere },
      { scheduled: 'True', isTold: false, ready: true, placed: everywhere },
    ],
    [
      'with too few places can be used where that is allowed',
      { locality: 'disabled', allowsDegraded: true, nodes: ['n1'] },
      { scheduled: 'True', isTold: true, ready: true, placed: ['n1'] },
    ],
    [
      'with too few places cannot be used where all are wanted',
      { locality: 'disabled', allowsDegraded: false, nodes: ['n1'] },
      { scheduled: 'False', isTold: true, ready: false, placed: ['n1'] },
    ],
    ...(['best-effort', 'strict-local'] as const).flatMap((locality) =>
      [true, false].map((allowsDegraded): [string, Given, ReturnType<typeof schedule>] => [
        `of locality ${locality} can be used before it has places, degraded ones allowed: ${allowsDegraded}`,
        { locality, allowsDegraded, nodes: everywhere },
        { scheduled: 'True', isTold: false, ready: true, placed: [] },
      ]),
    ),
    [
      'of locality best-effort has them once its node is known',
      { locality: 'best-effort', allowsDegraded: false, nodes: everywhere, attachedTo: 'n2' },
      { scheduled: 'True', isTold: false, ready: true, placed: ['n2', 'n1'] },
    ],
    [
      'of locality strict-local has its place where it is used',
      { locality: 'strict-local', allowsDegraded: false, nodes: everywhere, attachedTo: 'n2' },
      { scheduled: 'True', isTold: false, ready: true, placed: ['n2'] },
    ],
    [
      'of locality strict-local lacks one that has none where it is used',
      { locality: 'strict-local', allowsDegraded: false, nodes: ['n1'], attachedTo: 'n2' },
      { scheduled: 'False', isTold: true, ready: true, placed: [] },
    ],
  ];
  it.each(cases)('%s', (_name, given, expected) => {
    expect(schedule(given)).toEqual(expected);
  });
});
