/** The mount table: file systems on volumes that turned read-only, and their remount. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Code, errorText, rpcError } from '@longhorn/shared-types/grpc/rpc-error';
import { runCommand } from './command.ts';

export interface Mount {
  readonly device: string;
  readonly path: string;
  readonly options: readonly string[];
}

/** Parses /proc/self/mounts; octal escapes stand for spaces and the like. */
export function parseMounts(text: string): Mount[] {
  const plain = (field: string): string =>
    field.replaceAll(/\\([0-7]{3})/g, (_match, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
  return text.split('\n').flatMap((line) => {
    const [device, path, , options] = line.split(' ');
    if (device === undefined || path === undefined || options === undefined) return [];
    return [{ device: plain(device), path: plain(path), options: options.split(',') }];
  });
}

export function readMounts(): Mount[] {
  return parseMounts(readFileSync('/proc/self/mounts', 'utf8'));
}

const GLOBAL_MOUNT = /\/([0-9a-f]{64})\/globalmount$/;

/** Staging mounts of the CSI plugin by the SHA-256 of their volume's name. */
export function stagingMounts(mounts: readonly Mount[]): Map<string, Mount> {
  const found = new Map<string, Mount>();
  for (const mount of mounts) {
    const hash = GLOBAL_MOUNT.exec(mount.path)?.[1];
    if (hash !== undefined) found.set(hash, mount);
  }
  return found;
}

/** Key of a volume in `stagingMounts`. */
export function volumeHash(volume: string): string {
  return createHash('sha256').update(volume).digest('hex');
}

/** Mounts a volume's staging path read-write again; a volume that is not mounted is success. */
export async function remountReadWrite(volume: string, hostRoot: string, mounts = readMounts()): Promise<void> {
  const mount = stagingMounts(mounts).get(volumeHash(volume));
  if (!mount) return;
  const { command, args } = remountCommand(mount.path, hostRoot);
  try {
    await runCommand(command, args);
  } catch (error) {
    throw rpcError(Code.Internal, `remount failed with error: ${errorText(error)}`, { cause: error });
  }
}

/** In a pod the mount belongs to the host's namespaces, where its path has no host prefix. */
function remountCommand(path: string, hostRoot: string): { command: string; args: string[] } {
  const namespaces = join(hostRoot, '/proc/1/ns');
  if (hostRoot === '' || !existsSync(namespaces)) return { command: 'mount', args: ['-o', 'remount,rw', path] };
  const hostPath = path.startsWith(`${hostRoot}/`) ? path.slice(hostRoot.length) : path;
  const enter = [`--mount=${namespaces}/mnt`, `--net=${namespaces}/net`];
  return { command: 'nsenter', args: [...enter, 'mount', '-o', 'remount,rw', hostPath] };
}
