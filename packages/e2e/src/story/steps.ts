/**
 * The story that must work: a volume of three replicas in use that loses a replica, a node and its engine, and still
 * holds every byte. What uses it, a file system or a client that knows its blocks, is the medium.
 */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { waitFor } from '@longhorn/engine/testing/wait';
import { at } from '../kube.ts';
import { inventory, replicaFolders } from '../leftovers.ts';
import { parseNbdUri } from '../nbd-client.ts';
import { bytesWritten, engineProcess, replicaProcess } from '../processes.ts';
import { mergedChecksums } from '../replica-contents.ts';
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
import { GIB, type Medium, type Step, type StoryContext, type StoryWriter, type Tenant } from './context.ts';

/** `/dev/longhorn` is the machine's: another run of the story there at the same time has volumes of other names */
const RUN = randomBytes(3).toString('hex');
/** the volume of three replicas, on node-1 */
const STORY = `story-${RUN}`;
/** the volume of two replicas, on node-2 */
const PAIR = `pair-${RUN}`;

/** A rebuild begins within this time after the loss of a replica. */
const REBUILD_BEGINS_MS = 10_000;

/** A replica that missed a second or two of writes writes at most this share of the volume's data when it is rebuilt. */
const REBUILT_SHARE = 0.25;

const mib = (bytes: number): string => (bytes / 2 ** 20).toFixed(0);

const story = (context: StoryContext): Tenant => context.medium.tenant(STORY);
const pair = (context: StoryContext): Tenant => context.medium.tenant(PAIR);

/** The longest that a single I/O may wait, on a machine that has time for it. */
const KILLED_IO_MS = 1_000;
const CUT_IO_MS = 10_000;
const ENGINE_IO_MS = 60_000;

/**
 * Notes the longest wait of one I/O since the point `from`, and throws when it was too long: longer than allowed, and than
 * what I/Os had to wait before for want of the machine's time.
 */
async function judgeWait(context: StoryContext, from: number, limitMs: number, around: string): Promise<string> {
  const longest = await runningWriter().longestMs(from);
  const text = `longest I/O ${longest.toFixed(0)} ms (${calmMs.toFixed(0)} ms undisturbed)`;
  context.figures.set(`around ${around}`, text);
  if (longest > limitMs + calmMs) throw new Error(`around ${around}: ${text}, at most ${limitMs} ms are allowed`);
  return text;
}

/** Where the volume can be used now. */
async function endpointOf(context: StoryContext, volume: string): Promise<string> {
  const endpoint = at(await engineOf(context, volume), 'status.endpoint');
  return typeof endpoint === 'string' ? endpoint : '';
}

/** Whether the device node or the socket of an endpoint is there. */
function isThere(endpoint: string): boolean {
  return endpoint !== '' && existsSync(endpoint.startsWith('/') ? endpoint : parseNbdUri(endpoint).path);
}

let writer: StoryWriter | null = null;
/** the longest that one I/O waited before anything was struck */
let calmMs = 0;

