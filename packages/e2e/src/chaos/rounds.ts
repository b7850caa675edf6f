/**
 * Rounds of random faults with verification. After each round everything is healthy without help (a device that lost its
 * cache is attached anew, as a user mounts anew), nothing acknowledged and flushed is lost, all replicas are equal.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Cluster } from '../cluster.ts';
import { at } from '../kube.ts';
import { seededRandom, type Random } from '../random.ts';
import { mergedChecksums } from '../replica-contents.ts';
import {
  attach,
  describeVolume,
  detach,
  engineOf,
  setSetting,
  volumeManifest,
  waitHealthy,
  waitState,
} from '../volumes.ts';
import { waitFor } from '../wait.ts';
import { describeFaults, inject, planFaults } from './faults.ts';
import { Workload } from './workload.ts';

const NODES = ['node-1', 'node-2', 'node-3'] as const;
const VOLUME_BYTES = 64 << 20;
/** Blocks in use: few, so that they are written again and again. */
const BLOCKS = 512;
const HEALTHY_MS = 180_000;
/** A dead process is reported within a second. */
const NOTICE_MS = 1_500;
const VERIFY_ATTEMPTS = 5;

export interface ChaosResult {
  rounds: number;
  operations: number;
  powerCuts: number;
}

interface Subject {
  workload: Workload;
  node: string;
  replicas: number;
}

/** @throws with seed and round in the message when a round violates the contract */
export async function runChaos(
  cluster: Cluster,
  seed: number,
  rounds: number,
  log: (text: string) => void,
): Promise<ChaosResult> {
  await setSetting(cluster, 'blockdev-driver', 'nbd');
  await setSetting(cluster, 'replica-replenishment-wait-interval', '60');
  const subjects = await createSubjects(cluster, seed);
  let powerCuts = 0;
  for (let round = 0; round < rounds; round++) {
    const random = seededRandom(seed * 10_007 + round);
    const faults = planFaults(random, NODES);
    const start = performance.now();
    try {
      powerCuts += await runRound(cluster, subjects, faults, random);
    } catch (error) {
      const states = await Promise.all(subjects.map((s) => describeVolume(cluster, s.workload.volume)));
      throw new Error(`round ${round} of seed ${seed} failed: ${describeFaults(faults)}\n${states.join('\n')}`, {
        cause: error,
      });
    }
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    log(`round ${round + 1}/${rounds} (${seconds} s): ${describeFaults(faults)}`);
  }
  for (const { workload } of subjects) workload.disconnect();
  return { rounds, powerCuts, operations: subjects.reduce((sum, s) => sum + s.workload.operations, 0) };
}

async function createSubjects(cluster: Cluster, seed: number): Promise<Subject[]> {
  const subjects = [3, 2, 1].map((replicas, index) => ({
    replicas,
    node: NODES[index] ?? 'node-1',
    workload: new Workload(`chaos-${replicas}`, seed, BLOCKS, seededRandom(seed + replicas)),
  }));
  for (const { workload, replicas } of subjects) {
    await cluster.kube.create('volumes', volumeManifest(workload.volume, VOLUME_BYTES, replicas));
  }
  for (const { workload, node } of subjects) {
    await waitState(cluster, workload.volume, 'detached');
    await workload.start(await attach(cluster, workload.volume, node));
    await waitHealthy(cluster, workload.volume);
  }
  return subjects;
}

async function runRound(
  cluster: Cluster,
  subjects: Subject[],
  faults: ReturnType<typeof planFaults>,
  random: Random,
): Promise<number> {
  const cut = new Set<string>();
  const undo: (() => Promise<void>)[] = [];
  for (const fault of faults) undo.push(await inject(fault, cluster, random, (node) => cut.add(node)));
  await Promise.all(undo.map((step) => step()));
  for (const subject of subjects) await recover(cluster, subject, cut.has(subject.node));
  for (const subject of subjects) await verify(cluster, subject);
  for (const { workload, node } of subjects) {
    workload.disconnect();
    await workload.start(await endpoint(cluster, workload.volume, node));
  }
  return cut.size;
}

/**
 * Every block by the contract, all replicas equal. A fault may not have been noticed when the volume was found healthy: a
 * difference counts only if the volume is healthy after it was seen as well, with the same replicas.
 */
async function verify(cluster: Cluster, { workload, replicas }: Subject): Promise<void> {
  await workload.verify();
  for (let attempt = 1; ; attempt++) {
    const before = await waitHealthy(cluster, workload.volume, HEALTHY_MS);
    await delay(NOTICE_MS);
    const sums = await mergedChecksums(cluster, workload.volume).catch((error: unknown) => {
      if (attempt === VERIFY_ATTEMPTS) throw error;
      return new Map<string, string>();
    });
    if (sums.size === replicas && new Set(sums.values()).size === 1) return;
    const after = await cluster.kube.get('volumes', workload.volume);
    const stayed = at(after, 'metadata.resourceVersion') === at(before, 'metadata.resourceVersion');
    if (stayed || attempt === VERIFY_ATTEMPTS) {
      throw new Error(`replicas of ${workload.volume} differ: ${JSON.stringify([...sums])}`);
    }
  }
}

/** Waits until the volume is healthy by itself; a device that lost its cache is attached anew first. */
async function recover(cluster: Cluster, subject: Subject, nodeWasCut: boolean): Promise<void> {
  const { workload, node } = subject;
  // The engine of a node that lost power is gone: what it had not answered is answered by nobody.
  if (nodeWasCut) {
    workload.disconnect();
    workload.history.lostCache();
  }
  await waitFor(
    `${workload.volume} serves again or says that its device lost its cache`,
    HEALTHY_MS,
    async () => {
      const state = at(await engineOf(cluster, workload.volume), 'status.ioState');
      return workload.deviceFailed || state === 'failed' || state === 'serving';
    },
    () => describeVolume(cluster, workload.volume),
  );
  const failed = workload.deviceFailed || at(await engineOf(cluster, workload.volume), 'status.ioState') === 'failed';
  if (failed) {
    workload.disconnect();
    workload.history.lostCache();
    await detach(cluster, workload.volume, true);
    await attach(cluster, workload.volume, node);
  }
  await waitHealthy(cluster, workload.volume, HEALTHY_MS);
  if (nodeWasCut || failed) await workload.start(await endpoint(cluster, workload.volume, node));
  await workload.pause(60_000);
}

async function endpoint(cluster: Cluster, volume: string, node: string): Promise<string> {
  return waitFor(
    `${volume} has an endpoint on ${node}`,
    60_000,
    async () => {
      const uri = at(await engineOf(cluster, volume), 'status.endpoint');
      return typeof uri === 'string' && uri.startsWith('nbd+unix:') && uri;
    },
    () => describeVolume(cluster, volume),
  );
}
