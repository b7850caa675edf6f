/** Making and removing places for mounts. Nothing here removes data: only empty folders and empty files go. */
import { lstat, mkdir, open, rmdir, unlink } from 'node:fs/promises';
import { Code, rpcError } from '@longhorn/shared-types/grpc/rpc-error';
import { STACKED_MOUNTS_MAX, UNMOUNT_TIMEOUT_MS } from '../limits.ts';
import { canonicalPath, mountAt } from './mount-table.ts';
import type { NodeHost } from './node-host.ts';

const FOLDER_MODE = 0o750;
const FILE_MODE = 0o644;

type Kind = 'folder' | 'file' | 'other' | 'nothing' | 'broken';

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

/** What is at a path; `broken`: a mount there whose device is gone. */
export async function kindOf(path: string): Promise<Kind> {
  try {
    const found = await lstat(path);
    if (found.isDirectory()) return 'folder';
    return found.isFile() || found.isBlockDevice() ? 'file' : 'other';
  } catch (error) {
    const code = codeOf(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') return 'nothing';
    if (['ENOTCONN', 'ESTALE', 'EIO', 'EACCES', 'EHOSTDOWN', 'EAGAIN', 'ENODEV'].includes(code)) return 'broken';
    throw error;
  }
}

/** A folder to mount on; `field` is the request's name for it. */
export async function ensureFolder(path: string, field: string): Promise<void> {
  const kind = await kindOf(path);
  if (kind === 'folder') return;
  if (kind !== 'nothing') {
    throw rpcError(Code.InvalidArgument, `${field} ${path} must be a folder, there is something else`);
  }
  try {
    await mkdir(path, { recursive: true, mode: FOLDER_MODE });
  } catch (error) {
    if (codeOf(error) !== 'ENOTDIR') throw error;
    throw rpcError(Code.InvalidArgument, `${field} ${path}: a part of it is not a folder`, { cause: error });
  }
}

/** An empty file to mount a device on. */
export async function ensureFile(path: string, field: string): Promise<void> {
  const kind = await kindOf(path);
  if (kind === 'file') return;
  if (kind !== 'nothing') {
    throw rpcError(Code.InvalidArgument, `${field} ${path} must be a file for a block device, there is something else`);
  }
  await (await open(path, 'a', FILE_MODE)).close();
}

/**
 * The mount leaves the mount table at once, and what was written goes to the device after that: success is when umount
 * has ended, and nothing is forced.
 */
async function unmountOnce(host: NodeHost, path: string): Promise<void> {
  const { code, output } = await host.run('umount', [path], UNMOUNT_TIMEOUT_MS);
  if (code === 0 || /not mounted|no mount point specified/.test(output)) return;
  throw new Error(`umount ${path}: exit code ${code}: ${output.trim()}`);
}

/** Takes every mount at a path away; nothing mounted there is success. */
export async function unmountAll(host: NodeHost, path: string): Promise<void> {
  const canonical = await canonicalPath(path);
  for (let count = 0; count < STACKED_MOUNTS_MAX; count++) {
    if ((await mountAt(host, canonical)) === null) return;
    await unmountOnce(host, canonical);
  }
  if ((await mountAt(host, canonical)) !== null) {
    throw new Error(`${path} has more than ${STACKED_MOUNTS_MAX} mounts on top of each other: unmount it by hand`);
  }
}

/** Unmounts a path and removes its mount point; one that is not there is success. */
export async function removeMountPoint(host: NodeHost, path: string): Promise<void> {
  await unmountAll(host, path);
  const kind = await kindOf(path);
  try {
    if (kind === 'folder') await rmdir(path);
    else if (kind === 'file') await removeEmptyFile(path);
    else if (kind !== 'nothing') throw new Error(`${path} is neither a folder nor a file: it is left where it is`);
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
  }
}

async function removeEmptyFile(path: string): Promise<void> {
  const found = await lstat(path);
  if (!found.isFile() || found.size > 0) throw new Error(`${path} is not an empty file: it is left where it is`);
  await unlink(path);
}
