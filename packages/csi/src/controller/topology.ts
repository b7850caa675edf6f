/** Where volumes can be used, and how much of a node's space a new one may take. */
import type { Topology } from '@longhorn/shared-types/generated/csi-v1';
import { Code, rpcError } from '@longhorn/shared-types/grpc/rpc-error';
import type { ManagerClient } from '../api/manager-client.ts';
import { ManagerUnreachable } from '../api/manager-fault.ts';
import type { Resource } from '../api/rest-decoder.ts';
import { readTags, type Parameters } from './parameters.ts';
import { invalid } from '../call/request-checks.ts';

export const TOPOLOGY_KEY = 'kubernetes.io/hostname';

/** What decides where a replica may go. */
export interface PlacementWish {
  readonly nodeSelector: readonly string[];
  readonly diskSelector: readonly string[];
  readonly diskType: 'filesystem' | 'block';
}

export interface CapacityRules {
  readonly overProvisioningPercentage: number;
  readonly allowEmptyNodeSelector: boolean;
  readonly allowEmptyDiskSelector: boolean;
}

type Node = Resource<'node'>;
type Disk = Node['disks'][string];

function isTrue(conditions: Readonly<Record<string, { status: string }>>, type: string): boolean {
  return conditions[type]?.status === 'True';
}

function tagsFit(wanted: readonly string[], tags: readonly string[], allowEmpty: boolean): boolean {
  if (wanted.length === 0) return allowEmpty || tags.length === 0;
  return wanted.every((tag) => tags.includes(tag));
}

function diskCapacity(disk: Disk, { overProvisioningPercentage }: CapacityRules): bigint {
  const usable = BigInt(disk.storageMaximum) - BigInt(disk.storageReserved);
  return (usable * BigInt(overProvisioningPercentage)) / 100n - BigInt(disk.storageScheduled);
}

/** Largest replica that the node can take: no volume is spread over disks. */
export function nodeCapacity(node: Node, wish: PlacementWish, rules: CapacityRules): bigint {
  const takesReplicas =
    isTrue(node.conditions, 'Ready') &&
    isTrue(node.conditions, 'Schedulable') &&
    node.allowScheduling &&
    !node.evictionRequested &&
    tagsFit(wish.nodeSelector, node.tags, rules.allowEmptyNodeSelector);
  if (!takesReplicas) return 0n;
  return Object.values(node.disks)
    .filter(
      (disk) =>
        disk.allowScheduling &&
        !disk.evictionRequested &&
        isTrue(disk.conditions, 'Schedulable') &&
        disk.diskType === wish.diskType &&
        tagsFit(wish.diskSelector, disk.tags, rules.allowEmptyDiskSelector),
    )
    .map((disk) => diskCapacity(disk, rules))
    .reduce((most, bytes) => (bytes > most ? bytes : most), 0n);
}

/** The wish of StorageClass parameters. */
export function wishOf(parameters: Parameters): PlacementWish {
  const dataEngine = parameters['dataEngine'] ?? '';
  if (!['', 'v1', 'v2'].includes(dataEngine)) throw invalid(`unknown data engine type ${dataEngine}, use v1 or v2`);
  return {
    nodeSelector: readTags(parameters['nodeSelector'] ?? ''),
    diskSelector: readTags(parameters['diskSelector'] ?? ''),
    diskType: dataEngine === 'v2' ? 'block' : 'filesystem',
  };
}

async function setting(manager: ManagerClient, name: string, signal: AbortSignal): Promise<string> {
  const found = await manager.find('setting', 'settings', name, signal);
  if (found === null) throw new ManagerUnreachable(`failed to get setting ${name}: the manager does not know it`);
  return found.value;
}

/** The settings that the capacity depends on. */
export async function capacityRules(manager: ManagerClient, signal: AbortSignal): Promise<CapacityRules> {
  const percentage = await setting(manager, 'storage-over-provisioning-percentage', signal);
  return {
    overProvisioningPercentage: /^[0-9]{1,9}$/.test(percentage) ? Number(percentage) : 100,
    allowEmptyNodeSelector: (await setting(manager, 'allow-empty-node-selector-volume', signal)) === 'true',
    allowEmptyDiskSelector: (await setting(manager, 'allow-empty-disk-selector-volume', signal)) === 'true',
  };
}

/** What a topology says of the node; null when it says nothing. */
export function hostnameIn(topology: Topology): string | null {
  const entry = Object.entries(topology.segments).find(([key]) => key.toLowerCase() === TOPOLOGY_KEY);
  return entry?.[1] ?? null;
}

/** By what topologies know the node: its label, which need not be its name; the name where the manager does not tell. */
export function hostnameOf({ name, hostnameLabel }: Pick<Node, 'name' | 'hostnameLabel'>): string {
  return hostnameLabel === '' ? name : hostnameLabel;
}

/** The node that a topology means; one of that name if no node has it as its label. Null when there is none. */
export function nodeAt(nodes: readonly Node[], hostname: string): Node | null {
  return nodes.find((node) => hostnameOf(node) === hostname) ?? nodes.find(({ name }) => name === hostname) ?? null;
}

/** Largest volume that fits: on one node, or on the node with the most room when none is given. */
export async function availableCapacity(
  manager: ManagerClient,
  parameters: Parameters,
  topology: Topology | null,
  signal: AbortSignal,
): Promise<bigint> {
  const wish = wishOf(parameters);
  let nodes: Node[] = await manager.list('node', 'nodes', signal);
  if (topology !== null) {
    const hostname = hostnameIn(topology);
    if (hostname === null) {
      throw invalid(`failed to parse node id: accessible topology request parameter is missing ${TOPOLOGY_KEY} key`);
    }
    const node = nodeAt(nodes, hostname);
    if (node === null) throw rpcError(Code.NotFound, `node ${hostname} not found`);
    nodes = [node];
  }
  const rules = await capacityRules(manager, signal);
  return nodes
    .map((node) => nodeCapacity(node, wish, rules))
    .reduce((most, bytes) => (bytes > most ? bytes : most), 0n);
}

/**
 * The node of a new strict-local volume, whose only replica is where its first user is: the first of the wished ones
 * that has room.
 */
export async function strictLocalNode(
  manager: ManagerClient,
  parameters: Parameters,
  wished: readonly Topology[],
  sizeBytes: bigint,
  signal: AbortSignal,
): Promise<Node> {
  const wish = wishOf(parameters);
  const rules = await capacityRules(manager, signal);
  const nodes = await manager.list('node', 'nodes', signal);
  for (const topology of wished) {
    const node = nodeAt(nodes, hostnameIn(topology) ?? '');
    if (node !== null && nodeCapacity(node, wish, rules) >= sizeBytes) return node;
  }
  const names = wished.map((topology) => hostnameIn(topology) ?? '?').join(', ');
  throw rpcError(Code.ResourceExhausted, `none of the nodes ${names} has a disk with ${sizeBytes} bytes left`);
}
