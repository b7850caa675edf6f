/** What a node's environment lacks, as conditions of the node. They tell people; replicas are placed whatever they say. Pure. */
import type { Finding } from '../../environment/node-checks.ts';
import type { WantedCondition } from '../conditions.ts';

/** False: no pod can use a volume on this node. */
export const BLOCK_DEVICE_AVAILABLE = 'BlockDeviceAvailable';

/** [condition, reason when it is False, message when it is True, topics of the checks behind it] */
const CONDITIONS: readonly (readonly [type: string, reason: string, good: string, topics: readonly string[]])[] = [
  [BLOCK_DEVICE_AVAILABLE, 'NoFrontend', 'Volumes can be attached as block devices', ['FUSE', 'LoopDevices']],
  ['RequiredPackages', 'PackagesNotInstalled', 'All required packages are installed', ['Tools']],
  ['Multipathd', 'MultipathdIsRunning', '', ['Multipathd']],
  ['NFSClientInstalled', 'NFSClientIsNotFound', '', ['NFSv4']],
  ['KernelModulesLoaded', 'KernelModulesNotLoaded', 'Kernel modules [dm_crypt] are loaded', ['Encryption']],
];

/** One condition for each kind of finding; its message names all that is missing, and how to get it. */
export function environmentConditions(findings: readonly Finding[]): WantedCondition[] {
  return CONDITIONS.map(([type, reason, good, topics]) => {
    const faults = findings.filter(({ topic, level }) => topics.includes(topic) && level !== 'info');
    return faults.length === 0
      ? { type, status: 'True', message: good }
      : { type, status: 'False', reason, message: faults.map(({ message }) => message).join('. ') };
  });
}
