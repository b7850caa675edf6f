/**
 * Rounds of operations on one volume under load while its processes are killed (SIGKILL): engine, replicas, the commands
 * themselves. No host loses power, so every answered write must be there; after each round the volume becomes healthy,
 * everything reads as written, and the replicas are equal.
 */
import type { ChildProcess } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { join } from 'node:path';
import { contentsOf } from '@longhorn/engine/testing/replica-contents';
import { VolumeProcesses } from '@longhorn/engine/testing/volume-processes';
import { waitFor } from '@longhorn/engine/testing/wait';
import { ContractViolation } from '../block-history.ts';
import { Workload } from '../chaos/workload.ts';
import { seededRandom } from '../random.ts';
import { chooseOperation, DRAIN_MS, SERVING_MS, type Operation, type Subject } from './operations.ts';

const VOLUME_BYTES = 64 << 20;
const BLOCKS = 512;
const HEALTHY_MS = 120_000;
const KILL_WITHIN_MS = 1500;
const RESTART_POLL_MS = 100;
const REPLICAS = 3;

export interface KillsOptions {
  readonly seed: number;
  readonly rounds: number;
  /** an empty folder */
  readonly folder: string;
  /** third number of loopback addresses that nobody else uses */
  readonly instance: number;
  readonly log: (text: string) => void;
}

export interface KillsResult {
  readonly rounds: number;
  readonly kills: number;
  readonly operations: number;
}

/** @throws with seed and round in the message when a round violates the contract */
export async function runKills({ seed, rounds, folder, instance, log }: KillsOptions): Promise<KillsResult> {
  const host = `127.78.${instance}.1`;
  const volume = new VolumeProcesses({
    folder: join(folder, 'kills'),
    name: 'kills',
    host,
    replicaHosts: Array.from({ length: REPLICAS }, () => host),
    sizeBytes: VOLUME_BYTES,
    served: { over: 'socket' },
    backingFile: '',
    isWatched: true,
  });
  const random = seededRandom(seed);
  const workload = new Workload('kills', seed, BLOCKS, VOLUME_BYTES, seededRandom(seed + 1));
  const copyHost = `127.78.${instance}.2`;
  const subject: Subject = { volume, workload, random, folder, copyHost, snapshots: new Map(), copy: null };
  let kills = 0;
  try {
    await healthy(subject);
    await connect(subject);
    for (let round = 1; round <= rounds; round++) {
      const story: string[] = [];
      try {
        kills += await runRound(subject, round, story);
        log(`round ${round}: ${story.join(', ')}`);
      } catch (error) {
        throw new Error(`round ${round} of seed ${seed}: ${story.join(', ')}`, { cause: error });
      }
    }
    return { rounds, kills, operations: workload.operations };
  } finally {
    workload.disconnect();
    await subject.copy?.end();
    await volume.end();
  }
}

async function runRound(subject: Subject, round: number, story: string[]): Promise<number> {
  const operation = chooseOperation(subject, round);
  story.push(operation.name);
  const commands: ChildProcess[] = [];
  let isUnderWay = true;
  const begun = begin(operation, commands, story).finally(() => (isUnderWay = false));
  const kills = await strike(subject, operation, commands, story);
  // Without replicas the engine holds its I/O, for a limited time, and the operation may wait for that.
  while (isUnderWay) {
    for (const name of subject.volume.replicaNames) subject.volume.startReplica(name);
    await Promise.race([begun, delay(RESTART_POLL_MS)]);
  }
  const succeeded = await begun;
  await healthy(subject);
  await operation.finish(succeeded);
  await verify(subject);
  return kills;
}

async function begin({ begin: run }: Operation, commands: ChildProcess[], story: string[]): Promise<boolean> {
  try {
    await run((child) => commands.push(child));
    story.push('done');
    return true;
  } catch (error) {
    if (error instanceof ContractViolation) throw error;
    story.push('not done');
    return false;
  }
}

/** One to three kills, each after a while of its own; answers how many. */
async function strike(
  { volume, random, copy }: Subject,
  operation: Operation,
  commands: readonly ChildProcess[],
  story: string[],
): Promise<number> {
  const isUpgrade = operation.name === 'upgrade';
  const all = random.chance(0.1);
  const victims: (() => Promise<string>)[] = all
    ? volume.replicaNames.map((name) => () => killReplica(volume, name))
    : Array.from({ length: 1 + random.below(2) }, () => {
        const chance = random.next();
        if (chance < 0.2 && isUpgrade) return () => volume.killFormer().then(() => 'former engine');
        if (chance < 0.2) return () => killCommand(commands);
        if (chance < 0.5 && copy !== null) return () => killOf(copy, random.chance(0.5));
        if (chance < 0.55) return () => volume.killEngine().then(() => 'engine');
        const name = random.pick(volume.replicaNames);
        return () => killReplica(volume, name);
      });
  await Promise.all(
    victims.map(async (victim) => {
      const afterMs = random.below(KILL_WITHIN_MS);
      await delay(afterMs);
      story.push(`${await victim()} at ${afterMs} ms`);
    }),
  );
  return victims.length;
}

async function killReplica(volume: VolumeProcesses, name: string): Promise<string> {
  await volume.killReplica(name);
  return name;
}

async function killOf(copy: VolumeProcesses, isEngine: boolean): Promise<string> {
  if (isEngine) await copy.killEngine();
  else await Promise.all(copy.replicaNames.map((name) => copy.killReplica(name)));
  return isEngine ? 'engine of the copy' : 'replica of the copy';
}

function killCommand(commands: readonly ChildProcess[]): Promise<string> {
  const command = commands.at(-1);
  command?.kill('SIGKILL');
  return Promise.resolve(command === undefined ? 'no command' : 'command');
}

/** Starts what is dead and rebuilds what is not RW, as a control plane would. */
async function healthy({ volume }: Subject): Promise<void> {
  await volume.killFormer();
  await waitFor(`${volume.name} is healthy`, HEALTHY_MS, async () => {
    await volume.untilServing(SERVING_MS);
    const missing = await volume.missing();
    // A rebuild that was not ended leaves its replica in the engine, which takes one at a time.
    for (const name of missing) await volume.removeReplica(name);
    for (const name of missing) await volume.rebuild(name, false);
    return (await volume.missing()).length === 0;
  });
}

async function verify(subject: Subject): Promise<void> {
  const { volume, workload } = subject;
  if (workload.isConnected) {
    await workload.pause(DRAIN_MS);
    if (workload.deviceFailed) throw new ContractViolation('the device failed although no host lost power');
    workload.disconnect();
  }
  // A kill may be noticed only now.
  await healthy(subject);
  await connect(subject);
  await workload.pause(DRAIN_MS);
  await workload.verify();
  await healthy(subject);
  const sums = await Promise.all(
    volume.replicaNames.map((name) => contentsOf(volume.address(name), volume.name, volume.currentSizeBytes)),
  );
  if (new Set(sums).size !== 1) throw new ContractViolation(`the replicas differ: ${sums.join(' ')}`);
  workload.disconnect();
  await connect(subject);
}

/** The workload goes on, on the device as it is now. */
async function connect({ volume, workload }: Subject): Promise<void> {
  const { endpoint } = await volume.untilServing(SERVING_MS);
  await workload.start(endpoint);
}
