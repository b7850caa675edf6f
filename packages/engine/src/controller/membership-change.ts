/**
 * Brings the membership record in line with the members that work.
 *
 * While it differs nothing is acknowledged: the core holds what a failed member has not answered, and an operation
 * that adds a member has paused I/O. The loop ends with a record that every member has, or with the volume failed.
 *
 *     member fails -> lost -> record without it (asking the control plane if half or fewer remain) -> released
 *                       \-> it is back with all it had, before the record without it was stored -> reading again
 */
import { errorText } from '@longhorn/shared-types/grpc/rpc-error';
import { sameLayout } from '../membership/layout.ts';
import { generationText, type MembershipRecord } from '../membership/record.ts';
import { fencingEpoch } from './backends.ts';
import { OPEN_TIMEOUT_MS, RETRY_MS } from './control-limits.ts';
import type { MemberId, MemberRole } from './core/core-api.ts';
import type { MemberFailure } from './core/member-link.ts';
import type { MembershipKeeper, WriteFailure } from './membership-keeper.ts';
import { regainLost } from './regain.ts';
import { leave, lookAt } from './replica-entry.ts';
import type { ReplicaReport } from './replica-report.ts';
import type { ReplicaEntry } from './replica-set.ts';
import type { VolumeContext } from './volume-context.ts';

/** What the core tells when a connection is of no use any more. */
export function memberFailed(context: VolumeContext, id: MemberId, failure: MemberFailure, role: MemberRole): void {
  const entry = context.replicas.byMember(id);
  const reason = `${failure.reason}: ${failure.detail}`;
  context.log.warn('a replica failed', { replica: entry?.address ?? `member ${id}`, role, reason });
  const higher = fencingEpoch(failure.detail);
  if (context.keeper && (failure.reason === 'fenced' || higher !== null)) {
    context.fence(higher ?? 0, fencedReason(entry, failure.detail));
    return;
  }
  if (role === 'joining') {
    context.core.releaseFailed(id);
    if (entry) takeOut(entry, reason);
    context.changed();
    return;
  }
  if (!entry) {
    context.crash(new Error(`member ${id}, which counts for acknowledgements, belongs to no replica`));
    return;
  }
  entry.memberId = null;
  entry.reason = reason;
  entry.stage = 'lost';
  context.unreleased.add(id);
  context.memberEvents.wake();
  context.changed();
  context.memberLock.run(() => settleMembership(context, null)).catch(context.crash);
}

/**
 * Writes the record of all that read, and of the joiner, until one is active. Call it under the member lock. With a joiner I/O
 * must be paused. Returns when nothing is left to change; the caller sees in the joiner's stage what became of it.
 */
export async function settleMembership(context: VolumeContext, joiner: ReplicaEntry | null): Promise<void> {
  const { keeper } = context;
  if (!keeper) return settleWithoutRecord(context, joiner);
  let announced = false;
  while (!context.isOver()) {
    const joins = joiner?.stage === 'joining' ? joiner : null;
    if (!announced && !joins && !isDue(context)) {
      goOn(context);
      return;
    }
    const readers = context.replicas.inStage('reading');
    if (readers.length === 0) {
      await waitForLastOnes(context);
      continue;
    }
    if (context.isLayoutInDoubt && !(await layoutLearnt(context, keeper, readers))) continue;
    const members = joins ? [...readers, joins] : readers;
    const record = keeper.next(namesOf(members), context.layout);
    if (!(await agreed(context, keeper, record))) continue;
    announced = true;
    const failures = await keeper.write(record, members);
    if (context.isOver() || recordRefused(context, failures)) continue;
    if (
      members.some((entry) => entry.stage !== 'reading' && entry !== joins) ||
      (joins && joins !== joiningStill(joiner))
    ) {
      continue;
    }
    finish(context, keeper, record, joins);
    keeper.commit(members).catch(context.crash);
    return;
  }
}

/** The record is not that of the members that there are, or of what they have. */
function isDue({ replicas, unreleased, isLayoutInDoubt }: VolumeContext): boolean {
  return isLayoutInDoubt || unreleased.size > 0 || replicas.inStage('leaving').length > 0;
}

/** Asks the members for their layers; false: some have no say or others, and leave. */
async function layoutLearnt(
  context: VolumeContext,
  keeper: MembershipKeeper,
  readers: readonly ReplicaEntry[],
): Promise<boolean> {
  const asked = await Promise.all(readers.map((entry) => layersOf(keeper, entry)));
  const known = asked.filter((report) => report !== null);
  const [layout] = [...known.filter((report) => sameLayout(report, context.layout)), ...known];
  if (layout === undefined || context.isOver()) return false;
  for (const [index, report] of asked.entries()) {
    const entry = readers[index];
    if (entry === undefined || report === null || sameLayout(report, layout)) continue;
    leave(entry, 'its layers are not those of the other replicas');
  }
  if (readers.some((entry) => entry.stage !== 'reading')) return false;
  context.layout = { sizeBytes: layout.sizeBytes, chain: layout.chain };
  context.core.setSize(layout.sizeBytes);
  context.isLayoutInDoubt = false;
  return true;
}

/** What a replica has after everything that it was told before; null: it leaves, since it cannot be asked. */
async function layersOf(keeper: MembershipKeeper, entry: ReplicaEntry): Promise<ReplicaReport | null> {
  try {
    // Changes nothing; it is done after the operations that were sent before, which may still wait there.
    await entry.client.MembershipCommit({ epoch: keeper.epoch, count: 0 }, { timeoutMs: OPEN_TIMEOUT_MS });
    const report = await lookAt(entry);
    // What it has in memory says nothing: its next process may find an operation done that failed half way.
    if (report.state === 'error') throw new Error('it is in state error');
    return report;
  } catch (error) {
    leave(entry, `it could not be asked for its layers: ${errorText(error)}`);
    return null;
  }
}

