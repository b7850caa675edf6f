/** A real tree of files on a volume: copy and checksums. */
import { createHash } from 'node:crypto';
import { run } from './shell.ts';

/** Copies a tree as it stands. */
export async function copyTree(from: string, to: string): Promise<void> {
  await run('cp', ['-a', from, to], { timeoutMs: 600_000 });
}

/** Hidden folders at the top are left out: tools keep caches there. SHA-256 over the sorted list of files with their SHA-256, and how many files there are. */
export async function treeChecksum(folder: string): Promise<{ checksum: string; files: number }> {
  const list = await run(
    'sh',
    [
      '-c',
      'cd "$1" && find . -path "./.[!.]*" -prune -o -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum',
      'sh',
      folder,
    ],
    { timeoutMs: 600_000 },
  );
  return { checksum: createHash('sha256').update(list).digest('hex'), files: list.split('\n').length - 1 };
}
