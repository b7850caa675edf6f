/** What a round may not leave: more processes, replica folders, loop devices or mounts than the volumes need. */
import { join } from 'node:path';
import { readFileSync } from 'node:fs';
import { waitFor } from '@longhorn/engine/testing/wait';
import type { Cluster } from '../cluster.ts';
import { at } from '../kube.ts';
import { inventory, replicaFolders } from '../leftovers.ts';
import { markedProcesses } from '../processes.ts';
import { PROGRAMS, type Program } from './faults.ts';
import type { Subject } from './subject.ts';

const CLEAN_MS = 60_000;

/** Third word of /proc/PID/stat after the name: `T` = stopped. */
function stateOf(pid: number): string {
  try {
    return readFileSync(join('/proc', String(pid), 'stat'), 'utf8')
      .replace(/^.*\) /s, '')
      .charAt(0);
  } catch {
    return ''; // ended meanwhile
  }
}

async function remains(cluster: Cluster, subjects: Subject[], nodes: readonly string[]): Promise<string[]> {
  const copies = subjects.reduce((sum, { replicas }) => sum + replicas, 0);
  const wanted: Record<Program, number> = {
    replica: copies,
    engine: subjects.length,
    'instance-manager': nodes.length,
    manager: nodes.length,
  };
  const problems: string[] = [];
  const processes = markedProcesses(cluster.folder);
  for (const [program, count] of Object.entries(wanted)) {
    const found = processes.filter(({ command }) => PROGRAMS[program as Program].test(command));
    if (found.length !== count)
      problems.push(
        `${found.length} processes of ${program} instead of ${count}: ${found.map((p) => p.command).join('; ')}`,
      );
  }
  for (const { pid, command } of processes) if (stateOf(pid) === 'T') problems.push(`stopped: ${pid} ${command}`);

  const objects = await cluster.kube.list('replicas');
  const expected = objects.map(
    (replica) => `${String(at(replica, 'spec.nodeID'))}/${String(at(replica, 'spec.dataDirectoryName'))}`,
  );
  const folders = replicaFolders(cluster.folder);
  if (folders.toSorted().join() !== expected.toSorted().join() || folders.length !== copies)
    problems.push(`replica folders ${folders.join(', ')} for ${copies} replicas ${expected.join(', ')}`);

  const { loops, mounts } = inventory(cluster.folder, []);
  if (loops.length !== nodes.length) problems.push(`loop devices: ${loops.join('; ')}`);
  if (mounts.length !== nodes.length) problems.push(`mounts: ${mounts.join('; ')}`);
  const orphans = await cluster.kube.list('orphans');
  if (orphans.length > 0) problems.push(`orphans: ${orphans.map(({ metadata }) => metadata.name).join(', ')}`);
  return problems;
}

/** Waits until nothing is left over. */
export async function waitClean(cluster: Cluster, subjects: Subject[], nodes: readonly string[]): Promise<void> {
  let problems: string[] = [];
  await waitFor(
    'nothing is left over from the faults',
    CLEAN_MS,
    async () => {
      problems = await remains(cluster, subjects, nodes);
      return problems.length === 0;
    },
    () => problems.join('\n'),
  );
}
