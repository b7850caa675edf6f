/**
 * One volume under chaos: what is known of it, and how a round ends for it: healthy without help, everything that must be
 * there is there, all replicas equal.
 *
 * What may be lost in a round: if a replica of the volume was left alone, nothing that was acknowledged. If every one
 * was struck and a node lost power, what was not flushed; only then the device may say (EIO) that it lost its cache,
 * and is attached anew, as a user mounts anew.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { waitFor } from '@longhorn/engine/testing/wait';
import type { Cluster } from '../cluster.ts';
import { at } from '../kube.ts';
import { mergedChecksums } from '../replica-contents.ts';
import { attach, describeVolume, detach, engineOf, replicasOf, waitHealthy } from '../volumes.ts';
import { ContractViolation, type SnapshotContents } from '../block-history.ts';
import type { Damage } from './faults.ts';
import type { Workload } from './workload.ts';

export const HEALTHY_MS = 180_000;
const CALL_AGAIN_MS = 120_000;
/** A dead process is reported within a second. */
const NOTICE_MS = 1_500;
const CONNECT_MS = 60_000;
const VERIFY_ATTEMPTS = 5;

export interface Subject {
  workload: Workload;
  volume: string;
  /** where it is attached */
  node: string;
  replicas: number;
  /** nodes of its replicas when the round began */
  places: string[];
  snapshots: Map<string, SnapshotContents>;
  /** it was seen to be gone while the round's faults went on: whether it may be is judged after them */
  lostDevice: boolean;
}

export async function notePlaces(cluster: Cluster, subject: Subject): Promise<void> {
  const replicas = await replicasOf(cluster, subject.volume);
  subject.places = replicas.map((replica) => String(at(replica, 'spec.nodeID')));
}

/** Every replica was struck, and a node lost power: what was not flushed may be gone. */
export function mayLoseCache(subject: Subject, damage: Damage): boolean {
  const isStruck = (node: string): boolean =>
    damage.cut.has(node) || damage.nodes.has(node) || damage.replicas.has(`${subject.volume}@${node}`);
  return damage.cut.size > 0 && subject.places.every(isStruck);
}

const ioStateOf = async (cluster: Cluster, volume: string): Promise<unknown> =>
  at(await engineOf(cluster, volume), 'status.ioState');

/** Waits until the volume is healthy by itself; a device that lost its cache is attached anew first. */
export async function recover(cluster: Cluster, subject: Subject, damage: Damage): Promise<void> {
  const { workload, volume, node } = subject;
  const mayLose = mayLoseCache(subject, damage);
  if (subject.lostDevice) await mustBeAllowed(cluster, volume, mayLose);
  subject.lostDevice = false;
  // The engine of a node that lost power is gone: what it had not answered is answered by nobody.
  if (damage.cut.has(node)) {
    workload.disconnect();
    if (mayLose) workload.history.lostCache();
  }
  const deadline = performance.now() + HEALTHY_MS;
  while (!(await isSettled(cluster, subject, mayLose))) {
    if (performance.now() > deadline) throw new Error(`${volume} loses its device again and again`);
  }
}

/** False: the device was lost on the way, as the fault was noticed only now. */
async function isSettled(cluster: Cluster, subject: Subject, mayLose: boolean): Promise<boolean> {
  const { workload, volume, node } = subject;
  await waitFor(
    `${volume} serves again or says that its device lost its cache`,
    HEALTHY_MS,
    async () => {
      const state = await ioStateOf(cluster, volume);
      return workload.deviceFailed || state === 'failed' || state === 'serving';
    },
    () => describeVolume(cluster, volume),
  );
  if (workload.deviceFailed || (await ioStateOf(cluster, volume)) === 'failed') {
    await mustBeAllowed(cluster, volume, mayLose);
    loseDevice(workload);
    await insist(cluster, volume, 'detachment', () => detach(cluster, volume, true));
    await insist(cluster, volume, 'attachment', () => attach(cluster, volume, node));
  }
  await waitHealthy(cluster, volume, HEALTHY_MS);
  if (workload.isConnected && (await endpointOf(cluster, subject)) !== workload.uri) {
    await mustBeAllowed(cluster, volume, mayLose);
    loseDevice(workload);
  }
  if (!workload.isConnected) await connect(cluster, subject);
  return isAnswered(cluster, subject);
}

