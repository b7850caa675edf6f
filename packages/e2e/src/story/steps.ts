/**
 * The story that must work: a file system on a volume of three replicas that loses a replica, a node and its engine,
 * and still holds every byte. Each step leaves the system healthy for the next one.
 */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { at } from '../kube.ts';
import { inventory, replicaFolders } from '../leftovers.ts';
import { IoProber, PROBED_BYTES } from '../io-prober.ts';
import { engineProcess, replicaProcess } from '../processes.ts';
import { mergedChecksums } from '../replica-contents.ts';
import { run } from '../shell.ts';
import { missingRows, readJournal } from '../sqlite-writer.ts';
import { copyTree, treeChecksum } from '../tree.ts';
import {
  attach,
  deleteVolume,
  describeVolume,
  detach,
  engineOf,
  replicaModes,
  replicasOf,
  setSetting,
  volumeManifest,
  waitHealthy,
  waitRobustness,
} from '../volumes.ts';
import { waitFor } from '../wait.ts';
import { fsck, GIB, mount, releaseMounts, unmount, Writer, type Step, type StoryContext } from './context.ts';

/** the volume of three replicas, on node-1 */
const STORY = 'story';
/** the volume of two replicas, on node-2 */
const PAIR = 'pair';

const mountOf = (context: StoryContext, volume: string): string => join(context.workDir, 'mnt', volume);
const device = (volume: string): string => `/dev/longhorn/${volume}`;

/** The longest that a single I/O may wait. A commit is several; its figure is printed. */
const KILLED_IO_MS = 1_000;
const CUT_IO_MS = 10_000;
/** The file system ends before the prober's region. */
const FILE_SYSTEM_BYTES = 2 * GIB - PROBED_BYTES;

let writer: Writer | null = null;
let prober: IoProber | null = null;

function runningWriter(): Writer {
  if (writer === null) throw new Error('step 2 starts the writer');
  return writer;
}

function runningProber(): IoProber {
  if (prober === null) throw new Error('step 2 starts the prober');
  return prober;
}

/** Ends what a failed story left running. */
export function endStory(): void {
  writer?.kill();
  writer = null;
  prober?.kill();
  prober = null;
}

const create: Step = {
  title: '1. Create two volumes, by kubectl and by REST, and attach both',
  async run(context) {
    const manifest = JSON.stringify(volumeManifest(STORY, 2 * GIB, 3));
    await context.cluster.kubectl(['apply', '-f', '-'], manifest);
    await context.rest.post('/v1/volumes', {
      name: PAIR,
      size: String(GIB),
      numberOfReplicas: 2,
      frontend: 'blockdev',
    });
    for (const name of [STORY, PAIR]) {
      await waitFor(
        `volume ${name} is detached and can be attached`,
        60_000,
        async () => at(await context.kube.get('volumes', name), 'status.state') === 'detached',
        () => describeVolume(context, name),
      );
    }
    const [story, pair] = await Promise.all([attach(context, STORY, 'node-1'), attach(context, PAIR, 'node-2')]);
    await Promise.all([waitHealthy(context, STORY), waitHealthy(context, PAIR)]);
    context.log(`attached: ${story}, ${pair}`);
  },
};

