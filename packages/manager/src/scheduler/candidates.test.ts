import { describe, expect, it } from 'vitest';
import { chooseCandidate, findCandidates, reasons, type CandidateSearch } from './candidates.ts';
import { candidateDisk, candidateNode } from '../../test/candidates.ts';
import type { CandidateNode, PlacedReplica, PlacementRules } from './scheduling-world.ts';
import { filesystemHolds, storageProblem } from './storage-check.ts';

const GIB = 2 ** 30;

const disk = candidateDisk;
const node = (name: string, changes: Partial<CandidateNode> = {}): CandidateNode =>
  candidateNode(name, { imagesReady: ['ei'], disks: [disk(`${name}-d1`)], ...changes });

function replica(nodeId: string, changes: Partial<PlacedReplica> = {}): PlacedReplica {
  return {
    name: `r-${nodeId}`,
    nodeId,
    diskId: `${nodeId}-d1`,
    sizeBytes: GIB,
    failed: false,
    deleting: false,
    evicting: false,
    reusable: false,
    active: true,
    ...changes,
  };
}

function search(
  nodes: CandidateNode[],
  replicas: PlacedReplica[],
  rules: Partial<PlacementRules> = {},
  more: Partial<CandidateSearch> = {},
): CandidateSearch {
  return {
    nodes,
    replicas,
    hardNodeAffinity: '',
    replacementDue: false,
    onlyDisks: null,
    ignoreFailed: false,
    rules: {
      sizeBytes: GIB,
      actualBytes: 0,
      imageName: 'ei',
      diskSelector: [],
      nodeSelector: [],
      allowEmptyDiskSelector: true,
      allowEmptyNodeSelector: true,
      nodeSoft: false,
      zoneSoft: true,
      diskSoft: true,
      balancesBestEffort: false,
      space: { overProvisioningPercentage: 100, minimalAvailablePercentage: 25 },
      ...rules,
    },
    ...more,
  };
}

function places(given: CandidateSearch): string[] {
  return findCandidates(given).candidates.map(({ disk: { uuid } }) => uuid);
}

describe('where a replica may go', () => {
  const two = [node('a'), node('b')];
  const zones = [node('a', { zone: 'z1' }), node('b', { zone: 'z1' }), node('c', { zone: 'z2' })];
  const cases: [string, CandidateSearch, string[]][] = [
    ['anywhere at first', search(two, []), ['a-d1', 'b-d1']],
    ['not where one is already', search(two, [replica('a')]), ['b-d1']],
    ['nowhere when all nodes have one', search(two, [replica('a'), replica('b')]), []],
    [
      'again on a used node with soft anti-affinity',
      search(two, [replica('a'), replica('b')], { nodeSoft: true }),
      ['a-d1', 'b-d1'],
    ],
    [
      'on another disk of a used node first',
      search([node('a', { disks: [disk('a-d1'), disk('a-d2')] })], [replica('a')], { nodeSoft: true }),
      ['a-d2'],
    ],
    [
      'not twice on a disk with hard disk anti-affinity',
      search([node('a')], [replica('a')], { nodeSoft: true, diskSoft: false }),
      [],
    ],
    ['in an unused zone first', search(zones, [replica('a')]), ['c-d1']],
    ['in a used zone when zones are soft', search(zones, [replica('a'), replica('c')]), ['b-d1']],
    ['in no used zone when zones are hard', search(zones, [replica('a'), replica('c')], { zoneSoft: false }), []],
    ['in the place of one that is to leave', search([node('a')], [replica('a', { evicting: true })]), ['a-d1']],
    [
      'not in the place of a failed one that may return',
      search([node('a')], [replica('a', { failed: true, reusable: true })]),
      [],
    ],
    [
      'in the place of a failed one that stayed away too long',
      search([node('a')], [replica('a', { failed: true, reusable: true })], {}, { replacementDue: true }),
      ['a-d1'],
    ],
    ['only where the hard affinity says', search(two, [], {}, { hardNodeAffinity: 'b' }), ['b-d1']],
    [
      'only on nodes with all tags',
      search([node('a', { tags: ['fast'] }), node('b', { tags: ['fast', 'ssd'] })], [], {
        nodeSelector: ['fast', 'ssd'],
      }),
      ['b-d1'],
    ],
    [
      'on untagged nodes only, when tags must be asked for',
      search([node('a', { tags: ['x'] }), node('b')], [], { allowEmptyNodeSelector: false }),
      ['b-d1'],
    ],
  ];
  it.each(cases)('%s', (_name, given, expected) => {
    expect(places(given)).toEqual(expected);
  });

  it('is the emptiest disk, or the preferred node', () => {
    const nodes = [node('a'), node('b', { disks: [disk('b-d1', { availableBytes: 90 * GIB })] })];
    const { candidates } = findCandidates(search(nodes, []));
    expect(chooseCandidate(candidates)?.node.name).toBe('b');
    expect(chooseCandidate(candidates, 'a')?.node.name).toBe('a');
    expect(chooseCandidate([])).toBeNull();
  });
});