function runningWriter(): StoryWriter {
  if (writer === null) throw new Error('step 2 starts the writer');
  return writer;
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

const fill = (medium: Medium): Step => ({
  title: `2. Content: ${medium.promises.fill}`,
  async run(context) {
    for (const tenant of [STORY, PAIR]) await medium.tenant(tenant).begin(await endpointOf(context, tenant), true);
    context.log(await story(context).fill());
    writer = medium.write(STORY);
    await writer.progress(50, 30_000);
    await pair(context).mark('flushed before the power-cut');
  },
});

const loseReplica: Step = {
  title: '3. kill -9 one replica process: degraded, rebuilt by what differs, healthy',
  async run(context) {
    const target = (await replicasOf(context, STORY)).find((replica) => at(replica, 'spec.nodeID') === 'node-3');
    if (target === undefined) throw new Error('the volume has no replica on node-3');
    const before = runningWriter().point();
    calmMs = await runningWriter().longestMs(0, before);
    process.kill(replicaProcess(context.cluster.folder, 'node-3', target.metadata.name).pid, 'SIGKILL');
    const killed = performance.now();
    await waitRobustness(context, STORY, 'degraded', 10_000);
    await waitFor(
      'the rebuild starts',
      REBUILD_BEGINS_MS,
      async () => (await replicaModes(context, STORY)).includes('WO'),
      () => describeVolume(context, STORY),
    );
    const started = performance.now() - killed;
    await waitHealthy(context, STORY, 180_000);
    // Since it began: what the rebuild copied, and the writes of its time.
    const copied = bytesWritten(replicaProcess(context.cluster.folder, 'node-3', target.metadata.name).pid);
    await runningWriter().progress(20, 10_000);
    const healthy = ((performance.now() - killed) / 1000).toFixed(1);
    const waited = await judgeWait(context, before, KILLED_IO_MS, 'a killed replica');
    const held = Number(at(await context.kube.get('volumes', STORY), 'status.actualSize'));
    context.log(
      `rebuild began after ${started.toFixed(0)} ms, healthy after ${healthy} s, ${waited}; wrote ${mib(copied)} MiB of the volume's ${mib(held)} MiB`,
    );
    if (copied > held * REBUILT_SHARE)
      throw new Error(`the rebuilt replica wrote ${copied} bytes of ${held}: more than what differed`);
  },
};

async function cutNode2(context: StoryContext): Promise<void> {
  await context.cluster.powerCut('node-2');
  await pair(context).lost();
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
    const before = runningWriter().point();
    const names = async (): Promise<string[]> => (await replicasOf(context, STORY)).map((r) => r.metadata.name).sort();
    const replicas = await names();
    await cutNode2(context);
    await waitRobustness(context, STORY, 'degraded', 30_000);
    // Its ticket goes to another node; exactly half of its replicas is left, the control plane confirms.
    await context.rest.action(PAIR, 'detach', { forceDetach: true });
    await pair(context).begin(await attach(context, PAIR, 'node-1'), false);
    const mark = await pair(context).readMark();
    if (mark !== 'flushed before the power-cut') throw new Error(`flushed data is gone from the pair: ${mark}`);
    await context.cluster.powerOn('node-2');
    await waitHealthy(context, STORY, 180_000);
    await waitHealthy(context, PAIR, 180_000);
    const after = await names();
    if (after.join() !== replicas.join())
      throw new Error(`replicas were not reused: ${replicas.join()} became ${after.join()}`);
    context.log(`returned and reused; ${await judgeWait(context, before, CUT_IO_MS, 'a power-cut')}`);

    await setSetting(context, 'replica-replenishment-wait-interval', '5');
    await setSetting(context, 'replica-soft-anti-affinity', 'true');
    const again = runningWriter().point();
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
    const waited = await judgeWait(context, again, CUT_IO_MS, 'a power-cut with replacement');
    context.log(`stayed away and replaced, nothing left over; ${waited}`);
    await spread(context, STORY);
  },
};

const loseEngine = (medium: Medium): Step => ({
  title: `5. kill -9 the engine: ${medium.promises.engineDies}`,
  async run(context) {
    const engine = await engineOf(context, STORY);
    const before = runningWriter().point();
    process.kill(engineProcess(context.cluster.folder, 'node-1', engine.metadata.name).pid, 'SIGKILL');
    const killed = performance.now();
    await runningWriter().progress(20, 60_000);
    const goesOn = ((performance.now() - killed) / 1000).toFixed(1);
    const waited = await judgeWait(context, before, ENGINE_IO_MS, 'a killed engine');
    context.log(`the writer went on after ${goesOn} s; ${waited}`);
    await waitHealthy(context, STORY, 180_000);
    context.log(await runningWriter().stop());
    await story(context).inspect(await endpointOf(context, STORY));
    await assertReplicasEqual(context);
    context.log("two reads agree, and the replicas' contents are equal");
  },
});

async function assertReplicasEqual(context: StoryContext): Promise<void> {
  const sums = await mergedChecksums(context, STORY);
  if (new Set(sums.values()).size !== 1 || sums.size !== 3) {
    throw new Error(`the replicas' contents differ: ${JSON.stringify([...sums])}`);
  }
}

const snapshotAndRevert = (medium: Medium): Step => ({
  title: `6. Snapshot, write, revert: ${medium.promises.revert}`,
  async run(context) {
    await story(context).begin(await endpointOf(context, STORY), false);
    const before = await story(context).checksum();
    await context.rest.action(STORY, 'snapshotCreate', { name: 'before', labels: {} });
    await story(context).change();
    if ((await story(context).checksum()) === before)
      throw new Error('the content has not changed: a revert shows nothing');
    await story(context).end();
    await detach(context, STORY);
    await attach(context, STORY, 'node-1', true);
    await context.rest.action(STORY, 'snapshotRevert', { name: 'before' });
    await detach(context, STORY);
    await story(context).begin(await attach(context, STORY, 'node-1'), false);
    const after = await story(context).checksum();
    if (after !== before) throw new Error(`the revert gave ${after}, the snapshot had ${before}`);
    await waitHealthy(context, STORY);
    context.log(after);
  },
});

