/**
 * FUSE connections and mounts as the kernel lists them. Nothing here touches the mounted file itself: with its
 * server gone, even a stat of it would wait for ever.
 */
import { existsSync, mkdirSync, readFileSync, readdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { EINVAL, LinuxError, UMOUNT_DETACH, UMOUNT_FORCE, mountFuse, mountFuseControl, unmount } from './linux.ts';
import { FUSE_IO_BYTES_MAX } from './limits.ts';
import { startTicksOf } from './process-identity.ts';

const CONTROL_DIRECTORY = '/sys/fs/fuse/connections';
const PRIVATE_CONTROL_PREFIX = '.fusectl-';

export interface FuseMount {
  path: string;
  /** minor number of the file system's device = id of its connection */
  connectionId: number;
}

const unescapeOctal = (text: string): string =>
  text.replaceAll(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));

/** FUSE (and FUSE control) mounts in this mount namespace, at or below a directory. Parses /proc/self/mountinfo. */
export const parseMounts = (mountinfo: string, directory: string): FuseMount[] =>
  mountinfo.split('\n').flatMap((line) => {
    const [before, after] = line.split(' - ');
    const fields = (before ?? '').split(' ');
    const path = Buffer.from(unescapeOctal(fields[4] ?? ''), 'latin1').toString();
    const type = (after ?? '').split(' ')[0] ?? '';
    if (!type.startsWith('fuse') || !path.startsWith(`${directory}/`)) return [];
    return [{ path, connectionId: Number((fields[2] ?? '').split(':')[1]) }];
  });

export const fuseMountsBelow = (directory: string): FuseMount[] =>
  parseMounts(readFileSync('/proc/self/mountinfo', 'latin1'), directory);

/** Mounts a session's descriptor on a regular file. */
export const mountSession = (fd: number, path: string): void => {
  const uid = process.getuid?.() ?? 0;
  const gid = process.getgid?.() ?? 0;
  mountFuse(path, `fd=${fd},rootmode=100000,user_id=${uid},group_id=${gid},max_read=${FUSE_IO_BYTES_MAX}`);
};

/** Takes a mount away, aborting its connection first if it is a session's; it may be gone already. */
export const forceUnmount = (path: string): void => {
  try {
    unmount(path, UMOUNT_FORCE | UMOUNT_DETACH);
  } catch (error) {
    // EINVAL: not a mount point (any more).
    if (!(error instanceof LinuxError && error.errno === EINVAL)) throw error;
  }
};

/**
 * Aborts a connection: all that waits for its server fails at once. Works also after the mount was detached. The
 * kernel's control file system is mounted for a moment where it is not (in most pods); returns false if there is no such connection.
 */
export const abortConnection = (connectionId: number, scratchDirectory: string): boolean => {
  const abortIn = (control: string): boolean => {
    const file = join(control, String(connectionId), 'abort');
    if (!existsSync(file)) return false;
    writeFileSync(file, '1');
    return true;
  };
  if (abortIn(CONTROL_DIRECTORY)) return true;
  const own = join(scratchDirectory, `${PRIVATE_CONTROL_PREFIX}${process.pid}-${connectionId}`);
  mkdirSync(own, { recursive: true });
  mountFuseControl(own);
  try {
    return abortIn(own);
  } finally {
    forceUnmount(own);
    rmdirSync(own);
  }
};

/** Takes away the control mounts that an `abortConnection` left when its process was killed. */
export const removeControlMounts = (scratchDirectory: string, removed: string[]): void => {
  const mounted = new Set(fuseMountsBelow(scratchDirectory).map(({ path }) => path));
  for (const name of readdirSync(scratchDirectory)) {
    if (!name.startsWith(PRIVATE_CONTROL_PREFIX)) continue;
    const pid = Number.parseInt(name.slice(PRIVATE_CONTROL_PREFIX.length), 10);
    if (startTicksOf(pid) !== null) continue;
    const path = join(scratchDirectory, name);
    if (mounted.has(path)) forceUnmount(path);
    rmdirSync(path);
    removed.push(`control mount ${path}`);
  }
};
