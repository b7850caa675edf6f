/**
 * A lock on a folder, held by a process: the kernel's (flock), so that it ends with its holder however that dies. Whoever wants it
 * from another process leaves a request, of which the holder is told.
 *
 *     replica.lock         locked; its content names the holder, for people
 *     replica.lock.wanted  the newest request; what it says is between the two
 */
import { unwatchFile, watchFile } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { DiskError, LOCK_FILE, LOCK_REQUEST_FILE, type FolderLock, type LockKind } from '../disk.ts';
import { FOLDER_REQUEST_POLL_MS, META_FILE_BYTES_MAX } from '../../limits.ts';
import { tryLock } from './linux.ts';

/** Takes the lock, or tells who has it; `onRequest` is called when a request is left while we have it. */
export async function lockFolder(
  path: string,
  kind: LockKind,
  holder: string,
  onRequest: () => void,
): Promise<FolderLock | { heldBy: string }> {
  const handle = await open(join(path, LOCK_FILE), 'a+', 0o600);
  try {
    if (!tryLock(handle.fd, kind)) {
      const heldBy = await holderOf(handle);
      await handle.close();
      return { heldBy };
    }
    await handle.truncate(0);
    await handle.writeFile(`${holder}, process ${process.pid}\n`);
  } catch (error) {
    await handle.close();
    throw error;
  }
  // By stat: a node's replicas would use up the inotify instances that the kernel gives one user (128).
  const request = join(path, LOCK_REQUEST_FILE);
  const listener = (): void => onRequest();
  watchFile(request, { persistent: false, interval: FOLDER_REQUEST_POLL_MS }, listener);
  return {
    release: async () => {
      unwatchFile(request, listener);
      await handle.close();
    },
  };
}

async function holderOf(handle: FileHandle): Promise<string> {
  const { size } = await handle.stat();
  if (size > META_FILE_BYTES_MAX)
    throw new DiskError('read', LOCK_FILE, 'EFBIG', `larger than ${META_FILE_BYTES_MAX} bytes`);
  const bytes = Buffer.alloc(size);
  const { bytesRead } = await handle.read(bytes, 0, size, 0);
  return bytes.toString('utf8', 0, bytesRead).trim();
}
