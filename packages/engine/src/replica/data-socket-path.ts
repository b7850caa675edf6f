/** Where a replica's unix socket is: its engine on the same node uses it instead of TCP. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';

/** sun_path holds 108 bytes with its terminator. */
export const SOCKET_PATH_BYTES_MAX = 107;

/** Folder of all of them. */
export function dataSocketFolder(runFolder: string): string {
  return join(runFolder, 'data');
}

/** Path of a replica's unix socket; a name that makes it too long is replaced by the start of its hash. */
export function dataSocketPath(runFolder: string, instanceName: string): string {
  const path = join(dataSocketFolder(runFolder), `${instanceName}.sock`);
  if (Buffer.byteLength(path) <= SOCKET_PATH_BYTES_MAX) return path;
  const short = createHash('sha256').update(instanceName).digest('hex').slice(0, 16);
  return join(dataSocketFolder(runFolder), `${short}.sock`);
}