function joiningStill(joiner: ReplicaEntry | null): ReplicaEntry | null {
  return joiner?.stage === 'joining' ? joiner : null;
}

function finish(
  context: VolumeContext,
  keeper: MembershipKeeper,
  record: MembershipRecord,
  joins: ReplicaEntry | null,
): void {
  keeper.activate(record);
  if (joins?.memberId !== null && joins !== null) {
    context.core.promote(joins.memberId);
    joins.stage = 'reading';
    joins.reason = '';
  }
  releaseAll(context);
  context.log.info('membership', { generation: generationText(record), members: record.members.join(',') });
  goOn(context);
  context.changed();
}

/** Nothing is waited for any more. */
function goOn({ io }: VolumeContext): void {
  if (io.state === 'held') io.set('serving', '');
}

/** The record without them is stored: what waited for them goes on. */
function releaseAll(context: VolumeContext): void {
  for (const entry of context.replicas.inStage('lost')) takeOut(entry, entry.reason);
  for (const entry of context.replicas.inStage('leaving')) {
    const { memberId } = entry;
    takeOut(entry, entry.reason);
    if (memberId !== null) context.core.removeMember(memberId);
  }
  for (const id of context.unreleased) context.core.releaseFailed(id);
  context.unreleased.clear();
}

function takeOut(entry: ReplicaEntry, reason: string): void {
  entry.stage = 'out';
  entry.reason = reason;
  entry.memberId = null;
}

/** Without fencing a failed replica is simply out; without any replica I/O fails, as upstream's does. */
function settleWithoutRecord(context: VolumeContext, joiner: ReplicaEntry | null): void {
  if (joiner?.stage === 'joining' && joiner.memberId !== null) {
    context.core.promote(joiner.memberId);
    joiner.stage = 'reading';
  }
  const hasReader = context.replicas.inStage('reading').length > 0;
  if (!hasReader && (context.unreleased.size > 0 || context.replicas.inStage('leaving').length > 0)) {
    context.fail('no available backend');
  }
  releaseAll(context);
  context.changed();
}

/** True when a refusal changed what is to be written. */
function recordRefused(context: VolumeContext, failures: readonly WriteFailure[]): boolean {
  for (const { entry, error } of failures) {
    const text = errorText(error);
    const higher = fencingEpoch(text);
    if (higher !== null) context.fence(higher, fencedReason(entry, text));
    context.log.warn('a replica did not store the membership record', { replica: entry.address, reason: text });
    leave(entry, `it did not store the membership record: ${text}`);
    if (entry.stage === 'joining') {
      const { memberId } = entry;
      takeOut(entry, `it did not store the membership record: ${text}`);
      if (memberId !== null) context.core.removeMember(memberId);
    }
  }
  return failures.length > 0;
}

/** Waits for the control plane's word where it is needed; false: look again, something changed. */
async function agreed(context: VolumeContext, keeper: MembershipKeeper, record: MembershipRecord): Promise<boolean> {
  const agreement = keeper.agreement(record);
  if (agreement === 'own') return true;
  if (agreement === 'refused') {
    context.fail(`no member of the last membership is left (${keeper.active?.members.join(', ') ?? ''})`);
    return false;
  }
  const members = record.members.join(', ');
  const before = keeper.active?.members.join(', ') ?? '';
  const reason = `Going on with ${members} of ${before} needs the control plane's confirmation (generation ${generationText(record)}).`;
  context.io.set('held', reason);
  keeper.ask(record);
  const lostBefore = stagesOf(context);
  try {
    for (;;) {
      const answer = keeper.answer();
      if (answer?.confirmed) return true;
      if (answer) {
        context.fence(0, `The control plane refused generation ${generationText(record)}: ${answer.reason}`);
        return false;
      }
      if (context.isOver() || holdEnded(context) || stagesOf(context) !== lostBefore) return false;
      await context.memberEvents.sleep(RETRY_MS);
      if (keeper.answer() === null) await regainLost(context);
    }
  } finally {
    keeper.withdraw();
  }
}

function stagesOf(context: VolumeContext): string {
  return context.replicas
    .all()
    .map((entry) => `${entry.address} ${entry.stage}`)
    .join();
}

/** No member works: I/O is held while they are tried again. One that merely could not store a record still works. */
async function waitForLastOnes(context: VolumeContext): Promise<void> {
  const { replicas } = context;
  context.io.set(
    'held',
    `No replica can be reached: waiting for ${namesOf(replicas.inStage('lost', 'leaving')).join(', ')}.`,
  );
  if (holdEnded(context) || (await regainLost(context))) return;
  await context.memberEvents.sleep(RETRY_MS);
  for (const entry of replicas.inStage('leaving')) entry.stage = 'reading';
}

/** I/O is held up to `io-hold-timeout`, then it fails. */
function holdEnded(context: VolumeContext): boolean {
  const { ioHoldTimeoutMs } = context.options;
  if (ioHoldTimeoutMs === 0 || context.io.state !== 'held') return false;
  if (context.clock.nowMs() - context.io.sinceMs < ioHoldTimeoutMs) return false;
  context.fail(`I/O was held for ${ioHoldTimeoutMs / 1000} s. ${context.io.reason}`);
  return true;
}

function fencedReason(entry: ReplicaEntry | null, text: string): string {
  return `Another engine of this volume was started: replica ${entry?.name ?? '?'} answered "${text}".`;
}

function namesOf(entries: readonly ReplicaEntry[]): string[] {
  return entries.map((entry) => entry.name);
}
