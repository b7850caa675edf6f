/**
 * Disks that run full under a volume of three replicas: one of them (its replica fails, the volume lives) and all of them (new
 * data gets ENOSPC; what is there is read, overwritten, snapshotted and attached anew). Nothing acknowledged is lost, nothing is
 * truncated, the volume says why, and with space freed everything goes on by itself.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { waitFor } from '@longhorn/engine/testing/wait';
import { BLOCK_BYTES, BlockHistory, blockContent, versionOf } from '../src/block-history.ts';
import { Cluster } from '../src/cluster.ts';
import { at } from '../src/kube.ts';
import { replicaFolders } from '../src/leftovers.ts';
import { NbdClient, NbdError } from '../src/nbd-client.ts';
import { emptyDisk, fillDisk } from '../src/node-disk.ts';
import { engineProcess, replicaProcess } from '../src/processes.ts';
import { mergedChecksums } from '../src/replica-contents.ts';
import {
  attach,
  describeVolume,
  detach,
  engineOf,
  replicaModes,
  replicasOf,
  setSetting,
  volumeManifest,
  waitHealthy,
  waitRobustness,
  waitState,
} from '../src/volumes.ts';

const VOLUME = 'full';
const NODES = ['node-1', 'node-2', 'node-3'];
const VOLUME_BYTES = 128 << 20;
const ENOSPC = 28;
const SEED = 23;
/** Blocks lie this far apart, so that each wants space of its own. */
const STRIDE = 16;
/** More than the reserve of a replica has room for. */
const SNAPSHOTS_MAX = 24;

const root = process.getuid?.() === 0;
if (!root) console.log('full disks: skipped, small file systems want root');

