/**
 * The initiators of the Linux kernel, in a guest with Debian's: open-iscsi and nbd-client attach a volume and a file system on it
 * is written to, also while its engine is killed; it is still mounted then and has what was written.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { waitFor } from '@longhorn/engine/testing/wait';
import { Cluster } from '../src/cluster.ts';
import { Forward, Guest, HOST } from '../src/guest/guest.ts';
import { guestImage } from '../src/guest/image.ts';
import { chapSecret, NAMESPACE } from '../src/kube.ts';
import { engineProcess } from '../src/processes.ts';
import {
  attach,
  deleteVolume,
  detach,
  engineOf,
  setSetting,
  volumeManifest,
  waitHealthy,
  waitState,
} from '../src/volumes.ts';

const MIB = 1 << 20;
const IMAGE_MS = 300_000;
const CACHE = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'longhorn-ci/guest');
const USER = 'joe';
const PASSWORD = 'initiator-secret';
const TARGET_USER = 'target';
const TARGET_PASSWORD = 'secret-of-target';

const has = (program: string): boolean => spawnSync(program, ['--version']).error === undefined;
const canRun = process.getuid?.() === 0 && has('qemu-system-x86_64') && has('apt-get') && has('dpkg-deb');
if (!canRun) console.log('initiators of the kernel: skipped, they want root, Debian and qemu-system-x86');

describe.skipIf(!canRun)('initiators of the kernel', () => {
  const folder = mkdtempSync(join(tmpdir(), 'longhorn-kernel-'));
  const cluster = new Cluster(join(folder, 'cluster'), 28);
  let guest: Guest;

  beforeAll(async () => {
    const image = await guestImage(CACHE);
    await cluster.start();
    guest = await Guest.boot(image, join(folder, 'kernel.log'));
  }, IMAGE_MS);
  afterAll(async () => {
    await guest?.stop();
    await cluster.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  async function killEngine(volume: string): Promise<void> {
    const name = (await engineOf(cluster, volume)).metadata.name;
    process.kill(engineProcess(cluster.folder, 'node-1', name).pid, 'SIGKILL');
  }

  /** A file system on the guest's device, and somebody who writes, syncs and remembers what he wrote, file after file. */
  async function beginLoad(device: string): Promise<void> {
    await guest.run(
      `mkfs.ext4 -qF -E lazy_itable_init=0,lazy_journal_init=0 ${device} && mount ${device} /mnt && rm -rf /tmp/load && mkdir /tmp/load`,
    );
    const round =
      'f=f$((i%16)); dd if=/dev/urandom of=/mnt/$f bs=64k count=4 conv=fsync 2>/dev/null || break; (cd /mnt && md5sum $f) > /tmp/load/$f.sum';
    await guest.run(
      `(i=0; while [ ! -e /tmp/load/stop ]; do i=$((i+1)); ${round}; echo $i > /tmp/load/count; done; touch /tmp/load/ended) &`,
    );
    await progress(8);
  }

  /** Waits until so many more rounds were written. */
  async function progress(rounds: number): Promise<void> {
    const count = async (): Promise<number> => Number(await guest.run('cat /tmp/load/count 2>/dev/null || echo 0'));
    const from = await count();
    await waitFor(
      'the guest writes',
      120_000,
      async () => (await count()) >= from + rounds,
      () => guest.run('cat /proc/mounts; dmesg | tail -20'),
    );
  }

  /** All that was written is there, read from the device; what a check of the file system says. */
  async function endLoad(device: string): Promise<string> {
    await guest.run('grep " /mnt ext4 rw" /proc/mounts; touch /tmp/load/stop');
    await waitFor('the writer ends', 60_000, () => guest.run('[ -e /tmp/load/ended ]').then(() => true));
    await guest.run('umount /mnt && echo 3 > /proc/sys/vm/drop_caches');
    await guest.run(
      `mount ${device} /mnt && cd /mnt && cat /tmp/load/*.sum | md5sum -c && fstrim /mnt && cd / && umount /mnt`,
    );
    return guest.run(`e2fsck -fn ${device}`);
  }

  /** As nbd-client, but the kernel holds what is asked of the device while the server is gone. */
  async function attachByNetlink(port: number, exportName: string): Promise<void> {
    const program = readFileSync(resolve(import.meta.dirname, '../src/guest/nbd-attach.py')).toString('base64');
    await guest.run(`echo ${program} | base64 -d > /tmp/nbd-attach.py`);
    await guest.run(`(python3.11 /tmp/nbd-attach.py ${HOST} ${port} ${exportName} 120 > /tmp/nbd-attach.log 2>&1 &)`);
    await waitFor(
      'the disk is there',
      60_000,
      () => guest.run('[ "$(cat /sys/block/nbd0/size)" -gt 0 ]').then(() => true),
      () => guest.run('cat /tmp/nbd-attach.log'),
    );
  }

  it('open-iscsi: logs in by CHAP of both sides, and stays mounted when the engine is killed under load', async () => {
    await setSetting(cluster, 'iscsi-authentication', 'chap');
    const values = { username: USER, password: PASSWORD, username_in: TARGET_USER, password_in: TARGET_PASSWORD };
    await cluster.kube.call('POST', `/api/v1/namespaces/${NAMESPACE}/secrets`, chapSecret(values));
    await cluster.kube.create('volumes', volumeManifest('scsi', 256 * MIB, 2, { frontend: 'iscsi' }));
    await waitState(cluster, 'scsi', 'detached');
    const endpoint = await attach(cluster, 'scsi', 'node-1');
    const [, host = '', port = '', target = ''] = /^iscsi:\/\/([^:]+):(\d+)\/(.*)\/1$/.exec(endpoint) ?? [];
    const forward = await Forward.to({ host, port: Number(port) });
    try {
      await guest.run('iscsid');
      const node = `iscsiadm -m node -T ${target} -p ${HOST}:${forward.port}`;
      await guest.run(`${node} -o new`);
      for (const [key, value] of Object.entries({ authmethod: 'CHAP', ...values }))
        await guest.run(`${node} -o update -n node.session.auth.${key} -v ${value}`);
      await guest.run(`${node} --login`);
      await waitFor('the disk is there', 30_000, () => guest.run('[ -b /dev/sda ]').then(() => true));
      await beginLoad('/dev/sda');
      await killEngine('scsi');
      await progress(16);
      expect(await endLoad('/dev/sda')).toContain('/65536 files');
      await guest.run(`${node} -o update -n node.session.auth.password -v another-password && ${node} --logout`);
      await expect(guest.run(`${node} --login`)).rejects.toThrow(/authorization failure/);
    } finally {
      await forward.close();
    }
    await waitHealthy(cluster, 'scsi');
    await detach(cluster, 'scsi');
    await deleteVolume(cluster, 'scsi');
  });

  // nbd-client tells the kernel to fail what is asked of the device while there is no connection. So it is not nbd-client that
  // attaches the device when the engine is killed.
  it('nbd: has a file system that is written to, and stays mounted when the engine is killed under load', async () => {
    await setSetting(cluster, 'blockdev-driver', 'nbd');
    await cluster.kube.create('volumes', volumeManifest('nbd', 256 * MIB, 2));
    await waitState(cluster, 'nbd', 'detached');
    const endpoint = await attach(cluster, 'nbd', 'node-1');
    const path = /socket=(.*)$/.exec(endpoint)?.[1] ?? '';
    const forward = await Forward.to({ path });
    try {
      await guest.run(`nbd-client ${HOST} ${forward.port} /dev/nbd0 -N nbd -timeout 120`);
      await beginLoad('/dev/nbd0');
      await progress(16);
      expect(await endLoad('/dev/nbd0')).toContain('/65536 files');
      await guest.run('nbd-client -d /dev/nbd0');

      await attachByNetlink(forward.port, 'nbd');
      await beginLoad('/dev/nbd0');
      await killEngine('nbd');
      await progress(16);
      expect(await endLoad('/dev/nbd0')).toContain('/65536 files');
      await guest.run('nbd-client -d /dev/nbd0');
    } finally {
      await forward.close();
    }
    await waitHealthy(cluster, 'nbd');
    await detach(cluster, 'nbd');
    await deleteVolume(cluster, 'nbd');
  });
});
