/**
 * A volume with the frontend `iscsi`, from the Volume object to an initiator in user space: it waits for the CHAP account that
 * the setting asks for and says so, lets in who knows it, goes on under an initiator when its engine is killed, and takes a
 * changed account without a restart.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { waitFor } from '@longhorn/engine/testing/wait';
import { Cluster } from '../src/cluster.ts';
import { at, CHAP_SECRET, chapSecret, NAMESPACE } from '../src/kube.ts';
import { engineProcess } from '../src/processes.ts';
import { mergedChecksums } from '../src/replica-contents.ts';
import { run } from '../src/shell.ts';
import {
  attach,
  deleteVolume,
  describeVolume,
  detach,
  engineOf,
  setSetting,
  volumeManifest,
  waitHealthy,
  waitState,
} from '../src/volumes.ts';

const MIB = 1 << 20;
const SECRETS = `/api/v1/namespaces/${NAMESPACE}/secrets`;

// Debian's qemu-utils have the protocol only with qemu-block-extra.
const qemu = spawnSync('qemu-io', ['-c', 'quit', 'iscsi://127.0.0.1:1/iqn/1'], { encoding: 'utf8' });
const hasQemu = qemu.error === undefined && !qemu.stderr.includes('Unknown protocol');
if (!hasQemu) console.log('a volume as an iSCSI target: skipped, qemu-io has no iscsi (qemu-utils, qemu-block-extra)');

/** qemu-io as an initiator that stays: one command after the other on one session. */
class Session {
  private readonly child: ChildProcess;
  private output = '';

  constructor(url: string) {
    this.child = spawn('qemu-io', ['-f', 'raw', url], { stdio: ['pipe', 'pipe', 'pipe'] });
    for (const stream of [this.child.stdout, this.child.stderr])
      stream?.on('data', (bytes: Buffer) => (this.output += bytes.toString()));
  }

  /** Output of a command, once it is done. */
  async does(command: string): Promise<string> {
    const from = this.output.length;
    this.child.stdin?.write(`${command}\n`);
    return waitFor(
      `qemu-io ends ${command}`,
      60_000,
      async () => {
        const answer = this.output.slice(from);
        return /bytes at offset|failed|error/i.test(answer) && answer;
      },
      async () => this.output,
    );
  }

  async end(): Promise<number> {
    if (this.child.exitCode !== null) return this.child.exitCode;
    this.child.stdin?.end('quit\n');
    const [code] = (await once(this.child, 'exit')) as [number];
    return code;
  }
}

describe.skipIf(!hasQemu)('a volume as an iSCSI target', () => {
  const folder = mkdtempSync(join(tmpdir(), 'longhorn-iscsi-'));
  const cluster = new Cluster(join(folder, 'cluster'), 27);
  let endpoint = '';

  beforeAll(() => cluster.start());
  afterAll(async () => {
    await cluster.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const url = (password: string): string => endpoint.replace('iscsi://', `iscsi://joe%${password}@`);
  const account = (password: string): object => chapSecret({ username: 'joe', password });

  /** Whether qemu-io gets in and finds the byte. */
  async function finds(password: string, byte: number): Promise<boolean> {
    const read = ['-r', '-f', 'raw', '-c', `read -P ${byte} 0 1M`, url(password)];
    return run('qemu-io', read).then(
      (output) => output.includes('read 1048576/1048576 bytes') && !output.includes('verification failed'),
      () => false,
    );
  }

  it('waits for the account that the setting asks for, says so, and attaches when it is there', async () => {
    await setSetting(cluster, 'iscsi-authentication', 'chap');
    await cluster.kube.create('volumes', volumeManifest('disk', 64 * MIB, 2, { frontend: 'iscsi' }));
    await waitState(cluster, 'disk', 'detached');
    const attached = attach(cluster, 'disk', 'node-1');
    await waitFor(
      'the volume says what it waits for',
      60_000,
      async () => {
        const blockers = JSON.stringify(at(await cluster.kube.get('volumes', 'disk'), 'status.blockedBy'));
        return blockers?.includes('node.session.auth.username is missing or empty');
      },
      () => describeVolume(cluster, 'disk'),
    );
    await cluster.kube.call('POST', SECRETS, account('first-password'));
    endpoint = await attached;
    expect(endpoint).toMatch(/^iscsi:\/\/127\.[\d.]+:3260\/iqn\.2019-10\.io\.longhorn:disk\/1$/);
    await waitHealthy(cluster, 'disk');
  });

  it('lets in who knows the account, and nobody else', async () => {
    const session = new Session(url('first-password'));
    expect(await session.does('write -P 17 0 1M')).toContain('wrote 1048576/1048576 bytes');
    expect(await session.end()).toBe(0);
    expect(await finds('first-password', 17)).toBe(true);
    expect(await finds('wrong-password', 17)).toBe(false);
    await expect(run('qemu-io', ['-r', '-f', 'raw', '-c', 'read 0 1M', endpoint])).rejects.toThrow(/[Aa]uth|login/i);
  });

  it('goes on under its initiator when the engine is killed', async () => {
    const session = new Session(url('first-password'));
    await session.does('write -P 18 0 1M');
    const name = (await engineOf(cluster, 'disk')).metadata.name;
    process.kill(engineProcess(cluster.folder, 'node-1', name).pid, 'SIGKILL');
    expect(await session.does('read -P 18 0 1M')).toContain('read 1048576/1048576 bytes');
    expect(await session.does('write -P 19 1M 1M')).toContain('wrote 1048576/1048576 bytes');
    expect(await session.end()).toBe(0);
    expect(at(await engineOf(cluster, 'disk'), 'status.endpoint')).toBe(endpoint);
    await waitHealthy(cluster, 'disk');
  });

  it('takes a changed account without a restart', async () => {
    const name = (await engineOf(cluster, 'disk')).metadata.name;
    const before = engineProcess(cluster.folder, 'node-1', name).pid;
    await cluster.kube.call(
      'PATCH',
      `${SECRETS}/${CHAP_SECRET}`,
      account('other-password'),
      'application/merge-patch+json',
    );
    await waitFor('the new password is taken', 30_000, () => finds('other-password', 18));
    expect(await finds('first-password', 18)).toBe(false);
    expect(engineProcess(cluster.folder, 'node-1', name).pid).toBe(before);
  });

  it('has equal replicas in the end, and leaves nothing', async () => {
    expect(new Set((await mergedChecksums(cluster, 'disk')).values()).size).toBe(1);
    await detach(cluster, 'disk');
    await deleteVolume(cluster, 'disk');
  });
});
