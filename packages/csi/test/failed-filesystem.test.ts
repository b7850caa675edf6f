/** File systems that the kernel has shut down, on a loop device: as root, with xfsprogs. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { linuxHost } from '../src/io/linux-host.ts';
import { isStaged, publishFileSystem, stageFileSystem, type StagedFileSystem } from '../src/node/filesystem.ts';
import { mountProblem } from '../src/node/mount-health.ts';
import { unmountAll } from '../src/node/mount-point.ts';
import { mountAt } from '../src/node/mount-table.ts';

const XFS_IMAGE_BYTES = 320 * 1024 * 1024;
const EXT4_IMAGE_BYTES = 16 * 1024 * 1024;

const run = (command: string, ...args: string[]): string => execFileSync(command, args, { encoding: 'utf8' }).trim();

function canRun(): boolean {
  if (process.getuid?.() !== 0 || !existsSync('/dev/loop-control')) return false;
  return ['mkfs.ext4', 'mkfs.xfs', 'xfs_io', 'losetup'].every((name) => existsSync(`/usr/sbin/${name}`));
}

describe.skipIf(!canRun())('a file system that was shut down', () => {
  let folder: string;
  let device: string;

  beforeEach(() => {
    folder = realpathSync(mkdtempSync(join(tmpdir(), 'csi-failed-')));
    device = '';
  });
  afterEach(async () => {
    for (const path of [join(folder, 'pod/mount'), join(folder, 'stage')]) await unmountAll(linuxHost, path);
    if (device !== '') run('losetup', '-d', device);
    rmSync(folder, { recursive: true });
  });

  it.each([
    ['ext4', EXT4_IMAGE_BYTES],
    ['xfs', XFS_IMAGE_BYTES],
  ] as const)('(%s) is not handed to a pod, but mounted anew', async (fileSystem, imageBytes) => {
    run('truncate', '-s', String(imageBytes), join(folder, 'image'));
    device = run('losetup', '-f', '--show', join(folder, 'image'));
    const stagingPath = join(folder, 'stage');
    const targetPath = join(folder, 'pod/mount');
    const staged: StagedFileSystem = {
      volume: 'v',
      device,
      stagingPath,
      fileSystem,
      mountFlags: [],
      mkfs: [],
      targetPath: null,
    };
    const context = { host: linuxHost, stateFolder: join(folder, 'state'), warn: () => undefined };
    const publication = { volume: 'v', device, stagingPath, targetPath, isReadOnly: false, mountFlags: [] };
    await stageFileSystem(context, staged);
    await publishFileSystem(linuxHost, { ...publication, isExclusive: false });
    writeFileSync(join(targetPath, 'words'), 'kept', { flush: true });
    expect(await isStaged(linuxHost, device, stagingPath)).toBe(true);
    expect(await linuxHost.isHeld(device)).toBe(true);

    run('xfs_io', '-x', '-c', 'shutdown', stagingPath);
    const mount = await mountAt(linuxHost, targetPath);
    expect(mount === null ? null : await mountProblem(linuxHost, mount)).not.toBeNull();
    expect(await isStaged(linuxHost, device, stagingPath)).toBe(false);
    await expect(stageFileSystem(context, staged)).rejects.toMatchObject({
      code: 9,
      message: expect.stringContaining(`are gone: ${targetPath}`) as string,
    });

    await stageFileSystem(context, { ...staged, targetPath });
    await publishFileSystem(linuxHost, { ...publication, isExclusive: false });
    expect(readFileSync(join(targetPath, 'words'), 'utf8')).toBe('kept');
    writeFileSync(join(targetPath, 'words'), 'written again', { flush: true });
    await unmountAll(linuxHost, targetPath);
    await unmountAll(linuxHost, stagingPath);
    expect(await linuxHost.isHeld(device)).toBe(false);
  });
});
