/**
 * Rounds of random faults with verification. After each round everything is healthy without help (a device that lost its
 * cache is attached anew, as a user mounts anew), nothing acknowledged and flushed is lost, all replicas are equal, and
 * nothing is left over: processes, replica folders, loop devices, mounts.
 */
import type { Cluster } from '../cluster.ts';
import { seededRandom } from '../random.ts';
import { attach, deleteVolume, outlineVolume, setSetting, volumeManifest, waitHealthy, waitState } from '../volumes.ts';
import { actDuringFaults, revertToSnapshot } from './activities.ts';
import { noDamage, strike, untilDue, type Damage } from './faults.ts';
import { waitClean } from './remains.ts';
import { planRound, type Fault, type RoundPlan } from './schedule.ts';
import { connect, notePlaces, recover, verify, type Subject } from './subject.ts';
import { Workload } from './workload.ts';

const NODES = ['node-1', 'node-2', 'node-3'] as const;
const VOLUME_BYTES = 64 << 20;
/** Blocks in use: few, so that they are written again and again. */
const BLOCKS = 512;
const SLOW_MS = 45_000;
const ONLY_COPY = 'chaos-1';

export interface ChaosResult {
  rounds: number;
  operations: number;
  /** nodes that lost power, counted each time */
  powerCuts: number;
}

export interface ChaosOptions {
  seed: number;
  rounds: number;
  /** number of the first round, to repeat a late one without those before it */
  first?: number;
  log: (text: string) => void;
}

/** @throws with seed and round in the message when a round violates the contract */
export async function runChaos(cluster: Cluster, { seed, rounds, first = 0, log }: ChaosOptions): Promise<ChaosResult> {
  await setSetting(cluster, 'blockdev-driver', 'nbd');
  await setSetting(cluster, 'replica-replenishment-wait-interval', '60');
  const subjects = newSubjects(seed);
  try {
    await createVolumes(cluster, subjects);
    const result = await runRounds(cluster, subjects, { seed, rounds, first, log });
    await removeVolumes(cluster, subjects);
    return result;
  } finally {
    for (const { workload } of subjects) workload.disconnect();
  }
}

async function runRounds(
  cluster: Cluster,
  subjects: Subject[],
  { seed, rounds, first, log }: Required<ChaosOptions>,
): Promise<ChaosResult> {
  let powerCuts = 0;
  let operations = 0;
  for (let round = first; round < first + rounds; round++) {
    const damage = noDamage();
    try {
      const times = await runRound(cluster, subjects, planRound(seed, round), round, damage, log);
      powerCuts += damage.cut.size;
      const total = subjects.reduce((sum, { workload }) => sum + workload.operations, 0);
      log(`round ${round + 1} of seed ${seed} (${times}; ${total - operations} operations): ${damage.log.join(' | ')}`);
      operations = total;
    } catch (error) {
      const states = await Promise.all(subjects.map(({ volume }) => outlineVolume(cluster, volume)));
      throw new Error(
        `round ${round + 1} of seed ${seed} failed (alone: --seed ${seed} --first ${round} --rounds 1): ${damage.log.join(' | ')}\n${states.join('\n')}`,
        { cause: error },
      );
    }
  }
  return { rounds, powerCuts, operations };
}

function newSubjects(seed: number): Subject[] {
  return [3, 2, 1].map((replicas, index): Subject => {
    const volume = `chaos-${replicas}`;
    return {
      volume,
      replicas,
      node: NODES[index] ?? 'node-1',
      places: [],
      snapshots: new Map(),
      lostDevice: false,
      workload: new Workload(volume, seed, BLOCKS, VOLUME_BYTES, seededRandom(seed + replicas)),
    };
  });
}

async function createVolumes(cluster: Cluster, subjects: Subject[]): Promise<void> {
  await Promise.all(
    subjects.map(async (subject) => {
      const { volume, replicas, node } = subject;
      await cluster.kube.create('volumes', volumeManifest(volume, VOLUME_BYTES, replicas));
      await waitState(cluster, volume, 'detached');
      await attach(cluster, volume, node);
      await waitHealthy(cluster, volume);
      await connect(cluster, subject);
    }),
  );
}

/** Deleted while attached, as a person may: nothing of them stays. */
async function removeVolumes(cluster: Cluster, subjects: Subject[]): Promise<void> {
  await Promise.all(
    subjects.map(async ({ volume, workload }) => {
      await workload.pause(60_000);
      workload.disconnect();
      await deleteVolume(cluster, volume);
    }),
  );
  await waitClean(cluster, [], NODES);
}

/** Returns how long its parts took. */
async function runRound(
  cluster: Cluster,
  subjects: Subject[],
  plan: RoundPlan,
  round: number,
  damage: Damage,
  log: (text: string) => void,
): Promise<string> {
  const begin = performance.now();
  const seconds = (): string => ((performance.now() - begin) / 1000).toFixed(1);
  await Promise.all(subjects.map((subject) => notePlaces(cluster, subject)));
  await Promise.all([
    injectAll(cluster, plan.faults, damage),
    actDuringFaults(cluster, plan, round, subjects, NODES, damage).then((did) => {
      if (did !== '') damage.log.push(did);
    }),
  ]);
  const faulted = seconds();
  await Promise.all(
    subjects.map((subject) => tellWhenSlow(cluster, subject.volume, log, recover(cluster, subject, damage))),
  );
  const healthy = seconds();
  await Promise.all(subjects.map((subject) => verify(cluster, subject)));
  const verified = seconds();
  await waitClean(cluster, subjects, NODES);
  const clean = seconds();
  if (plan.activity === 'revert') {
    const did = await revertToSnapshot(cluster, plan, subjects);
    if (did !== '') damage.log.push(did);
  }
  const reverted = seconds();
  await Promise.all(
    subjects.map(async (subject) => {
      subject.workload.disconnect();
      await connect(cluster, subject);
    }),
  );
  return `faults ${faulted} s, healthy ${healthy} s, verified ${verified} s, clean ${clean} s${plan.activity === 'revert' ? `, reverted ${reverted} s` : ''}`;
}

/** What a volume waits for, in the log, when its recovery takes long: later it is gone. */
async function tellWhenSlow(
  cluster: Cluster,
  volume: string,
  log: (text: string) => void,
  recovery: Promise<void>,
): Promise<void> {
  const timer = setTimeout(() => {
    outlineVolume(cluster, volume).then(
      (text) => log(`  after ${SLOW_MS / 1000} s ${text}`),
      (error: unknown) => log(`  after ${SLOW_MS / 1000} s ${volume}: ${String(error)}`),
    );
  }, SLOW_MS);
  await recovery.finally(() => clearTimeout(timer));
}

/** Begun one after the other, each with its own end. */
async function injectAll(cluster: Cluster, faults: readonly Fault[], damage: Damage): Promise<void> {
  const [fault, ...others] = faults;
  if (fault === undefined) return;
  await untilDue(cluster, fault);
  await Promise.all([strike(cluster, fault, NODES, ONLY_COPY, damage), injectAll(cluster, others, damage)]);
}
