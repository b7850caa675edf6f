/** Settings of a running volume that its replicas keep as well. */
import { errorText } from '@longhorn/shared-types/grpc/rpc-error';
import { lookAt } from './replica-entry.ts';
import type { ReplicaReport } from './replica-report.ts';
import type { ReplicaEntry } from './replica-set.ts';
import { dropMember } from './member-removal.ts';
import type { VolumeContext } from './volume-context.ts';

/** Brings the replicas' settings in line with the engine's; a replica that refuses is out. */
export async function pushSettings(context: VolumeContext): Promise<void> {
  const enabled = context.unmapMarkSnapChainRemoved;
  const differing = workingReplicas(context).filter((entry) => entry.report?.unmapMarkDiskChainRemoved !== enabled);
  await onEach(context, differing, (entry) =>
    entry.client.UnmapMarkDiskChainRemovedSet({ enabled }, { timeoutMs: context.options.replicaTimeoutMs }),
  );
}

export async function setUnmapMark(context: VolumeContext, enabled: boolean): Promise<void> {
  const failure = `failed to correct Unmatched flag UnmapMarkSnapChainRemoved for all replicas, expect ${String(enabled)}`;
  await onAll(context, failure, (entry) =>
    entry.client.UnmapMarkDiskChainRemovedSet({ enabled }, { timeoutMs: context.options.replicaTimeoutMs }),
  );
  context.unmapMarkSnapChainRemoved = enabled;
  context.changed();
}

export async function setSnapshotMaxCount(context: VolumeContext, count: number): Promise<void> {
  const usage = await highestUsage(context, (report) => report.snapshotCountUsage);
  if (count < usage) {
    throw new Error(
      `cannot set snapshotMaxCount=${count} smaller than current snapshot count usage=${usage}, please purge snapshots first`,
    );
  }
  await onAll(context, `no replica has taken snapshotMaxCount=${count}`, (entry) =>
    entry.client.SnapshotMaxCountSet({ count }, { timeoutMs: context.options.replicaTimeoutMs }),
  );
  context.snapshotMaxCount = count;
  context.changed();
}

/** 0 lifts the limit. */
export async function setSnapshotMaxSize(context: VolumeContext, size: number): Promise<void> {
  const usage = await highestUsage(context, (report) => report.snapshotSizeUsage);
  if (size !== 0 && size < usage) {
    throw new Error(
      `cannot set snapshotMaxSize=${size} smaller than current snapshot size usage=${usage}, please purge snapshots first`,
    );
  }
  await onAll(context, `no replica has taken snapshotMaxSize=${size}`, (entry) =>
    entry.client.SnapshotMaxSizeSet({ size }, { timeoutMs: context.options.replicaTimeoutMs }),
  );
  context.snapshotMaxSizeBytes = size;
  context.changed();
}

function workingReplicas(context: VolumeContext): ReplicaEntry[] {
  return context.replicas.inStage('reading', 'joining');
}

async function highestUsage(context: VolumeContext, usageOf: (report: ReplicaReport) => number): Promise<number> {
  const reports = await Promise.all(context.replicas.inStage('reading').map((entry) => lookAt(entry)));
  return Math.max(0, ...reports.map(usageOf));
}

/** Rejects with `failure` when there is none that took the change. */
async function onAll(
  context: VolumeContext,
  failure: string,
  change: (entry: ReplicaEntry) => Promise<unknown>,
): Promise<void> {
  const replicas = workingReplicas(context);
  if ((await onEach(context, replicas, change)) === replicas.length) throw new Error(failure);
}

/** Number of replicas that refused; they are dropped, unless none would be left. */
async function onEach(
  context: VolumeContext,
  entries: readonly ReplicaEntry[],
  change: (entry: ReplicaEntry) => Promise<unknown>,
): Promise<number> {
  const failed: { entry: ReplicaEntry; reason: string }[] = [];
  await Promise.all(
    entries.map(async (entry) => {
      try {
        await change(entry);
      } catch (error) {
        failed.push({ entry, reason: errorText(error) });
      }
    }),
  );
  if (failed.length === entries.length) return failed.length;
  for (const { entry, reason } of failed) await dropMember(context, entry, reason);
  return failed.length;
}
