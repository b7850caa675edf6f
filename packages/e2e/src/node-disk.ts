/** The disk of a node of the local cluster, filled up by somebody else's file and emptied again. */
import { closeSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { run } from './shell.ts';

const BLOCK_BYTES = 4096;
/** What allocation in one piece may leave; the rest is filled block by block. */
const SLACK_BYTES = 4 << 20;

function diskOf(clusterFolder: string, node: string): string {
  return join(clusterFolder, 'nodes', node, 'disk');
}

export function freeBytes(clusterFolder: string, node: string): number {
  const { bavail, bsize } = statfsSync(diskOf(clusterFolder, node));
  return bavail * bsize;
}

/** Takes what the disk has left, but for `leaveBytes`. */
export async function fillDisk(clusterFolder: string, node: string, leaveBytes = 0): Promise<void> {
  const path = join(diskOf(clusterFolder, node), 'filler');
  const most = freeBytes(clusterFolder, node) - leaveBytes - SLACK_BYTES;
  if (most > 0) await run('fallocate', ['-l', String(most), path]);
  if (leaveBytes > 0) return;
  const file = openSync(path, 'a');
  const block = Buffer.alloc(BLOCK_BYTES, 0x66);
  try {
    for (;;) writeSync(file, block);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error;
  } finally {
    closeSync(file);
  }
}

export function emptyDisk(clusterFolder: string, node: string): void {
  rmSync(join(diskOf(clusterFolder, node), 'filler'), { force: true });
}