const fill: Step = {
  title: '2. A file system, a real tree, a database that commits',
  async run(context) {
    for (const name of [STORY, PAIR]) {
      const size = name === STORY ? [`${FILE_SYSTEM_BYTES / 1024}k`] : [];
      await run('mkfs.ext4', ['-q', '-F', device(name), ...size]);
      await mount(device(name), mountOf(context, name));
    }
    const start = performance.now();
    await copyTree(context.tree, join(mountOf(context, STORY), 'tree'));
    await run('sync', ['-f', mountOf(context, STORY)]);
    const { files, checksum } = await treeChecksum(join(mountOf(context, STORY), 'tree'));
    const source = await treeChecksum(context.tree);
    if (source.checksum !== checksum) throw new Error('the copied tree differs from its source');
    context.log(`${files} files copied and compared in ${((performance.now() - start) / 1000).toFixed(0)} s`);
    writer = new Writer(context, join(mountOf(context, STORY), 'entries.db'), 'story');
    await writer.progress(50, 30_000);
    prober = new IoProber(device(STORY), FILE_SYSTEM_BYTES, join(context.workDir, 'prober.journal'));
    const pairFile = join(mountOf(context, PAIR), 'flushed');
    writeFileSync(pairFile, 'flushed before the power-cut\n'.repeat(10_000), { flush: true });
    await run('sync', ['-f', mountOf(context, PAIR)]);
  },
};

const loseReplica: Step = {
  title: '3. kill -9 one replica process: degraded, rebuilt by what differs, healthy',
  async run(context) {
    const target = (await replicasOf(context, STORY)).find((replica) => at(replica, 'spec.nodeID') === 'node-3');
    if (target === undefined) throw new Error('the volume has no replica on node-3');
    const before = runningWriter().rows();
    const begunMs = Date.now();
    process.kill(replicaProcess(context.cluster.folder, 'node-3', target.metadata.name).pid, 'SIGKILL');
    const killed = performance.now();
    await waitRobustness(context, STORY, 'degraded', 10_000);
    await waitFor(
      'the rebuild starts',
      10_000,
      async () => (await replicaModes(context, STORY)).includes('WO'),
      () => describeVolume(context, STORY),
    );
    const started = performance.now() - killed;
    await waitHealthy(context, STORY, 180_000);
    await runningWriter().progress(20, 10_000);
    const longest = runningWriter().longestMs(before);
    context.log(
      `rebuild began after ${started.toFixed(0)} ms, healthy after ${((performance.now() - killed) / 1000).toFixed(1)} s, longest commit ${longest.toFixed(0)} ms`,
    );
    context.figures.set('longest commit around a killed replica', `${longest.toFixed(0)} ms`);
    await noteLongestIo(context, 'a killed replica', begunMs, KILLED_IO_MS);
  },
};

async function noteLongestIo(context: StoryContext, around: string, sinceMs: number, limitMs: number): Promise<void> {
  const longest = await runningProber().longest(sinceMs, limitMs);
  context.figures.set(`longest single I/O around ${around}`, longest);
  context.log(`longest single I/O: ${longest}`);
}

async function cutNode2(context: StoryContext): Promise<void> {
  await context.cluster.powerCut('node-2');
  // The mount of the node that lost power is gone with it.
  await run('umount', ['-l', mountOf(context, PAIR)]).catch((error: unknown) => {
    if (!(error instanceof Error) || !/not mounted/.test(error.message)) throw error;
  });
}

/** Healthy by replacements; the object of the replica that stays away may be there until its node returns. */
async function waitReplaced(context: StoryContext, volume: string): Promise<void> {
  await waitFor(
    `volume ${volume} has replaced what stays away`,
    240_000,
    async () => {
      const object = await context.kube.get('volumes', volume);
      const serving = (await replicaModes(context, volume)).filter((mode) => mode === 'RW').length;
      return at(object, 'status.robustness') === 'healthy' && serving === at(object, 'spec.numberOfReplicas');
    },
    () => describeVolume(context, volume),
  );
}

/** One replica per node again: the replacement had to share a node, and nothing moves by itself. */
async function spread(context: StoryContext, volume: string): Promise<void> {
  const nodes = new Set<unknown>();
  for (const replica of await replicasOf(context, volume)) {
    const node = at(replica, 'spec.nodeID');
    if (nodes.has(node)) await context.rest.action(volume, 'replicaRemove', { name: replica.metadata.name });
    nodes.add(node);
  }
  await waitFor(
    `volume ${volume} has a replica on each node`,
    60_000,
    async () => new Set((await replicasOf(context, volume)).map((r) => at(r, 'spec.nodeID'))).size === 3,
    () => describeVolume(context, volume),
  );
  await waitHealthy(context, volume, 120_000);
}

