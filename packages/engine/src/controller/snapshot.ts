/** Snapshots of a volume: the same moment on all replicas, within upstream's limits. */
import { errorText } from '@longhorn/shared-types/grpc/rpc-error';
import type { ReplicaSnapshotRequest } from '@longhorn/shared-types/generated/ptypes';
import { NO_SPACE_TEXT } from '../protocol/replica-frame.ts';
import { SNAPSHOT_TOTAL_MAX } from './control-limits.ts';
import { rfc3339 } from './control-clock.ts';
import type { DoubtSettling } from './doubt-settling.ts';
import { changeLayers, combinedError, withPausedIo, type OperationFailure } from './layer-operation.ts';
import { lookAt } from './replica-entry.ts';
import type { ReplicaEntry } from './replica-set.ts';
import type { VolumeContext } from './volume-context.ts';
import { whileAnswering } from './while-answering.ts';

export interface SnapshotRequest {
  /** "" = a random UUID */
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly userCreated: boolean;
}

/** Holds the file system still around a snapshot; answers with what lets it go on. */
export type Freeze = () => Promise<() => Promise<void>>;

/** Takes the snapshot on all replicas and answers with its name. */
export async function takeSnapshot(
  context: VolumeContext,
  settling: DoubtSettling,
  request: SnapshotRequest,
  freeze: Freeze,
): Promise<string> {
  const name = request.name === '' ? context.randomId() : request.name;
  assertSnapshotName(name);
  await checkSnapshotLimits(context);
  await settling.whenSettled();
  const taken = snapshotOf(context, name, request);
  await prepareSnapshot(context, taken, context.replicas.inStage('reading', 'joining'));
  const unfreeze = await freeze();
  try {
    await flushMost(context);
    await withPausedIo(context, async () => {
      await checkSnapshotLimits(context);
      await snapshotAll(context, taken);
    });
  } finally {
    await unfreeze();
  }
  return name;
}

/** What every replica is asked for, with the time of now. */
export function snapshotOf(
  context: VolumeContext,
  name: string,
  { labels, userCreated }: Pick<SnapshotRequest, 'labels' | 'userCreated'>,
): ReplicaSnapshotRequest {
  return { name, user_created: userCreated, created: rfc3339(context.clock.date()), labels };
}

/**
 * Lets the replicas make what the snapshot needs while I/O goes on. One that cannot, or is upstream's and does not know the call, makes it
 * when the snapshot is taken, and says then what is wrong. Rejects when more than `spared` of them have no space for it: a snapshot is
 * worth no replica, and of disks that run full together only some are full at first.
 */
export async function prepareSnapshot(
  context: VolumeContext,
  request: ReplicaSnapshotRequest,
  entries: readonly ReplicaEntry[],
  spared = 0,
): Promise<void> {
  const full: OperationFailure[] = [];
  const prepare = async (entry: ReplicaEntry): Promise<void> => {
    if (entry.report?.knowsEpochs !== true) return;
    try {
      await whileAnswering(context, entry, (options) => entry.client.SnapshotPrepare(request, options));
    } catch (error) {
      const reason = errorText(error);
      context.log.info('a replica did not prepare a snapshot', { replica: entry.address, reason });
      if (reason.includes(NO_SPACE_TEXT)) full.push({ entry, error });
    }
  };
  await Promise.all(entries.map(prepare));
  if (full.length <= spared) return;
  await Promise.all(entries.map((entry) => abandonPrepared(context, entry)));
  throw combinedError(full);
}

/** What stays where this fails is removed with the next snapshot or open. */
async function abandonPrepared(context: VolumeContext, entry: ReplicaEntry): Promise<void> {
  if (entry.report?.knowsEpochs !== true) return;
  const nothing: ReplicaSnapshotRequest = { name: '', user_created: false, created: '', labels: {} };
  try {
    await whileAnswering(context, entry, (options) => entry.client.SnapshotPrepare(nothing, options));
  } catch (error) {
    const reason = errorText(error);
    context.log.info('a replica keeps what it prepared for a snapshot', { replica: entry.address, reason });
  }
}

/** Twice: the second brings what was written during the first, so that little is left to the pause that follows. */
export async function flushMost(context: VolumeContext): Promise<void> {
  await context.core.flushNow();
  await context.core.flushNow();
}

/** Takes it on all replicas that work; under paused I/O. */
export async function snapshotAll(context: VolumeContext, request: ReplicaSnapshotRequest): Promise<void> {
  await changeLayers(context, {
    after: (before) => ({ sizeBytes: before.sizeBytes, chain: [diskNameOf(request.name), ...before.chain] }),
    change: (entry, options) => entry.client.ReplicaSnapshot(request, options),
  });
}

/** File name of a snapshot's layer. */
export function diskNameOf(snapshot: string): string {
  return `volume-snap-${snapshot}.img`;
}

/** Snapshot names become file names. */
export function assertSnapshotName(name: string): void {
  if (/^[A-Za-z0-9][A-Za-z0-9_.-]{0,199}$/.test(name)) return;
  throw new Error(
    `invalid snapshot name ${JSON.stringify(name)}: use letters, digits, ".", "_" and "-", at most 200 characters`,
  );
}

/** Throws when one more snapshot would exceed a limit of the volume. */
export async function checkSnapshotLimits(context: VolumeContext): Promise<void> {
  const readers = context.replicas.inStage('reading');
  const reports = await Promise.all(readers.map((entry: ReplicaEntry) => lookAt(entry)));
  const usage = Math.max(0, ...reports.map((report) => report.snapshotCountUsage));
  if (usage >= context.snapshotMaxCount) {
    throw new Error(
      `snapshot count usage ${usage} is equal or larger than snapshotMaxCount ${context.snapshotMaxCount}`,
    );
  }
  const total = Math.max(0, ...reports.map((report) => report.snapshotCountTotal));
  if (total >= SNAPSHOT_TOTAL_MAX) throw new Error(`snapshot count total is already too big: ${total}`);
  if (context.snapshotMaxSizeBytes <= 0) return;
  const sizeUsage = Math.max(0, ...reports.map((report) => report.snapshotSizeUsage));
  const headSize = Math.max(0, ...reports.map((report) => report.headFileSize));
  const free = context.snapshotMaxSizeBytes - sizeUsage;
  if (headSize > free) throw new Error(`snapshot free space ${free} is not enough for head file ${headSize}`);
}