describe('why it may not', () => {
  const cases: [string, CandidateSearch, string[]][] = [
    ['no node is schedulable', search([node('a', { ready: false })], []), [reasons.nodesUnavailable]],
    [
      'the hard affinity names another node',
      search([node('a')], [], {}, { hardNodeAffinity: 'b' }),
      [reasons.hardAffinity],
    ],
    ['no node has the image', search([node('a', { imagesReady: [] })], []), [reasons.noEngineImage]],
    [
      'no disk takes replicas',
      search([node('a', { disks: [disk('d', { schedulable: false })] })], []),
      [reasons.disksUnavailable],
    ],
    ['disks lack a tag', search([node('a')], [], { diskSelector: ['ssd'] }), [reasons.tagsNotFulfilled]],
    [
      'disks are full',
      search([node('a', { disks: [disk('d', { scheduledBytes: 100 * GIB })] })], []),
      [reasons.insufficientStorage],
    ],
    [
      'the file system cannot hold it',
      search([node('a')], [], { sizeBytes: 17 * 1024 * GIB }),
      [reasons.incompatibleSize],
    ],
    ['no reason was found', search([node('a')], [replica('a')]), [reasons.schedulingFailed]],
  ];
  it.each(cases)('%s', (_name, given, expected) => {
    expect(findCandidates(given)).toEqual({ candidates: [], reasons: expected });
  });
});

describe('room on a disk', () => {
  const space = { overProvisioningPercentage: 100, minimalAvailablePercentage: 25 };
  const empty = { maximumBytes: 100, availableBytes: 100, reservedBytes: 0, scheduledBytes: 0 };
  it.each([
    ['there is', empty, 50, 0, null],
    ['nothing is known of it', { ...empty, maximumBytes: 0 }, 1, 0, 'Storage Max must be greater than 0'],
    ['it is full', { ...empty, availableBytes: 0 }, 1, 0, 'Storage Available must be greater than 0'],
    ['exactly the minimum would be left', empty, 1, 75, 'Actual space usage condition failed'],
    ['one more than the minimum is left', empty, 1, 74, null],
    ['the promise is reached exactly', { ...empty, scheduledBytes: 50 }, 50, 0, null],
    ['the promise is exceeded', { ...empty, scheduledBytes: 51 }, 50, 0, 'Scheduling space condition failed'],
    ['the reserve is not promised', { ...empty, reservedBytes: 30 }, 71, 0, 'Scheduling space condition failed'],
  ])('%s', (_name, given, size, required, expected) => {
    const problem = storageProblem(given, size, required, space);
    expect(problem === null ? null : problem.slice(0, expected?.length ?? 0)).toBe(expected);
  });

  it('ends with the file system', () => {
    expect(filesystemHolds('ext2/ext3', 16 * 1024 ** 4 - 1)).toBe(true);
    expect(filesystemHolds('ext4', 16 * 1024 ** 4)).toBe(false);
    expect(filesystemHolds('xfs', 16 * 1024 ** 4)).toBe(true);
  });
});
