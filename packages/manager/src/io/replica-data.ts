/**
 * Removing a replica's folder for good. Everything that could make it the wrong folder is checked first: the path comes
 * from the one checked function, the disk is the one with the replica's UUID, and neither the folder nor its parent is
 * a symbolic link.
 */
import { lstat, open, readFile, rm } from 'node:fs/promises';
import { dirname, posix } from 'node:path';
import { replicaFolderOf } from '../instance-client/process-arguments.ts';

export interface ReplicaData {
  diskPath: string;
  diskUuid: string;
  folder: string;
}

/** The disk that should hold the data is not there; trying later may help. */
export class DiskMissingError extends Error {
  override readonly name = 'DiskMissingError';
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}

/** True once there is no such folder. Throws DiskMissingError if the disk at the path is another one or none. */
export async function removeReplicaData(data: ReplicaData, hostRoot: string): Promise<void> {
  const folder = replicaFolderOf(data.diskPath, data.folder, hostRoot);
  const parent = dirname(folder);
  await requireDisk(posix.join(dirname(parent), 'longhorn-disk.cfg'), data.diskUuid);
  for (const path of [parent, folder]) {
    try {
      const found = await lstat(path);
      if (!found.isDirectory()) throw new Error(`${path} is not a folder; nothing was removed`);
    } catch (error) {
      if (isMissing(error)) return;
      throw error;
    }
  }
  await rm(folder, { recursive: true, force: true, maxRetries: 3 });
  const handle = await open(parent, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function requireDisk(path: string, uuid: string): Promise<void> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    throw new DiskMissingError(`no disk is mounted where ${path} should be`, { cause: error });
  }
  let found: unknown;
  try {
    found = JSON.parse(text);
  } catch (error) {
    throw new DiskMissingError(`${path} is not valid JSON`, { cause: error });
  }
  const present = typeof found === 'object' && found !== null && 'diskUUID' in found ? found.diskUUID : '';
  if (present !== uuid) throw new DiskMissingError(`${path} belongs to disk ${String(present)}, not ${uuid}`);
}
