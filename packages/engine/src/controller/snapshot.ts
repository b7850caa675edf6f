/** Snapshots of a volume: the same moment on all replicas, within upstream's limits. */
import { SNAPSHOT_TOTAL_MAX } from './control-limits.ts';
import { rfc3339 } from './control-clock.ts';
import type { DoubtSettling } from './doubt-settling.ts';
import { changeLayers, withPausedIo } from './layer-operation.ts';
import { lookAt } from './replica-entry.ts';
import type { ReplicaEntry } from './replica-set.ts';
import type { VolumeContext } from './volume-context.ts';

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
  const unfreeze = await freeze();
  try {
    await context.core.flushNow();
    await withPausedIo(context, async () => {
      await checkSnapshotLimits(context);
      await snapshotAll(context, name, request);
    });
  } finally {
    await unfreeze();
  }
  return name;
}

/** Takes it on all replicas that work; under paused I/O. */
export async function snapshotAll(
  context: VolumeContext,
  name: string,
  { labels, userCreated }: Pick<SnapshotRequest, 'labels' | 'userCreated'>,
): Promise<void> {
  const request = { name, user_created: userCreated, created: rfc3339(context.clock.date()), labels };
  await changeLayers(context, {
    after: (before) => ({ sizeBytes: before.sizeBytes, chain: [diskNameOf(name), ...before.chain] }),
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
