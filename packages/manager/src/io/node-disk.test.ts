import { access, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { probeDisk } from './disk-probe.ts';
import { DiskMissingError, removeReplicaData } from './replica-data.ts';

let root = '';

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'manager-disk-'));
});

afterEach(async () => {
  await rm(root, { recursive: true, force: true });
});

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

describe('a disk', () => {
  const probe = (knownUuid: string): ReturnType<typeof probeDisk> =>
    probeDisk({ name: 'd', path: '/disk', knownUuid }, { hostRoot: root, newUuid: () => 'new-uuid' });

  it('gets its identity when it is first seen, and keeps it', async () => {
    await mkdir(join(root, 'disk'));
    expect(await probe('')).toMatchObject({ kind: 'found', uuid: 'new-uuid' });
    expect(JSON.parse(await readFile(join(root, 'disk/longhorn-disk.cfg'), 'utf8'))).toEqual({
      diskName: 'd',
      diskUUID: 'new-uuid',
      diskDriver: '',
      state: 'ready',
    });
    expect(await probe('new-uuid')).toMatchObject({ kind: 'found', uuid: 'new-uuid' });
  });

  it('that lost its identity file is a mount error, not a new disk', async () => {
    await mkdir(join(root, 'disk'));
    expect(await probe('old-uuid')).toMatchObject({ kind: 'failed', reason: 'DiskFilesystemChanged' });
    expect(await exists(join(root, 'disk/longhorn-disk.cfg'))).toBe(false);
  });

  it('with another identity than known is refused', async () => {
    await mkdir(join(root, 'disk'));
    await probe('');
    expect(await probe('old-uuid')).toMatchObject({ kind: 'failed', reason: 'DiskFilesystemChanged' });
  });

  it.each([
    ['garbled', '{"disk'],
    ['empty', ''],
    ['without a UUID', '{}'],
  ])('with a %s identity file is not ready, and the file stays', async (_name, text) => {
    await mkdir(join(root, 'disk'));
    await writeFile(join(root, 'disk/longhorn-disk.cfg'), text);
    expect(await probe('')).toMatchObject({ kind: 'failed', reason: 'NoDiskInfo' });
    expect(await readFile(join(root, 'disk/longhorn-disk.cfg'), 'utf8')).toBe(text);
  });
});

describe('removing the data of a replica', () => {
  const remove = (changes: Partial<Parameters<typeof removeReplicaData>[0]> = {}): Promise<void> =>
    removeReplicaData({ diskPath: '/disk', diskUuid: 'u', folder: 'v-00000000', ...changes }, root);

  beforeEach(async () => {
    await mkdir(join(root, 'disk/replicas/v-00000000'), { recursive: true });
    await writeFile(join(root, 'disk/replicas/v-00000000/volume-head-000.img'), 'data');
    await writeFile(join(root, 'disk/longhorn-disk.cfg'), JSON.stringify({ diskUUID: 'u' }));
  });

  it('removes its folder, and is done when there is none', async () => {
    await remove();
    expect(await exists(join(root, 'disk/replicas/v-00000000'))).toBe(false);
    expect(await exists(join(root, 'disk/replicas'))).toBe(true);
    await expect(remove()).resolves.toBeUndefined();
  });

  it('removes nothing from another disk', async () => {
    await expect(remove({ diskUuid: 'other' })).rejects.toThrow(DiskMissingError);
    expect(await exists(join(root, 'disk/replicas/v-00000000'))).toBe(true);
  });

  it('removes nothing when no disk is mounted', async () => {
    await rm(join(root, 'disk/longhorn-disk.cfg'));
    await expect(remove()).rejects.toThrow(DiskMissingError);
  });

  it('does not follow a link', async () => {
    await mkdir(join(root, 'elsewhere'));
    await symlink(join(root, 'elsewhere'), join(root, 'disk/replicas/w-00000000'));
    await expect(remove({ folder: 'w-00000000' })).rejects.toThrow('is not a folder');
    expect(await exists(join(root, 'elsewhere'))).toBe(true);
  });
});
