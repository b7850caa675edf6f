/**
 * Snapshot, revert and expansion: what changes the layers of every replica at once.
 *
 * They are proposed like a change of members. I/O is paused; every member stores a record with the layout to be, whose bases
 * hold the one that is; then each replica is changed; then the members forget the bases. After a crash in between the
 * next engine takes the members that are on one side (membership/start.ts).
 */
import { errorText } from '@longhorn/shared-types/grpc/rpc-error';
import type { Replica } from '@longhorn/shared-types/generated/ptypes';
import { snapshotNameOf } from '../client/disk-names.ts';
import { sameChain, sameLayout, type Layout } from '../membership/layout.ts';
import type { MembershipRecord } from '../membership/record.ts';
import { dropMember } from './member-removal.ts';
import { settleMembership } from './membership-change.ts';
import type { MembershipKeeper } from './membership-keeper.ts';
import { completePurges } from './purge-completion.ts';
import { leave, lookAt } from './replica-entry.ts';
import { readReport, type ReplicaReport } from './replica-report.ts';
import type { ReplicaEntry } from './replica-set.ts';
import type { VolumeContext } from './volume-context.ts';
import { whileAnswering, type LongCallOptions } from './while-answering.ts';

export interface LayerOperation {
  /** the layout of a member after the operation */
  readonly after: (before: ReplicaReport) => Layout;
  /** one call of the replica, with these options; the answer holds the replica */
  readonly change: (entry: ReplicaEntry, options: LongCallOptions) => Promise<{ readonly replica: Replica | null }>;
}

export interface OperationFailure {
  readonly entry: ReplicaEntry;
  readonly error: unknown;
}

/** Runs `work` with no I/O in flight and no change of members under way. */
export async function withPausedIo<T>(context: VolumeContext, work: () => Promise<T>): Promise<T> {
  await context.core.pause();
  try {
    return await context.memberLock.run(work);
  } finally {
    context.core.resume();
  }
}

/**
 * Runs one operation on all reading and joining replicas; under paused I/O. Replicas that failed while others did not
 * are out. Rejects when it failed on all of them, and then nothing has changed.
 */
export async function changeLayers(context: VolumeContext, operation: LayerOperation): Promise<OperationFailure[]> {
  // One may have failed since the lock was asked for: the record to be written must follow from the members that there are.
  await settleMembership(context, null);
  assertSettled(context);
  const replicas = context.replicas.inStage('reading', 'joining');
  const readers = replicas.filter((entry) => entry.stage === 'reading');
  const first = await commonReport(context, readers);
  const previous = context.layout;
  const after = operation.after(first);
  if (context.keeper) {
    await announce(context, context.keeper, readers, { sizeBytes: first.sizeBytes, chain: first.chain }, after);
  }
  context.layout = after;
  const failures = await reallyFailed(await changeEach(context, replicas, operation.change), after);
  const failedReaders = failures.filter(({ entry }) => readers.includes(entry));
  if (failedReaders.length === readers.length) {
    // As far as is known. One that could not be asked may have done it: a record with what they have then says which.
    context.layout = { ...previous, chain: first.chain };
    context.isLayoutInDoubt = context.keeper !== null;
    await settleMembership(context, null);
    throw combinedError(failures);
  }
  await dropFailed(context, failures);
  await settleReaders(context, readers, after);
  await context.keeper?.commit(context.replicas.inStage('reading'));
  return failures;
}

/**
 * Throws while a region is in doubt: layers made of it would differ for ever. Operations begin when nothing is, but a write that ends for
 * their pause may find all disks full, and a member that comes back may have missed how a region was settled.
 */
export function assertSettled({ core }: VolumeContext): void {
  const regions = core.doubtCount();
  if (regions === 0) return;
  throw new Error(`the replicas differ in ${regions} regions since a moment ago and are made equal; try again later`);
}

/** What the readers have. Throws when their layers differ, and has the purge ended that made them different. */
export async function commonReport(context: VolumeContext, readers: readonly ReplicaEntry[]): Promise<ReplicaReport> {
  const reports = await reportsOf(readers);
  const [first] = reports;
  if (!first) throw new Error('no available backend');
  if (context.keeper === null || reports.every((report) => sameChain(report.chain, first.chain))) return first;
  void completePurges(context);
  throw new Error(differenceOf(readers, reports));
}