const loseNode: Step = {
  title: '4. Power-cut of a node: no long wait, its replicas are reused when it returns, replaced when it stays away',
  async run(context) {
    const before = runningWriter().rows();
    const begunMs = Date.now();
    const names = async (): Promise<string[]> => (await replicasOf(context, STORY)).map((r) => r.metadata.name).sort();
    const replicas = await names();
    await cutNode2(context);
    await waitRobustness(context, STORY, 'degraded', 30_000);
    // Its ticket goes to another node; exactly half of its replicas is left, the control plane confirms.
    await context.rest.action(PAIR, 'detach', { forceDetach: true });
    await attach(context, PAIR, 'node-1');
    await mount(device(PAIR), mountOf(context, PAIR));
    const flushed = readFileSync(join(mountOf(context, PAIR), 'flushed'), 'utf8');
    if (flushed !== 'flushed before the power-cut\n'.repeat(10_000))
      throw new Error('flushed data is gone from the pair');
    await context.cluster.powerOn('node-2');
    await waitHealthy(context, STORY, 180_000);
    await waitHealthy(context, PAIR, 180_000);
    const after = await names();
    if (after.join() !== replicas.join())
      throw new Error(`replicas were not reused: ${replicas.join()} became ${after.join()}`);
    const longest = runningWriter().longestMs(before);
    context.figures.set('longest commit around a power-cut', `${longest.toFixed(0)} ms`);
    context.log(`returned and reused; longest commit ${longest.toFixed(0)} ms`);
    await noteLongestIo(context, 'a power-cut', begunMs, CUT_IO_MS);

    await setSetting(context, 'replica-replenishment-wait-interval', '5');
    await setSetting(context, 'replica-soft-anti-affinity', 'true');
    await context.cluster.powerCut('node-2');
    await waitRobustness(context, STORY, 'degraded', 30_000);
    for (const name of [STORY, PAIR]) await waitReplaced(context, name);
    const moved = (await replicasOf(context, STORY)).filter(
      (replica) => at(replica, 'spec.nodeID') === 'node-2' && (at(replica, 'spec.failedAt') ?? '') === '',
    );
    if (moved.length > 0) throw new Error('a healthy volume keeps a replica on a node without power');
    await context.cluster.powerOn('node-2');
    await setSetting(context, 'replica-soft-anti-affinity', 'false');
    await setSetting(context, 'replica-replenishment-wait-interval', '600');
    await waitHealthy(context, STORY, 120_000);
    await waitHealthy(context, PAIR, 120_000);
    await waitFor(
      'no replica folder is left over',
      60_000,
      async () => {
        const known = (await context.kube.list('replicas')).map((r) => String(at(r, 'spec.dataDirectoryName')));
        return replicaFolders(context.cluster.folder).every((path) => known.includes(path.split('/')[1] ?? ''));
      },
      () => replicaFolders(context.cluster.folder).join('\n'),
    );
    context.log('stayed away and replaced; nothing left over');
    await spread(context, STORY);
  },
};

