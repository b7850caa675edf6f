/** What a machine holds of ours, to be compared before and after: nothing may be left behind. */
import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { deviceAttribute } from '@longhorn/shared-types/node/device-attribute';
import { markedProcesses } from './processes.ts';

/** Everything in lists of readable lines, sorted. */
export interface Inventory {
  loops: string[];
  mounts: string[];
  devices: string[];
  sockets: string[];
  processes: string[];
}

/**
 * @param folder the cluster's folder: what is below it, or below its short run folder, counts
 * @param volumes names whose device nodes count
 */
export function inventory(folder: string, volumes: string[]): Inventory {
  const id = readFileSync(join(folder, 'cluster-id'), 'utf8').trim();
  const ours = (line: string): boolean =>
    line.includes(`${folder}/`) ||
    line.includes(`/longhorn-${id}/`) ||
    volumes.some((volume) => line.startsWith(`/dev/longhorn/${volume} `));
  const loops = loopDevices().filter(ours);
  const mounts = readFileSync('/proc/self/mounts', 'utf8').split('\n').filter(ours);
  const devices = volumes.filter((volume) => existsSync(`/dev/longhorn/${volume}`));
  const processes = markedProcesses(folder).map(({ pid, mark, command }) => `${pid} ${mark} ${command}`);
  return {
    loops: loops.sort(),
    mounts: mounts.sort(),
    devices: devices.sort(),
    sockets: socketsOf(folder).sort(),
    processes: processes.sort(),
  };
}

/** Loop devices as `/dev/loop0 FILE`. */
function loopDevices(): string[] {
  return readdirSync('/sys/block').flatMap((name) => {
    const backing = deviceAttribute(join('/sys/block', name, 'loop', 'backing_file'));
    return backing === null ? [] : [`/dev/${name} ${backing}`];
  });
}

/** Unix sockets in the run folders of all nodes. */
function socketsOf(folder: string): string[] {
  const nodes = join(folder, 'nodes');
  return readdirSync(nodes).flatMap((node) => {
    const run = join(nodes, node, 'run');
    if (!existsSync(run)) return [];
    return readdirSync(realpathSync(run), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isSocket())
      .map((entry) => join(entry.parentPath, entry.name));
  });
}

/** Replica folders on the disks of all nodes, as `node-1/vol-1234abcd`. */
export function replicaFolders(folder: string): string[] {
  const nodes = join(folder, 'nodes');
  return readdirSync(nodes).flatMap((node) => {
    const replicas = join(nodes, node, 'disk', 'replicas');
    return existsSync(replicas) ? readdirSync(replicas).map((name) => `${node}/${name}`) : [];
  });
}
