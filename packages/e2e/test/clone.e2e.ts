/**
 * Copies of volumes: of one that is written meanwhile, with a replica of each side and the copy's engine killed on the
 * way; of a snapshot, into a larger size, of a volume that nobody has attached. A copy is exactly one point in time, all its
 * replicas are equal, nothing is left at the source, and what cannot be copied is refused.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { waitFor } from '@longhorn/engine/testing/wait';
import { BLOCK_BYTES, BlockHistory, blockContent, versionOf } from '../src/block-history.ts';
import { Cluster } from '../src/cluster.ts';
import { at } from '../src/kube.ts';
import { NbdClient } from '../src/nbd-client.ts';
import { engineProcess, replicaProcess } from '../src/processes.ts';
import { mergedChecksums } from '../src/replica-contents.ts';
import {
  attach,
  deleteVolume,
  describeVolume,
  detach,
  engineOf,
  replicasOf,
  setSetting,
  volumeManifest,
  waitHealthy,
  waitState,
} from '../src/volumes.ts';

const MIB = 1 << 20;
const SOURCE_BYTES = 64 * MIB;
const SEED = 7;
/** Blocks that are never written again, and those that are written all the time. */
const STILL = 8_000;
const MOVING = 512;

describe('copies of volumes', () => {
  const folder = mkdtempSync(join(tmpdir(), 'longhorn-clone-'));
  const cluster = new Cluster(join(folder, 'cluster'), 26);
  const history = new BlockHistory();
  let device: NbdClient;

  beforeAll(async () => {
    await cluster.start();
    await setSetting(cluster, 'blockdev-driver', 'nbd');
    await cluster.kube.create('volumes', volumeManifest('origin', SOURCE_BYTES, 2));
    await waitState(cluster, 'origin', 'detached');
    device = await NbdClient.open(await attach(cluster, 'origin', 'node-1'));
    for (let from = 0; from < STILL; from += 500) {
      await Promise.all(Array.from({ length: 500 }, (_, i) => write(device, history, from + i)));
    }
    const point = history.flushPoint();
    await device.flush();
    history.flushed(point);
  });

  afterAll(async () => {
    device.close();
    await cluster.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  async function write(to: NbdClient, known: BlockHistory, block: number): Promise<void> {
    const version = known.begin(block);
    await to.write(block * BLOCK_BYTES, blockContent(SEED, block, version));
    known.acknowledge(block, version);
  }

  const copy = (name: string, dataSource: string, bytes: number, extra = {}) =>
    cluster.kube.create('volumes', volumeManifest(name, bytes, 2, { dataSource, ...extra }));

  async function cloneState(name: string): Promise<string> {
    const state = at(await cluster.kube.get('volumes', name), 'status.cloneStatus.state');
    return typeof state === 'string' ? state : '';
  }

  function reaches(name: string, states: string[], timeoutMs = 90_000): Promise<string> {
    return waitFor(
      `the copy ${name} is ${states.join(' or ')}`,
      timeoutMs,
      async () => {
        const state = await cloneState(name);
        return states.includes(state) && state;
      },
      () => describeVolume(cluster, name),
    );
  }

  /** Kills what runs by then, in turn; what has ended by itself meanwhile is no matter. */
  async function kill(find: () => { pid: number }): Promise<boolean> {
    try {
      process.kill(find().pid, 'SIGKILL');
      return true;
    } catch {
      return false; // not started yet, or restarting after the last blow
    }
  }

  async function killReplica(volume: string, index: number): Promise<boolean> {
    const replica = (await replicasOf(cluster, volume))[index];
    if (replica === undefined || at(replica, 'status.currentState') !== 'running') return false;
    return kill(() => replicaProcess(cluster.folder, String(at(replica, 'spec.nodeID')), replica.metadata.name));
  }

  async function killEngine(volume: string): Promise<boolean> {
    const engine = await engineOf(cluster, volume);
    if (at(engine, 'status.ioState') !== 'serving') return false;
    return kill(() => engineProcess(cluster.folder, String(at(engine, 'spec.nodeID')), engine.metadata.name));
  }

  /** Reads a copy as a user would, and compares its replicas. */
  async function verify(name: string, node: string, bytes: number, possible: ReadonlyMap<number, Set<number>>) {
    const reader = await NbdClient.open(await attach(cluster, name, node));
    const same = async ([block, versions]: [number, Set<number>]): Promise<void> => {
      const version = versionOf(SEED, block, await reader.read(block * BLOCK_BYTES, BLOCK_BYTES));
      if (!versions.has(version))
        throw new Error(`block ${block} of ${name}: version ${version}, not ${[...versions].join(', ')}`);
    };
    try {
      expect(reader.sizeBytes).toBe(bytes);
      const all = [...possible];
      for (let from = 0; from < all.length; from += 500) await Promise.all(all.slice(from, from + 500).map(same));
      const beyond = await reader.read(bytes - MIB, MIB);
      expect(beyond.equals(Buffer.alloc(MIB))).toBe(true);
    } finally {
      reader.close();
    }
    await waitHealthy(cluster, name);
    expect(new Set((await mergedChecksums(cluster, name)).values()).size).toBe(1);
  }

  async function leavesNothingAt(source: string): Promise<void> {
    const left = async (): Promise<string[]> =>
      (await cluster.kube.list('snapshots'))
        .filter((one) => at(one, 'spec.volume') === source && one.metadata['deletionTimestamp'] === undefined)
        .filter((one) => JSON.stringify(at(one, 'spec.labels')).includes('for-cloning-volume'))
        .map(({ metadata }) => metadata.name);
    // The newest snapshot is merged when another one follows it; until then its object is there, marked as deleted.
    await waitFor('the snapshot for the copy is deleted', 60_000, async () => (await left()).length === 0);
    const tickets = at(await cluster.kube.get('volumeattachments', source), 'spec.attachmentTickets') ?? {};
    expect(Object.keys(tickets).filter((id) => id.startsWith('volume-clone'))).toEqual([]);
  }

  it('a volume that is written is copied as it was at one moment, though processes die on the way', async () => {
    let isWriting = true;
    const writing = (async () => {
      for (let next = 0; isWriting; next = (next + 1) % MOVING) await write(device, history, STILL + next);
    })();
    const contents = history.beginSnapshot();
    await copy('twin', 'vol://origin', 2 * SOURCE_BYTES);
    // A copy that is not complete is nobody's to use.
    await cluster.rest.action('twin', 'attach', { hostId: 'node-3', attachmentID: 'early' });
    await reaches('twin', ['initiated']);
    history.endSnapshot(contents);
    const blows = [() => killReplica('origin', 0), () => killReplica('twin', 0), () => killEngine('twin')];
    const hits: number[] = [];
    await waitFor('all blows have hit', 60_000, async () => {
      for (const [index, blow] of blows.entries()) if (!hits.includes(index) && (await blow())) hits.push(index);
      return hits.length === blows.length || ['completed', 'failed'].includes(await cloneState('twin'));
    });
    console.log(`    killed on the way: ${hits.length} of ${blows.length}`);
    await reaches('twin', ['completed'], 150_000);
    isWriting = false;
    await writing;
    await waitFor(
      'whoever asked early has it, with a device',
      60_000,
      async () => {
        const twin = await cluster.kube.get('volumes', 'twin');
        const nodes = [at(twin, 'spec.nodeID'), at(twin, 'status.currentNodeID')];
        const isThere = nodes.every((node) => node === 'node-3') && at(twin, 'status.state') === 'attached';
        return isThere && at(twin, 'status.frontendDisabled') === false;
      },
      () => describeVolume(cluster, 'twin'),
    );
    await cluster.rest.action('twin', 'detach', { attachmentID: 'early' });
    await waitState(cluster, 'twin', 'detached');
    await verify('twin', 'node-2', 2 * SOURCE_BYTES, contents.possible);
    await leavesNothingAt('origin');
    await waitHealthy(cluster, 'origin');
  });

  it('a snapshot of a volume that nobody has attached is restored into a larger one', async () => {
    await cluster.rest.action('origin', 'snapshotCRCreate', { name: 'point', labels: {} });
    await waitFor('the snapshot is ready', 30_000, async () =>
      Boolean(at(await cluster.kube.get('snapshots', 'point'), 'status.readyToUse')),
    );
    const contents = history.beginSnapshot();
    history.endSnapshot(contents);
    for (let block = 0; block < 64; block++) await write(device, history, block);
    await device.flush();
    device.close();
    await detach(cluster, 'origin');
    await copy('restored', 'snap://origin/point', SOURCE_BYTES + 64 * MIB);
    await reaches('restored', ['completed']);
    await waitState(cluster, 'origin', 'detached');
    await waitState(cluster, 'restored', 'detached');
    await verify('restored', 'node-1', SOURCE_BYTES + 64 * MIB, contents.possible);
    expect(await cluster.kube.get('snapshots', 'point')).not.toBeNull();
  });

  it('a copy that is deleted on the way leaves nothing', async () => {
    await copy('short', 'vol://origin', SOURCE_BYTES);
    await reaches('short', ['initiated', 'copy-completed-awaiting-healthy', 'completed']);
    await deleteVolume(cluster, 'short');
    await leavesNothingAt('origin');
    await waitState(cluster, 'origin', 'detached');
    expect(await replicasOf(cluster, 'short')).toEqual([]);
  });

  it.each([
    [
      'smaller than its source',
      'vol://origin',
      { size: String(SOURCE_BYTES - 2 * MIB) },
      /is smaller than size of source/,
    ],
    ['of a volume that is not there', 'vol://nothing', {}, /source volume nothing is not found/],
    [
      'linked',
      'vol://origin',
      { cloneMode: 'linked-clone', numberOfReplicas: 1 },
      /does not support clone mode linked/,
    ],
    [
      'strict-local',
      'vol://origin',
      { dataLocality: 'strict-local', numberOfReplicas: 1 },
      /strict-local with a dataSource/,
    ],
    ['of a path', 'vol://../origin', {}, /invalid volume data source/],
  ])('a copy %s is refused in words', async (_name, dataSource, extra, words) => {
    await expect(copy('refused', dataSource, SOURCE_BYTES, extra)).rejects.toThrow(words);
  });
});
