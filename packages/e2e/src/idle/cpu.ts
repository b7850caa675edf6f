/** CPU time of the processes of a cluster, by node and by what they are. */
import { readFileSync } from 'node:fs';
import { markedProcesses, type ProcessEntry } from '../processes.ts';

/** Clock ticks of /proc in a second: 100 on every architecture that Node runs on. */
const TICKS_PER_SECOND = 100;

export const PARTS = ['manager', 'instance-manager', 'engines', 'replicas', 'other'] as const;
export type Part = (typeof PARTS)[number];

/** Milliseconds of CPU per node and part. */
export type CpuTimes = Map<string, Record<Part, number>>;

function partOf({ command }: ProcessEntry): Part {
  if (/ controller( |$)/.test(command)) return 'engines';
  if (/ replica( |$)/.test(command) || / sync-agent( |$)/.test(command)) return 'replicas';
  // The manager's own command line names the instance manager's image.
  if (/longhorn-manager/.test(command)) return 'manager';
  return command.includes('longhorn-instance-manager') ? 'instance-manager' : 'other';
}

/** User and system time of one process; 0 if it has ended. */
function cpuMs(pid: number): number {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return 0; // ended: what it used is missed, which the count of processes shows
  }
  // The name may hold spaces; what follows its closing bracket does not.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / TICKS_PER_SECOND;
}

export function cpuTimes(clusterFolder: string): CpuTimes {
  const times: CpuTimes = new Map();
  for (const entry of markedProcesses(clusterFolder)) {
    const node = entry.mark.split('/')[1] ?? '';
    const parts = times.get(node) ?? { manager: 0, 'instance-manager': 0, engines: 0, replicas: 0, other: 0 };
    parts[partOf(entry)] += cpuMs(entry.pid);
    times.set(node, parts);
  }
  return times;
}

/** Thousandths of a core that each part used between two looks. */
export function millicores(before: CpuTimes, after: CpuTimes, elapsedMs: number): CpuTimes {
  return new Map(
    [...after].map(([node, parts]) => {
      const used = (part: Part): number => ((parts[part] - (before.get(node)?.[part] ?? 0)) * 1000) / elapsedMs;
      return [
        node,
        {
          manager: used('manager'),
          'instance-manager': used('instance-manager'),
          engines: used('engines'),
          replicas: used('replicas'),
          other: used('other'),
        },
      ];
    }),
  );
}
