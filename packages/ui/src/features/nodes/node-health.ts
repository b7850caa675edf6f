/** How a node and its disks are, and why. Pure. */
import type { Health } from '../../components/health.ts';
import type { Disk, Node } from '../../data/resources.ts';

type Conditions = Node['conditions'] | Disk['conditions'];

const isTrue = (conditions: Conditions, type: string): boolean => conditions[type]?.status === 'True';

/** One word for a node, first match wins. */
export function nodeHealth(node: Node): Health {
  const { conditions, allowScheduling, disks } = node;
  const all = Object.values(disks);
  if (conditions['Ready'] === undefined) return { tone: 'busy', label: 'Unknown' };
  if (!isTrue(conditions, 'Ready')) return { tone: 'bad', label: 'Down' };
  if (!allowScheduling || (all.length > 0 && all.every((disk) => !disk.allowScheduling))) {
    return { tone: 'idle', label: 'Disabled' };
  }
  if (conditions['Schedulable']?.status === 'False') {
    return { tone: 'warn', label: node.autoEvicting ? 'Evicting' : 'Unschedulable' };
  }
  if (!all.some((disk) => diskHealth(disk, node).tone === 'good')) return { tone: 'warn', label: 'Unschedulable' };
  return { tone: 'good', label: 'Schedulable' };
}

/** One word for a disk of a node. */
export function diskHealth(disk: Disk, node: Pick<Node, 'allowScheduling' | 'conditions'>): Health {
  if (!isTrue(node.conditions, 'Ready')) return { tone: 'bad', label: 'Out of reach' };
  if (!disk.allowScheduling || !node.allowScheduling) return { tone: 'idle', label: 'Disabled' };
  if (!isTrue(disk.conditions, 'Ready')) return { tone: 'bad', label: 'Not ready' };
  const canTake = isTrue(disk.conditions, 'Schedulable') && node.conditions['Schedulable']?.status !== 'False';
  return canTake ? { tone: 'good', label: 'Schedulable' } : { tone: 'warn', label: 'Unschedulable' };
}

/** Sentences of the conditions that are not as they should be. */
export function troubles(conditions: Conditions): string[] {
  return Object.values(conditions)
    .filter(({ status }) => status === 'False')
    .map(({ type, message, reason }) => `${type}: ${message || reason || 'no reason given'}`);
}

/** Bytes of all disks of a node together. */
export interface Space {
  usedBytes: number;
  maximumBytes: number;
  scheduledBytes: number;
  /** what replicas may take */
  usableBytes: number;
}

/** Sum over disks. */
export function space(disks: readonly Disk[]): Space {
  const sum = (value: (disk: Disk) => number): number => disks.reduce((total, disk) => total + value(disk), 0);
  return {
    usedBytes: sum((disk) => disk.storageMaximum - disk.storageAvailable),
    maximumBytes: sum((disk) => disk.storageMaximum),
    scheduledBytes: sum((disk) => disk.storageScheduled),
    usableBytes: sum((disk) => disk.storageMaximum - disk.storageReserved),
  };
}

/** Replicas that are placed on these disks. */
export function replicaCount(disks: readonly Disk[]): number {
  return disks.reduce((total, disk) => total + Object.keys(disk.scheduledReplica).length, 0);
}
