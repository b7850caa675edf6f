/**
 * Takes away what a cluster that does not run any more has outside its folder's files: processes, devices, mounts, packet rules.
 */
import { existsSync, readdirSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { After } from './api/environment.ts';
import { clusterId } from './cluster-folder.ts';
import { tearDownDevices } from './node/devices.ts';
import { dropDisk } from './node/disk.ts';
import { packetFilter } from './node/packet-filter.ts';
import { nodePaths } from './node/paths.ts';
import { NODE_MARK } from './node/pod-environment.ts';
import { Processes } from './node/processes.ts';

/** Leaves nothing of the cluster but its files. */
export async function wipe(folder: string, after: After): Promise<void> {
  const id = clusterId(folder);
  const isRoot = process.getuid?.() === 0;
  await new Processes(after).kill(NODE_MARK, `${id}/`);
  await (await packetFilter(id, isRoot, process.env['PATH'] ?? '')).clean();
  const nodes = join(folder, 'nodes');
  for (const name of existsSync(nodes) ? readdirSync(nodes) : []) {
    const paths = nodePaths(folder, name);
    if (isRoot && existsSync(paths.run)) await tearDownDevices(realpathSync(paths.run));
    if (existsSync(paths.diskImage)) {
      if (!isRoot) throw new Error(`${paths.diskImage} was made by root: run the reset as root`);
      await dropDisk({ kind: 'ext4', paths });
    }
  }
  rmSync(join(tmpdir(), `longhorn-${id}`), { recursive: true, force: true });
}