const loseEngine: Step = {
  title: '5. kill -9 the engine: the device stays, the writer sees no error, every committed row is there',
  async run(context) {
    const engine = await engineOf(context, STORY);
    const before = runningWriter().rows();
    const begunMs = Date.now();
    process.kill(engineProcess(context.cluster.folder, 'node-1', engine.metadata.name).pid, 'SIGKILL');
    const killed = performance.now();
    await runningWriter().progress(20, 60_000);
    const longest = runningWriter().longestMs(before);
    context.figures.set('longest commit around a killed engine', `${longest.toFixed(0)} ms`);
    context.log(`the writer went on after ${((performance.now() - killed) / 1000).toFixed(1)} s`);
    await waitHealthy(context, STORY, 180_000);
    await noteLongestIo(context, 'a killed engine', begunMs, 60_000);
    await runningProber().stop();
    await runningWriter().stop();
    const committed = readJournal(runningWriter().journal).committed;
    const missing = missingRows(join(mountOf(context, STORY), 'entries.db'), committed);
    if (missing.length > 0)
      throw new Error(
        `${missing.length} of ${committed.length} committed rows are gone: ${missing.slice(0, 5).join()}`,
      );
    await unmount(mountOf(context, STORY));
    await fsck(device(STORY));
    const raw = async (): Promise<string> =>
      (await run('sh', ['-c', `dd if=${device(STORY)} bs=1M iflag=direct status=none | sha256sum`])).split(' ')[0] ??
      '';
    const [first, second] = [await raw(), await raw()];
    if (first !== second) throw new Error('two reads of the device differ');
    await assertReplicasEqual(context);
    context.log(`${committed.length} rows, all there; the replicas' contents are equal`);
  },
};

async function assertReplicasEqual(context: StoryContext): Promise<void> {
  const sums = await mergedChecksums(context, STORY);
  if (new Set(sums.values()).size !== 1 || sums.size !== 3) {
    throw new Error(`the replicas' contents differ: ${JSON.stringify([...sums])}`);
  }
}

const snapshotAndRevert: Step = {
  title: '6. Snapshot, write, revert: the tree is that of the snapshot',
  async run(context) {
    const folder = mountOf(context, STORY);
    await mount(device(STORY), folder);
    const before = await treeChecksum(join(folder, 'tree'));
    await run('sync', ['-f', folder]);
    await context.rest.action(STORY, 'snapshotCreate', { name: 'before', labels: {} });
    rmSync(join(folder, 'tree', 'vitest'), { recursive: true, force: true });
    writeFileSync(join(folder, 'tree', 'added-after'), 'not in the snapshot\n'.repeat(100_000), { flush: true });
    await unmount(folder);
    await detach(context, STORY);
    await attach(context, STORY, 'node-1', true);
    await context.rest.action(STORY, 'snapshotRevert', { name: 'before' });
    await detach(context, STORY);
    await attach(context, STORY, 'node-1');
    await mount(device(STORY), folder);
    const after = await treeChecksum(join(folder, 'tree'));
    if (after.checksum !== before.checksum || existsSync(join(folder, 'tree', 'added-after'))) {
      throw new Error(`the revert gave ${JSON.stringify(after)}, the snapshot had ${JSON.stringify(before)}`);
    }
    await waitHealthy(context, STORY);
    context.log(`${after.files} files are those of the snapshot`);
  },
};

const restart: Step = {
  title: '7. Stop everything with SIGTERM, start again: volumes, data and states are back',
  async run(context) {
    const folder = mountOf(context, STORY);
    const before = await treeChecksum(join(folder, 'tree'));
    await unmount(folder);
    await unmount(mountOf(context, PAIR));
    const epochs = new Map<string, number>();
    for (const name of [STORY, PAIR]) epochs.set(name, Number(at(await engineOf(context, name), 'spec.epoch')));
    await context.cluster.stop();
    const left = await inventory(context.cluster.folder, [STORY, PAIR]);
    const rest = [...left.processes, ...left.mounts, ...left.loops, ...left.devices];
    if (rest.length > 0) throw new Error(`the stopped system left:\n${rest.join('\n')}`);
    await context.cluster.start();
    for (const [name, epoch] of epochs) {
      // Objects still say what was before the stop: an engine of a later epoch says that it is now.
      await waitFor(
        `volume ${name} has a new engine and its device`,
        120_000,
        async () =>
          Number(at(await engineOf(context, name), 'status.currentEpoch')) > epoch && existsSync(device(name)),
        () => describeVolume(context, name),
      );
      await waitHealthy(context, name, 120_000);
    }
    await mount(device(STORY), folder);
    const after = await treeChecksum(join(folder, 'tree'));
    if (after.checksum !== before.checksum) throw new Error('the tree differs after a restart');
    await unmount(folder);
    context.log('the same tree, both volumes attached and healthy again');
  },
};