/**
 * Stops the workload and waits until what is under way was answered. False: the device is gone, it failed or was attached
 * anew by the system itself, and nobody will answer.
 */
export async function isAnswered(cluster: Cluster, { workload, volume }: Subject): Promise<boolean> {
  let outcome: { error: unknown } | 'answered' | 'open' = 'open';
  void workload.pause(HEALTHY_MS).then(
    () => (outcome = 'answered'),
    (error: unknown) => (outcome = { error }),
  );
  const read = (): typeof outcome => outcome;
  while (read() === 'open') {
    await delay(200);
    const endpoint = at(await engineOf(cluster, volume), 'status.endpoint');
    if (typeof endpoint === 'string' && endpoint !== '' && endpoint !== workload.uri) return false;
  }
  const end = read();
  if (typeof end === 'object') throw end.error;
  return !workload.deviceFailed;
}

/** Calls until it succeeds; the calls are such that a repeated one does no harm. */
export async function insist(
  cluster: Cluster,
  volume: string,
  what: string,
  call: () => Promise<unknown>,
): Promise<void> {
  await waitFor(
    `${what} of ${volume}`,
    CALL_AGAIN_MS,
    async () => {
      await call();
      return true;
    },
    () => describeVolume(cluster, volume),
  );
}

export function loseDevice(workload: Workload): void {
  workload.disconnect();
  workload.history.lostCache();
}

async function mustBeAllowed(cluster: Cluster, volume: string, mayLose: boolean): Promise<void> {
  if (mayLose) return;
  const said = at(await engineOf(cluster, volume), 'status.ioReason');
  throw new ContractViolation(`${volume} failed its device although a replica was left alone: ${String(said)}`);
}

/**
 * Every block by the contract, all replicas equal. A fault may not have been noticed when the volume was found healthy: a
 * difference counts only if the volume is healthy after it was seen as well, with the same replicas.
 */
export async function verify(cluster: Cluster, { workload, volume, replicas }: Subject): Promise<void> {
  await workload.verify();
  for (let attempt = 1; ; attempt++) {
    const before = await waitHealthy(cluster, volume, HEALTHY_MS);
    await delay(NOTICE_MS);
    const sums = await mergedChecksums(cluster, volume).catch((error: unknown) => {
      if (attempt === VERIFY_ATTEMPTS) throw error;
      return new Map<string, string>();
    });
    if (sums.size === replicas && new Set(sums.values()).size === 1) return;
    const after = await cluster.kube.get('volumes', volume);
    const stayed = at(after, 'metadata.resourceVersion') === at(before, 'metadata.resourceVersion');
    if (stayed || attempt === VERIFY_ATTEMPTS) {
      throw new ContractViolation(`replicas of ${volume} differ: ${JSON.stringify([...sums])}`);
    }
  }
}

/**
 * Starts the workload on the volume's device where it is attached. The endpoint may be that of an engine that died
 * with its node just now, and be replaced: asked again with every try.
 */
export async function connect(cluster: Cluster, { workload, volume, node }: Subject): Promise<void> {
  await waitFor(
    `${volume} can be used on ${node}`,
    CONNECT_MS,
    async () => {
      const engine = await engineOf(cluster, volume);
      const uri = at(engine, 'status.endpoint');
      if (at(engine, 'spec.nodeID') !== node || typeof uri !== 'string' || !uri.startsWith('nbd+unix:')) return false;
      await workload.start(uri);
      return true;
    },
    () => describeVolume(cluster, volume),
  );
}

async function endpointOf(cluster: Cluster, { volume, node }: Subject): Promise<string> {
  return waitFor(
    `${volume} has an endpoint on ${node}`,
    CONNECT_MS,
    async () => {
      const engine = await engineOf(cluster, volume);
      const uri = at(engine, 'status.endpoint');
      return at(engine, 'spec.nodeID') === node && typeof uri === 'string' && uri.startsWith('nbd+unix:') && uri;
    },
    () => describeVolume(cluster, volume),
  );
}
