/** What a machine holds of ours, to be compared before and after: nothing may be left behind. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { markedProcesses } from './processes.ts';
import { run } from './shell.ts';

/** Everything in lists of readable lines, sorted. */
export interface Inventory {
  loops: string[];
  mounts: string[];
  devices: string[];
  processes: string[];
}

/**
 * @param folder the cluster's folder: what is below it, or below its short run folder, counts
 * @param volumes names whose device nodes count
 */
export async function inventory(folder: string, volumes: string[]): Promise<Inventory> {
  const id = readFileSync(join(folder, 'cluster-id'), 'utf8').trim();
  const ours = (line: string): boolean =>
    line.includes(`${folder}/`) ||
    line.includes(`/longhorn-${id}/`) ||
    volumes.some((volume) => line.startsWith(`/dev/longhorn/${volume} `));
  const loops = (await run('losetup', ['-l', '-n', '-O', 'NAME,BACK-FILE'])).split('\n').filter(ours);
  const mounts = readFileSync('/proc/self/mounts', 'utf8').split('\n').filter(ours);
  const devices = volumes.filter((volume) => existsSync(`/dev/longhorn/${volume}`));
  const processes = markedProcesses(folder).map(({ pid, mark, command }) => `${pid} ${mark} ${command}`);
  return { loops: loops.sort(), mounts: mounts.sort(), devices: devices.sort(), processes: processes.sort() };
}

/** Replica folders on the disks of all nodes, as `node-1/vol-1234abcd`. */
export function replicaFolders(folder: string): string[] {
  const nodes = join(folder, 'nodes');
  return readdirSync(nodes).flatMap((node) => {
    const replicas = join(nodes, node, 'disk', 'replicas');
    return existsSync(replicas) ? readdirSync(replicas).map((name) => `${node}/${name}`) : [];
  });
}