describe.skipIf(!root)('full disks', () => {
  const folder = mkdtempSync(join(tmpdir(), 'longhorn-full-disk-'));
  const cluster = new Cluster(join(folder, 'cluster'), 25, { diskSize: '1Gi' });
  const history = new BlockHistory();
  let device: NbdClient;

  beforeAll(async () => {
    await cluster.start();
    await setSetting(cluster, 'blockdev-driver', 'nbd');
    await cluster.kube.create('volumes', volumeManifest(VOLUME, VOLUME_BYTES, 3));
    await waitState(cluster, VOLUME, 'detached');
    device = await NbdClient.open(await attach(cluster, VOLUME, 'node-1'));
    await waitHealthy(cluster, VOLUME);
  });

  afterAll(async () => {
    device.close();
    await cluster.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Writes one block; false: there was no space for it. */
  async function write(index: number): Promise<boolean> {
    const block = index * STRIDE;
    const version = history.begin(block);
    try {
      await device.write(block * BLOCK_BYTES, blockContent(SEED, block, version));
    } catch (error) {
      if (error instanceof NbdError && error.errno === ENOSPC) return false;
      throw error;
    }
    history.acknowledge(block, version);
    return true;
  }

  /** Writes blocks [from, to); answers how many were taken. */
  async function writeAll(from: number, to: number): Promise<number> {
    const taken = await Promise.all(Array.from({ length: to - from }, (_, i) => write(from + i)));
    return taken.filter(Boolean).length;
  }

  async function flush(): Promise<void> {
    const point = history.flushPoint();
    await device.flush();
    history.flushed(point);
  }

  async function verify(): Promise<void> {
    for (const block of history.blockNumbers())
      history.check(block, versionOf(SEED, block, await device.read(block * BLOCK_BYTES, BLOCK_BYTES)));
  }

  async function reasons(): Promise<string> {
    const blocked = at(await cluster.kube.get('volumes', VOLUME), 'status.blockedBy');
    return JSON.stringify(blocked, null, 1);
  }

  function saysWhy(pattern: RegExp, timeoutMs: number): Promise<boolean> {
    return waitFor(
      `the volume says ${String(pattern)}`,
      timeoutMs,
      async () => pattern.test(await reasons()),
      () => describeVolume(cluster, VOLUME),
    );
  }

  async function diskPressure(node: string): Promise<string> {
    const disks = Object.values(
      (at(await cluster.kube.get('nodes', node), 'status.diskStatus') as object | undefined) ?? {},
    );
    const conditions = disks.flatMap((disk: unknown) => at(disk, 'conditions') as { type: string; reason: string }[]);
    return conditions.find(({ type }) => type === 'Schedulable')?.reason ?? '';
  }

  /** Every metadata file of every replica is whole. */
  function checkMetadata(): void {
    for (const path of replicaFolders(cluster.folder)) {
      const [node = '', replica = ''] = path.split('/');
      const files = join(cluster.folder, 'nodes', node, 'disk', 'replicas', replica);
      const names = readdirSync(files).filter((name) => name.endsWith('.meta') || name.endsWith('.json'));
      expect(names).toContain('volume.meta');
      for (const name of names) expect(JSON.parse(readFileSync(join(files, name), 'utf8'))).toBeTypeOf('object');
    }
  }

  async function expectEqualReplicas(): Promise<void> {
    const sums = await mergedChecksums(cluster, VOLUME);
    expect(sums.size).toBe(3);
    expect(new Set(sums.values()).size).toBe(1);
  }

  it('under one replica: it fails, the volume lives and says why, and rebuilds with space', async () => {
    expect(await writeAll(0, 256)).toBe(256);
    await flush();
    await fillDisk(cluster.folder, 'node-3');
    expect(await writeAll(256, 768)).toBe(512);
    await flush();
    await waitRobustness(cluster, VOLUME, 'degraded', 10_000);
    await saysWhy(/no space left on device; disk \S+ \(\S+\) on node node-3 has 0 MiB available/, 20_000);
    expect(await diskPressure('node-3')).toBe('DiskPressure');
    expect((await replicaModes(cluster, VOLUME)).filter((mode) => mode === 'RW')).toHaveLength(2);
    expect(await writeAll(128, 300)).toBe(172);
    await verify();
    checkMetadata();
    emptyDisk(cluster.folder, 'node-3');
    await waitHealthy(cluster, VOLUME, 60_000);
    await verify();
    await expectEqualReplicas();
  });

  it('under all replicas: new data is refused, what is there is served, and the volume says why', async () => {
    for (const node of NODES) await fillDisk(cluster.folder, node);
    await writeAll(1000, 1200);
    expect(await writeAll(1200, 1232)).toBe(0);
    await flush();
    await saysWhy(/No replica has space left for new data/, 5_000);
    expect(at(await cluster.kube.get('volumes', VOLUME), 'status.robustness')).toBe('healthy');
    await verify();
    expect(await replicaModes(cluster, VOLUME)).toEqual(['RW', 'RW', 'RW']);
  });

  it('a snapshot is taken or refused, whole either way', async () => {
    const takeAll = async (): Promise<void> => {
      for (let i = 0; i < SNAPSHOTS_MAX; i++) {
        await cluster.rest.action(VOLUME, 'snapshotCreate', { name: `s${i}` });
      }
    };
    await expect(takeAll()).rejects.toThrow(/no space left on device|still made equal/);
    expect(await replicaModes(cluster, VOLUME)).toEqual(['RW', 'RW', 'RW']);
    expect(at(await engineOf(cluster, VOLUME), 'status.ioState')).toBe('serving');
    checkMetadata();
    await verify();
  });

  it('engine and replicas start again on full disks', async () => {
    const engine = (await engineOf(cluster, VOLUME)).metadata.name;
    process.kill(engineProcess(cluster.folder, 'node-1', engine).pid, 'SIGKILL');
    await flush();
    await verify();
    device.close();
    history.lostCache();
    await detach(cluster, VOLUME);
    device = await NbdClient.open(await attach(cluster, VOLUME, 'node-2'));
    await verify();
    await waitRobustness(cluster, VOLUME, 'healthy', 30_000);
    expect(await writeAll(1300, 1310)).toBe(0);
    for (const node of NODES) await saysWhy(new RegExp(`disk .* on node ${node} is full`), 45_000);
  });

  it('a replica that dies meanwhile is told apart, and waits for space', async () => {
    const lost = (await replicasOf(cluster, VOLUME)).find((replica) => at(replica, 'spec.nodeID') === 'node-3');
    process.kill(replicaProcess(cluster.folder, 'node-3', lost?.metadata.name ?? '').pid, 'SIGKILL');
    await waitRobustness(cluster, VOLUME, 'degraded', 10_000);
    await saysWhy(/on node node-3 has 0 MiB available, its rebuild wants more than/, 20_000);
    await flush();
    await verify();
    expect((await replicaModes(cluster, VOLUME)).filter((mode) => mode === 'RW')).toHaveLength(2);
  });

  it('with space freed all goes on by itself, and every replica holds the same', async () => {
    for (const node of NODES) emptyDisk(cluster.folder, node);
    expect(await writeAll(1000, 1400)).toBe(400);
    await flush();
    await waitHealthy(cluster, VOLUME, 90_000);
    await verify();
    await expectEqualReplicas();
    checkMetadata();
  });
});
