/** Reads what the environment check wants to know of the host, below the folder where its `/` is seen. */
import { readdir, readFile, stat, statfs } from 'node:fs/promises';
import { hostname, release } from 'node:os';
import { dirname, posix } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { PROCESSES, TOOLS, type DiskFacts, type HostFacts } from '../environment/host-facts.ts';

const TOOL_FOLDERS = ['/usr/sbin', '/usr/bin', '/sbin', '/bin', '/usr/local/sbin', '/usr/local/bin'];
const PROCESSES_MAX = 100_000;

function isMissing(error: unknown): boolean {
  return (
    error instanceof Error && 'code' in error && ['ENOENT', 'ENOTDIR', 'ESRCH', 'EACCES'].includes(String(error.code))
  );
}

async function unlessMissing<T>(work: Promise<T>): Promise<T | null> {
  try {
    return await work;
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

const textOf = async (path: string): Promise<string> => (await unlessMissing(readFile(path, 'utf8'))) ?? '';
const isCharacterDevice = async (path: string): Promise<boolean> =>
  (await unlessMissing(stat(path)))?.isCharacterDevice() ?? false;

/** `ID=` of os-release. */
export function osOf(text: string): string {
  return (/^ID=(.*)$/m.exec(text)?.[1] ?? '').replaceAll(/["']/g, '').trim().toLowerCase();
}

/** Names in /proc/filesystems. */
export function filesystemsOf(text: string): string[] {
  return text
    .split('\n')
    .map((line) => line.split('\t').at(-1)?.trim() ?? '')
    .filter((name) => name !== '');
}

/** Names in /proc/modules, and of the modules that are built in. */
export function modulesOf(loaded: string, builtin: string): string[] {
  const names = loaded.split('\n').map((line) => line.split(' ')[0] ?? '');
  const files = builtin.split('\n').map((line) => posix.basename(line, '.ko').replaceAll('-', '_'));
  return [...names, ...files].filter((name) => name !== '');
}

/** `CONFIG_X=y` lines. */
export function configOf(text: string): Map<string, string> {
  return new Map([...text.matchAll(/^(CONFIG_\w+)=(.*)$/gm)].map((match) => [match[1] ?? '', match[2] ?? '']));
}

/** Whether `/` is in a peer group, from a process's mountinfo; null: it says nothing of `/`. */
export function rootIsShared(mountinfo: string): boolean | null {
  for (const line of mountinfo.split('\n')) {
    const [fields = '', ...rest] = line.split(' - ');
    const parts = fields.split(' ');
    if (rest.length > 0 && parts[4] === '/') return parts.slice(6).some((field) => field.startsWith('shared:'));
  }
  return null;
}

/** Type of the file system that a path is on: the longest mount point above it, the last mount of it. */
export function filesystemTypeOf(mountinfo: string, path: string): string {
  let found = { point: '', type: '' };
  for (const line of mountinfo.split('\n')) {
    const [fields = '', source = ''] = line.split(' - ');
    const point = fields.split(' ')[4] ?? '';
    const isAbove = point !== '' && (path === point || path.startsWith(point === '/' ? '/' : `${point}/`));
    if (isAbove && point.length >= found.point.length) found = { point, type: source.split(' ')[0] ?? '' };
  }
  return found.type;
}

async function kernelConfig(root: string, kernel: string): Promise<Map<string, string> | null> {
  const file = await textOf(`${root}/boot/config-${kernel}`);
  if (file !== '') return configOf(file);
  const packed = await unlessMissing(readFile(`${root}/proc/config.gz`));
  return packed === null ? null : configOf(gunzipSync(packed).toString('utf8'));
}

async function toolsOf(root: string): Promise<string[]> {
  const names = new Set<string>();
  for (const folder of TOOL_FOLDERS)
    for (const name of (await unlessMissing(readdir(`${root}${folder}`))) ?? []) names.add(name);
  return TOOLS.filter((tool) => names.has(tool));
}

async function processesOf(root: string): Promise<string[]> {
  const ids = ((await unlessMissing(readdir(`${root}/proc`))) ?? []).filter((name) => /^\d+$/.test(name));
  const names = new Set<string>();
  for (const id of ids.slice(0, PROCESSES_MAX)) names.add((await textOf(`${root}/proc/${id}/comm`)).trim());
  return PROCESSES.filter((name) => names.has(name));
}

/** Of the folder, or of the nearest one above it that is there. */
async function diskOf(root: string, path: string, mountinfo: string): Promise<DiskFacts | null> {
  for (let at = path; ; at = dirname(at)) {
    const found = await unlessMissing(statfs(`${root}${at}`));
    if (found !== null)
      return {
        path,
        type: filesystemTypeOf(mountinfo, at),
        totalBytes: found.blocks * found.bsize,
        availableBytes: found.bavail * found.bsize,
      };
    if (at === '/') return null;
  }
}

/**
 * @param root where the host's `/` is seen; '' = here
 * @param dataPath of the default disk, as the host calls it
 */
export async function readHostFacts(root: string, dataPath: string, node: string): Promise<HostFacts> {
  const kernel = release();
  const mountinfo = await textOf(`${root}/proc/1/mountinfo`);
  return {
    node: node === '' ? hostname() : node,
    kernel,
    os: osOf(await textOf(`${root}/etc/os-release`)),
    hasFuseDevice: await isCharacterDevice(`${root}/dev/fuse`),
    hasLoopControl: await isCharacterDevice(`${root}/dev/loop-control`),
    filesystems: filesystemsOf(await textOf(`${root}/proc/filesystems`)),
    modules: modulesOf(
      await textOf(`${root}/proc/modules`),
      await textOf(`${root}/lib/modules/${kernel}/modules.builtin`),
    ),
    kernelConfig: await kernelConfig(root, kernel),
    rootIsShared: rootIsShared(mountinfo),
    tools: await toolsOf(root),
    processes: await processesOf(root),
    disk: await diskOf(root, dataPath, mountinfo),
  };
}