const newestDataOnly: Step = {
  title: '8. Older data is never served: C, then B, then A lose power; B and C wait for A',
  async run(context) {
    const folder = mountOf(context, STORY);
    const mark = (text: string): void => writeFileSync(join(folder, 'mark'), text, { flush: true });
    await mount(device(STORY), folder);
    mark('all three');
    await detach(context, PAIR);
    await context.cluster.powerCut('node-3');
    await waitRobustness(context, STORY, 'degraded', 30_000);
    mark('without C');
    await context.cluster.powerCut('node-2');
    // An idle engine notices nothing; the write does.
    mark('A alone');
    await waitFor(
      'the volume goes on with A alone',
      30_000,
      async () => (await replicaModes(context, STORY)).filter((mode) => mode === 'RW').length === 1,
      () => describeVolume(context, STORY),
    );
    await run('sync', ['-f', folder]);
    await context.cluster.powerCut('node-1');
    // The cut took the node's mounts along; one that was made by us elsewhere is let go here.
    await releaseMounts(context);
    await Promise.all([context.cluster.powerOn('node-2'), context.cluster.powerOn('node-3')]);
    await context.rest.action(STORY, 'detach', { forceDetach: true });
    await context.rest.action(STORY, 'attach', { hostId: 'node-2', attachmentID: '', disableFrontend: false });
    const holder =
      (await replicasOf(context, STORY)).find((r) => at(r, 'spec.nodeID') === 'node-1')?.metadata.name ?? '-';
    await waitFor(
      "the volume says that it waits for A's replica",
      120_000,
      async () =>
        JSON.stringify(at(await context.kube.get('volumes', STORY), 'status.blockedBy') ?? []).includes(holder),
      () => describeVolume(context, STORY),
    );
    if (at(await engineOf(context, STORY), 'status.ioState') === 'serving')
      throw new Error('the volume serves older data');
    context.log(`B and C are back, the volume waits for ${holder}`);
    await context.cluster.powerOn('node-1');
    await waitHealthy(context, STORY, 300_000);
    await mount(device(STORY), folder);
    const seen = readFileSync(join(folder, 'mark'), 'utf8');
    if (seen !== 'A alone') throw new Error(`the newest data is gone: mark says ${JSON.stringify(seen)}`);
    await unmount(folder);
    await assertReplicasEqual(context);
    context.log('A is back: all flushed data, B and C in line');
  },
};

const deleteAll: Step = {
  title: '9. Delete: no replica folder, process, loop device, mount or socket is left',
  async run(context) {
    await detach(context, STORY);
    await deleteVolume(context, STORY);
    await deleteVolume(context, PAIR);
    await waitFor(
      'everything of the volumes is gone',
      60_000,
      async () => {
        const left = await inventory(context.cluster.folder, [STORY, PAIR]);
        const ours = [...left.mounts, ...left.loops, ...left.processes].filter((line) =>
          new RegExp(`\\b(${STORY}|${PAIR})\\b`).test(line),
        );
        return ours.length === 0 && left.devices.length === 0 && replicaFolders(context.cluster.folder).length === 0;
      },
      async () =>
        JSON.stringify(
          {
            left: await inventory(context.cluster.folder, [STORY, PAIR]),
            folders: replicaFolders(context.cluster.folder),
          },
          null,
          1,
        ),
    );
  },
};

export const STEPS: Step[] = [
  create,
  fill,
  loseReplica,
  loseNode,
  loseEngine,
  snapshotAndRevert,
  restart,
  newestDataOnly,
  deleteAll,
];
