/**
 * Where a replica may go. Nodes are looked at in groups, farthest from the volume's other replicas first; the first
 * group with a disk that takes the replica wins.
 */
import { filesystemHolds, storageProblem } from './storage-check.ts';
import type { CandidateDisk, CandidateNode, PlacedReplica, PlacementRules } from './scheduling-world.ts';

/** Texts that clients match. */
export const reasons = {
  insufficientStorage: 'insufficient storage',
  diskNotFound: 'disk not found',
  disksUnavailable: 'disks are unavailable',
  tagsNotFulfilled: 'tags not fulfilled',
  nodeNotFound: 'node not found',
  nodesUnavailable: 'nodes are unavailable',
  noEngineImage: 'none of the node candidates contains a ready engine image',
  hardAffinity: 'hard affinity cannot be satisfied',
  schedulingFailed: 'replica scheduling failed',
  incompatibleSize: 'incompatible volume size',
} as const;

export interface Candidate {
  node: CandidateNode;
  disk: CandidateDisk;
}

export interface CandidateSearch {
  nodes: readonly CandidateNode[];
  replicas: readonly PlacedReplica[];
  rules: PlacementRules;
  /** '' = anywhere. */
  hardNodeAffinity: string;
  /** The volume is degraded and waited long enough: a failed replica no longer reserves its place. */
  replacementDue: boolean;
  /** A search for the place of existing data: only these disks, space is taken already. */
  onlyDisks: readonly string[] | null;
  ignoreFailed: boolean;
}

export interface SearchResult {
  candidates: Candidate[];
  reasons: string[];
}

function tagsFit(selector: readonly string[], tags: readonly string[], allowEmpty: boolean): boolean {
  if (selector.length === 0) return allowEmpty || tags.length === 0;
  return selector.every((tag) => tags.includes(tag));
}

function usableNodes(search: CandidateSearch, found: Set<string>): CandidateNode[] {
  let nodes = search.nodes.filter((node) => !node.deleting && node.ready && node.schedulable && node.allowScheduling);
  if (nodes.length === 0) found.add(reasons.nodesUnavailable);
  if (search.hardNodeAffinity !== '') {
    nodes = nodes.filter((node) => node.name === search.hardNodeAffinity);
    if (nodes.length === 0) found.add(reasons.hardAffinity);
  }
  const ready = nodes.filter((node) => node.instanceManagerReady && node.imagesReady.includes(search.rules.imageName));
  if (nodes.length > 0 && ready.length === 0) found.add(reasons.noEngineImage);
  return ready.filter((node) => tagsFit(search.rules.nodeSelector, node.tags, search.rules.allowEmptyNodeSelector));
}

function usableDisks(node: CandidateNode, search: CandidateSearch, found: Set<string>): CandidateDisk[] {
  const { onlyDisks } = search;
  const open = node.disks.filter((disk) => {
    if (!disk.allowScheduling || disk.evictionRequested || node.evictionRequested) return false;
    if (!disk.isFilesystem || disk.uuid === '') return false;
    return onlyDisks === null ? disk.schedulable : onlyDisks.includes(disk.uuid);
  });
  if (open.length === 0) found.add(reasons.disksUnavailable);
  return open.filter((disk) => {
    const problem = diskProblem(disk, search);
    if (problem !== null) found.add(problem);
    return problem === null;
  });
}

function diskProblem(disk: CandidateDisk, search: CandidateSearch): string | null {
  const { rules } = search;
  if (!filesystemHolds(disk.filesystemType, rules.sizeBytes)) return reasons.incompatibleSize;
  const spaceCounts = search.onlyDisks === null;
  if (spaceCounts && storageProblem(disk, rules.sizeBytes, rules.actualBytes, rules.space) !== null)
    return reasons.insufficientStorage;
  return tagsFit(rules.diskSelector, disk.tags, rules.allowEmptyDiskSelector) ? null : reasons.tagsNotFulfilled;
}

/** Replicas that keep others away. */
function keepersOf(search: CandidateSearch): PlacedReplica[] {
  return search.replicas.filter((replica) => {
    if (replica.nodeId === '' || replica.deleting) return false;
    if (!replica.failed) return true;
    return !search.ignoreFailed && replica.reusable && !search.replacementDue;
  });
}

function groupsOf(search: CandidateSearch, nodes: CandidateNode[]): CandidateNode[][] {
  const { rules } = search;
  const keepers = keepersOf(search);
  const zoneOf = new Map(search.nodes.map((node) => [node.name, node.zone]));
  const usedNodes = new Set(keepers.map((replica) => replica.nodeId));
  const usedZones = new Set(keepers.map((replica) => zoneOf.get(replica.nodeId) ?? ''));
  const evicted = (matches: (replica: PlacedReplica) => boolean): boolean => {
    const there = keepers.filter(matches);
    return there.length > 0 && there.every((replica) => replica.evicting);
  };
  const unused = nodes.filter((node) => !usedNodes.has(node.name));
  const inUnusedZones = nodes.filter((node) => !usedZones.has(node.zone));
  const emptied = nodes.filter((node) => evicted((replica) => replica.nodeId === node.name));
  const inEmptiedZones = emptied.filter(
    (node) => rules.balancesBestEffort || evicted((replica) => zoneOf.get(replica.nodeId) === node.zone),
  );
  const used = nodes.filter((node) => usedNodes.has(node.name));
  if (!rules.zoneSoft) return [inUnusedZones, inEmptiedZones];
  return rules.nodeSoft ? [inUnusedZones, unused, used] : [inUnusedZones, unused, emptied];
}

/** All places of the best group; empty with reasons if there is none. */
export function findCandidates(search: CandidateSearch): SearchResult {
  const found = new Set<string>();
  const nodes = usableNodes(search, found);
  const disksOf = new Map(nodes.map((node) => [node.name, usableDisks(node, search, found)]));
  const keepers = keepersOf(search);
  for (const group of groupsOf(search, nodes)) {
    const places = group.flatMap((node) => (disksOf.get(node.name) ?? []).map((disk) => ({ node, disk })));
    const empty = places.filter(({ disk }) => !keepers.some((replica) => replica.diskId === disk.uuid));
    const chosen = empty.length > 0 ? empty : search.rules.diskSoft ? places : [];
    if (chosen.length > 0) return { candidates: chosen, reasons: [] };
  }
  return { candidates: [], reasons: found.size > 0 ? [...found].toSorted() : [reasons.schedulingFailed] };
}

/** The disk with the most free space beyond its reserve; `preferredNode` first if it is among the candidates. */
export function chooseCandidate(candidates: readonly Candidate[], preferredNode = ''): Candidate | null {
  const preferred = candidates.filter(({ node }) => node.name === preferredNode);
  const free = ({ disk }: Candidate): number => disk.availableBytes - disk.reservedBytes;
  const pool = preferred.length > 0 ? preferred : candidates;
  return pool.reduce<Candidate | null>(
    (best, candidate) =>
      best === null ||
      free(candidate) > free(best) ||
      (free(candidate) === free(best) && candidate.disk.uuid < best.disk.uuid)
        ? candidate
        : best,
    null,
  );
}
