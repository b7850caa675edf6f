/**
 * Brings a mounted file system to rest around a snapshot.
 *
 * Wanted and mounted: frozen, and thawed after the snapshot. Not wanted: what the file system holds in memory is written
 * first, so that the snapshot has it; a file system that cannot be written in time is snapshotted as it is (a crash would leave the same).
 */
import { execFile } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { promisify } from 'node:util';
import { errorText } from '@longhorn/shared-types/grpc/rpc-error';
import type { FreezeVolume } from './volume-engine.ts';

const run = promisify(execFile);
const SYNC_TIMEOUT_MS = 30_000;
const FREEZE_TIMEOUT_MS = 30_000;
const THAW_TIMEOUT_MS = 5_000;

/** Freezes by `fsfreeze` and writes back by `sync`, in the host's mount namespace. */
export function hostFreeze(hostRoot: string, endpoint: () => string): FreezeVolume {
  let isFrozen = false;
  return async (context, wanted) => {
    const device = endpoint();
    const mountPoint = device.startsWith('/dev/') ? findMountPoint(hostRoot, device) : null;
    if (mountPoint === null) return () => Promise.resolve();
    const path = `${hostRoot}/proc/1/root${mountPoint}`;
    if (!wanted) {
      try {
        await run('sync', ['-f', path], { timeout: SYNC_TIMEOUT_MS });
      } catch (error) {
        context.log.warn('the file system was not written back before the snapshot', { reason: errorText(error) });
      }
      return () => Promise.resolve();
    }
    if (isFrozen) throw new Error('filesystem is already being frozen for a different snapshot');
    isFrozen = true;
    try {
      await run('fsfreeze', ['-f', path], { timeout: FREEZE_TIMEOUT_MS });
    } catch (cause) {
      isFrozen = false;
      throw new Error(`cannot freeze the file system at ${mountPoint}: ${errorText(cause)}`, { cause });
    }
    return async () => {
      isFrozen = false;
      await run('fsfreeze', ['-u', path], { timeout: THAW_TIMEOUT_MS });
    };
  };
}

/** Thaws what an engine that died in a snapshot left frozen; nothing mounted or nothing frozen is fine. */
export async function thawLeftover(hostRoot: string, device: string): Promise<void> {
  const mountPoint = findMountPoint(hostRoot, device);
  if (mountPoint === null) return;
  await run('fsfreeze', ['-u', `${hostRoot}/proc/1/root${mountPoint}`], { timeout: THAW_TIMEOUT_MS }).catch(
    () => undefined,
  );
}

function findMountPoint(hostRoot: string, device: string): string | null {
  try {
    const { rdev } = statSync(device);
    const numbers = `${(rdev >> 8) & 0xfff}:${(rdev & 0xff) | ((rdev >> 12) & 0xfff00)}`;
    for (const line of readFileSync(`${hostRoot}/proc/1/mountinfo`, 'utf8').split('\n')) {
      const fields = line.split(' ');
      const [, , majorMinor, , mountPoint] = fields;
      if (majorMinor === numbers && mountPoint !== undefined) return unescapeOctal(mountPoint);
    }
    return null;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  }
}

/** `\040` and the like stand for blanks in mountinfo. */
function unescapeOctal(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_match, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}
