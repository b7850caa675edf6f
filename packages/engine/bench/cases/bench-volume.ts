/** Volumes for cases, an engine and three replicas that may go and come, and what cases do with them. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { withEngine } from '../../src/cli/engine-flow.ts';
import { controllerOf, type EngineFlow } from '../../src/client/flow.ts';
import { addReplica } from '../../src/client/rebuild.ts';
import { contentsOf } from '../../testing/replica-contents.ts';
import { engineNameOf, FILE_SYNC_TIMEOUT_SECONDS } from '../../testing/volume-arguments.ts';
import type { VolumeProcesses } from '../../testing/volume-processes.ts';
import { PLAIN_VOLUME, startOurs } from '../systems.ts';
import type { CaseOptions } from './bench-case.ts';

const REPLICAS = 3;
const MIB = 1 << 20;
const SIZE_BYTES_MIN = 32 * MIB;

export interface VolumeSettings {
  /** also of its folder */
  readonly name: string;
  readonly sizeBytes: number;
  readonly over: 'socket' | 'device';
}

export interface BenchVolume {
  readonly processes: VolumeProcesses;
  /** an NBD URI, or the path of a block device */
  readonly endpoint: string;
  readonly sizeBytes: number;
}

/** A size of the case's full scale in the scale that was asked for, in whole MiB. */
export function scaledBytes(bytes: number, scale: number): number {
  return Math.max(SIZE_BYTES_MIN, Math.round((bytes * scale) / MIB) * MIB);
}

/** A count or a duration in the scale that was asked for; at least `least`. */
export function scaledCount(count: number, scale: number, least: number): number {
  return Math.max(least, Math.round(count * scale));
}

/** Starts a volume for `work` and removes everything of it afterwards, also when `work` fails. */
export async function withVolume<T>(
  { folder, log }: CaseOptions,
  { name, sizeBytes, over }: VolumeSettings,
  work: (volume: BenchVolume) => Promise<T>,
): Promise<T> {
  const settings = { ...PLAIN_VOLUME, served: { over }, isWatched: true, replicas: REPLICAS };
  try {
    const system = await startOurs({ ...settings, name, folder, sizeBytes });
    const { volume: processes, endpoint } = system;
    try {
      return await work({ processes, endpoint, sizeBytes });
    } catch (error) {
      log(processes.endOfLog('engine'));
      throw error;
    } finally {
      await system.stop();
    }
  } finally {
    rmSync(join(folder, name), { recursive: true, force: true });
  }
}

/** @throws when the replicas do not hold the same; nothing may be written meanwhile. Returns the checksum of what they hold. */
export async function assertReplicasEqual({ processes, sizeBytes }: BenchVolume): Promise<string> {
  const { replicaNames, name } = processes;
  const sums = await Promise.all(
    replicaNames.map((replica) => contentsOf(processes.address(replica), name, sizeBytes)),
  );
  const [sum = '', ...others] = sums;
  if (others.some((other) => other !== sum)) throw new Error(`the replicas of ${name} differ: ${sums.join(' ')}`);
  return sum;
}

/** What the commands of `longhorn` do, without the start of a program: as the instance manager does it. */
export function withFlow<T>({ processes }: BenchVolume, work: (flow: EngineFlow) => Promise<T>): Promise<T> {
  const { engineAddress, name } = processes;
  const engineInstanceName = engineNameOf(name);
  return withEngine({ url: engineAddress, volumeName: name, engineInstanceName, debug: false }, work);
}

export async function takeSnapshot(flow: EngineFlow, name: string): Promise<void> {
  await controllerOf(flow).VolumeSnapshot({ name, labels: {}, freezeFilesystem: false });
}

/** Rebuilds a replica that is not in the engine and listens (`longhorn add-replica`); ends when it is RW. */
export function rebuild({ processes, sizeBytes }: BenchVolume, flow: EngineFlow, replica: string): Promise<void> {
  return addReplica(flow, {
    address: processes.address(replica),
    instanceName: replica,
    size: sizeBytes,
    currentSize: sizeBytes,
    fastSync: false,
    fileSyncHttpTimeoutSeconds: FILE_SYNC_TIMEOUT_SECONDS,
    grpcTimeoutSeconds: 0,
    localSync: null,
  });
}

/** The one that is reached over TCP and that cases take away. */
export function lastReplica({ replicaNames }: Pick<VolumeProcesses, 'replicaNames'>): string {
  const name = replicaNames.at(-1);
  if (name === undefined) throw new Error('the volume has no replicas');
  return name;
}
