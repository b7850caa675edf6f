import { existsSync, mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeHost } from '../../test/fake-host.ts';
import { bindDevice, checkAloneAsDevice, stagedFile } from './block.ts';
import { isStaged, publishFileSystem, stageFileSystem, type Publication, type StagedFileSystem } from './filesystem.ts';
import { removeMountPoint, unmountAll } from './mount-point.ts';

const DEVICE = '/dev/longhorn/v';
let folder: string;
let host: FakeHost;
let warnings: string[];
let staged: StagedFileSystem;

beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'csi-')));
  host = new FakeHost();
  warnings = [];
  staged = {
    volume: 'v',
    device: DEVICE,
    stagingPath: join(folder, 'stage'),
    fileSystem: 'ext4',
    mountFlags: [],
    mkfs: [],
    targetPath: null,
  };
});
afterEach(() => rmSync(folder, { recursive: true }));

const stage = (change: Partial<StagedFileSystem> = {}): Promise<void> =>
  stageFileSystem(
    { host, stateFolder: join(folder, 'state'), warn: (text) => warnings.push(text) },
    { ...staged, ...change },
  );

describe('staging', () => {
  it('formats a new volume with its options, and mounts it', async () => {
    host.addDevice(DEVICE);
    await stage({ mountFlags: ['noatime'], mkfs: ['-b', '1024'] });
    expect(host.changes()).toEqual([
      `mkfs.ext4 -b4096 -b 1024 -F -m0 ${DEVICE}`,
      `mount -t ext4 -o noatime,defaults ${DEVICE} ${staged.stagingPath}`,
    ]);
    expect(readdirSync(join(folder, 'state/formatting'))).toEqual([]);
  });

  it('formats xfs and mounts it beside copies of itself', async () => {
    host.addDevice(DEVICE);
    await stage({ fileSystem: 'xfs' });
    expect(host.changes()).toEqual([
      `mkfs.xfs -ssize=4096 -bsize=4096 -f ${DEVICE}`,
      `mount -t xfs -o nouuid,defaults ${DEVICE} ${staged.stagingPath}`,
    ]);
  });

  it('checks what is there, mounts it and lets it grow', async () => {
    host.addDevice(DEVICE, { type: 'ext4' });
    await stage();
    expect(host.changes()).toEqual([
      `fsck -a ${DEVICE}`,
      `mount -t ext4 -o defaults ${DEVICE} ${staged.stagingPath}`,
      `resize2fs ${DEVICE}`,
    ]);
  });

  it('again changes nothing but the size', async () => {
    host.addDevice(DEVICE);
    await stage();
    host.commands.length = 0;
    await stage();
    expect(host.changes()).toEqual([`resize2fs ${DEVICE}`]);
  });

  it('replaces a mount of its earlier device', async () => {
    const device = host.addDevice(DEVICE);
    await stage();
    device.number = '7:9';
    host.commands.length = 0;
    await stage();
    expect(host.changes()).toEqual([
      `umount ${staged.stagingPath}`,
      `fsck -a ${DEVICE}`,
      `mount -t ext4 -o defaults ${DEVICE} ${staged.stagingPath}`,
      `resize2fs ${DEVICE}`,
    ]);
  });

  it('grows while it is unmounted where a mounted one may not grow, unless it is in use', async () => {
    host.addDevice(DEVICE, { type: 'ext4' });
    const act = host.run.bind(host);
    host.run = async (command, args) => {
      const result = await act(command, args);
      const isMounted = host.table.length > 0;
      return command === 'resize2fs' && isMounted
        ? { code: 1, output: 'resize2fs: Permission denied to resize filesystem' }
        : result;
    };
    await stage();
    expect(host.changes().slice(2)).toEqual([
      `resize2fs ${DEVICE}`,
      `umount ${staged.stagingPath}`,
      `e2fsck -f -p ${DEVICE}`,
      `resize2fs ${DEVICE}`,
      `mount -t ext4 -o defaults ${DEVICE} ${staged.stagingPath}`,
    ]);
    host.commands.length = 0;
    await stage();
    expect(host.changes()).toEqual([`resize2fs ${DEVICE}`]);
    expect(warnings.join()).toMatch(/may only grow when it is staged anew/);
  });

  it('for reading only neither makes nor repairs nor grows anything', async () => {
    host.addDevice(DEVICE, { type: 'ext4' });
    await stage({ mountFlags: ['ro'] });
    expect(host.changes()).toEqual([`mount -t ext4 -o ro,defaults ${DEVICE} ${staged.stagingPath}`]);
  });

  it('goes on after fsck has repaired something', async () => {
    host.addDevice(DEVICE, { type: 'ext4' });
    host.results.set('fsck', { code: 1, output: 'repaired' });
    await stage();
    expect(warnings).toEqual([`fsck corrected errors on ${DEVICE}: repaired`]);
  });

  it('formats again what an unfinished mkfs left', async () => {
    host.addDevice(DEVICE);
    host.results.set('mkfs.ext4', new Error('killed'));
    await expect(stage()).rejects.toThrow('killed');
    host.devices.get(DEVICE)?.head.write('half a file system', 5000);
    host.results.clear();
    await stage();
    expect(host.changes().at(-1)).toMatch(/^mount /);

    const head = Buffer.alloc(1 << 20);
    head.write('XFSB');
    head[126] = 1;
    host.addDevice('/dev/longhorn/w', { number: '7:2', type: 'xfs', head });
    await stage({ volume: 'w', device: '/dev/longhorn/w', fileSystem: 'xfs', stagingPath: join(folder, 'w') });
    expect(host.changes()).toContain('mkfs.xfs -ssize=4096 -bsize=4096 -f /dev/longhorn/w');
  });

  const withData = Buffer.alloc(1 << 20);
  withData.write('database', 70_000);
  it.each([
    ['of another kind of file system', { type: 'xfs' }, {}, 9, /has xfs on it, not ext4: it is not formatted over/],
    ['with partitions', { type: 'PTTYPE=gpt' }, {}, 9, /probably partitions/],
    ['with data of an unknown kind', { head: withData }, {}, 9, /first at byte 70000.*not formatted over it/],
  ])('never formats a device %s', async (_name, device, change, code, message) => {
    host.addDevice(DEVICE, device);
    await expect(stage(change)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
    expect(host.changes()).toEqual([]);
  });

  it('formats nothing that blkid or a read cannot look at', async () => {
    host.addDevice(DEVICE);
    host.results.set('blkid', { code: 8, output: 'ambivalent result' });
    await expect(stage()).rejects.toThrow(/ambivalent/);
    host.results.clear();
    host.readDevice = () => Promise.reject(new Error('EIO: i/o error, read'));
    await expect(stage()).rejects.toThrow(/EIO/);
    expect(host.changes()).toEqual([]);
  });

  it('refuses a file system that fsck cannot repair', async () => {
    host.addDevice(DEVICE, { type: 'ext4' });
    host.results.set('fsck', { code: 4, output: 'UNEXPECTED INCONSISTENCY' });
    await expect(stage()).rejects.toMatchObject({
      code: 9,
      message: expect.stringContaining('UNEXPECTED INCONSISTENCY'),
    });
    expect(host.table).toEqual([]);
  });

  it('refuses a path that something else has, or that is no folder', async () => {
    host.addDevice(DEVICE, { type: 'ext4' });
    host.addDevice('/dev/other', { number: '8:1', type: 'ext4' });
    await stage({ device: '/dev/other' });
    await expect(stage()).rejects.toMatchObject({
      code: 9,
      message: expect.stringContaining('/dev/other is mounted at'),
    });
    const file = join(folder, 'file');
    writeFileSync(file, '');
    await expect(stage({ stagingPath: file })).rejects.toMatchObject({ code: 3 });
    await expect(stage({ stagingPath: join(file, 'below') })).rejects.toMatchObject({ code: 3 });
    await expect(stage({ device: '/dev/longhorn/gone' })).rejects.toMatchObject({ code: 9 });
  });

  it('with another file system than before is refused', async () => {
    host.addDevice(DEVICE);
    await stage();
    await expect(stage({ fileSystem: 'xfs' })).rejects.toMatchObject({ code: 6 });
  });
});

describe('a file system that has failed', () => {
  const podPath = (): string => join(folder, 'pod/mount');
  const publish = (): Promise<void> =>
    publishFileSystem(host, {
      volume: 'v',
      device: DEVICE,
      stagingPath: staged.stagingPath,
      targetPath: podPath(),
      isReadOnly: false,
      mountFlags: [],
      isExclusive: false,
    });
  const anew = (): string[] => [
    `fsck -a ${DEVICE}`,
    `mount -t ext4 -o defaults ${DEVICE} ${staged.stagingPath}`,
    `resize2fs ${DEVICE}`,
  ];
  const fail = (superOptions: string[]): void => {
    for (const mount of host.table) mount.superOptions = superOptions;
    if (superOptions.length === 0) host.silent.add(staged.stagingPath);
    host.commands.length = 0;
  };
  const run = async (command: string, args: readonly string[]) => {
    if (command === 'umount' || command === 'fsck') host.silent.clear();
    return FakeHost.prototype.run.call(host, command, args);
  };
  beforeEach(async () => {
    host.addDevice(DEVICE);
    host.run = run;
    await stage();
  });

  it.each([
    ['turned read-only', ['ro', 'errors=remount-ro'], /takes no writes any more/],
    ['turned read-only in the newer way', ['rw', 'emergency_ro'], /takes no writes any more/],
    ['shut down', ['rw', 'shutdown'], /was shut down/],
    ['with I/O errors only', [], /answers with I\/O errors/],
  ])('%s is mounted anew, with all checks, unless pods have it', async (_name, superOptions, problem) => {
    await publish();
    fail(superOptions);
    expect(await isStaged(host, DEVICE, staged.stagingPath)).toBe(false);
    await expect(stage()).rejects.toMatchObject({ code: 9, message: expect.stringMatching(problem) });
    await expect(stage()).rejects.toThrow(`once the pods that have it are gone: ${podPath()}`);
    expect(host.changes()).toEqual([]);
    // The pod that waits for it has no container yet.
    await stage({ targetPath: podPath() });
    expect(host.changes()).toEqual([`umount ${podPath()}`, `umount ${staged.stagingPath}`, ...anew()]);
    expect(await isStaged(host, DEVICE, staged.stagingPath)).toBe(true);
  });

  it('is mounted anew when only the staging path has it', async () => {
    fail(['rw', 'shutdown']);
    await stage();
    expect(host.changes()).toEqual([`umount ${staged.stagingPath}`, ...anew()]);
  });

  it('that containers still have is not handed on: the kernel would give them the failed one', async () => {
    host.heldOptions.set(DEVICE, ['rw', 'shutdown']);
    fail(['rw', 'shutdown']);
    for (let time = 0; time < 2; time++) {
      await expect(stage()).rejects.toMatchObject({
        code: 9,
        message: expect.stringMatching(/Containers .* still have/),
      });
      expect(host.table).toEqual([]);
    }
    host.heldOptions.clear();
    await stage();
    expect(host.table).toHaveLength(1);
  });

  it('is not one that was asked for read-only', async () => {
    await unmountAll(host, staged.stagingPath);
    await stage({ mountFlags: ['ro'] });
    host.commands.length = 0;
    await stage({ mountFlags: ['ro'] });
    expect(host.changes()).toEqual([]);
  });
});

describe('publishing a file system', () => {
  let publication: Publication;
  beforeEach(async () => {
    host.addDevice(DEVICE);
    await stage();
    host.commands.length = 0;
    publication = {
      volume: 'v',
      device: DEVICE,
      stagingPath: staged.stagingPath,
      targetPath: join(folder, 'pod 1', 'mount'),
      isReadOnly: false,
      mountFlags: ['noatime', 'data=ordered'],
      isExclusive: false,
    };
  });

  it('binds it, with the options that a bind takes, once', async () => {
    await publishFileSystem(host, publication);
    expect(host.changes()).toEqual([
      `mount -o bind ${staged.stagingPath} ${publication.targetPath}`,
      `mount -o remount,bind,noatime ${publication.targetPath}`,
    ]);
    await publishFileSystem(host, publication);
    expect(host.table).toHaveLength(2);
  });

  it('for reading only is made so also when a call ended between the two steps', async () => {
    const readOnly = { ...publication, isReadOnly: true, mountFlags: [] };
    await publishFileSystem(host, { ...readOnly, isReadOnly: false });
    await publishFileSystem(host, readOnly);
    expect(host.table.at(-1)).toMatchObject({ options: ['ro'] });
    await expect(publishFileSystem(host, { ...readOnly, isReadOnly: false })).rejects.toMatchObject({ code: 6 });
  });

  it('for one pod alone is refused at a second path', async () => {
    await publishFileSystem(host, publication);
    const second = { ...publication, targetPath: join(folder, 'pod 2'), isExclusive: true };
    await expect(publishFileSystem(host, second)).rejects.toMatchObject({ code: 9 });
    await publishFileSystem(host, { ...publication, isExclusive: true });
  });

  it('for one pod alone is published again to that pod, which may see parts of it at further paths', async () => {
    const exclusive = { ...publication, isExclusive: true };
    await publishFileSystem(host, exclusive);
    const subPath = join(folder, 'pod 1', 'volume-subpaths', '0');
    await host.run('mount', ['-o', 'bind', publication.targetPath, subPath]);
    await publishFileSystem(host, exclusive);
    const second = { ...exclusive, targetPath: join(folder, 'pod 2') };
    await expect(publishFileSystem(host, second)).rejects.toMatchObject({ code: 9 });
  });

  it('ends without a trace, as often as it is asked', async () => {
    await publishFileSystem(host, publication);
    for (let time = 0; time < 2; time++) await removeMountPoint(host, publication.targetPath);
    expect(existsSync(publication.targetPath)).toBe(false);
    await unmountAll(host, staged.stagingPath);
    expect(host.table).toEqual([]);
  });
});

describe('taking mount points away', () => {
  it('leaves files and folders with something in them', async () => {
    const file = join(folder, 'file');
    writeFileSync(file, 'data');
    await expect(removeMountPoint(host, file)).rejects.toThrow(/not an empty file/);
    mkdirSync(join(folder, 'full/inside'), { recursive: true });
    await expect(removeMountPoint(host, join(folder, 'full'))).rejects.toThrow(/ENOTEMPTY/);
  });

  it('tells of a mount that is in use', async () => {
    host.addDevice(DEVICE);
    await stage();
    host.results.set('umount', { code: 32, output: 'target is busy' });
    await expect(unmountAll(host, staged.stagingPath)).rejects.toThrow(/target is busy/);
  });
});

describe('a raw device', () => {
  const target = (): string => join(folder, 'pod', 'v');

  it('is bound once to each file, and again when it is another device', async () => {
    const device = host.addDevice(DEVICE);
    const file = stagedFile(staged.stagingPath, 'v');
    for (let time = 0; time < 2; time++) await bindDevice(host, DEVICE, file, 'staging_target_path');
    for (let time = 0; time < 2; time++) await bindDevice(host, file, target(), 'target_path');
    expect(host.table.map(({ path }) => path)).toEqual([file, target()]);
    expect(await host.deviceNumber(target())).toBe(device.number);
    await removeMountPoint(host, target());
    await removeMountPoint(host, file);
    expect(existsSync(file)).toBe(false);
    expect(host.table).toEqual([]);
  });

  it('that cannot be bound leaves no file behind', async () => {
    host.addDevice(DEVICE);
    host.results.set('mount', { code: 32, output: 'no' });
    await expect(bindDevice(host, DEVICE, target(), 'target_path')).rejects.toThrow(/mount -o bind/);
    expect(existsSync(target())).toBe(false);
  });

  it('for one pod alone is refused at a second path', async () => {
    host.addDevice(DEVICE);
    await bindDevice(host, DEVICE, target(), 'target_path');
    const other = { volume: 'v', device: DEVICE, staged: join(folder, 'stage/v'), targetPath: join(folder, 'pod 2') };
    await expect(checkAloneAsDevice(host, other)).rejects.toMatchObject({ code: 9 });
    await expect(checkAloneAsDevice(host, { ...other, targetPath: target() })).resolves.toBeUndefined();
    // What the kubelet binds besides, for the containers of the pod.
    await host.run('mount', ['-o', 'bind', target(), join(folder, 'pod-dev')]);
    await expect(checkAloneAsDevice(host, { ...other, targetPath: target() })).resolves.toBeUndefined();
    await expect(checkAloneAsDevice(host, other)).rejects.toMatchObject({ code: 9 });
  });
});
