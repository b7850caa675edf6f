/** `snapshots create --freeze-fs` with a mounted file system on a real block device; needs root, and says so where it is not. */
import { execFile } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { blockdevDriverAvailable } from '../src/frontend/fuse/blockdev-frontend.ts';
import { CliWorld, type StartedEngine } from './cli-world.ts';

const run = promisify(execFile);
const VOLUME = `cli-freeze-${process.pid}`;
const DEVICE = `/dev/longhorn/${VOLUME}`;

/** Why it cannot be tried here; "" = it can. */
function obstacle(): string {
  const { ok, reason } = blockdevDriverAvailable();
  if (!ok) return reason;
  const folders = (process.env['PATH'] ?? '').split(':');
  const missing = ['mkfs.ext4', 'fsfreeze'].filter((name) => !folders.some((folder) => existsSync(join(folder, name))));
  return missing.length > 0 ? `there is no ${missing.join(', ')}` : '';
}

const reason = obstacle();
if (reason !== '') console.log(`a file system is not frozen in a test: ${reason}`);

describe.skipIf(reason !== '')('snapshots create with a mounted file system', { timeout: 120_000 }, () => {
  let world: CliWorld;
  let engine: StartedEngine;
  let mountPoint: string;
  let logFile: string;

  beforeAll(async () => {
    world = await CliWorld.open();
    mountPoint = join(world.folder, 'mnt');
    logFile = join(world.folder, 'fsfreeze.log');
    const tools = join(world.folder, 'tools');
    const host = join(world.folder, 'host');
    for (const folder of [mountPoint, tools, join(host, 'proc/1')]) mkdirSync(folder, { recursive: true });
    // The first process of a machine may be out of sight: ours has the same mounts.
    symlinkSync('/', join(host, 'proc/1/root'));
    symlinkSync('/proc/self/mountinfo', join(host, 'proc/1/mountinfo'));
    writeFileSync(logFile, '');
    const path = process.env['PATH'] ?? '';
    // Notes what it is asked, and whether the tool that does it has succeeded.
    const script = `#!/bin/sh\nPATH='${path}' fsfreeze "$@"\ncode=$?\necho "$@ $code" >>'${logFile}'\nexit $code\n`;
    writeFileSync(join(tools, 'fsfreeze'), script);
    chmodSync(join(tools, 'fsfreeze'), 0o755);
    const replica = await world.replica({ name: 'r0', volume: VOLUME, size: '16m' });
    engine = await world.engine({
      volume: VOLUME,
      size: '16m',
      replicas: [replica.address],
      flags: ['--frontend', 'tgt-blockdev', '--blockdev-driver', 'fuse'],
      environment: { PATH: `${tools}:${path}`, LONGHORN_HOST_ROOT: host },
    });
    await run('mkfs.ext4', ['-q', DEVICE]);
    await run('mount', [DEVICE, mountPoint]);
  }, 60_000);

  afterAll(async () => {
    // What a test that failed has left.
    await run('umount', [mountPoint]).catch(() => undefined);
    await engine.daemon.end();
    await world.run(['frontend', 'cleanup', '--volume', VOLUME]);
    await world.close();
  });

  it('freezes it for the snapshot, and only with --freeze-fs', async () => {
    writeFileSync(join(mountPoint, 'file'), 'content');
    expect(await world.output(engine, 'snapshots', 'create', 'plain')).toBe('plain\n');
    expect(readFileSync(logFile, 'utf8')).toBe('');
    expect(await world.output(engine, 'snapshots', 'create', 'frozen', '--freeze-fs')).toBe('frozen\n');
    const path = `${join(world.folder, 'host/proc/1/root')}${mountPoint}`;
    expect(readFileSync(logFile, 'utf8')).toBe(`-f ${path} 0\n-u ${path} 0\n`);
    // It is thawed: this would hang.
    writeFileSync(join(mountPoint, 'file'), 'more');
    await run('sync', ['-f', mountPoint]);
    expect(await world.output(engine, 'snapshots')).toBe('ID\nfrozen\nplain\n');
    await run('umount', [mountPoint]);
    expect(await engine.daemon.end()).toBe(0);
    expect(existsSync(DEVICE)).toBe(false);
  });
});
