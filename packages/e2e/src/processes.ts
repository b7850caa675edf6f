/** Finding processes by what they run, in /proc; only those of one cluster. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface ProcessEntry {
  pid: number;
  /** command line, words joined by spaces */
  command: string;
  /** LONGHORN_NODE_MARK of its environment: `<cluster id>/<node>` */
  mark: string;
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return ''; // ended between listing and reading, or not ours to read
  }
}

/** The processes of one cluster, by the id in its folder; zombies are left out. */
export function markedProcesses(clusterFolder: string): ProcessEntry[] {
  const id = read(join(clusterFolder, 'cluster-id')).trim();
  if (id === '') return [];
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .flatMap((entry) => {
      const mark = /(?:^|\0)LONGHORN_NODE_MARK=([^\0]*)/.exec(read(`/proc/${entry}/environ`))?.[1];
      const command = read(`/proc/${entry}/cmdline`).split('\0').join(' ').trim();
      return mark?.startsWith(`${id}/`) !== true || command === '' ? [] : [{ pid: Number(entry), command, mark }];
    });
}

/** The process is there yet, and its id is not another's by now. */
export function isStill(clusterFolder: string, { pid, mark, command }: ProcessEntry): boolean {
  return markedProcesses(clusterFolder).some(
    (entry) => entry.pid === pid && entry.mark === mark && entry.command === command,
  );
}

/** Bytes that a process has caused to be written to storage (Linux: /proc/PID/io). Throws when it is gone. */
export function bytesWritten(pid: number): number {
  const found = /^write_bytes: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, 'utf8'));
  if (found === null) throw new Error(`/proc/${pid}/io says nothing of write_bytes`);
  return Number(found[1]);
}

/** The one process of `node` whose command line matches. Throws when there is none or more than one. */
export function findProcess(clusterFolder: string, node: string, pattern: RegExp): ProcessEntry {
  const found = markedProcesses(clusterFolder).filter(
    ({ mark, command }) => mark.endsWith(`/${node}`) && pattern.test(command),
  );
  const first = found[0];
  if (first === undefined || found.length > 1) {
    throw new Error(
      `${found.length} processes match ${String(pattern)} on ${node}:\n${found.map((p) => p.command).join('\n')}`,
    );
  }
  return first;
}

export function replicaProcess(clusterFolder: string, node: string, replica: string): ProcessEntry {
  return findProcess(clusterFolder, node, new RegExp(`node.* replica .*--replica-instance-name ${replica}( |$)`));
}

export function engineProcess(clusterFolder: string, node: string, engine: string): ProcessEntry {
  return findProcess(clusterFolder, node, new RegExp(`node.*--engine-instance-name ${engine} controller `));
}