const restart: Step = {
  title: '7. Stop everything with SIGTERM, start again: volumes, data and states are back',
  async run(context) {
    const before = await story(context).checksum();
    await story(context).end();
    await pair(context).end();
    const epochs = new Map<string, number>();
    for (const name of [STORY, PAIR]) epochs.set(name, Number(at(await engineOf(context, name), 'spec.epoch')));
    await context.cluster.stop();
    const left = inventory(context.cluster.folder, [STORY, PAIR]);
    const rest = [...left.processes, ...left.mounts, ...left.loops, ...left.devices, ...left.sockets];
    if (rest.length > 0) throw new Error(`the stopped system left:\n${rest.join('\n')}`);
    await context.cluster.start();
    for (const [name, epoch] of epochs) {
      // Objects still say what was before the stop: an engine of a later epoch says that it is now.
      await waitFor(
        `volume ${name} has a new engine and its device`,
        120_000,
        async () =>
          Number(at(await engineOf(context, name), 'status.currentEpoch')) > epoch &&
          isThere(await endpointOf(context, name)),
        () => describeVolume(context, name),
      );
      await waitHealthy(context, name, 120_000);
    }
    await story(context).begin(await endpointOf(context, STORY), false);
    const after = await story(context).checksum();
    if (after !== before) throw new Error(`after the restart the content is ${after}, it was ${before}`);
    await story(context).end();
    context.log('the same content, both volumes attached and healthy again');
  },
};

const newestDataOnly: Step = {
  title: '8. Older data is never served: C, then B, then A lose power; B and C wait for A',
  async run(context) {
    await story(context).begin(await endpointOf(context, STORY), false);
    await story(context).mark('all three');
    await detach(context, PAIR);
    await context.cluster.powerCut('node-3');
    await waitRobustness(context, STORY, 'degraded', 30_000);
    await story(context).mark('without C');
    await context.cluster.powerCut('node-2');
    // An idle engine notices nothing; the write does.
    await story(context).mark('A alone');
    await waitFor(
      'the volume goes on with A alone',
      30_000,
      async () => (await replicaModes(context, STORY)).filter((mode) => mode === 'RW').length === 1,
      () => describeVolume(context, STORY),
    );
    await story(context).scribble();
    await context.cluster.powerCut('node-1');
    await story(context).lost();
    await Promise.all([context.cluster.powerOn('node-2'), context.cluster.powerOn('node-3')]);
    await waitFor('a manager answers', 60_000, () => context.rest.get(`/v1/volumes/${STORY}`));
    await context.rest.action(STORY, 'detach', { forceDetach: true });
    // Refused until the engine image is on a node again.
    await waitFor('the volume may be attached to node-2', 60_000, async () => {
      await context.rest.action(STORY, 'attach', { hostId: 'node-2', attachmentID: '', disableFrontend: false });
      return true;
    });
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
    await story(context).begin(await endpointOf(context, STORY), false);
    const seen = await story(context).readMark();
    if (seen !== 'A alone') throw new Error(`the newest data is gone: the mark says ${JSON.stringify(seen)}`);
    context.log(await story(context).scribbled());
    await story(context).end();
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
        const left = inventory(context.cluster.folder, [STORY, PAIR]);
        const ofVolumes = new RegExp(`\\b(${STORY}|${PAIR})\\b`);
        const ours = [...left.mounts, ...left.loops, ...left.processes, ...left.sockets].filter((line) =>
          // The cluster's folder may be named after the story.
          ofVolumes.test(line.replaceAll(context.cluster.folder, '')),
        );
        return ours.length === 0 && left.devices.length === 0 && replicaFolders(context.cluster.folder).length === 0;
      },
      async () =>
        JSON.stringify(
          {
            left: inventory(context.cluster.folder, [STORY, PAIR]),
            folders: replicaFolders(context.cluster.folder),
          },
          null,
          1,
        ),
    );
  },
};

/** The steps, each of which leaves the system healthy for the next one. */
export function stepsWith(medium: Medium): Step[] {
  return [
    create,
    fill(medium),
    loseReplica,
    loseNode,
    loseEngine(medium),
    snapshotAndRevert(medium),
    restart,
    newestDataOnly,
    deleteAll,
  ];
}
