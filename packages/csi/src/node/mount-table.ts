/** The mount table of this process: /proc/self/mountinfo is the only truth about what is mounted where. */
import { realpath } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { NodeHost } from './node-host.ts';

export interface Mount {
  readonly path: string;
  /** `major:minor` of the file system's device */
  readonly device: string;
  /** what of the file system is seen here */
  readonly root: string;
  readonly fsType: string;
  /** as it was named when it was mounted */
  readonly source: string;
  /** of this mount: ro, nosuid … */
  readonly options: readonly string[];
  /** of the file system, wherever it is mounted */
  readonly superOptions: readonly string[];
}

const plain = (field: string): string =>
  field.replaceAll(/\\([0-7]{3})/g, (_match, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));

/** Parses mountinfo, in its order: of several mounts at one path the last is on top. */
export function parseMountInfo(text: string): Mount[] {
  return text.split('\n').flatMap((line) => {
    const separator = line.indexOf(' - ');
    if (separator < 0) return [];
    const [, , device, root, path, options] = line.slice(0, separator).split(' ');
    const [fsType, source, superOptions] = line.slice(separator + 3).split(' ');
    if (device === undefined || root === undefined || path === undefined || options === undefined) return [];
    return [
      {
        device,
        root: plain(root),
        path: plain(path),
        options: options.split(','),
        fsType: fsType ?? '',
        source: plain(source ?? ''),
        superOptions: (superOptions ?? '').split(','),
      },
    ];
  });
}

export async function readMounts(host: NodeHost): Promise<Mount[]> {
  return parseMountInfo(await host.mountInfo());
}

/** The path as the mount table has it: links in the folders above it are followed. */
export async function canonicalPath(path: string): Promise<string> {
  try {
    return join(await realpath(dirname(path)), basename(path));
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : '';
    // EIO: below a file system that has failed, where nothing is a link any more.
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'EIO') return path;
    throw error;
  }
}

/** What is on top at a path; null when nothing is mounted there. */
export async function mountAt(host: NodeHost, path: string): Promise<Mount | null> {
  const canonical = await canonicalPath(path);
  return (await readMounts(host)).findLast((mount) => mount.path === canonical) ?? null;
}
