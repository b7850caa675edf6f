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

/** @param folder the cluster's folder: mounts and loop devices below it, and those of /dev/longhorn, count */
export async function inventory(folder: string): Promise<Inventory> {
  const loops = (await run('losetup', ['-l', '-n', '-O', 'NAME,BACK-FILE']))
    .split('\n')
    .filter((line) => line.includes(folder) || line.includes('/longhorn'));
  const mounts = readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .filter((line) => line.includes(folder) || line.includes('/longhorn'));
  const devices = existsSync('/dev/longhorn') ? readdirSync('/dev/longhorn') : [];
  const processes = markedProcesses().map(({ pid, mark, command }) => `${pid} ${mark} ${command}`);
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
