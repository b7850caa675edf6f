/** A real tree of files on a volume: copy and checksums. */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { run } from './shell.ts';

/** Files read at a time: a cold file system answers several requests no later than one. */
const LANES = 8;

/** Copies a tree as it stands. */
export async function copyTree(from: string, to: string): Promise<void> {
  await run('cp', ['-a', from, to], { timeoutMs: 600_000 });
}

/** Hidden folders at the top are left out: tools keep caches there. SHA-256 over the sorted list of files with their SHA-256, and how many files there are. */
export async function treeChecksum(folder: string): Promise<{ checksum: string; files: number }> {
  const top = await readdir(folder, { withFileTypes: true });
  const paths: string[] = [];
  for (const entry of top) {
    if (entry.isFile()) paths.push(entry.name);
    if (!entry.isDirectory() || entry.name.startsWith('.')) continue;
    const below = await readdir(join(folder, entry.name), { recursive: true, withFileTypes: true });
    for (const file of below) if (file.isFile()) paths.push(relative(folder, join(file.parentPath, file.name)));
  }
  paths.sort();
  const lines = new Map<string, string>();
  const queue = paths.values();
  const lane = async (): Promise<void> => {
    for (const path of queue) {
      const content = await readFile(join(folder, path));
      lines.set(path, `${createHash('sha256').update(content).digest('hex')}  ${path}\n`);
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  const list = createHash('sha256');
  for (const path of paths) list.update(lines.get(path) ?? '');
  return { checksum: list.digest('hex'), files: paths.length };
}
