/**
 * Looks at the disks of this node: their identity file, size and free space. A disk gets its identity file once, when
 * it is first seen; a disk that had one and lost it is a mount error, never a new disk.
 */
import { execFile } from 'node:child_process';
import { mkdir, open, readFile, rm, stat, statfs } from 'node:fs/promises';
import { posix } from 'node:path';
import { promisify } from 'node:util';

export interface DiskToProbe {
  name: string;
  /** As in the node's spec. */
  path: string;
  /** UUID that the node's status has for it; '' = a new disk. */
  knownUuid: string;
}

export type DiskProbe =
  | {
      kind: 'found';
      uuid: string;
      filesystemId: string;
      filesystemType: string;
      maximumBytes: number;
      availableBytes: number;
    }
  | { kind: 'failed'; reason: 'NoDiskInfo' | 'DiskFilesystemChanged'; message: string };

export interface ProbeOptions {
  hostRoot: string;
  /** A UUID that is free among the disks of the cluster. */
  newUuid: () => string;
}

const CONFIG_NAME = 'longhorn-disk.cfg';
const AVAILABLE_STEP_BYTES = 100 * 1024 * 1024;
const run = promisify(execFile);

export function hostPath(hostRoot: string, path: string): string {
  return posix.join(hostRoot === '' ? '/' : hostRoot, path);
}

export async function probeDisk(disk: DiskToProbe, options: ProbeOptions): Promise<DiskProbe> {
  const root = hostPath(options.hostRoot, disk.path);
  let uuid: string | null;
  try {
    uuid = await readUuid(posix.join(root, CONFIG_NAME));
  } catch (error) {
    return failed(`failed to get disk config: error: ${textOf(error)}`);
  }
  if (uuid === null && disk.knownUuid !== '') {
    return {
      kind: 'failed',
      reason: 'DiskFilesystemChanged',
      message: 'cannot find disk config file, maybe due to a mount error',
    };
  }
  try {
    uuid ??= await createConfig(root, disk.name, options.newUuid());
  } catch (error) {
    return failed(`failed to generate disk config: error: ${textOf(error)}`);
  }
  if (disk.knownUuid !== '' && disk.knownUuid !== uuid) {
    const message = `record diskUUID doesn't match the one on the disk `;
    return { kind: 'failed', reason: 'DiskFilesystemChanged', message };
  }
  try {
    return { kind: 'found', uuid, ...(await measure(root)) };
  } catch (error) {
    return failed(`Get disk information error: ${textOf(error)}`);
  }
}

function failed(message: string): DiskProbe {
  return { kind: 'failed', reason: 'NoDiskInfo', message };
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Null if there is no such file. */
async function readUuid(path: string): Promise<string | null> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  }
  const parsed: unknown = JSON.parse(text);
  const uuid = typeof parsed === 'object' && parsed !== null && 'diskUUID' in parsed ? parsed.diskUUID : null;
  if (typeof uuid !== 'string' || uuid === '') throw new Error(`${path} holds no diskUUID`);
  return uuid;
}

/** Makes a disk of a folder. A folder that is missing is not made: data must not end on the disk that it lies on. */
async function createConfig(root: string, diskName: string, diskUUID: string): Promise<string> {
  const folder = await stat(root).catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  });
  if (folder?.isDirectory() !== true)
    throw new Error(`there is no folder ${root} on the node; make it, or mount the disk there`);
  await mkdir(posix.join(root, 'replicas'), { recursive: true });
  const path = posix.join(root, CONFIG_NAME);
  const handle = await open(path, 'wx', 0o600);
  try {
    await handle.writeFile(JSON.stringify({ diskName, diskUUID, diskDriver: '', state: 'ready' }));
    await handle.sync();
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  } finally {
    await handle.close();
  }
  await syncFolder(root);
  return diskUUID;
}

async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Identity of the file system, asked for again only when another one is mounted there. */
const identities = new Map<string, { device: number; filesystemId: string; filesystemType: string }>();

async function filesystemIdentity(root: string): Promise<{ filesystemId: string; filesystemType: string }> {
  const { dev } = await stat(root);
  const known = identities.get(root);
  if (known?.device === dev) return known;
  const { stdout } = await run('stat', ['-f', '-c', '%i %T', root]);
  const [filesystemId = '', filesystemType = ''] = stdout.trim().split(' ');
  const identity = { device: dev, filesystemId, filesystemType };
  identities.set(root, identity);
  return identity;
}

export interface DiskMeasure {
  filesystemId: string;
  filesystemType: string;
  maximumBytes: number;
  availableBytes: number;
}

/** Throws if there is no such folder. */
export async function measureDisk(root: string): Promise<DiskMeasure> {
  if (!(await stat(root)).isDirectory()) throw new Error(`${root} is no folder`);
  return measure(root);
}

async function measure(root: string): Promise<DiskMeasure> {
  const space = await statfs(root);
  const { filesystemId, filesystemType } = await filesystemIdentity(root);
  const available = space.bavail * space.bsize;
  return {
    filesystemId,
    filesystemType,
    maximumBytes: space.blocks * space.bsize,
    availableBytes: available - (available % AVAILABLE_STEP_BYTES),
  };
}

/** Makes the folder of a new disk and measures it. */
export async function prepareDisk(root: string): Promise<DiskMeasure> {
  await mkdir(root, { recursive: true });
  return measure(root);
}