/** One that was away when a snapshot was removed does not purge it: the way out is to remove it again. */
function differenceOf(readers: readonly ReplicaEntry[], reports: readonly ReplicaReport[]): string {
  const all = new Set(reports.flatMap(({ chain }) => chain));
  const lacking = reports.flatMap(({ chain }, index) => {
    const missing = [...all].filter((name) => !chain.includes(name)).map((name) => snapshotNameOf(name) ?? name);
    return missing.length === 0 ? [] : [`${readers[index]?.address ?? ''} lacks ${missing.join(', ')}`];
  });
  const difference = lacking.length === 0 ? 'the order of their layers differs' : lacking.join('; ');
  return `the replicas purge snapshots at this moment; try again when they are done, or remove the snapshots again that only some have: ${difference}`;
}

/**
 * Lets those go that failed. One whose connection was lost meanwhile counts until the record without it is stored, and may be back before:
 * whether it did what was asked is not known, so all are asked for their layers. Throws when only those are left that did not.
 */
async function settleReaders(context: VolumeContext, readers: readonly ReplicaEntry[], after: Layout): Promise<void> {
  if (context.keeper !== null && readers.some((entry) => entry.stage !== 'reading')) context.isLayoutInDoubt = true;
  await settleMembership(context, null);
  if (context.isLayoutInDoubt || !sameLayout(context.layout, after)) {
    throw new Error('the replicas that did it were lost before the others had done it; try again');
  }
}

async function reportsOf(entries: readonly ReplicaEntry[]): Promise<ReplicaReport[]> {
  return Promise.all(entries.map((entry) => lookAt(entry)));
}

/** Every member notes that its layers may change; a member that does not store that is out before anything is done. */
async function announce(
  context: VolumeContext,
  keeper: MembershipKeeper,
  readers: readonly ReplicaEntry[],
  now: Layout,
  after: Layout,
): Promise<void> {
  // A purge may have taken layers away since the active record was written; its members have those of `now`.
  const active = keeper.active;
  if (!active) throw new Error('a running engine without an active record');
  const base: MembershipRecord = { ...active, sizeBytes: now.sizeBytes, chain: now.chain };
  keeper.startFrom([base], []);
  const record = keeper.next(
    readers.map((entry) => entry.name),
    after,
  );
  if (keeper.agreement(record) !== 'own') throw new Error('a replica failed at this moment; try again');
  const failures = await keeper.write(record, readers);
  const [failure] = failures;
  if (!failure) {
    keeper.activate(record);
    return;
  }
  for (const { entry, error } of failures) leave(entry, errorText(error));
  context.layout = now;
  await settleMembership(context, null);
  throw new Error(`replica ${failure.entry.address} did not store the membership record: ${errorText(failure.error)}`);
}

async function changeEach(
  context: VolumeContext,
  entries: readonly ReplicaEntry[],
  change: LayerOperation['change'],
): Promise<OperationFailure[]> {
  const failures: OperationFailure[] = [];
  await Promise.all(
    entries.map(async (entry) => {
      try {
        const { replica } = await whileAnswering(context, entry, (options) => change(entry, options));
        // What upstream's answer leaves out: a process that nobody has opened does nothing, and reports success.
        if (readReport(replica).state === 'closed') throw new Error('its process is another one than was opened');
      } catch (error) {
        failures.push({ entry, error });
      }
    }),
  );
  return failures;
}

/** A replica may have done what was asked and then lost its answer: what it has now decides. */
async function reallyFailed(failures: readonly OperationFailure[], after: Layout): Promise<OperationFailure[]> {
  const verdicts = await Promise.all(
    failures.map(async ({ entry }) => {
      try {
        const now = await lookAt(entry);
        return !sameLayout(now, after);
      } catch {
        // It cannot be asked: its own failure counts.
        return true;
      }
    }),
  );
  return failures.filter((_failure, index) => verdicts[index]);
}

async function dropFailed(context: VolumeContext, failures: readonly OperationFailure[]): Promise<void> {
  for (const { entry, error } of failures) {
    const reason = errorText(error);
    context.log.warn('an operation on snapshots failed on a replica', { replica: entry.address, reason });
    if (entry.stage === 'joining') await dropMember(context, entry, reason);
    else leave(entry, reason);
  }
}

/** `<addr>: <err>; <addr>: <err>` in upstream's words. */
export function combinedError(failures: readonly OperationFailure[]): Error {
  const text = failures.map(({ entry, error }) => `${entry.address}: ${errorText(error)}`).join('; ');
  return new Error(text, { cause: failures[0]?.error });
}
